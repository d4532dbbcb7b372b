//! When spot has run dry for a class of pods.

use spotocean_api::ocean_launch::{LaunchError, LaunchErrorScope, OceanLaunch};
use spotocean_core::resources::Resources;

use super::*;

#[test]
fn after_three_dry_launches_pods_are_served_on_demand_and_spot_rests() {
    let first = provision(&world(1).build());
    let dry = |number: i64, scope: LaunchErrorScope| {
        let mut launch = purchases(&first)[0].launch.clone();
        launch.metadata.name = Some(format!("launch-{number}"));
        launch.status = Some(OceanLaunchStatus {
            phase: LaunchPhase::Answered,
            answered_at: Some(Time(ago(30 - number))),
            // Of all the places offered only one is known to be dry: there are others to ask.
            errors: vec![LaunchError {
                instance_type: Some("m5.large".into()),
                zone: Some("us-east-1a".into()),
                scope,
                ..LaunchError::default()
            }],
            ..OceanLaunchStatus::default()
        });
        Arc::new(launch)
    };
    let sold = |launches: Vec<Arc<OceanLaunch>>, change: fn(&mut Snapshot)| -> Option<String> {
        let world = world(1)
            .with(|snapshot| snapshot.launches = launches)
            .with(change);
        let provision = provision(&world.build());
        let launch = purchases(&provision)
            .first()
            .map(|purchase| purchase.launch.clone());
        launch.map(|launch| launch.spec.request.capacity_type.to_string())
    };
    let three = |scope: LaunchErrorScope| (0..3).map(|number| dry(number, scope)).collect::<Vec<_>>();
    let (on_demand, spot) = (Some("on-demand".to_owned()), Some("spot".to_owned()));
    let untouched: fn(&mut Snapshot) = |_| ();
    assert_eq!(
        sold(three(LaunchErrorScope::Market)[..2].to_vec(), untouched),
        spot
    );
    assert_eq!(sold(three(LaunchErrorScope::Market), untouched), on_demand);
    assert_eq!(
        sold(three(LaunchErrorScope::Subnet), untouched),
        spot,
        "a full subnet is no drought"
    );
    let later: fn(&mut Snapshot) = |snapshot| snapshot.now += SignedDuration::from_secs(160);
    assert_eq!(
        sold(three(LaunchErrorScope::Market), later),
        spot,
        "three minutes are over"
    );
    let no_fallback: fn(&mut Snapshot) = |snapshot| {
        let ocean = Arc::make_mut(&mut snapshot.oceans[0]);
        ocean.spec.strategy.fallback_to_on_demand = false;
    };
    assert_eq!(sold(three(LaunchErrorScope::Market), no_fallback), spot);
    let other_pods: fn(&mut Snapshot) = |snapshot| {
        let shape = PodShape {
            requests: Resources {
                cpu_millis: 10,
                ..Resources::default()
            },
            ..PodShape::default()
        };
        Arc::make_mut(&mut snapshot.pods[0]).shape = Arc::new(shape);
    };
    assert_eq!(sold(three(LaunchErrorScope::Market), other_pods), spot);
}

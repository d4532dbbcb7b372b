//! Reservations with room: who goes there, at which cost, and when nobody does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spotocean_api::ocean_node::Phase;
use spotocean_api::quantity::Quantity;
use spotocean_core::offering::Market;
use spotocean_core::requirement::{Operator, Requirement};

use super::*;
use crate::answers::{answered, selecting, serving};
use crate::command::{Command, Purchase};
use crate::fixtures::{SnapshotBuilder, ago, ocean_node, pod, snapshot};
use crate::guard::guard;
use crate::plan::{Plan, Provision, plan};
use crate::provisioning::{Prepared, provision};

fn market() -> Market {
    Market {
        instance_type: "m5.4xlarge".into(),
        zone: "us-east-1b".into(),
    }
}

/// A world with so many pods that fill a node each, and room for `available` of them in a reservation.
fn reserving(ocean: SpotOcean, pods: usize, available: i64) -> SnapshotBuilder {
    let wanting = (0..pods).map(|number| {
        let mut own = pod(&format!("web-{number:02}"));
        Arc::make_mut(&mut own.shape).requests.cpu_millis = 14_000;
        own
    });
    let world = wanting.fold(snapshot().ocean(ocean), SnapshotBuilder::pod);
    answered(world.with(|snapshot| {
        let catalogue = Arc::make_mut(&mut snapshot.catalogue);
        catalogue.reservations_as_of = Some(ago(30));
        catalogue.reservations = vec![CapacityReservation {
            id: "cr-1".into(),
            market: market(),
            available,
        }];
    }))
}

fn ocean() -> SpotOcean {
    selecting("shop", &["main"])
}

/// Nodes in the reservation, and the others.
fn counts(provision: &Provision) -> (usize, usize) {
    let nodes = &provision.solution.new_nodes;
    let (reserved, others): (Vec<&NewNode>, Vec<&NewNode>) =
        nodes.iter().partition(|node| node.price == PricePerHour::ZERO);
    for node in &reserved {
        assert_eq!(node.capacity_type, CapacityType::OnDemand);
        assert_eq!(node.candidates, [market()]);
    }
    (reserved.len(), others.len())
}

fn rehearsed(world: SnapshotBuilder) -> Provision {
    Prepared::of(&world.build()).rehearse()
}

#[test]
fn what_is_paid_for_is_filled_first_and_no_further() {
    for (pods, available, expected) in [(3, 2, (2, 1)), (2, 5, (2, 0)), (3, 0, (0, 3)), (1, 1, (1, 0))] {
        let provision = rehearsed(reserving(ocean(), pods, available));
        assert_eq!(provision.solution.unplaced, [], "{pods} pods, {available} places");
        assert_eq!(counts(&provision), expected, "{pods} pods, {available} places");
        assert!(provision.solution.existing.is_empty(), "no place is a node yet");
    }
}

#[test]
fn a_reservation_is_let_be_for_good_reason() {
    let mut without = ocean();
    without.spec.strategy.use_reservations = false;
    let mut observing = ocean();
    observing.spec.mode = Mode::Observe;
    let on_spot_only = |snapshot: &mut Snapshot| {
        for own in &mut snapshot.pods {
            let spot = Requirement::new(label::CAPACITY_TYPE, Operator::In, ["spot"]);
            Arc::make_mut(&mut Arc::make_mut(own).shape)
                .node_selector
                .push(spot);
        }
    };
    let rows = [
        ("useReservations is false", reserving(without, 2, 2)),
        ("the ocean observes", reserving(observing, 2, 2)),
        (
            "the ocean serves some pods only",
            reserving(serving(ocean(), "app", "web"), 2, 2),
        ),
        ("pods want spot", reserving(ocean(), 2, 2).with(on_spot_only)),
        (
            "what is known is old",
            reserving(ocean(), 2, 2).with(|snapshot| {
                Arc::make_mut(&mut snapshot.catalogue).reservations_as_of = Some(ago(301));
            }),
        ),
    ];
    for (name, world) in rows {
        let provision = rehearsed(world);
        assert_eq!(provision.solution.unplaced, [], "{name}");
        assert_eq!(counts(&provision), (0, 2), "{name}");
    }
}

#[test]
fn places_taken_since_the_last_look_are_not_taken_twice() {
    let launched = |seconds| {
        let mut own = ocean_node("there", "shop", Phase::Launched);
        own.spec.capacity_type = spotocean_api::capacity_type::CapacityType::OnDemand;
        own.metadata.creation_timestamp = Some(Time(ago(seconds)));
        let status = own.status.as_mut().unwrap();
        status.instance_type = Some("m5.4xlarge".into());
        status.zone = Some("us-east-1b".into());
        // Full, so that it takes no pod of those that wait.
        status.allocatable = [("cpu".to_owned(), Quantity("1".to_owned()))]
            .into_iter()
            .collect();
        own
    };
    for (seconds, expected) in [(10, (1, 1)), (40, (2, 0))] {
        let world = reserving(ocean(), 2, 2).ocean_node(launched(seconds));
        assert_eq!(counts(&rehearsed(world)), expected, "launched {seconds} s ago");
    }
}

#[test]
fn limits_hold_for_places_too() {
    let mut limited = ocean();
    let limit = ("nodes".to_owned(), Quantity("2".to_owned()));
    limited.spec.limits = [limit].into_iter().collect();
    let provision = rehearsed(reserving(limited, 4, 1));
    assert_eq!(counts(&provision), (1, 1));
    assert_eq!(provision.solution.unplaced.len(), 2);
}

#[test]
fn a_launch_into_a_reservation_offers_one_market_and_passes_the_guard() {
    let snapshot = reserving(ocean(), 3, 2).build();
    let provision = provision(&snapshot);
    let purchases: Vec<&Purchase> = provision
        .commands
        .iter()
        .filter_map(|planned| match &planned.command {
            Command::Purchase(purchase) => Some(purchase.as_ref()),
            _ => None,
        })
        .collect();
    let reserved: Vec<_> = purchases
        .iter()
        .filter(|purchase| {
            let request = &purchase.launch.spec.request;
            request.capacity_type == spotocean_api::capacity_type::CapacityType::OnDemand
        })
        .collect();
    let [purchase] = reserved.as_slice() else {
        panic!("one launch: {reserved:?}");
    };
    assert_eq!(purchase.nodes.len(), 2);
    let places = super::super::in_flight::markets(&purchase.launch);
    assert_eq!(places.collect::<Vec<_>>(), [market()]);
    let guarded = guard(
        &snapshot,
        Plan {
            commands: provision.commands.clone(),
            ..plan(&snapshot)
        },
    );
    assert_eq!(guarded.plan.stripped, []);
}

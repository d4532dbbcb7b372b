//! Answers, lost answers and what is left of a crash.

use spotocean_api::ocean_launch::{LaunchTemplateConfig, OceanLaunchSpec};
use spotocean_api::spot_ocean::Mode;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::instance::{InstanceState, TAG_LAUNCH};
use spotocean_core::launch::ErrorScope;

use super::reconcile::keys;
use super::*;
use crate::answers::answered;
use crate::command::CommandKey;
use crate::fixtures::{self, SnapshotBuilder, ago, metadata, now, ocean, snapshot};
use crate::snapshot::{Attempt, Source};

/// A launch of ocean `shop`, written an hour ago, with as many members as named.
fn launch(members: &[&str]) -> OceanLaunch {
    let spec = OceanLaunchSpec {
        ocean_name: "shop".into(),
        ocean_uid: "uid-shop".into(),
        pool_name: "main".into(),
        attempt: 1,
        client_token: "token".into(),
        request: spotocean_api::ocean_launch::FleetRequest {
            capacity_type: spotocean_api::capacity_type::CapacityType::Spot,
            allocation_strategy: ApiAllocationStrategy::PriceCapacityOptimized,
            target_capacity: u32::try_from(members.len()).unwrap(),
            launch_templates: Vec::new(),
            tags: Vec::new(),
        },
        members: members.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut launch = OceanLaunch::new("l", spec);
    launch.metadata = metadata("l");
    launch
}

fn in_phase(members: &[&str], phase: LaunchPhase) -> OceanLaunch {
    let mut launch = launch(members);
    launch.status = Some(OceanLaunchStatus {
        phase,
        ..OceanLaunchStatus::default()
    });
    launch
}

fn member(name: &str) -> OceanNode {
    let mut own = fixtures::ocean_node(name, "shop", Phase::Pending);
    own.spec.launch_name = "l".into();
    own
}

fn members(names: &[&str]) -> Vec<Arc<OceanNode>> {
    names.iter().map(|name| Arc::new(member(name))).collect()
}

fn instance(id: &str) -> FleetInstance {
    FleetInstance {
        id: id.into(),
        instance_type: "m5.large".into(),
        zone: "us-east-1a".into(),
        capacity_type: CapacityType::Spot,
    }
}

fn failed(kind: CloudErrorKind, code: &str) -> Result<FleetAnswer, CloudError> {
    Err(CloudError {
        kind,
        action: "CreateFleet".into(),
        code: code.into(),
        message: "said so".into(),
    })
}

fn launch_status(commands: &[Command]) -> &OceanLaunchStatus {
    commands
        .iter()
        .find_map(|command| match command {
            Command::SetLaunchStatus { status, .. } => Some(status.as_ref()),
            _ => None,
        })
        .expect("the launch's status is written")
}

fn member_status<'a>(commands: &'a [Command], member: &str) -> &'a OceanNodeStatus {
    commands
        .iter()
        .find_map(|command| match command {
            Command::SetOceanNodeStatus { name, status, .. } if name.as_str() == member => {
                Some(status.as_ref())
            }
            _ => None,
        })
        .expect("the member's status is written")
}

#[test]
fn instances_go_to_members_in_sorted_order() {
    let answer = Ok(FleetAnswer {
        fleet: "fleet-1".into(),
        instances: vec![instance("i-2"), instance("i-1")],
        errors: Vec::new(),
    });
    let commands = settle(
        &launch(&["n-b", "n-a"]),
        &members(&["n-b", "n-a"]),
        &answer,
        now(),
    );
    assert_eq!(
        member_status(&commands, "n-a").instance_id.as_deref(),
        Some("i-1")
    );
    let second = member_status(&commands, "n-b");
    assert_eq!(second.provider_id.as_deref(), Some("aws:///us-east-1a/i-2"));
    assert_eq!(second.phase, Phase::Launched);
    assert_eq!(launch_status(&commands).phase, LaunchPhase::Answered);
    assert_eq!(launch_status(&commands).fleet_id.as_deref(), Some("fleet-1"));
}

#[test]
fn members_left_over_say_why() {
    let error = |scope| FleetError {
        code: "InsufficientInstanceCapacity".into(),
        message: "dry".into(),
        scope,
        instance_type: Some("m5.large".into()),
        zone: Some("us-east-1a".into()),
        subnet: None,
    };
    for (scope, reason) in [
        (ErrorScope::Market, OceanNodeReason::NoCapacity),
        (ErrorScope::Request, OceanNodeReason::LaunchFailed),
    ] {
        let answer = Ok(FleetAnswer {
            instances: vec![instance("i-1")],
            errors: vec![error(scope)],
            ..FleetAnswer::default()
        });
        let commands = settle(&launch(&["a", "b"]), &members(&["a", "b"]), &answer, now());
        let left = member_status(&commands, "b");
        assert_eq!((left.phase, left.reason), (Phase::Pending, Some(reason)));
        assert!(
            left.message
                .as_ref()
                .unwrap()
                .contains("InsufficientInstanceCapacity")
        );
    }
}

/// What becomes of a launch in phase `before` when its call fails: its phase, whether an answer is on record, the scope.
fn after_failure(
    before: LaunchPhase,
    kind: CloudErrorKind,
    code: &str,
) -> (LaunchPhase, bool, LaunchErrorScope) {
    let launch = in_phase(&["a"], before);
    let commands = settle(&launch, &members(&["a"]), &failed(kind, code), now());
    let status = launch_status(&commands);
    (status.phase, status.answered_at.is_some(), status.errors[0].scope)
}

#[test]
fn failures_of_the_call_are_told_apart() {
    use CloudErrorKind::{Invalid, NotFound, Throttled, TokenMismatch, Unauthorized, Unknown};
    use LaunchErrorScope::{Account, Request, Throttle};
    use LaunchPhase::{Answered, Pending};
    let open = LaunchPhase::Unknown;
    let gone = "InvalidLaunchTemplateName.NotFoundException";
    let check = |before, kind, code: &str, expected| {
        assert_eq!(
            after_failure(before, kind, code),
            expected,
            "{code} after {before:?}"
        );
    };
    check(Pending, Unknown, "NoAnswer", (open, false, Throttle));
    check(
        Pending,
        Throttled,
        "RequestLimitExceeded",
        (Answered, true, Throttle),
    );
    check(
        Pending,
        Invalid,
        "InvalidParameterValue",
        (Answered, true, Request),
    );
    check(
        Pending,
        Unauthorized,
        "UnauthorizedOperation",
        (Answered, true, Account),
    );
    check(Pending, NotFound, gone, (Answered, true, Throttle));
    check(
        Pending,
        TokenMismatch,
        "IdempotentParameterMismatch",
        (open, true, Request),
    );
    check(open, Throttled, "RequestLimitExceeded", (open, false, Throttle));
    check(open, Invalid, "InvalidParameterValue", (open, true, Request));
}

fn world(launch: OceanLaunch, names: &[&str]) -> SnapshotBuilder {
    let mut world = snapshot().ocean(ocean("shop", &["main"])).with(|snapshot| {
        snapshot.launches.push(Arc::new(launch));
    });
    for name in names {
        world = world.ocean_node(member(name));
    }
    world
}

fn kinds(world: SnapshotBuilder) -> Vec<&'static str> {
    reconcile(&world.build())
        .iter()
        .map(|planned| planned.command.kind())
        .collect()
}

#[test]
fn open_launches_are_replayed_unless_something_speaks_against_it() {
    let open = || world(in_phase(&["a"], LaunchPhase::Unknown), &[]);
    assert_eq!(kinds(world(launch(&["a"]), &["a"])), ["Replay"]);
    assert_eq!(kinds(open()), ["Replay"]);
    let attempt = |kind: &str, seconds, failures| {
        let key = CommandKey {
            kind: kind.into(),
            subject: "l".into(),
        };
        let attempt = Attempt {
            ended_at: ago(seconds),
            failures,
            error: None,
        };
        open().with(|snapshot| {
            snapshot.attempts.insert(key, attempt);
        })
    };
    let change = |change: fn(&mut spotocean_api::spot_ocean::SpotOcean)| {
        open().with(|snapshot| change(Arc::make_mut(&mut snapshot.oceans[0])))
    };
    let running = open().with(|snapshot| {
        snapshot.running.extend(keys("l"));
    });
    let rows = [
        ("being sent", running, 0),
        ("just sent", attempt("Purchase", 5, 0), 0),
        ("sent a while ago", attempt("Replay", 11, 0), 1),
        ("failing", attempt("Replay", 30, 6), 0),
        ("failing, a minute ago", attempt("Replay", 61, 9), 1),
        (
            "only observed",
            change(|ocean| ocean.spec.mode = Mode::Observe),
            0,
        ),
        (
            "another ocean of that name",
            change(|ocean| ocean.metadata.uid = Some("other".into())),
            0,
        ),
    ];
    for (why, world, expected) in rows {
        assert_eq!(replays(&world.build()).len(), expected, "{why}");
    }
}

#[test]
fn a_replay_waits_until_its_template_is_listed_or_can_be_made() {
    let named = || {
        let mut launch = launch(&["a"]);
        launch.spec.request.launch_templates = vec![LaunchTemplateConfig {
            launch_template_name: Some("lt".into()),
            ..LaunchTemplateConfig::default()
        }];
        world(launch, &["a"])
    };
    let listed = |world: SnapshotBuilder| {
        world.with(|snapshot| {
            Arc::make_mut(&mut snapshot.launch_templates).insert("lt".into(), ago(60));
        })
    };
    let resolved = || answered(named());
    let after_start = || {
        resolved().with(|snapshot| {
            snapshot.sources.catalogue = Source::unread();
            snapshot.sources.prices = Source::unread();
        })
    };
    let rows = [
        ("nothing about the pool is known yet", named(), 0),
        ("EC2's types and prices are not known yet", after_start(), 0),
        ("the template is listed", listed(named()), 1),
        (
            "all is known and it cannot be made: EC2's refusal settles it",
            resolved(),
            1,
        ),
    ];
    for (why, world, expected) in rows {
        assert_eq!(replays(&world.build()).len(), expected, "{why}");
    }
}

#[test]
fn nothing_is_done_on_a_partial_view() {
    let world =
        world(launch(&["a"]), &["a"]).with(|snapshot| snapshot.sources.kubernetes.is_complete = false);
    assert_eq!(kinds(world), [""; 0]);
}

#[test]
fn a_refused_replay_is_settled_by_tag_once_the_list_has_caught_up() {
    let refused = |seconds| {
        let mut launch = in_phase(&["a", "b"], LaunchPhase::Unknown);
        launch.status.as_mut().unwrap().answered_at = Some(Time(ago(seconds)));
        let mut tagged = fixtures::instance("x", "shop", InstanceState::Running);
        tagged.tags.insert(TAG_LAUNCH.into(), "l".into());
        world(launch, &["a", "b"]).instance(tagged)
    };
    assert_eq!(replays(&refused(60).build()), [], "EC2 has refused it");
    let waiting: [&str; 0] = [];
    let soon: Vec<_> = kinds(refused(60))
        .into_iter()
        .filter(|kind| *kind == "SetLaunchStatus")
        .collect();
    assert_eq!(soon, waiting, "EC2's lists lag");
    let snapshot = refused(121).build();
    let commands: Vec<Command> = reconcile(&snapshot)
        .into_iter()
        .map(|planned| planned.command)
        .collect();
    assert_eq!(launch_status(&commands).instances[0].instance_id, "i-x");
    assert_eq!(member_status(&commands, "a").instance_id.as_deref(), Some("i-x"));
    assert_eq!(
        member_status(&commands, "b").reason,
        Some(OceanNodeReason::NoCapacity)
    );
}

#[test]
fn a_token_a_day_old_is_not_used_again() {
    let mut old = launch(&["a"]);
    old.metadata.creation_timestamp = Some(Time(ago(86_400)));
    let world = world(old, &[]);
    assert_eq!(kinds(world), ["SetLaunchStatus"]);
}

#[test]
fn members_that_never_get_an_instance_go() {
    let answered = || {
        let mut launch = in_phase(&["a", "b"], LaunchPhase::Answered);
        let status = launch.status.as_mut().unwrap();
        status.answered_at = Some(Time(ago(5)));
        status.instances = assigned(&self::launch(&["a", "b"]), &[instance("i-1")]);
        launch
    };
    assert_eq!(
        kinds(world(answered(), &["a", "b"])),
        ["SetOceanNodeStatus", "SetOceanNodeStatus", "DeleteOceanNode"],
        "a is launched, b says why and goes"
    );
    let mut going = member("b");
    going.metadata.deletion_timestamp = Some(Time(now()));
    let world = world(answered(), &[]).ocean_node(going);
    assert!(kinds(world).contains(&"ReleaseOceanNode"));
}

#[test]
fn members_whose_launch_was_never_written_go_after_a_while() {
    let orphan = |seconds| {
        let mut own = member("a");
        own.metadata.creation_timestamp = Some(Time(ago(seconds)));
        snapshot().ocean(ocean("shop", &["main"])).ocean_node(own)
    };
    assert_eq!(kinds(orphan(59)), [""; 0]);
    assert_eq!(kinds(orphan(60)), ["DeleteOceanNode"]);
}

#[test]
fn answers_are_kept_for_a_day() {
    let answered = |seconds| {
        let mut launch = in_phase(&["a"], LaunchPhase::Answered);
        launch.status.as_mut().unwrap().answered_at = Some(Time(ago(seconds)));
        world(launch, &[])
    };
    assert_eq!(kinds(answered(86_399)), [""; 0]);
    assert_eq!(kinds(answered(86_400)), ["DeleteLaunch"]);
}

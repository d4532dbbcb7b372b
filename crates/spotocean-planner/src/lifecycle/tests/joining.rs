//! Which consoles are read, and how the cause of a failure to join reaches OceanNode, event and condition.

use spotocean_core::port::{CloudError, CloudErrorKind};

use super::*;
use crate::answers::{answered, selecting};
use crate::plan::plan;
use crate::world::{Answer, questions};

/// An instance that has been silent for so long, of an ocean with everything answered.
fn silent(seconds: i64) -> SnapshotBuilder {
    let world = snapshot().ocean(selecting("shop", &["main"]));
    let world = world.member("n1", "shop", Phase::Launched).with(|s| {
        change_own(s, "n1", |own| {
            own.status.as_mut().unwrap().launched_at = Some(Time(ago(seconds)));
        });
    });
    answered(world)
}

fn with_console(world: SnapshotBuilder, result: Result<&str, CloudError>) -> Snapshot {
    let world = world.with(|s| {
        let answer = Answer {
            as_of: now(),
            result: result.map(Into::into),
        };
        Arc::make_mut(&mut s.world).consoles.insert("i-n1".into(), answer);
    });
    world.build()
}

fn message_of(snapshot: &Snapshot) -> String {
    status_of(snapshot, "n1").message.unwrap_or_default()
}

#[test]
fn consoles_are_read_of_instances_past_half_their_time() {
    let asks = |world: SnapshotBuilder| questions(&world.build()).consoles.len();
    assert_eq!(asks(silent(299)), 0);
    assert_eq!(asks(silent(300)), 1, "registrationTimeout is ten minutes");
    let joined = snapshot()
        .ocean(selecting("shop", &["main"]))
        .member("n1", "shop", Phase::Registered);
    assert_eq!(asks(joined), 0);
    let early = silent(300).node(crate::fixtures::node("n1", "shop"));
    assert_eq!(asks(early), 0, "its Node is there, only not on record yet");
    let pause = |s: &mut Snapshot| {
        let ocean = Arc::make_mut(&mut s.oceans[0]);
        ocean.metadata.annotations = Some([("spotocean.dev/pause".to_owned(), "true".to_owned())].into());
    };
    assert_eq!(asks(silent(300).with(pause)), 0);
    let mut many = snapshot().ocean(selecting("shop", &["main"]));
    for number in 0..30 {
        many = many.member(&format!("n{number}"), "shop", Phase::Launched);
    }
    assert_eq!(asks(many), 20);
}

#[test]
fn the_cause_is_named_where_it_can_be_known() {
    let refused = || CloudError {
        kind: CloudErrorKind::Unauthorized,
        action: "GetConsoleOutput".into(),
        code: "UnauthorizedOperation".into(),
        message: "no".into(),
    };
    let rows: [(Result<&str, CloudError>, &str); 6] = [
        (
            Ok("kubelet[9]: err=\"Unauthorized\""),
            "the apiserver does not admit role node-role: give it an access entry of type EC2_LINUX or a row in aws-auth, or let template.access do so; its console ends with \"kubelet[9]: err=\"Unauthorized\"\"",
        ),
        (
            Ok("kubelet[9]: dial tcp 10.0.0.9:443: i/o timeout"),
            "let the cluster's security group take port 443",
        ),
        (
            Ok("early-boot-config[9]: Provider error: Error parsing TOML user data"),
            "correct template.userData",
        ),
        (
            Ok("ip-10-0-0-9 login: \n"),
            "its console ends with \"ip-10-0-0-9 login:\"",
        ),
        (Ok(""), "its console ends with nothing"),
        (
            Err(refused()),
            "its console cannot be read (GetConsoleOutput: UnauthorizedOperation: no)",
        ),
    ];
    for (console, expected) in rows {
        let mut snapshot = with_console(silent(600), console);
        play(&mut snapshot, 1);
        let status = status_of(&snapshot, "n1");
        assert_eq!(status.reason, Some(OceanNodeReason::RegistrationTimeout));
        let message = status.message.unwrap();
        assert!(
            message.starts_with("no Ready Node within registrationTimeout (10m): "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}\nhas no {expected}");
    }
}

#[test]
fn what_admitting_the_role_came_to_goes_before_the_console() {
    use crate::world::AccessOutcome;
    use spotocean_core::port::AccessEntryOutcome;
    let world = silent(600).with(|s| {
        for answer in Arc::make_mut(&mut s.world).access.values_mut() {
            answer.result = Ok(AccessOutcome::Entry(AccessEntryOutcome::WrongType));
        }
    });
    let mut snapshot = with_console(world, Ok("kubelet: i/o timeout"));
    play(&mut snapshot, 1);
    assert!(
        message_of(&snapshot).contains("another type than EC2_LINUX"),
        "{}",
        message_of(&snapshot)
    );
}

#[test]
fn an_obstacle_is_said_while_the_instance_still_tries_and_taken_back_when_it_is_overcome() {
    let mut snapshot = with_console(silent(400), Ok("kubelet[9]: err=\"Unauthorized\""));
    play(&mut snapshot, 1);
    let status = status_of(&snapshot, "n1");
    assert_eq!(
        (status.phase, status.reason),
        (Phase::Launched, Some(OceanNodeReason::Booting))
    );
    assert!(message_of(&snapshot).starts_with("the apiserver does not admit role node-role"));
    assert_eq!(kinds(&snapshot), Vec::<&str>::new(), "said once");
    snapshot.nodes.push(Arc::new(crate::fixtures::node("n1", "shop")));
    play(&mut snapshot, 2);
    let status = status_of(&snapshot, "n1");
    assert_eq!((status.phase, status.message), (Phase::Initialized, None));
}

#[test]
fn event_and_condition_name_the_cause_too() {
    let mut snapshot = with_console(silent(600), Ok("kubelet[9]: err=\"Unauthorized\""));
    let events = plan(&snapshot).events;
    let told = events
        .iter()
        .find(|event| event.reason.as_ref() == "RegistrationTimeout");
    let told = told.expect("an event on the OceanNode");
    assert!(
        told.is_warning && told.message.contains("does not admit role node-role"),
        "{}",
        told.message
    );
    play(&mut snapshot, 1);
    let status = plan(&snapshot).statuses.remove("shop").unwrap();
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "CapacityAvailable")
        .unwrap();
    assert_eq!(condition.reason, "NodesNotJoining");
    assert_eq!(
        condition.message,
        "1 instance did not become a Ready node in time: the apiserver does not admit role node-role: give it an access entry of type EC2_LINUX or a row in aws-auth, or let template.access do so"
    );
}

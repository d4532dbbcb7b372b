//! A look put on record: the snapshot as JSON, from which the same plan follows bit for bit, anywhere.
//!
//! Everything a plan may depend on is in it, and therefore all that the snapshot knows: objects, prices, what was
//! remembered, and the user data of pools as declared. Credentials and Secrets are not, because no snapshot holds
//! any. Knows nothing of files.

use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;

/// The form's version; another one when an old record would no longer be read as it was meant.
pub const VERSION: u32 = 1;
/// What a record is called in its first field.
const KIND: &str = "SpotOceanSnapshot";

/// A record that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something else.
    #[error("this is no recorded snapshot: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A snapshot of another version of this program.
    #[error(
        "the record is a {kind} of version {version}, and version {VERSION} of SpotOceanSnapshot is needed: replay it with the version of SpotOcean that wrote it"
    )]
    OtherVersion {
        /// What it calls itself.
        kind: String,
        /// Its version.
        version: u32,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    version: u32,
    snapshot: &'a Snapshot,
}

#[derive(Deserialize)]
struct Heading {
    kind: String,
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    snapshot: Snapshot,
}

/// The record of a look.
///
/// # Errors
/// Never for a snapshot that was observed; JSON cannot hold every map that memory can.
pub fn write(snapshot: &Snapshot) -> Result<String, RecordError> {
    Ok(serde_json::to_string(&Written {
        kind: KIND,
        version: VERSION,
        snapshot,
    })?)
}

/// The look of a record.
///
/// # Errors
/// When it is none, or of another version.
pub fn read(text: &str) -> Result<Snapshot, RecordError> {
    let Heading { kind, version } = serde_json::from_str(text)?;
    if kind != KIND || version != VERSION {
        return Err(RecordError::OtherVersion { kind, version });
    }
    let read: Read = serde_json::from_str(text)?;
    Ok(read.snapshot)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spotocean_api::ocean_node::Phase;
    use spotocean_core::claim::{Claim, ClaimState};
    use spotocean_core::id::ObjectKey;
    use spotocean_core::port::CloudEventKind;

    use super::*;
    use crate::answers::{answered, selecting};
    use crate::fixtures::{ago, daemon, pod, running, snapshot};
    use crate::plan::plan;
    use crate::snapshot::Attempt;

    /// Something of everything that a plan looks at.
    fn eventful() -> Snapshot {
        let key = ObjectKey::new("default", "disk");
        let claim = Claim {
            key: key.clone(),
            volume: None,
            is_exclusive: false,
            state: ClaimState::Usable {
                terms: None,
                driver: Some("ebs.csi.aws.com".into()),
            },
        };
        let mut waiting = pod("b");
        waiting.claims = vec!["disk".into()];
        let world = snapshot()
            .ocean(selecting("shop", &["main", "other"]))
            .member("n1", "shop", Phase::Initialized)
            .member("n2", "shop", Phase::Launched)
            .pod(running("a", "n1"))
            .pod(daemon("d", "n1"))
            .pod(waiting)
            .pod(pod("c"))
            .event("n1", CloudEventKind::SpotInterruption, ago(5))
            .with(|all| {
                all.claims.insert(key, Arc::new(claim));
            });
        let mut world = answered(world).build();
        let attempted = plan(&world);
        let command = &attempted
            .commands
            .first()
            .expect("there is something to do")
            .command;
        world.attempts.insert(
            command.key(),
            Attempt {
                ended_at: ago(3),
                failures: 2,
                error: None,
            },
        );
        world
            .running
            .insert(attempted.commands.last().expect("the same").command.key());
        world.memory = attempted.memory;
        world
    }

    #[test]
    fn a_replayed_look_gives_the_same_plan_bit_for_bit() {
        let world = eventful();
        let record = write(&world).unwrap();
        let replayed = read(&record).unwrap();
        assert_eq!(replayed, world);
        assert_eq!(write(&replayed).unwrap(), record);
        let bits = |world: &Snapshot| serde_json::to_string(&plan(world)).unwrap();
        assert!(plan(&world).commands.len() > 2, "the look is eventful");
        assert_eq!(bits(&replayed), bits(&world));
    }

    #[test]
    fn what_is_no_record_of_this_version_is_refused() {
        let record = write(&eventful()).unwrap();
        let rows = [
            ("{}".to_owned(), "no recorded snapshot"),
            (record[..record.len() / 2].to_owned(), "no recorded snapshot"),
            (
                record.replacen("\"version\":1", "\"version\":2", 1),
                "of version 2",
            ),
            (record.replacen(KIND, "Pod", 1), "is a Pod"),
        ];
        for (text, part) in rows {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}

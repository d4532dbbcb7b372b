//! Whether our kinds are being taken away from under us.
//!
//! Deleting a CustomResourceDefinition marks every object of the kind as deleted, which looks exactly like a
//! user who gives up all nodes. So each time an ocean or an OceanNode is seen to go, the definitions are read
//! again, and until that has happened nothing in the stores counts as evidence.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use tokio::sync::Notify;

/// The definitions of our kinds.
pub const NAMES: [&str; 3] = [
    "spotoceans.spotocean.dev",
    "oceannodes.spotocean.dev",
    "oceanlaunches.spotocean.dev",
];

/// What is known of the definitions.
#[derive(Debug, Default)]
pub struct Definitions {
    /// Deletions seen of objects of our kinds.
    deletions: u64,
    /// Deletions seen when the last complete read began.
    read_at: Option<u64>,
    /// Why the last read is no comfort.
    problem: Option<Arc<str>>,
    /// Rings when a read is wanted.
    pub wanted: Arc<Notify>,
}

impl Definitions {
    /// An object of ours goes.
    pub fn deletion_seen(&mut self) {
        self.deletions += 1;
        self.wanted.notify_one();
    }

    /// A read begins; its mark goes into [`Self::read`].
    pub fn mark(&self) -> u64 {
        self.deletions
    }

    /// A read that began at `mark` has ended. Returns whether anything changed.
    pub fn read(&mut self, mark: u64, problem: Option<Arc<str>>) -> bool {
        let before = self.doubt();
        self.read_at = Some(mark);
        self.problem = problem;
        before != self.doubt()
    }

    /// Why deletions of our objects must not be believed.
    pub fn doubt(&self) -> Option<Arc<str>> {
        if let Some(problem) = &self.problem {
            return Some(problem.clone());
        }
        let is_fresh = self.read_at.is_some_and(|mark| mark >= self.deletions);
        (!is_fresh).then(|| "the definitions of our kinds have not been read since the last deletion".into())
    }
}

/// Reads the definitions; the first problem found.
pub async fn problem(client: &Client) -> Option<Arc<str>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in NAMES {
        let sentence = match api.get_metadata_opt(name).await {
            Ok(Some(definition)) if definition.metadata.deletion_timestamp.is_none() => continue,
            Ok(Some(_)) => format!(
                "the CustomResourceDefinition {name} is being deleted; nodes are left as they are until it is back"
            ),
            Ok(None) => format!("the CustomResourceDefinition {name} is missing; apply the CRDs"),
            Err(error) => format!("the CustomResourceDefinition {name} cannot be read: {error}"),
        };
        return Some(sentence.into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_counts_only_after_the_definitions_were_read_again() {
        let mut definitions = Definitions::default();
        assert!(definitions.doubt().is_some(), "never read");
        assert!(definitions.read(definitions.mark(), None));
        assert_eq!(definitions.doubt(), None);
        let mark = definitions.mark();
        definitions.deletion_seen();
        assert!(definitions.doubt().is_some());
        definitions.read(mark, None);
        assert!(
            definitions.doubt().is_some(),
            "that read began before the deletion"
        );
        definitions.read(definitions.mark(), Some("being deleted".into()));
        assert_eq!(definitions.doubt().as_deref(), Some("being deleted"));
        definitions.read(definitions.mark(), None);
        assert_eq!(definitions.doubt(), None);
    }
}

//! Nominates pods to a node that is about to open for them.
//!
//! kube-scheduler drops a nomination when it has tried the pod in vain, and it tries every pod when a node becomes
//! Ready: just what made us open the node. So the node opens a moment later, when it has seen that its nominations
//! stay.

use std::time::Duration;

use futures::future::join_all;
use spotocean_core::id::NodeName;
use spotocean_planner::command::{NodePatch, Nominee};

use super::kubernetes::Writer;

/// What the scheduler needs to try all pods, as a rule.
const CALM: Duration = Duration::from_millis(300);
/// How long nominations must stay: no less than the news of a dropped one takes.
const PROOF: Duration = Duration::from_millis(30);
/// Tries until the node opens in any case.
const TRIES: usize = 5;

/// Nominates the pods that a Node opens for. One that cannot be is left to later looks: it holds up no node.
pub async fn nominate(writer: &Writer, patch: &NodePatch) {
    if patch.nominees.is_empty() {
        return;
    }
    tokio::time::sleep(CALM).await;
    let mut due: Vec<&Nominee> = patch.nominees.iter().collect();
    for _ in 0..TRIES {
        let calls = due
            .iter()
            .map(|own| writer.nominate_pod(&own.pod, own.uid.as_str(), &patch.name));
        join_all(calls).await;
        tokio::time::sleep(PROOF).await;
        due = patch.nominees.iter().collect();
        due.retain(|own| is_dropped(writer, own, &patch.name));
        if due.is_empty() {
            break;
        }
    }
}

/// Whether a pod waits and is not nominated to the Node.
fn is_dropped(writer: &Writer, nominee: &Nominee, node: &NodeName) -> bool {
    writer.store.with(|objects| {
        let row = objects.pods.entry(&nominee.pod);
        let pod = row.map(|row| &row.value).filter(|pod| pod.uid == nominee.uid);
        pod.is_some_and(|pod| {
            let waits = pod.node.is_none() && pod.deleted_at.is_none();
            waits && pod.nominated_node.as_ref() != Some(node)
        })
    })
}

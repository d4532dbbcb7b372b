//! What became of an instance, as far as the evidence goes.
//!
//! A list that does not name an instance proves nothing by itself: lists lag,
//! come back empty, or were read under a fault. Only absence that lasts, from
//! complete reads, and that no Ready Node contradicts, counts as gone.

use jiff::SignedDuration;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::InstanceState;
use spotocean_core::node::Node;
use spotocean_core::port::CloudEventKind;

use super::view::View;
use crate::command::CommandKey;

/// How long an instance must stay unlisted. An ended instance is listed for about an hour, so only one that
/// ended long before the operator started is ever judged by this.
pub const MISSING_FOR: SignedDuration = SignedDuration::from_mins(10);
/// The same for an instance whose termination EC2 has accepted.
pub const MISSING_AFTER_TERMINATION: SignedDuration = SignedDuration::from_secs(60);
/// More instances missing at once than this, or 5 % of all, speak against the read, not against the instances.
pub const IMPLAUSIBLE_COUNT: usize = 3;

/// What became of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// None has been launched yet.
    NotLaunched,
    /// It is pending or running.
    Alive,
    /// It is being shut down or stopped.
    Ending,
    /// It is stopped: of no use, and still there.
    Stopped,
    /// It is terminated, or missing for so long that it must be.
    Gone,
    /// It is not listed, which proves nothing yet.
    Missing,
}

impl Fate {
    /// Whether its node is lost.
    #[must_use]
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Ending | Self::Stopped | Self::Gone)
    }

    /// Whether EC2 has it down as ending for good.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ending | Self::Gone)
    }
}

/// What became of the instance `id`.
#[must_use]
pub fn fate(view: &View<'_>, id: &InstanceId, node: Option<&Node>) -> Fate {
    let Some(instance) = view.instance(id) else {
        return fate_of_missing(view, id, node);
    };
    match instance.state {
        InstanceState::Pending | InstanceState::Running if is_reported_ending(view, id) => Fate::Ending,
        InstanceState::Pending | InstanceState::Running => Fate::Alive,
        InstanceState::ShuttingDown | InstanceState::Stopping => Fate::Ending,
        InstanceState::Stopped => Fate::Stopped,
        InstanceState::Terminated => Fate::Gone,
    }
}

/// Whether a state change is known from the queue that the list is too old to show.
fn is_reported_ending(view: &View<'_>, id: &InstanceId) -> bool {
    let read_at = view.snapshot.sources.instances.as_of;
    view.snapshot.events.iter().any(|received| {
        let event = &received.event;
        matches!(event.kind, CloudEventKind::StateChange(state) if state.is_ending())
            && event.instances.contains(id)
            && read_at.is_none_or(|read_at| read_at < event.time)
    })
}

fn fate_of_missing(view: &View<'_>, id: &InstanceId, node: Option<&Node>) -> Fate {
    let source = &view.snapshot.sources.instances;
    let lasts = if is_termination_accepted(view, id) {
        MISSING_AFTER_TERMINATION
    } else {
        MISSING_FOR
    };
    let since = view.snapshot.memory.missing_instances.get(id);
    let has_lasted = since
        .zip(source.as_of)
        .is_some_and(|(since, read_at)| *since + lasts <= read_at);
    let is_contradicted = node.is_some_and(Node::is_ready);
    if source.is_complete && has_lasted && !is_contradicted && !is_implausible(view) {
        Fate::Gone
    } else {
        Fate::Missing
    }
}

fn is_termination_accepted(view: &View<'_>, id: &InstanceId) -> bool {
    let key = CommandKey {
        kind: "Terminate".into(),
        subject: id.0.clone(),
    };
    view.snapshot
        .attempts
        .get(&key)
        .is_some_and(|attempt| attempt.failures == 0)
}

/// Whether too many instances are missing at once to believe it.
#[must_use]
pub fn is_implausible(view: &View<'_>) -> bool {
    view.missing.len() > plausible(view.snapshot.ocean_nodes.len())
}

/// How many of `all` may go unexplained or missing at once.
#[must_use]
pub fn plausible(all: usize) -> usize {
    IMPLAUSIBLE_COUNT.max(all * 5 / 100)
}

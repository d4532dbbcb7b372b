//! One look, one plan: the ordered list of everything that decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_core::id::{NodeName, ObjectKey, OceanName, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_solver::problem::PoolClosed;
use spotocean_solver::solution::Solution;

use crate::command::{Command, CommandKey, Lane, Planned};
use crate::lifecycle::{displaced, lifecycle};
use crate::memory::remember;
use crate::provisioning::in_flight::phase;
use crate::provisioning::provision;
use crate::report::report;
use crate::settlement;
use crate::snapshot::{Memory, Snapshot};

/// What `provisioning::provision` hands to the plan: everything it decided, with what the report says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provision {
    /// Purchases. In `Observe` mode and for paused oceans they are left out here and only in `solution`.
    pub commands: Vec<Planned>,
    /// Pods that wait for each ocean.
    pub waiting: BTreeMap<OceanName, BTreeSet<ObjectKey>>,
    /// What the solver decided, over all oceans (also those only observed).
    pub solution: Solution,
    /// By ocean that buys, or would: what the plan it is part of buys in all, and what is proved of it.
    pub bought: BTreeMap<OceanName, Bought>,
    /// Why a pool buys nothing now; `reason` is the word of a condition's reason.
    pub closed: BTreeMap<PoolKey, PoolClosed>,
    /// Oceans with pools that hold fewer markets than their share caps need, with one sentence.
    pub few_markets: BTreeMap<OceanName, Arc<str>>,
    /// Nodes of each ocean that the launch brake holds back.
    pub held: BTreeMap<OceanName, u32>,
    /// Nodes of each ocean that follow once EC2 has answered the launches before them.
    pub following: BTreeMap<OceanName, u32>,
    /// Spare room by ocean that wants some.
    pub spare: BTreeMap<OceanName, SpareRoom>,
    /// Memory after this look, as far as provisioning changes it.
    pub memory: Memory,
    /// When provisioning wants to look again.
    pub next_look: Option<Timestamp>,
}

/// What became of the spare room that an ocean wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpareRoom {
    /// Pods for which room is wanted.
    pub units: u32,
    /// Of those, the ones that have room on Ready nodes.
    pub ready: u32,
    /// Nodes that hold some of it: being empty is no reason for them to go.
    pub nodes: BTreeSet<NodeName>,
    /// Why there is none for some, and none is bought.
    pub message: Option<Arc<str>>,
}

/// A purchase, and what is proved of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// Nodes.
    pub nodes: usize,
    /// What they cost as planned.
    pub cost: PricePerHour,
    /// What no plan for the same pods can cost less than, where that is proved.
    pub lower_bound: Option<PricePerHour>,
    /// The distance between the two in millionths of the bound.
    pub gap_per_million: Option<i64>,
    /// What share caps add to the cost.
    pub share_caps: PricePerHour,
    /// What no plan within the share caps can cost less than, where more is proved than without them.
    pub capped_bound: Option<PricePerHour>,
}

impl Bought {
    /// What a solution buys, what share caps have added to it, and what is proved of plans within them.
    #[must_use]
    pub fn of(solution: &Solution, share_caps: PricePerHour, capped_bound: Option<PricePerHour>) -> Self {
        Self {
            nodes: solution.new_nodes.len(),
            cost: solution.cost(),
            lower_bound: solution.lower_bound,
            gap_per_million: solution.gap_per_million(),
            share_caps,
            capped_bound: capped_bound.filter(|bound| Some(*bound) > solution.lower_bound),
        }
    }
}

/// What to do, what to say, and when to look again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Commands, in order within each lane.
    pub commands: Vec<Planned>,
    /// Status of each ocean after this look. The shell writes what changed.
    pub statuses: BTreeMap<OceanName, SpotOceanStatus>,
    /// Events to publish; the shell leaves out repeats.
    pub events: Vec<EventToPublish>,
    /// What to remember.
    pub memory: Memory,
    /// When to look again even if nothing wakes the loop.
    pub next_look: Timestamp,
    /// Commands that the guard took out, with why.
    pub stripped: Vec<Stripped>,
}

/// A command the guard did not let through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stripped {
    /// The command.
    pub planned: Planned,
    /// The rule it broke; the metric label.
    pub rule: GuardRule,
    /// One sentence.
    pub message: Arc<str>,
}

/// The rules the guard checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum GuardRule {
    /// The object is no longer there, or is another one.
    Stale,
    /// A limit of the pool or ocean would be exceeded.
    Limits,
    /// More new nodes a minute than the launch brake allows.
    LaunchRate,
    /// The instance does not carry our tags.
    Ownership,
    /// A source the removal rests on is incomplete.
    IncompleteSource,
    /// Too many unexplained instances at once.
    TooManyUnexplained,
    /// The ocean is observed, paused or unreadable.
    NotManaged,
    /// The same command is under way.
    AlreadyRunning,
}

/// What an event is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum EventSubject {
    /// A SpotOcean.
    Ocean {
        /// Its name.
        name: Arc<str>,
        /// Its uid.
        uid: Arc<str>,
    },
    /// An OceanNode.
    OceanNode {
        /// Its name.
        name: Arc<str>,
        /// Its uid.
        uid: Arc<str>,
    },
    /// A Node.
    Node {
        /// Its name.
        name: Arc<str>,
        /// Its uid.
        uid: Arc<str>,
    },
    /// A pod.
    Pod {
        /// Its key.
        key: ObjectKey,
        /// Its uid.
        uid: Arc<str>,
    },
}

/// One event to publish.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventToPublish {
    /// What it is about.
    pub subject: EventSubject,
    /// A second object it mentions, which keeps events about different ones apart.
    pub related: Option<EventSubject>,
    /// Whether it is a warning.
    pub is_warning: bool,
    /// The reason, an enum variant's name.
    pub reason: Arc<str>,
    /// One sentence.
    pub message: Arc<str>,
}

/// Looks at least this often, even when nothing is under way.
const IDLE_LOOK: SignedDuration = SignedDuration::from_secs(60);
/// Looks at least this often while nodes come or go.
const BUSY_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Never looks sooner than this by itself.
const SOONEST_LOOK: SignedDuration = SignedDuration::from_secs(1);

/// Plans one look. Pure, total, deterministic; commands still have to pass [`crate::guard::guard`].
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    // Pods on leaving nodes are bought for as if they waited already: the replacement comes first.
    let foreseen = displaced::foreseen(snapshot);
    let provision = provision(foreseen.as_ref().unwrap_or(snapshot));
    let spare = provision.spare.values().flat_map(|room| &room.nodes).collect();
    let mut agenda = lifecycle(snapshot, &spare);
    let mut looks = std::mem::take(&mut agenda.looks);
    looks.extend(provision.next_look);
    let proposed = agenda
        .into_commands()
        .into_iter()
        .chain(settlement::reconcile(snapshot))
        .chain(provision.commands.iter().cloned());
    let commands = admit(snapshot, proposed.collect(), &mut looks);
    let report = report(snapshot, &provision, &commands);
    Plan {
        next_look: next_look(snapshot, &commands, &looks),
        statuses: report.statuses,
        events: report.events,
        memory: remember(snapshot, provision.memory),
        stripped: Vec::new(),
        commands,
    }
}

/// Plans only what is forced, without solving anything: what has a deadline never waits for a purchase to be
/// worked out. Statuses and events are left to the next whole [`plan`].
#[must_use]
pub fn plan_forced(snapshot: &Snapshot) -> Plan {
    let mut agenda = lifecycle(snapshot, &BTreeSet::new());
    let mut looks = std::mem::take(&mut agenda.looks);
    let is_forced = |planned: &Planned| planned.lane == Lane::Forced;
    let proposed = agenda.into_commands().into_iter().filter(is_forced);
    let commands = admit(snapshot, proposed.collect(), &mut looks);
    Plan {
        next_look: next_look(snapshot, &commands, &looks),
        statuses: BTreeMap::new(),
        events: Vec::new(),
        memory: snapshot.memory.clone(),
        stripped: Vec::new(),
        commands,
    }
}

/// Commands that may run now: each once, none that removes on incomplete evidence, none that is under way or
/// waits after its last run.
fn admit(snapshot: &Snapshot, proposed: Vec<Planned>, looks: &mut Vec<Timestamp>) -> Vec<Planned> {
    let is_whole = snapshot.sources.kubernetes.is_complete && snapshot.sources.instances.is_complete;
    let templates = templates_needed(&proposed);
    let mut seen = BTreeSet::new();
    proposed
        .into_iter()
        .filter(|planned| is_whole || !removes(&planned.command))
        .filter(|planned| match &planned.command {
            Command::DeleteLaunchTemplate { name } => !templates.contains(name),
            _ => true,
        })
        .filter(|planned| {
            let key = planned.command.key();
            let due = not_before(snapshot, &planned.command, &key);
            looks.extend(due);
            let may_run = !snapshot.running.contains(&key) && due.is_none_or(|due| due <= snapshot.now);
            may_run && seen.insert(key)
        })
        .collect()
}

fn templates_needed(proposed: &[Planned]) -> BTreeSet<Arc<str>> {
    let templates = proposed.iter().flat_map(|planned| match &planned.command {
        Command::Purchase(purchase) => purchase.templates.clone(),
        Command::Replay { templates, .. } => templates.clone(),
        _ => Vec::new(),
    });
    templates.map(|template| template.name).collect()
}

/// Whether a command takes away an instance, a Node or the record of one.
#[must_use]
pub fn removes(command: &Command) -> bool {
    matches!(
        command,
        Command::Terminate { .. }
            | Command::Orphan { .. }
            | Command::DeleteOceanNode { .. }
            | Command::ReleaseOceanNode { .. }
            | Command::DeleteNode { .. }
            | Command::DeleteLaunch { .. }
            | Command::DeleteLaunchTemplate { .. }
            | Command::DeleteInstanceProfile { .. }
            | Command::SetOceanFinalizer { present: false, .. }
    )
}

/// When a command may run again after its last run: failures wait ever longer, successes until their effect
/// should be visible. A status or patch is another one each time and waits only after failures.
fn not_before(snapshot: &Snapshot, command: &Command, key: &CommandKey) -> Option<Timestamp> {
    let attempt = snapshot.attempts.get(key)?;
    let pause_seconds = match (attempt.failures, command) {
        // What became of a launch is settlement's business; it has its own pauses.
        (_, Command::Purchase(_) | Command::Replay { .. }) => return None,
        (
            0,
            Command::SetOceanNodeStatus { .. }
            | Command::SetLaunchStatus { .. }
            | Command::PatchNode(_)
            | Command::Acknowledge { .. },
        ) => return None,
        (0, Command::Terminate { .. }) => 15,
        (0, _) => 5,
        (failures, Command::EvictPod { .. } | Command::DeletePod { .. }) => backoff_seconds(failures, 10),
        (failures, _) => backoff_seconds(failures, 60),
    };
    Some(attempt.ended_at + SignedDuration::from_secs(pause_seconds))
}

/// 1, 2, 4, … seconds, at most `seconds_max`.
fn backoff_seconds(failures: u32, seconds_max: i64) -> i64 {
    (1_i64 << failures.saturating_sub(1).min(16)).min(seconds_max)
}

/// The earliest time at which something falls due.
fn next_look(snapshot: &Snapshot, commands: &[Planned], looks: &[Timestamp]) -> Timestamp {
    let is_moving =
        |own: &Arc<OceanNode>| own.metadata.deletion_timestamp.is_some() || phase(own) != Phase::Initialized;
    let is_busy = !commands.is_empty() || snapshot.ocean_nodes.iter().any(is_moving);
    let regular = snapshot.now + if is_busy { BUSY_LOOK } else { IDLE_LOOK };
    let due = looks.iter().copied().filter(|look| *look > snapshot.now).min();
    due.map_or(regular, |due| due.min(regular))
        .max(snapshot.now + SOONEST_LOOK)
}

#[cfg(test)]
mod tests;

//! One look, one plan: the ordered list of everything that decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_core::id::{ObjectKey, OceanName, PoolKey};
use spotocean_solver::problem::PoolClosed;
use spotocean_solver::solution::Solution;

use crate::command::Planned;
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
    /// Why a pool buys nothing now; `reason` is the word of a condition's reason.
    pub closed: BTreeMap<PoolKey, PoolClosed>,
    /// Oceans with pools that hold fewer markets than their share caps need, with one sentence.
    pub few_markets: BTreeMap<OceanName, Arc<str>>,
    /// Memory after this look, as far as provisioning changes it.
    pub memory: Memory,
    /// When provisioning wants to look again.
    pub next_look: Option<Timestamp>,
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

/// Plans one look. Pure, total, deterministic; commands still have to pass [`crate::guard::guard`].
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    let _ = snapshot;
    Plan {
        commands: Vec::new(),
        statuses: BTreeMap::new(),
        events: Vec::new(),
        memory: snapshot.memory.clone(),
        next_look: snapshot.now,
        stripped: Vec::new(),
    }
}

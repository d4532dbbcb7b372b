//! Given one Snapshot, the Plan: commands, status, next look.

//! The plugin as a user meets it: files in, text and an exit code out.

#![allow(clippy::unwrap_used, reason = "a run that goes wrong fails its test")]

mod bad_input;
mod consolidate;
mod explain;
mod forms;
mod guide;
mod plugin;
mod replay;
mod simulate;

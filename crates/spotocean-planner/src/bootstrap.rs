//! (module bootstrap)

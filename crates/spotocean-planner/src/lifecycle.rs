//! (module lifecycle)

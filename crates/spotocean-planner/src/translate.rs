//! (module translate)

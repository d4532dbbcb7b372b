//! How requests and answers look on the wire, per protocol. Nothing here knows what an action does.

pub mod error;
pub mod page;
pub mod query;
pub mod reply;
pub mod xml;

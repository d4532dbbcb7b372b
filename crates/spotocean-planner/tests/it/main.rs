//! User data as its readers take it: nodeadm's own code, and Bottlerocket's settings model.

mod bottlerocket;
mod nodeadm;
mod pools;

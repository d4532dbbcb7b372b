//! Black-box tests on a real control plane. Each file tells one kind of story.

mod chart;
mod cleanup;
mod crash;
mod headroom;
mod local_stack;
mod ordeal;
mod packing;
mod reckoning;
mod reserved;
mod scene;
mod schema;
mod stories;
mod wrong_world;

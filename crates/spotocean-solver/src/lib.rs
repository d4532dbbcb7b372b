//! Given pods, nodes and offerings: placements, nodes to buy, and why not.
//!
//! [`solve`](solve::solve) is pure, total and deterministic: the same
//! [`Problem`](problem::Problem) gives the same
//! [`Solution`](solution::Solution) whatever the order of its parts.

pub mod problem;
pub mod solution;
pub mod solve;

mod affinity;
mod assign;
mod audit;
mod candidates;
mod companion;
mod daemon_overhead;
mod dimension;
mod explanation;
mod feasible;
mod ledger;
mod limits;
mod load;
mod model;
mod offer;
mod pack;
mod params;
mod plan;
mod queue;
mod site;
mod topology;

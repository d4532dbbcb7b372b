//! Given pods, nodes and offerings: placements, nodes to buy, and why not.
//!
//! [`solve`](solve::solve) is pure, total and deterministic: the same
//! [`Problem`](problem::Problem) gives the same
//! [`Solution`](solution::Solution) whatever the order of its parts.
//!
//! The way of a problem: `model` (classes, cells, constraints by index) →
//! `assign` (pods to domains) → `pack`, level by level: `packing` (rows and
//! bins) → `column_generation` over `simplex`, `fill` and `relaxed_knapsack` →
//! `rounding` with `assemble` → `improve`, or `exact` where it is small →
//! `realise` (real pods) → `companion` → `audit` (over `census` and `grounding`) →
//! `bound` (the proof, over `doubt`, which asks `knapsack` and `grid`) → the answer.
//! Where limits do not suffice for all, `ration` asks for fewer pods (`scarcity` says what
//! each takes) and goes that way again.
//! Floating point only ever proposes: fits, limits and bounds are decided by
//! whole numbers.

pub mod consolidation;
pub mod problem;
pub mod solution;
pub mod solve;

mod affinity;
mod assemble;
mod assign;
mod audit;
mod bound;
mod budget;
mod candidates;
mod census;
mod cluster;
mod column_generation;
mod companion;
mod daemon_overhead;
mod dimension;
mod doubt;
mod exact;
mod explanation;
mod feasible;
mod fill;
mod grid;
mod grounding;
mod host_rule;
mod improve;
mod knapsack;
mod ledger;
mod limits;
mod load;
mod mend;
mod model;
mod offer;
mod optimise;
mod pack;
mod packing;
mod params;
mod plan;
mod preference;
mod queue;
mod ration;
mod realise;
mod regret;
mod relaxed_knapsack;
mod rounding;
mod scarcity;
mod screen;
mod simplex;
mod site;
mod topology;
mod topology_key;

//! Tests of the solver through its boundary: rows per predicate, laws over
//! random problems, and oracles that share no code with it.

mod checker;
mod explanations;
mod fixtures;
mod generator;
mod laws;
mod oracles;
mod predicates;
mod scale;

//! Tests of the solver through its boundary: rows per predicate, laws over
//! random problems, and oracles that share no code with it.

// A table of rows is as long as its rows.
#![allow(clippy::too_many_lines)]

mod bad_input;
mod checker;
mod consolidation;
mod explanations;
mod fixtures;
mod generator;
mod highs;
mod laws;
mod limits;
mod offers;
mod oracles;
mod predicates;
mod preferences;
mod risk;
mod scale;

//! Every constant of the solver, with its argument and unit.

/// Markets offered to EC2 for one node. An `instant` fleet takes more, but
/// every further one adds request size and hardly any chance of capacity
/// (Karpenter sends 60 types).
pub(crate) const CANDIDATES_MAX: usize = 100;

/// A substitute may cost this many percent of the planned price: below it EC2
/// may choose freely, above it the plan's price would mean nothing.
pub(crate) const CANDIDATE_PRICE_PERCENT: i64 = 150;

/// Times the whole plan is made again with what the last attempt taught (a
/// domain that cannot take its share, a domain that other pods' nodes bring).
/// Each attempt teaches at least one fact; after these the audit drops what is left over.
pub(crate) const ATTEMPTS_MAX: usize = 6;

/// Fixed-point scale of a pod's value (micro-dollars per hour and pod), so that
/// 1,000 pods on one cheap node still differ in value.
pub(crate) const VALUE_SCALE: i64 = 1_024;

/// Pods of one class tried together on one node when no mixed fill is
/// admissible; halved until one is.
pub(crate) const LONE_FILL_MAX: i64 = 64;

/// Plans of more nodes than this are made in one style only: rounding losses are
/// those of the last few nodes, and vanish among hundreds.
pub(crate) const STYLES_NODES_MAX: usize = 200;

/// Classes × cells up to which other styles are tried: each costs as much as the
/// first, and a plan is to be there within some ten milliseconds.
pub(crate) const STYLES_WORK_MAX: usize = 4_096;

/// Another style must save more than this many percent: less is not worth
/// another shape of plan, which may have twice the nodes.
pub(crate) const STYLE_GAIN_PERCENT: i64 = 1;

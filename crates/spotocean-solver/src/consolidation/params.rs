//! Every constant of consolidation, with its argument and unit.

/// Rounds over the whole cluster at most. Each one saves what the hysteresis
/// demands, so that they end by themselves; two or three are usual.
pub(super) const STEPS_MAX: usize = 12;

/// Shares of a node's price (percent) by which it must be dearer than its pods
/// are worth to be taken into a large set, tried in turn.
pub(super) const LADDER: [f64; 3] = [0.0, 10.0, 30.0];

/// A rung whose set is not smaller than the last one by this share (percent) is left out.
pub(super) const RUNG_STEP: usize = 5;

/// Times a large set is tried again without the nodes whose pods found no place.
pub(super) const RETRIES_MAX: usize = 3;

/// Removable nodes up to which every set of them is tried.
pub(super) const EXHAUSTIVE_MAX: usize = 6;

/// Sizes of the small sets that are taken along the order of waste.
pub(super) const WINDOWS: [usize; 5] = [1, 2, 3, 5, 8];

/// Work for the purchases of a large set, and of a small one, in elementary
/// operations: less than a plan of its own is given, since most sets come to nothing.
pub(super) const LARGE_WORK: u64 = 15_000_000;
/// See [`LARGE_WORK`].
pub(super) const SMALL_WORK: u64 = 2_000_000;

/// Work for all small sets of one round.
pub(super) const WINDOW_WORK: u64 = 100_000_000;

/// Work of one try, per node that is there: all of them are copied and looked at.
pub(super) const NODE_WORK: u64 = 8_000;

/// A large set that saves this share (percent) of what its nodes cost beyond their
/// pods' worth is good enough: the next rungs are not tried.
pub(super) const LARGE_ENOUGH: f64 = 97.0;

/// Small sets of one size without gain after which the next size is tried.
pub(super) const STALE_MAX: usize = 12;

/// A small set whose pods are worth more than this share of its price (percent)
/// is left alone: only free room could pay for it.
pub(super) const HOPE: f64 = 130.0;

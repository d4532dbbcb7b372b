//! Every constant of the solver, with its argument and unit.

/// Markets handed over for one node at most: far more than the planner asks for where
/// share caps fill some of them, and few enough for a request. An `instant` fleet takes
/// more, but every further one adds request size and hardly any chance of capacity
/// (Karpenter sends 60 types).
pub(crate) const CANDIDATES_MAX: usize = 150;

/// The most of any resource that a node can have: a pebibyte. Beyond it floating
/// point no longer counts one by one.
pub(crate) const AMOUNT_MAX: i64 = 1 << 50;

/// Micro-dollars per hour that no machine costs: a million dollars. What is said to
/// cost more has no price that anyone meant, and sums of prices stay countable.
pub(crate) const PRICE_MAX: i64 = 1_000_000_000_000;

/// What a preference of the greatest weight is worth, in percent of what the pod costs at least: more
/// than zones of one region usually differ by, less than spot is below on demand.
pub(crate) const WISH_PERCENT: i64 = 20;

/// A plan that is, its unmet wishes counted as cost, this many percent above the bound is not compared with one
/// that hears no wishes.
pub(crate) const GOOD_PERCENT: i64 = 3;

/// A substitute may cost this many percent of the planned price: below it EC2
/// may choose freely, above it the plan's price would mean nothing.
pub(crate) const CANDIDATE_PRICE_PERCENT: i64 = 150;

/// Times the whole plan is made again with what the last attempt taught (a
/// domain that cannot take its share, a domain that other pods' nodes bring).
/// Each attempt teaches at least one fact; after these the audit drops what is left over.
pub(crate) const ATTEMPTS_MAX: usize = 6;

/// Classes up to which attempts go on where limits leave pods out: with more, what domains
/// could not take of the first attempt says little of how limits are spent best.
pub(crate) const LEARNING_CLASSES_MAX: usize = 32;

/// Fixed-point scale of a pod's value (micro-dollars per hour and pod), so that
/// 1,000 pods on one cheap node still differ in value.
pub(crate) const VALUE_SCALE: i64 = 16_384;

/// Steps of one exact search for a pattern.
pub(crate) const SEARCH_STEPS: u64 = 3_000;

/// Rows before one that are asked whether they beat it, in an exact search.
pub(crate) const DOMINATORS_ASKED: usize = 500;

/// Rows looked at that beat another one, in an exact search.
pub(crate) const DOMINATORS_MAX: usize = 4;

/// By how many millionths of its price a bin's pods are tried to be shown to be
/// worth at most more. Fine near zero, where plans are judged; coarse where few
/// pods fit a node and fractions of them mislead most.
pub(crate) const BOUND_TARGETS: [i128; 15] = [
    100, 300, 600, 1_000, 1_500, 2_200, 3_200, 4_500, 6_500, 10_000, 16_000, 27_000, 45_000, 75_000, 120_000,
];

/// Work of all exact searches for patterns of one relaxation.
pub(crate) const SEARCH_WORK: u64 = 60_000_000;

/// Patterns found by exact search that are added at once: each moves the prices.
pub(crate) const SEARCHED_PER_ROUND: usize = 4;

/// Elementary operations of one step of an exact search.
pub(crate) const STEP_WORK: u64 = 20;

/// Work of one table over the states of room, where it is to be sure.
pub(crate) const GRID_WORK: u64 = 8_000_000;

/// The same where it only looks for patterns.
pub(crate) const SEARCH_GRID_WORK: u64 = 1_000_000;

/// States of room in one table at most: memory, of which each takes some 20 bytes.
pub(crate) const GRID_STATES_MAX: u64 = 1 << 20;

/// Dimensions that a table keeps exactly where others are had at their price: which pods of processors
/// and memory go together is what fractions tell worst.
pub(crate) const DIMENSIONS_KEPT: usize = 2;
/// A dimension with so much room at most is kept too: it takes few states.
pub(crate) const CELLS_KEPT: i64 = 4;
/// Bins with up to so many times the room share a table.
pub(crate) const GROUP_RATIO: i64 = 4;

/// A pattern that is worth less than its price plus this many millionths of it
/// is not looked for: the bound loses no more than that.
pub(crate) const SLACK_PER_MILLION: i128 = 200;

/// Pods of one class tried together on one node when no mixed fill is
/// admissible; halved until one is.
pub(crate) const LONE_FILL_MAX: i64 = 64;

/// Dimensions for classes that exclude one another; beyond them such classes
/// are packed as if alone and looked at node by node.
pub(crate) const EXCLUSIONS_MAX: usize = 8;

/// Relative size of a number that floating point takes for zero in the linear
/// program: far above rounding (1e-16 a step, thousands of steps), far below
/// what changes a plan.
pub(crate) const LP_TOLERANCE: f64 = 1e-7;

/// By how much demands are moved apart, in nodes: a hundred times the tolerance,
/// or ties would stay ties, and nothing beside one node.
pub(crate) const PERTURBATION: f64 = 1e-5;

/// Smaller pivots would make the inverse worthless.
pub(crate) const PIVOT_MIN: f64 = 1e-8;

/// Pivots after which the inverse is computed anew.
pub(crate) const REFACTOR_PIVOTS: usize = 150;

/// Pivots of one solve: a stop against cycling, far above what is needed.
pub(crate) const PIVOTS_MAX: usize = 5_000;

/// Rounds of column generation at most; 20 to 70 were needed on real traces.
pub(crate) const ROUNDS_MAX: usize = 200;

/// Patterns added in one round: more would mostly be alike.
pub(crate) const COLUMNS_PER_ROUND: usize = 24;

/// Bins that the first greedy cover draws on, as long as they will do.
pub(crate) const COVER_BINS: usize = 12;

/// Price vectors that bins are screened with.
pub(crate) const SCREENS_MAX: usize = 12;

/// Promising bins that are asked each round beside those in use.
pub(crate) const ACTIVE_BINS: usize = 40;

/// A pattern must be worth this many times its price to be added.
pub(crate) const IMPROVES: f64 = 1.000_05;

/// Weight of the best duals so far in the duals that bins are asked with.
pub(crate) const SMOOTHING: f64 = 0.5;

/// Rows of one linear program, where clustering can reach it: a pivot costs
/// their square, and there are some ten pivots a row.
pub(crate) const CLUSTERS_MAX: usize = 160;

/// The same where only rows of one size are together.
pub(crate) const EQUALS_MAX: usize = 256;

/// Ratios within which sizes are taken together, tried in turn.
pub(crate) const CLUSTER_RATIOS: [f64; 11] = [1.0, 1.01, 1.02, 1.04, 1.07, 1.1, 1.2, 1.4, 2.0, 4.0, 1e9];

/// Clusters beyond which no linear program is solved: what pods are guessed to be
/// worth is all there is.
pub(crate) const ROWS_MAX: usize = 600;

/// Rows beyond which nodes are only covered greedily, and no more is proved than
/// that guess shows: everything else looks at all rows for each node or bin.
pub(crate) const ROWS_OPTIMISED_MAX: usize = 4_000;

/// Nodes bought in a greedy cover of so many rows between two clearings of its orders.
pub(crate) const COVER_CLEARED_EVERY: usize = 16;

/// Rows on end that do not fit, after which a fill counts as full: of some
/// thousand shapes the rest would hardly.
pub(crate) const FILL_PATIENCE: usize = 2_000;

/// Rounds of column generation in each dive.
pub(crate) const DIVE_ROUNDS: usize = 2;

/// In a dive, amounts with at least this fraction are rounded up together.
pub(crate) const ROUND_UP_FROM: f64 = 0.4;

/// Nodes that local search takes apart: waste is in few.
pub(crate) const IMPROVE_NODES_MAX: usize = 200;

/// Neighbourhoods without gain after which local search stops.
pub(crate) const IMPROVE_STALE_MAX: usize = 300;

/// Bins of which sets of three are tried.
pub(crate) const REPACK_BINS: usize = 24;

/// Sets of bins that are tried to be packed.
pub(crate) const REPACK_TRIES: usize = 6;

/// By how much values are shaken, as a fraction.
pub(crate) const SHAKE: f64 = 0.2;

/// Places looked at where pods change them for those left over.
pub(crate) const MEND_STEPS: u64 = 5_000_000;

/// Work for one plan, in elementary operations of about a nanosecond.
pub(crate) const WORK_MAX: u64 = 400_000_000;

/// Steps of a fractional knapsack at most; some ten are usual, and whatever the
/// prices are then, they bound.
pub(crate) const KNAPSACK_PIVOTS: usize = 60;

/// A limit binds that is used at least this many percent as much as the one used most.
pub(crate) const BINDING_PERCENT: i64 = 85;

/// Work for one of the plans that limits are spent by.
pub(crate) const RATION_WORK: u64 = WORK_MAX / 6;

/// Plans by which limits are spent at most: each corrects what the last one asked for.
pub(crate) const RATION_TRIES: usize = 3;

/// So many millionths of a limit are spent well enough.
pub(crate) const RATION_ENOUGH: i64 = 985_000;

/// Rounds after which all bins are asked, not only promising ones.
pub(crate) const FULL_ROUNDS: usize = 4;

/// Rows a size, on average, from which a relaxation by size comes first.
pub(crate) const SIZES_WORTH_IT: usize = 2;

/// Rounds of the relaxation by size: its prices are a start only.
pub(crate) const SIZE_ROUNDS: usize = 40;

/// What a pod is guessed to be worth at least, as a share of what its size would cost.
pub(crate) const GUESS_LEAST: f64 = 0.05;

/// How far above the guess of its worth a single pod is offered at first.
pub(crate) const GUESS_MARGIN: f64 = 0.05;

/// Times each bin is asked in a round.
pub(crate) const PASSES_PER_ROUND: usize = 8;

/// What a row's price is multiplied with once a pattern of this round has it.
pub(crate) const USED_FADES: f64 = 0.995;

/// What a filled-up node must be worth of its price to be taken as the program has it.
pub(crate) const WHOLE_WORTH: f64 = 0.99;

/// Patterns looked at for rounding up.
pub(crate) const ROUND_UP_TRIES: usize = 8;

/// How much of a node's worth the fraction to be rounded up counts for.
pub(crate) const ROUND_UP_FRACTION: f64 = 0.05;

/// Dimensions that have a greedy order of their own.
pub(crate) const WEIGHTINGS_MAX: usize = 3;

/// Work of all tables and searches for one bound.
pub(crate) const BOUND_SEARCH_WORK: u64 = 40_000_000;

/// Steps of one exact search for a bound.
pub(crate) const BOUND_STEPS: u64 = 10_000;

/// Work for the relaxation of a bound where the plan's own will not do.
pub(crate) const BOUND_WORK: u64 = 60_000_000;

/// Pods up to which all patterns are listed.
pub(crate) const EXACT_PODS_MAX: i64 = 128;

/// Patterns listed at most.
pub(crate) const EXACT_PATTERNS_MAX: usize = 8_000;

/// Steps of the listing, and of the covering search.
pub(crate) const EXACT_STEPS: u64 = 4_000_000;

/// What may be left that the covering search remembers at most: memory, of which each takes some 200 bytes.
pub(crate) const EXACT_STATES_MAX: usize = 200_000;

/// Pods times nodes up to which pods are put into nodes one by one; in larger
/// plans the whole part is nearly all there is.
pub(crate) const ASSEMBLE_MAX: i64 = 4_000_000;

/// Items times offers up to which the plain greedy, which looks at every node with
/// all its pods, is asked too where the packing left something out.
pub(crate) const SECOND_OPINION_MAX: usize = 20_000;

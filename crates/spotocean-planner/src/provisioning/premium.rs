//! What a vCPU in each place should cost more, so that nodes spread as share caps ask.
//!
//! Problem: max over premiums ≥ 0 of the least that plans pay at prices with
//! premiums, less what caps leave room for. Of all plans a few are known; their
//! nodes keep their shapes and choose among their candidates only. Method:
//! subgradient ascent (Shor 1962) on the least of them, with lengths that fall
//! as 1/t; near a tie a group is dealt out over its places, so that the
//! direction changes little by little. Floating point: what comes out are hints,
//! and [`super::share_bound`] proves with them. Cost: steps × nodes' candidates.

/// Steps of the ascent.
const STEPS: u32 = 400;
/// The first step, relative to what a vCPU costs.
const FIRST_STEP: f64 = 0.5;
/// After so many steps they are half as long.
const HALF_LIFE: f64 = 40.0;
/// Places whose costs differ by this share are about as good: what is dealt out changes little by little.
const ABOUT_EQUAL: f64 = 0.002;

/// What one place of a pool may hold.
pub(super) struct Cap {
    pub(super) pool: usize,
    pub(super) percent: i64,
    /// Hundredths of vCPUs that it may hold beyond its percentage of those planned.
    pub(super) room: i64,
}

/// Equal nodes, and the places they may be in.
pub(super) struct Group {
    pub(super) pool: usize,
    pub(super) nodes: f64,
    pub(super) places: Vec<Place>,
}

pub(super) struct Place {
    pub(super) price: f64,
    pub(super) vcpus: f64,
    pub(super) caps: Vec<usize>,
}

/// An amount as a hint.
#[expect(clippy::cast_precision_loss, reason = "hints only, of amounts far below 2^53")]
pub(super) fn float(whole: i64) -> f64 {
    whole as f64
}

/// Where one step of the ascent stands.
struct Stage {
    /// What the groups pay where each is in its cheapest place, less what caps leave room for.
    worth: f64,
    /// vCPUs under each cap, and of each pool.
    under: Vec<f64>,
    of_pool: Vec<f64>,
}

/// Premiums by cap, in micro-dollars per vCPU and hour, from at least one plan.
pub(super) fn ascend(caps: &[Cap], plans: &[Vec<Group>], pools: usize) -> Vec<i64> {
    let mut premiums = vec![0.0_f64; caps.len()];
    let mut best = (f64::MIN, premiums.clone());
    let scale = plans
        .first()
        .map_or_else(Vec::new, |groups| per_vcpu(groups, pools));
    for step in 0..STEPS {
        let stages = plans.iter().map(|groups| stage(caps, groups, &premiums, pools));
        let Some(stage) = stages.min_by(|a, b| a.worth.total_cmp(&b.worth)) else {
            break;
        };
        if stage.worth > best.0 {
            best = (stage.worth, premiums.clone());
        }
        let length = FIRST_STEP / (1.0 + f64::from(step) / HALF_LIFE);
        for (index, cap) in caps.iter().enumerate() {
            let all = stage.of_pool[cap.pool];
            if all > 0.0 {
                let over = stage.under[index] - float(cap.percent) / 100.0 * all - float(cap.room) / 100.0;
                premiums[index] = (premiums[index] + length * scale[cap.pool] * over / all).max(0.0);
            }
        }
    }
    best.1.into_iter().map(whole).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "hints only, of amounts far below 2^53"
)]
fn whole(premium: f64) -> i64 {
    premium.clamp(0.0, 1e9).round() as i64
}

/// What a vCPU costs in the first places of each pool's groups.
fn per_vcpu(groups: &[Group], pools: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); pools];
    for group in groups {
        let (price, vcpus) = &mut sums[group.pool];
        *price += group.nodes * group.places[0].price;
        *vcpus += group.nodes * group.places[0].vcpus;
    }
    sums.into_iter()
        .map(|(price, vcpus)| price / f64::max(vcpus, 1.0))
        .collect()
}

fn stage(caps: &[Cap], groups: &[Group], premiums: &[f64], pools: usize) -> Stage {
    let mut rebates = vec![0.0; pools];
    let mut stage = Stage {
        worth: 0.0,
        under: vec![0.0; caps.len()],
        of_pool: vec![0.0; pools],
    };
    for (cap, premium) in caps.iter().zip(premiums) {
        rebates[cap.pool] += float(cap.percent) / 100.0 * premium;
        stage.worth -= premium * float(cap.room) / 100.0;
    }
    for group in groups {
        let cost = |place: &Place| {
            let due: f64 = place.caps.iter().map(|cap| premiums[*cap]).sum();
            place.price + place.vcpus * (due - rebates[group.pool])
        };
        let least = group.places.iter().map(cost).fold(f64::INFINITY, f64::min);
        stage.worth += group.nodes * least;
        let about = ABOUT_EQUAL * group.places[0].price;
        // Not by powi, whose last digit is the platform's: a replay must come out the same.
        let weight = |place: &Place| {
            let square = ((cost(place) - least) / about) * ((cost(place) - least) / about);
            1.0 / (1.0 + square * square)
        };
        let all: f64 = group.places.iter().map(weight).sum();
        for place in &group.places {
            let vcpus = group.nodes * place.vcpus * weight(place) / all;
            stage.of_pool[group.pool] += vcpus;
            for cap in &place.caps {
                stage.under[*cap] += vcpus;
            }
        }
    }
    stage
}

//! What the last purchase cost, and how far that is from what is proved.
//!
//! Most looks buy nothing: then what the last one that did has left in status stays.

use spotocean_api::ocean_status::PurchaseSummary;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::money::PricePerHour;

use super::count;
use crate::plan::Provision;
use crate::pool::ocean_name;

/// Millionths in a tenth of a percent.
const TENTH_OF_PERCENT: i64 = 1_000;

/// The gap column.
pub(super) fn gap(provision: &Provision, ocean: &SpotOcean) -> Option<String> {
    match provision.bought.get(&ocean_name(ocean)) {
        Some(bought) => bought.gap_per_million.map(percent),
        None => ocean.status.as_ref()?.gap.clone(),
    }
}

/// The last purchase.
pub(super) fn summary(provision: &Provision, ocean: &SpotOcean) -> Option<PurchaseSummary> {
    let Some(bought) = provision.bought.get(&ocean_name(ocean)) else {
        return ocean.status.as_ref()?.last_purchase.clone();
    };
    Some(PurchaseSummary {
        nodes: count(bought.nodes),
        hourly_cost_usd: bought.cost.to_string(),
        lower_bound_usd: bought.lower_bound.map(|bound| bound.to_string()),
        capped_lower_bound_usd: bought.capped_bound.map(|bound| bound.to_string()),
        share_caps_usd: (bought.share_caps > PricePerHour::ZERO).then(|| bought.share_caps.to_string()),
    })
}

/// Percent with one decimal, rounded up: a plan is never said to be nearer than it is.
fn percent(per_million: i64) -> String {
    let tenths = per_million.max(0).saturating_add(TENTH_OF_PERCENT - 1) / TENTH_OF_PERCENT;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_rounded_up_to_a_tenth_of_a_percent() {
        for (per_million, expected) in [(0, "0.0%"), (1, "0.1%"), (7_000, "0.7%"), (123_001, "12.4%")] {
            assert_eq!(percent(per_million), expected);
        }
    }
}

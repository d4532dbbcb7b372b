//! What the spot market owes its callers: bounds, shares and the same course for the same seed.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::of_region("us-east-1").expect("a known region"))
}

fn pool(instance_type: &str, zone_id: &str) -> Pool {
    Pool {
        instance_type: instance_type.into(),
        zone_id: zone_id.into(),
    }
}

#[test]
fn the_same_seed_gives_the_same_market_and_another_seed_another() {
    let [one, same, other] = [7, 7, 8].map(|seed| Market::new(catalogue(), seed));
    let now = Moment(12_345_678);
    let quotes = |market: &Market| -> Vec<Option<Quote>> {
        market
            .pools()
            .map(|pool| market.quote(pool, Lifecycle::Spot, now))
            .collect()
    };
    assert_eq!(quotes(&one), quotes(&same));
    assert_ne!(quotes(&one), quotes(&other));
}

#[test]
fn spot_prices_lie_between_a_tenth_and_the_whole_of_on_demand() {
    let market = Market::new(catalogue(), 1);
    for pool in market.pools() {
        let Some(spot) = market.quote(pool, Lifecycle::Spot, Moment(0)) else {
            continue;
        };
        let on_demand = market
            .quote(pool, Lifecycle::OnDemand, Moment(0))
            .expect("sold on demand")
            .price_micro_usd_per_hour;
        let price = spot.price_micro_usd_per_hour;
        assert!(
            price >= on_demand / 10 && price <= on_demand,
            "{pool:?}: {price} of {on_demand}"
        );
    }
}

#[test]
fn a_query_that_starts_now_answers_with_the_price_in_effect() {
    let market = Market::new(catalogue(), 3);
    let pool = pool("m5.large", "use1-az6");
    let now = Moment(5 * DAY_MS + 17);
    let history = market.price_history(&pool, now, now);
    assert_eq!(history.len(), 1);
    assert!(history[0].at <= now);
    let quote = market.quote(&pool, Lifecycle::Spot, now).expect("a spot type");
    assert_eq!(
        history[0].price_micro_usd_per_hour,
        quote.price_micro_usd_per_hour
    );
}

#[test]
fn ninety_days_of_history_move_gradually() {
    let market = Market::new(catalogue(), 3);
    let history = market.price_history(&pool("m5.large", "use1-az6"), Moment(-90 * DAY_MS), Moment(0));
    assert!(history.len() > 40, "{}", history.len());
    for pair in history.windows(2) {
        assert!(pair[0].at >= pair[1].at, "newest first");
        let (later, earlier) = (
            pair[0].price_micro_usd_per_hour as f64,
            pair[1].price_micro_usd_per_hour as f64,
        );
        assert!((later / earlier - 1.0).abs() < 0.15, "{earlier} to {later}");
    }
}

#[test]
fn orders_change_matching_pools_only() {
    let mut market = Market::new(catalogue(), 3);
    let change = Change {
        depth: Some(2),
        price_micro_usd_per_hour: Some(12_300),
        hazard_ppm_per_hour: Some(9),
        ..Change::default()
    };
    let untouched = market.quote(&pool("m5.large", "use1-az1"), Lifecycle::Spot, Moment(10));
    assert_eq!(
        market.change("m5.*", &["use1-az6".into()], &change, Moment(10)),
        9
    );
    let expected = Quote {
        price_micro_usd_per_hour: 12_300,
        depth: 2,
        hazard_ppm_per_hour: 9,
    };
    assert_eq!(
        market.quote(&pool("m5.large", "use1-az6"), Lifecycle::Spot, Moment(10)),
        Some(expected)
    );
    assert_eq!(
        market.quote(&pool("m5.large", "use1-az1"), Lifecycle::Spot, Moment(10)),
        untouched
    );
}

#[test]
fn types_that_are_not_sold_as_spot_have_no_spot_quote() {
    let market = Market::new(catalogue(), 3);
    assert_eq!(
        market.quote(&pool("t2.nano", "use1-az6"), Lifecycle::Spot, Moment(0)),
        None
    );
    assert_eq!(
        market.quote(&pool("m6a.large", "use1-az3"), Lifecycle::Spot, Moment(0)),
        None
    );
}

proptest! {
    // Each case makes a market of thousands of pools.
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn never_gives_more_than_it_has(seed in 0u64..50, orders in prop::collection::vec((0u64..60, any::<bool>()), 1..30)) {
        let mut market = Market::new(catalogue(), seed);
        let pool = pool("m5.2xlarge", "use1-az6");
        let depth = market.quote(&pool, Lifecycle::Spot, Moment(0)).expect("a spot type").depth;
        let mut held = 0;
        for (count, give_back) in orders {
            if give_back && held > 0 {
                market.release(&pool, Lifecycle::Spot);
                held -= 1;
            } else {
                held += market.take(&pool, Lifecycle::Spot, count, Moment(0));
            }
            prop_assert!(held <= depth);
            let left = market.quote(&pool, Lifecycle::Spot, Moment(0)).expect("a spot type").depth;
            prop_assert_eq!(left, depth - held);
        }
    }
}

//! Room under caps, and bookings.

use super::*;

pub(in crate::provisioning) const CAPS: MaxShare = MaxShare {
    market: 15,
    instance_type: 35,
    zone: 60,
};

pub(in crate::provisioning) fn market(instance_type: &str, zone: &str) -> Market {
    Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    }
}

/// `types` × `zones`, cheapest type first.
pub(in crate::provisioning) fn grid(types: usize, zones: usize) -> Vec<Market> {
    let place = |index: usize| {
        market(
            &format!("m{}.large", index / zones + 3),
            &format!("zone-{}", index % zones),
        )
    };
    (0..types * zones).map(place).collect()
}

#[test]
fn places_bear_their_share_or_one_node() {
    let places = [market("a", "1"), market("a", "2"), market("b", "2")];
    // vCPUs in all, places, nodes borne of 4 vCPUs.
    let rows: [(i64, &[usize], usize); 5] = [
        (400, &[0], 15),
        (400, &[0, 1], 15),
        (400, &[0, 1, 2], 15),
        (100, &[0, 2], 3),
        (8, &[0, 1], 1),
    ];
    for (total, chosen, expected) in rows {
        let chosen: Vec<&Market> = chosen.iter().map(|index| &places[*index]).collect();
        let room = Caps::of(CAPS, total).room(&Holdings::default(), &chosen, 50, &|_| 4);
        assert_eq!(room, expected, "{total} vCPUs, {chosen:?}");
    }
}

#[test]
fn what_is_held_counts_by_market_type_and_zone() {
    let mut holdings = Holdings::default();
    holdings.book(&[market("a", "1")], 20, |_| 4);
    let caps = Caps::of(CAPS, 400);
    let room = |place: Market| caps.room(&holdings, &[&place], 50, &|_| 4);
    assert_eq!(room(market("a", "1")), 0);
    assert_eq!(room(market("a", "2")), 15, "20 of 35 nodes of the type");
    assert_eq!(room(market("b", "1")), 15, "20 of 60 nodes of the zone");
    holdings.book(&[market("b", "1")], 35, |_| 4);
    let room = |place: Market| caps.room(&holdings, &[&place], 50, &|_| 4);
    assert_eq!(room(market("c", "1")), 5);
}

#[test]
fn a_booking_can_be_taken_back() {
    let places = grid(3, 2);
    let mut holdings = Holdings::default();
    let vcpus = |name: &InstanceTypeName| if name.as_str() == "m3.large" { 8 } else { 2 };
    holdings.book(&places, 5, vcpus);
    holdings.book(&places, -5, vcpus);
    for place in &places {
        assert_eq!(holdings.market(place), 0);
        assert_eq!(holdings.of_type(&place.instance_type), 0);
        assert_eq!(holdings.zone(&place.zone), 0);
    }
}

#[test]
fn all_of_it_is_no_cap() {
    let all = MaxShare {
        market: 100,
        instance_type: 100,
        zone: 100,
    };
    let places = grid(2, 2);
    let places: Vec<&Market> = places.iter().collect();
    let vcpus = |name: &InstanceTypeName| if name.as_str() == "m3.large" { 2 } else { 16 };
    let counted_low = Caps::of(all, 10 * 2);
    assert_eq!(counted_low.room(&Holdings::default(), &places, 10, &vcpus), 10);
}

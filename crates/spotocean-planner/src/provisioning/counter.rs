//! One pool's equal nodes on their way to launches.
//!
//! They are dealt in rounds ([`super::rounds`]); where the pool's places
//! cannot hold all of them, the caps relax for all at once ([`super::even`]).
//! In the end launches that go out now offer what else is sane, as far as
//! caps leave room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceTypeName, PoolKey};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_solver::problem::Offer;
use spotocean_solver::solution::NewNode;

use super::books::{books, least_vcpus, vcpus};
use super::even::{Wanted, split_evenly};
use super::rounds::{Books, Deal, Dealer, about};
use super::share::{Caps, Portion};
use super::supply::{Stock, Supply};
use crate::snapshot::Snapshot;

/// A substitute may cost this many percent of the planned price, while there are others enough.
const SANE_PRICE_PERCENT: i64 = 150;

/// Equal nodes of one pool.
pub(super) struct Group {
    pub(super) pool: PoolKey,
    pub(super) capacity_type: CapacityType,
    pub(super) candidates: Vec<Market>,
    pub(super) nodes: Vec<NewNode>,
}

/// A launch to be, of this round or a later one.
pub(super) struct Draft {
    pub(super) pool: PoolKey,
    pub(super) capacity_type: CapacityType,
    /// What its group could choose from.
    candidates: Vec<Market>,
    /// Where EC2 may launch it, the place of least cost first.
    pub(super) markets: Vec<Market>,
    pub(super) nodes: Vec<NewNode>,
    pub(super) is_now: bool,
}

/// At which price nodes are dealt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceiling {
    /// About the one they were planned at.
    Planned,
    /// That of the planned type on demand: nothing better was found.
    OnDemand,
}

/// Where one pool's nodes are dealt.
pub(super) struct Counter<'a> {
    snapshot: &'a Snapshot,
    supply: &'a Supply,
    stock: &'a Stock,
    books: Books,
    /// The pool's spot vCPUs after this look's plan, counted low.
    total_vcpus: i64,
    caps: Caps,
    /// What plans count with by spot market: price and risk.
    costs: BTreeMap<&'a Market, i64>,
}

impl<'a> Counter<'a> {
    /// A counter for a pool that is to buy these nodes among others; `None` when it is closed.
    pub(super) fn of(snapshot: &'a Snapshot, supply: &'a Supply, nodes: &[NewNode]) -> Option<Self> {
        let key = &supply.view.key;
        let (books, held) = books(snapshot, key);
        let own = nodes
            .iter()
            .filter(|node| node.pool == *key && node.capacity_type == CapacityType::Spot);
        let total_vcpus = held
            + own
                .map(|node| least_vcpus(snapshot, &node.candidates))
                .sum::<i64>();
        let stock = supply.state.as_ref().ok()?;
        let cost = |offer: &'a Offer| (offer.offering.price + offer.risk).micro_usd();
        Some(Self {
            snapshot,
            supply,
            stock,
            costs: stock
                .spot
                .iter()
                .map(|offer| (offer.market(), cost(offer)))
                .collect(),
            books,
            total_vcpus,
            caps: Caps::of(supply.view.effective.strategy.max_share, total_vcpus),
        })
    }

    /// Whether a market is full once EC2 has answered as expected.
    pub(super) fn is_full(&self, market: &Market) -> bool {
        let vcpus = |name: &InstanceTypeName| vcpus(self.snapshot, name);
        self.caps.room(&self.books.expected, &[market], 1, &vcpus) == 0
    }

    /// Deals equal nodes, and returns with the drafts what is too dear or finds no room.
    pub(super) fn deal(&mut self, group: Group, ceiling: Ceiling) -> (Vec<Draft>, Group) {
        if group.capacity_type == CapacityType::OnDemand {
            let whole = Portion {
                nodes: group.nodes.len(),
                markets: group.candidates.clone(),
            };
            return self.drafts(group, vec![(whole, true)]);
        }
        let deal = self.dealt(&group, ceiling);
        let now = deal.now.into_iter().map(|portion| (portion, true));
        let later = deal.later.into_iter().map(|portion| (portion, false));
        self.drafts(group, now.chain(later).collect())
    }

    fn dealt(&mut self, group: &Group, ceiling: Ceiling) -> Deal {
        let vcpus = |name: &InstanceTypeName| vcpus(self.snapshot, name);
        let (costs, snapshot) = (&self.costs, self.snapshot);
        let price = |market: &Market| cost(costs, snapshot, market);
        let suffices = |places: &[Market]| has_min_values(self.supply, self.stock, places);
        let dealer = Dealer {
            caps: self.caps,
            flexibility: self.flexibility(),
            vcpus: &vcpus,
            price: &price,
            suffices: &suffices,
        };
        let ceiling = match ceiling {
            Ceiling::Planned => about(group.candidates.first().map_or(0, price)),
            Ceiling::OnDemand => self.dearest(&group.candidates),
        };
        let offered = self.affordable(&group.candidates).len();
        let candidates = &group.candidates[..offered.max(self.sane(&group.candidates))];
        dealer.deal(&mut self.books, candidates, group.nodes.len(), ceiling)
    }

    /// Splits equal nodes evenly, those included that were dealt before others found no room.
    pub(super) fn relax(&mut self, mut group: Group, drafts: &mut Vec<Draft>) {
        let is_alike = |draft: &Draft| {
            draft.pool == group.pool
                && draft.capacity_type == group.capacity_type
                && draft.candidates == group.candidates
        };
        let (alike, others): (Vec<Draft>, Vec<Draft>) =
            std::mem::take(drafts).into_iter().partition(is_alike);
        *drafts = others;
        let snapshot = self.snapshot;
        let vcpus = |name: &InstanceTypeName| vcpus(snapshot, name);
        for draft in alike {
            self.books.withdraw(&draft.portion(), draft.is_now, &vcpus);
            group.nodes.extend(draft.nodes);
        }
        let suffices = |places: &[Market]| has_min_values(self.supply, self.stock, places);
        let wanted = Wanted {
            nodes: group.nodes.len(),
            candidates: self.affordable(&group.candidates),
            total_vcpus: self.total_vcpus,
            caps: self.supply.view.effective.strategy.max_share,
            flexibility: self.flexibility(),
        };
        let portions = split_evenly(&self.books.worst, &wanted, &vcpus, &suffices);
        for portion in &portions {
            self.books.send(portion, &vcpus);
        }
        let portions = portions.into_iter().map(|portion| (portion, true));
        drafts.extend(self.drafts(group, portions.collect()).0);
    }

    /// Why caps relax for a group.
    pub(super) fn few_markets(&self, group: &Group) -> Arc<str> {
        let share = self.supply.view.effective.strategy.max_share;
        format!(
            "pool {} has {} markets for some of its pods, too few for shares of {} % a market, {} % a type and {} % a zone: \
             allow more instance types or zones, or raise strategy.maxShare",
            self.supply.view.key.pool,
            self.affordable(&group.candidates).len(),
            share.market,
            share.instance_type,
            share.zone
        )
        .into()
    }

    /// Drafts of portions, and the nodes that are in none.
    fn drafts(&self, mut group: Group, portions: Vec<(Portion, bool)>) -> (Vec<Draft>, Group) {
        let mut drafts = Vec::new();
        let mut nodes = std::mem::take(&mut group.nodes).into_iter();
        for (portion, is_now) in portions {
            let mut draft = Draft {
                pool: group.pool.clone(),
                capacity_type: group.capacity_type,
                candidates: group.candidates.clone(),
                markets: portion.markets,
                nodes: nodes.by_ref().take(portion.nodes).collect(),
                is_now,
            };
            draft.narrow(self.snapshot);
            drafts.push(draft);
        }
        group.nodes = nodes.collect();
        (drafts, group)
    }

    /// Lets a launch that goes out now offer what else is sane, where caps leave room beside all that goes out.
    pub(super) fn widen(&mut self, draft: &mut Draft) {
        if !draft.is_now || draft.capacity_type == CapacityType::OnDemand {
            return;
        }
        let vcpus = |name: &InstanceTypeName| vcpus(self.snapshot, name);
        let offered: BTreeSet<Market> = draft.markets.iter().cloned().collect();
        let dearest = draft.markets.last().map(|market| self.cost(market));
        let sane = &draft.candidates[..self.sane(&draft.candidates)];
        let is_spare = |place: &&Market| !offered.contains(place) && Some(self.cost(place)) >= dearest;
        let spare: Vec<Market> = sane.iter().filter(is_spare).cloned().collect();
        let count = draft.nodes.len();
        let nodes = i64::try_from(count).unwrap_or(i64::MAX);
        let worst = &mut self.books.worst;
        worst.book(&draft.markets, -nodes, vcpus);
        for place in spare {
            draft.markets.push(place);
            let places: Vec<&Market> = draft.markets.iter().collect();
            if self.caps.room(worst, &places, count, &vcpus) < count {
                draft.markets.pop();
            }
        }
        worst.book(&draft.markets, nodes, vcpus);
        draft.narrow(self.snapshot);
    }

    /// How many of a group's candidates one launch gets by itself.
    pub(super) fn sane(&self, candidates: &[Market]) -> usize {
        let first = candidates.first();
        let planned = first.map_or(0, |first| self.cost(first));
        let ceiling = planned.saturating_mul(SANE_PRICE_PERCENT) / 100;
        let least = self.flexibility().min(candidates.len());
        self.sufficing(candidates, self.within(candidates, ceiling).max(least))
    }

    /// So many candidates, or as many more as `minValues` asks for.
    fn sufficing(&self, candidates: &[Market], mut count: usize) -> usize {
        let suffices = |places: &[Market]| has_min_values(self.supply, self.stock, places);
        while count < candidates.len() && !suffices(&candidates[..count]) {
            count += 1;
        }
        count
    }

    /// What a node may cost at most: its planned type on demand, or what is sane where that is more.
    fn dearest(&self, candidates: &[Market]) -> i64 {
        let Some(first) = candidates.first() else {
            return 0;
        };
        let on_demand = self.snapshot.catalogue.on_demand_prices.get(&first.instance_type);
        let sane = self.cost(first).saturating_mul(SANE_PRICE_PERCENT) / 100;
        sane.max(on_demand.map_or(0, |price| price.0))
    }

    /// What a node costs in the cheapest of its places that has room; with none, the most it may cost.
    pub(super) fn next_price(&self, candidates: &[Market]) -> PricePerHour {
        let open = candidates.iter().find(|market| !self.is_full(market));
        let dearest = self.dearest(candidates);
        let price = open.map_or(dearest, |market| spot_price(self.snapshot, market));
        PricePerHour(price.min(dearest))
    }

    /// Candidates that cost no more than a node may, and more where `minValues` asks for them.
    fn affordable<'m>(&self, candidates: &'m [Market]) -> &'m [Market] {
        &candidates[..self.sufficing(candidates, self.within(candidates, self.dearest(candidates)))]
    }

    fn within(&self, candidates: &[Market], ceiling: i64) -> usize {
        let is_within = |market: &&Market| self.cost(market) <= ceiling;
        candidates.iter().take_while(is_within).count()
    }

    fn cost(&self, market: &Market) -> i64 {
        cost(&self.costs, self.snapshot, market)
    }

    fn flexibility(&self) -> usize {
        usize::try_from(self.supply.view.effective.strategy.minimum_flexibility).unwrap_or(1)
    }
}

impl Draft {
    fn portion(&self) -> Portion {
        Portion {
            nodes: self.nodes.len(),
            markets: self.markets.clone(),
        }
    }

    /// Leaves its nodes the places of the launch: what is planned, and what it costs, is what may be bought.
    fn narrow(&mut self, snapshot: &Snapshot) {
        let first = self.markets.first();
        let price = first.and_then(|market| snapshot.catalogue.price(market, self.capacity_type));
        for node in &mut self.nodes {
            node.price = price.unwrap_or(node.price);
            node.candidates.clone_from(&self.markets);
        }
    }
}

/// What plans count with; of a market that is not on sale now, its price.
fn cost(costs: &BTreeMap<&Market, i64>, snapshot: &Snapshot, market: &Market) -> i64 {
    let known = costs.get(market).copied();
    known.unwrap_or_else(|| spot_price(snapshot, market))
}

fn spot_price(snapshot: &Snapshot, market: &Market) -> i64 {
    let price = snapshot.catalogue.price(market, CapacityType::Spot);
    price.unwrap_or(PricePerHour::ZERO).0
}

/// Whether the places keep as many distinct values of each label as `minValues` asks for.
fn has_min_values(supply: &Supply, stock: &Stock, places: &[Market]) -> bool {
    let counted: Vec<(&str, usize)> = supply
        .view
        .pool
        .requirements
        .iter()
        .filter_map(|own| Some((own.key.as_str(), usize::try_from(own.min_values?).ok()?)))
        .collect();
    if counted.is_empty() {
        return true;
    }
    let wanted: BTreeSet<&Market> = places.iter().collect();
    let offers: Vec<_> = stock
        .spot
        .iter()
        .filter(|offer| wanted.contains(offer.market()))
        .collect();
    counted.into_iter().all(|(key, least)| {
        let key = spotocean_core::label::normalized(key);
        let values: BTreeSet<_> = offers.iter().filter_map(|offer| offer.labels.get(key)).collect();
        values.len() >= least
    })
}

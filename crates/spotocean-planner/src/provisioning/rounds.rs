//! Which launches of equal spot nodes go out now, and which follow EC2's answers.
//!
//! EC2 may put a whole launch into any one of the places it is offered, and
//! says within two seconds which it was. Two books are kept of each pool: in
//! `worst` a launch without an answer counts in full in each of its places, in
//! `expected` in its cheapest. The next nodes are due at the price of the
//! cheapest place that has room in `expected`. They go now when `worst` has
//! room in places enough at about that price, so that caps hold whatever EC2
//! picks; else they follow the answers, which make room again in all places but
//! those that EC2 picked.
//!
//! Nothing waits unless an answer is due. And while the launches of a look come
//! to less than one market may hold, more go out at whatever price, to fewer
//! places if need be: as long as places have room at all, a purchase takes no
//! more rounds than that share goes into the whole.

use spotocean_core::id::InstanceTypeName;
use spotocean_core::offering::Market;

use super::share::{Caps, Holdings, Portion};

/// What goes now may cost this many percent of what it would cost after an answer.
const PATIENCE_PERCENT: i64 = 105;

/// The two books of a pool.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Launches without an answer in full in each of their places.
    pub worst: Holdings,
    /// Launches without an answer in their cheapest place.
    pub expected: Holdings,
    /// Whether a launch of an earlier look is about to be answered.
    pub is_answer_due: bool,
    /// vCPUs that go out in this look, counted low.
    sent: i64,
}

/// By what equal nodes are dealt to launches.
pub struct Dealer<'a, V, P, S> {
    /// What each place may hold.
    pub caps: Caps,
    /// Places that each launch should offer.
    pub flexibility: usize,
    /// vCPUs of a type.
    pub vcpus: &'a V,
    /// Micro-dollars an hour of a place.
    pub price: &'a P,
    /// Whether a launch's places alone are enough for it (`minValues`).
    pub suffices: &'a S,
}

/// What becomes of equal nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deal {
    /// Launches that go out now.
    pub now: Vec<Portion>,
    /// Launches that follow, if each one before is answered with its cheapest place.
    pub later: Vec<Portion>,
    /// Nodes that find no room at the price.
    pub left: usize,
}

/// The most that is about the same price.
#[must_use]
pub fn about(price: i64) -> i64 {
    price.saturating_mul(PATIENCE_PERCENT) / 100
}

impl Books {
    /// Books a launch that goes out now, its cheapest place first.
    pub fn send(&mut self, portion: &Portion, vcpus: &impl Fn(&InstanceTypeName) -> i64) {
        self.book(portion, true, 1, vcpus);
    }

    /// Books a launch that follows, its cheapest place first.
    pub fn follow(&mut self, portion: &Portion, vcpus: &impl Fn(&InstanceTypeName) -> i64) {
        self.book(portion, false, 1, vcpus);
    }

    /// Takes the booking of a launch back.
    pub fn withdraw(&mut self, portion: &Portion, is_now: bool, vcpus: &impl Fn(&InstanceTypeName) -> i64) {
        self.book(portion, is_now, -1, vcpus);
    }

    fn book(
        &mut self,
        portion: &Portion,
        is_now: bool,
        sign: i64,
        vcpus: &impl Fn(&InstanceTypeName) -> i64,
    ) {
        let nodes = sign * i64::try_from(portion.nodes).unwrap_or(i64::MAX);
        let cheapest = portion.markets.get(..1).unwrap_or_default();
        self.expected.book(cheapest, nodes, vcpus);
        if is_now {
            self.worst.book(&portion.markets, nodes, vcpus);
            let types = portion.markets.iter().map(|place| &place.instance_type);
            let smallest = types.map(vcpus).min().unwrap_or(0);
            self.sent = self.sent.saturating_add(smallest.saturating_mul(nodes));
        }
    }

    fn may_wait(&self) -> bool {
        self.is_answer_due || self.sent > 0
    }
}

impl<V, P, S> Dealer<'_, V, P, S>
where
    V: Fn(&InstanceTypeName) -> i64,
    P: Fn(&Market) -> i64,
    S: Fn(&[Market]) -> bool,
{
    /// Deals nodes to launches over `candidates`, cheapest first, none dearer than `ceiling`, and books them.
    pub fn deal(&self, books: &mut Books, candidates: &[Market], nodes: usize, ceiling: i64) -> Deal {
        let mut deal = Deal {
            left: nodes,
            ..Deal::default()
        };
        while deal.left > 0 {
            let open = self.open(&books.expected, candidates);
            if open.first().is_none_or(|place| (self.price)(place) > ceiling) {
                break;
            }
            let has_gone = !deal.now.is_empty();
            let at_once = self.at_once(books, candidates, &open, deal.left, has_gone);
            let is_dear = |portion: &Portion| (self.price)(&portion.markets[0]) > ceiling;
            if let Some(portion) = at_once.filter(|portion| !is_dear(portion)) {
                books.send(&portion, self.vcpus);
                deal.left -= portion.nodes;
                deal.now.push(portion);
                continue;
            }
            let later = self.portion(&books.expected, &open, deal.left);
            let Some(portion) = later.filter(|_| books.may_wait()) else {
                break;
            };
            books.follow(&portion, self.vcpus);
            deal.left -= portion.nodes;
            deal.later.push(portion);
        }
        deal
    }

    /// A launch that may go out now; `has_gone` says whether some of its equals do.
    fn at_once(
        &self,
        books: &Books,
        candidates: &[Market],
        expected: &[&Market],
        nodes: usize,
        has_gone: bool,
    ) -> Option<Portion> {
        let open = self.open(&books.worst, candidates);
        let (first, due) = open.first().zip(expected.first())?;
        let node = (self.vcpus)(&first.instance_type);
        let is_short = !books.is_answer_due && books.sent.saturating_add(node) <= self.caps.market;
        let is_cheap = (self.price)(first) <= about((self.price)(due)) || is_short;
        let is_wide = open.len() >= self.flexibility.min(expected.len()) || (is_short && has_gone);
        let goes = (is_cheap && is_wide) || !books.may_wait();
        goes.then(|| self.portion(&books.worst, &open, nodes)).flatten()
    }

    /// Places that bear one more node, cheapest first.
    fn open<'m>(&self, holdings: &Holdings, candidates: &'m [Market]) -> Vec<&'m Market> {
        let bears_one = |place: &&Market| self.caps.room(holdings, &[*place], 1, self.vcpus) > 0;
        candidates.iter().filter(bears_one).collect()
    }

    /// As many nodes as the first of these places bear, so many places that a launch needs no more.
    fn portion(&self, holdings: &Holdings, open: &[&Market], nodes: usize) -> Option<Portion> {
        let mut count = self.flexibility.max(1).min(open.len());
        let mut markets: Vec<Market> = open[..count].iter().map(|place| (*place).clone()).collect();
        while !(self.suffices)(&markets) {
            markets.push((*open.get(count)?).clone());
            count += 1;
        }
        let nodes = self.caps.room(holdings, &open[..count], nodes, self.vcpus);
        (nodes > 0).then_some(Portion { nodes, markets })
    }
}

#[cfg(test)]
mod tests;

//! Which pods could be bound one after the other, where each affinity wants a mate
//! that is bound already.
//!
//! Pods that seek nothing come first, then whatever finds a mate among those, again
//! and again; where nobody does, a pod that is a mate to itself may be the first of
//! its group. What is asked of a place is answered from counts: bound mates by
//! domain, and in all. Cost: pairs of class and node × affinities, times the length
//! of the longest chain.

use crate::census::Census;
use crate::model::Model;
use crate::topology::Policy;

/// Pods of one class on one spot: the class, the spot.
pub(crate) type Pair = (usize, usize);

/// What each class is to the affinities of others.
struct Roles {
    /// By class, the affinities that count it: counters.
    sought_in: Vec<Vec<usize>>,
    /// By class, the classes that seek it.
    sought_by: Vec<Vec<usize>>,
    /// By class, whether one of those seeks it on its own node.
    is_sought_on_host: Vec<bool>,
}

impl Roles {
    fn of(model: &Model<'_>) -> Self {
        let topology = &model.topology;
        let classes = model.classes.len();
        let is_affinity = |index: &usize| topology.counters[*index].policy == Policy::Together;
        let mut roles = Self {
            sought_in: topology
                .counted
                .iter()
                .map(|counted| only(counted, is_affinity))
                .collect(),
            sought_by: vec![Vec::new(); classes],
            is_sought_on_host: vec![false; classes],
        };
        for (seeker, group) in topology.groups.iter().enumerate() {
            let Some(group) = group else { continue };
            for member in (0..classes).filter(|class| group.members[*class]) {
                roles.sought_by[member].push(seeker);
                roles.is_sought_on_host[member] |= group.is_on_host;
            }
        }
        roles
    }
}

fn only(indices: &[usize], is_meant: impl Fn(&usize) -> bool) -> Vec<usize> {
    indices.iter().copied().filter(is_meant).collect()
}

/// The pods bound so far.
pub(crate) struct Grounding<'a, 'p> {
    model: &'a Model<'p>,
    census: &'a Census,
    roles: Roles,
    /// By class, the counters of its own affinities.
    sought: Vec<Vec<usize>>,
    /// Pairs bound by counter and value; none where a counter is no affinity.
    mates: Vec<Vec<i64>>,
    /// Pairs bound that each class seeks, wherever they are.
    met: Vec<i64>,
    /// Classes bound on each spot, where some class seeks them there.
    here: Vec<Vec<usize>>,
}

impl<'a, 'p> Grounding<'a, 'p> {
    /// All pods that can be bound, and in order the pairs that cannot.
    pub(crate) fn whole(model: &'a Model<'p>, census: &'a Census) -> (Self, Vec<Pair>) {
        let mut grounding = Self::of(model, census);
        let mut waiting: Vec<Pair> = Vec::new();
        for (class, holders) in census.by_class.iter().enumerate() {
            let pairs = holders.iter().map(|(spot, _)| (class, *spot));
            if model.topology.groups[class].is_some() {
                waiting.extend(pairs);
            } else {
                pairs.for_each(|pair| grounding.bind(pair));
            }
        }
        grounding.bind_in_turn(&mut waiting);
        (grounding, waiting)
    }

    /// Nothing is bound.
    fn of(model: &'a Model<'p>, census: &'a Census) -> Self {
        let topology = &model.topology;
        let is_affinity = |index: &usize| topology.counters[*index].policy == Policy::Together;
        let counters = topology.counters.iter();
        Self {
            model,
            census,
            roles: Roles::of(model),
            sought: topology.held.iter().map(|held| only(held, is_affinity)).collect(),
            mates: counters.map(|counter| vec![0; counter.residents.len()]).collect(),
            met: vec![0; model.classes.len()],
            here: vec![Vec::new(); census.spots.len()],
        }
    }

    fn bind(&mut self, pair: Pair) {
        self.count(pair, 1);
        if self.roles.is_sought_on_host[pair.0] {
            self.here[pair.1].push(pair.0);
        }
    }

    fn unbind(&mut self, pair: Pair) {
        self.count(pair, -1);
        let here = &mut self.here[pair.1];
        if let Some(position) = here.iter().position(|class| *class == pair.0) {
            here.swap_remove(position);
        }
    }

    fn count(&mut self, (class, spot): Pair, by: i64) {
        for index in &self.roles.sought_in[class] {
            let key = self.model.topology.counters[*index].key;
            if let Some(value) = self.census.value(self.model, spot, key) {
                self.mates[*index][value] += by;
            }
        }
        for seeker in &self.roles.sought_by[class] {
            self.met[*seeker] += by;
        }
    }

    /// Binds what can be bound in some order; what is left of `waiting` cannot. The
    /// order of `waiting` decides which pair is the first of its group.
    fn bind_in_turn(&mut self, waiting: &mut Vec<Pair>) {
        loop {
            let before = waiting.len();
            waiting.retain(|pair| {
                let finds_mate = self.finds_mate(*pair);
                if finds_mate {
                    self.bind(*pair);
                }
                !finds_mate
            });
            if waiting.len() < before {
                continue;
            }
            let Some(first) = waiting.iter().position(|(class, _)| self.may_be_first(*class)) else {
                return;
            };
            let pair = waiting.remove(first);
            self.bind(pair);
        }
    }

    /// Whether the only pod of a pair could be bound last of all as well: its mates
    /// may have come only after it, and gone elsewhere.
    pub(crate) fn holds_as_last(&mut self, pair: Pair) -> bool {
        self.unbind(pair);
        let holds = self.finds_mate(pair) || self.may_be_first(pair.0);
        self.bind(pair);
        holds
    }

    fn may_be_first(&self, class: usize) -> bool {
        self.model.topology.groups[class].as_ref().is_some_and(|group| {
            group.is_own_member && group.residents_in_domains == 0 && self.met[class] == 0
        })
    }

    /// In the domain of each of the class's terms there is a mate.
    fn finds_mate(&self, (class, spot): Pair) -> bool {
        let topology = &self.model.topology;
        let Some(group) = topology.groups[class].as_ref() else {
            return true;
        };
        let on_host = || {
            let site = self.census.site(spot);
            site.is_some_and(|site| group.residents[site] > 0)
                || self.here[spot].iter().any(|other| group.members[*other])
        };
        let in_domain = |index: &usize| {
            let counter = &topology.counters[*index];
            let value = self.census.value(self.model, spot, counter.key);
            value.is_some_and(|value| counter.residents[value] > 0 || self.mates[*index][value] > 0)
        };
        (!group.is_on_host || on_host()) && self.sought[class].iter().all(in_domain)
    }
}

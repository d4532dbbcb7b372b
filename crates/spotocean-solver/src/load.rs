//! One node being filled: what is free, and how many more pods of a class it takes.
//!
//! Covers everything that concerns one node alone: resources, host ports, attach
//! limits, and the host rules of [`crate::topology`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_core::pod::HostPort;

use crate::dimension::{self, Vector};
use crate::model::{self, Model};

/// Volumes attached under one driver.
#[derive(Clone, Debug, Default)]
struct Attached<'p> {
    /// Volumes that nothing else uses.
    own: i64,
    /// Volumes by name, each attached once.
    shared: BTreeSet<&'p str>,
}

impl Attached<'_> {
    fn count(&self) -> i64 {
        self.own
            .saturating_add(i64::try_from(self.shared.len()).unwrap_or(i64::MAX))
    }
}

/// Pods planned for a node that one host rule concerns.
#[derive(Clone, Copy, Debug, Default)]
struct Ruled {
    members: i64,
    holders: i64,
}

/// A node and what is on it.
#[derive(Clone, Debug)]
pub(crate) struct Load<'p> {
    /// What is free; may be negative.
    pub(crate) free: Vector,
    /// Pods planned for it: class and count, in order of arrival.
    pub(crate) classes: Vec<(usize, i64)>,
    site: Option<usize>,
    /// By host rule that concerns some pod here: its members and its holders among them.
    rules: Vec<(usize, Ruled)>,
    ports: Vec<&'p HostPort>,
    attached: BTreeMap<&'p str, Attached<'p>>,
    attach_limits: &'p BTreeMap<Arc<str>, i64>,
}

impl<'p> Load<'p> {
    /// A new node of this offer.
    pub(crate) fn of_offer(model: &Model<'p>, offer: usize) -> Self {
        let offer = &model.market.offers[offer];
        Self {
            free: offer.free.clone(),
            classes: Vec::new(),
            site: None,
            rules: Vec::new(),
            ports: model.market.cells[offer.cell].ports.clone(),
            attached: BTreeMap::new(),
            attach_limits: &offer.spec.attach_limits,
        }
    }

    /// A node that is there.
    pub(crate) fn of_site(model: &Model<'p>, site: usize) -> Self {
        let place = &model.sites.sites[site];
        let attached = place.node.attached.iter().map(|(driver, volumes)| {
            let shared = volumes.iter().map(AsRef::as_ref).collect();
            (driver.as_ref(), Attached { own: 0, shared })
        });
        Self {
            free: place.free.clone(),
            classes: Vec::new(),
            site: Some(site),
            rules: Vec::new(),
            ports: place.ports.clone(),
            attached: attached.collect(),
            attach_limits: &place.node.attach_limits,
        }
    }

    /// How many more pods of `class` fit, at most `most`.
    pub(crate) fn room(&self, model: &Model<'p>, class: usize, most: i64) -> i64 {
        let by_resources = dimension::copies(&model.requests[class], &self.free, most);
        if by_resources <= 0 {
            return 0;
        }
        let by_ports = self.room_for_ports(model, class, by_resources);
        let by_rules = self.room_under_rules(model, class, by_ports);
        self.room_for_volumes(model, class, by_rules).max(0)
    }

    fn room_for_ports(&self, model: &Model<'p>, class: usize, most: i64) -> i64 {
        let ports = &model.classes[class].shape().host_ports;
        if ports.is_empty() {
            return most;
        }
        if model::ports_conflict(ports.iter(), &self.ports) {
            0
        } else {
            most.min(1)
        }
    }

    fn room_under_rules(&self, model: &Model<'p>, class: usize, most: i64) -> i64 {
        let topology = &model.topology;
        let mut room = most;
        for index in &topology.rules_held[class] {
            let rule = &topology.rules[*index];
            let left = rule.most - self.ruled(*index).members - self.residents(&rule.residents);
            room = match (rule.members[class], left) {
                (true, left) => room.min(left),
                (false, left) if left < 0 => 0,
                (false, _) => room,
            };
        }
        for index in &topology.rules_counted[class] {
            let (rule, ruled) = (&topology.rules[*index], self.ruled(*index));
            if ruled.holders > 0 {
                room = room.min(rule.most - ruled.members - self.residents(&rule.residents));
            }
        }
        room
    }

    fn ruled(&self, rule: usize) -> Ruled {
        let found = self.rules.binary_search_by_key(&rule, |(known, _)| *known);
        found.map_or_else(|_| Ruled::default(), |position| self.rules[position].1)
    }

    fn ruled_mut(&mut self, rule: usize) -> &mut Ruled {
        let found = self.rules.binary_search_by_key(&rule, |(known, _)| *known);
        let position = found.unwrap_or_else(|position| {
            self.rules.insert(position, (rule, Ruled::default()));
            position
        });
        &mut self.rules[position].1
    }

    /// Counts pods of a class, or takes them off, wherever a host rule concerns them.
    fn count_ruled(&mut self, model: &Model<'p>, class: usize, count: i64) {
        for rule in &model.topology.rules_held[class] {
            self.ruled_mut(*rule).holders += count;
        }
        for rule in &model.topology.rules_counted[class] {
            self.ruled_mut(*rule).members += count;
        }
    }

    fn residents(&self, residents: &[i64]) -> i64 {
        self.site.map_or(0, |site| residents[site])
    }

    fn room_for_volumes(&self, model: &Model<'p>, class: usize, most: i64) -> i64 {
        let mut wanted: BTreeMap<&str, Attached<'_>> = BTreeMap::new();
        for attachment in &model.classes[class].attachments {
            let Some(driver) = attachment
                .driver
                .filter(|driver| self.attach_limits.contains_key(*driver))
            else {
                continue;
            };
            let wanted = wanted.entry(driver).or_default();
            match attachment.shared {
                None => wanted.own += 1,
                Some(name) if self.has_attached(driver, name) => {}
                Some(name) => {
                    wanted.shared.insert(name);
                }
            }
        }
        let room = |(driver, wanted): (&str, Attached<'_>)| {
            let used = self.attached.get(driver).map_or(0, Attached::count);
            let left = self
                .attach_limits
                .get(driver)
                .map_or(i64::MAX, |limit| limit.saturating_sub(used));
            let once = wanted.count() - wanted.own;
            match (left.saturating_sub(once), wanted.own) {
                (_, 0) if once == 0 => most,
                (left, _) if left < 0 => 0,
                (_, 0) => most,
                (left, own) => most.min(left / own),
            }
        };
        wanted.into_iter().map(room).min().unwrap_or(most)
    }

    fn has_attached(&self, driver: &str, name: &str) -> bool {
        self.attached
            .get(driver)
            .is_some_and(|attached| attached.shared.contains(name))
    }

    /// Puts `count` pods of `class` there.
    pub(crate) fn add(&mut self, model: &Model<'p>, class: usize, count: i64) {
        dimension::subtract(&mut self.free, &model.requests[class], count);
        match self.classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, present)) => *present += count,
            None => self.classes.push((class, count)),
        }
        self.count_ruled(model, class, count);
        let described = &model.classes[class];
        self.ports.extend(described.shape().host_ports.iter());
        for attachment in &described.attachments {
            let Some(driver) = attachment.driver else { continue };
            let attached = self.attached.entry(driver).or_default();
            match attachment.shared {
                None => attached.own = attached.own.saturating_add(count),
                Some(name) => {
                    attached.shared.insert(name);
                }
            }
        }
    }

    /// Takes `count` pods of `class` away again. Ports and volumes stay
    /// reserved: pods leave only when the plan is being cut down.
    pub(crate) fn remove(&mut self, model: &Model<'p>, class: usize, count: i64) {
        dimension::subtract(&mut self.free, &model.requests[class], -count);
        self.count_ruled(model, class, -count);
        for (known, present) in &mut self.classes {
            if *known == class {
                *present -= count;
            }
        }
        self.classes.retain(|(_, present)| *present > 0);
    }

    /// Pods of `class` planned for it.
    pub(crate) fn count(&self, class: usize) -> i64 {
        self.classes
            .iter()
            .find(|(known, _)| *known == class)
            .map_or(0, |(_, count)| *count)
    }

    /// Members on it, those already there included.
    pub(crate) fn members(&self, members: &[bool], residents: &[i64]) -> i64 {
        self.planned_members(members) + self.site.map_or(0, |site| residents[site])
    }

    /// Members planned for it.
    pub(crate) fn planned_members(&self, members: &[bool]) -> i64 {
        let planned = self.classes.iter().filter(|(class, _)| members[*class]);
        planned.map(|(_, count)| count).sum()
    }
}

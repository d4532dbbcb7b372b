//! Rules about single nodes: what spreads and anti-affinity on the host name come to.
//!
//! Nothing is counted per domain here, since each node is a domain of its own: a
//! rule only says how many pods of some classes may be on a node together with a
//! pod of a class that holds the rule. Classes with equal rules share one.

use std::collections::BTreeMap;

/// How many pods of the members one node may hold beside a pod of a holder.
#[derive(Clone, Debug)]
pub(crate) struct HostRule {
    /// Classes that hold it.
    pub(crate) holders: Vec<bool>,
    /// Classes it counts.
    pub(crate) members: Vec<bool>,
    /// The most members, holders' own pods included where they are members.
    pub(crate) most: i64,
    /// Whether it is a spread: then it says what a new node may hold while empty
    /// ones may still come, and nothing final about a node that is there.
    pub(crate) is_spread: bool,
    /// Members already there, by site.
    pub(crate) residents: Vec<i64>,
}

/// What makes two rules equal: members, the most of them, whether it is a spread, and members already there.
type Key = (Vec<bool>, i64, bool, Vec<i64>);

/// Equal rules together, with all their holders.
pub(crate) fn gathered(rules: Vec<HostRule>) -> Vec<HostRule> {
    let mut known: BTreeMap<Key, Vec<bool>> = BTreeMap::new();
    for rule in rules {
        let key = (rule.members, rule.most, rule.is_spread, rule.residents);
        match known.get_mut(&key) {
            Some(holders) => {
                let pairs = holders.iter_mut().zip(&rule.holders);
                pairs.for_each(|(known, holds)| *known |= holds);
            }
            None => {
                known.insert(key, rule.holders);
            }
        }
    }
    let rules = known.into_iter();
    rules
        .map(|((members, most, is_spread, residents), holders)| HostRule {
            holders,
            members,
            most,
            is_spread,
            residents,
        })
        .collect()
}

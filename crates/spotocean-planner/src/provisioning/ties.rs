//! Pods whose place depends on where others are bound.
//!
//! kube-scheduler binds one pod at a time and looks at what is bound already.
//! A pod that must be spread over zones is tried in vain while the other zones
//! lag behind; one that must be beside others goes where the first of them
//! went, and waits for good where that has no room.

use spotocean_core::label::HOSTNAME;
use spotocean_core::pod::{Pod, PodShape};
use spotocean_core::topology::{TopologySpread, WhenUnsatisfiable};

/// How much it matters that a pod is bound at its own place, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tie {
    /// It is at home wherever it fits.
    Loose,
    /// It must keep its distance or its balance: elsewhere it upsets a plan.
    Apart,
    /// It must be where others are: elsewhere it draws them with it.
    Beside,
    /// On the very node where others are, which room on other nodes does not help.
    OnHost,
}

impl Tie {
    /// That of a pod of this shape.
    #[must_use]
    pub fn of(shape: &PodShape) -> Self {
        let is_on_host = || shape.affinity.iter().any(|term| *term.topology_key == *HOSTNAME);
        match shape.affinity.is_empty() {
            false if is_on_host() => Self::OnHost,
            false => Self::Beside,
            true if shape.anti_affinity.is_empty() && !shape.spread.iter().any(is_hard) => Self::Loose,
            true => Self::Apart,
        }
    }
}

fn is_hard(spread: &TopologySpread) -> bool {
    spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
}

/// Whether a pod may have to wait until others like `other` are bound. Namespaces of affinity terms are not looked at:
/// it is rather said of too many.
#[must_use]
pub fn waits_for(pod: &Pod, other: &Pod) -> bool {
    let shape = &pod.shape;
    let spreads = shape.spread.iter().filter(|spread| is_hard(spread));
    let spreads = spreads.filter(|_| pod.namespace() == other.namespace());
    let terms = shape.affinity.iter();
    let mut selectors = spreads
        .map(|spread| &spread.selector)
        .chain(terms.map(|term| &term.selector));
    selectors.any(|selector| selector.as_ref().is_some_and(|own| own.matches(&other.labels)))
}

//! Taints and tolerations, decided as kube-scheduler's TaintToleration plugin does.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// New pods stay away and running ones are evicted.
    NoExecute,
}

impl TaintEffect {
    /// Kubernetes' word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }

    /// Reads Kubernetes' word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::NoSchedule, Self::PreferNoSchedule, Self::NoExecute]
            .into_iter()
            .find(|effect| effect.as_str() == text)
    }
}

/// A node's taint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Taint {
    /// The taint's key.
    pub key: Arc<str>,
    /// The taint's value; empty when unset.
    pub value: Arc<str>,
    /// What it does.
    pub effect: TaintEffect,
}

impl Taint {
    /// Whether the taint keeps an intolerant pod off the node.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.effect != TaintEffect::PreferNoSchedule
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}:{}", self.key, self.effect.as_str())
        } else {
            write!(f, "{}={}:{}", self.key, self.value, self.effect.as_str())
        }
    }
}

/// How a toleration compares values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TolerationOperator {
    /// Key and value must be equal.
    Equal,
    /// The key alone decides; an empty key tolerates everything.
    Exists,
}

/// A pod's toleration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Toleration {
    /// The taint key, empty for all keys (with `Exists`).
    pub key: Arc<str>,
    /// How values compare.
    pub operator: TolerationOperator,
    /// The value for `Equal`.
    pub value: Arc<str>,
    /// The effect that is tolerated; `None` tolerates all effects.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether this toleration tolerates `taint` (core/v1 `ToleratesTaint`).
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect_matches = self.effect.is_none_or(|effect| effect == taint.effect);
        let key_matches = self.key.is_empty() || self.key == taint.key;
        let value_matches = match self.operator {
            TolerationOperator::Exists => true,
            TolerationOperator::Equal => self.value == taint.value,
        };
        effect_matches && key_matches && value_matches
    }
}

/// The first hard taint among `taints` that none of `tolerations` tolerates.
pub fn untolerated<'a>(
    taints: impl IntoIterator<Item = &'a Taint>,
    tolerations: &[Toleration],
) -> Option<&'a Taint> {
    taints
        .into_iter()
        .filter(|taint| taint.is_hard())
        .find(|taint| !tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
        Taint {
            key: key.into(),
            value: value.into(),
            effect,
        }
    }

    fn toleration(
        key: &str,
        operator: TolerationOperator,
        value: &str,
        effect: Option<TaintEffect>,
    ) -> Toleration {
        Toleration {
            key: key.into(),
            operator,
            value: value.into(),
            effect,
        }
    }

    #[test]
    fn tolerations_decide_as_kubernetes_does() {
        use TaintEffect::{NoExecute, NoSchedule};
        use TolerationOperator::{Equal, Exists};
        let dedicated = taint("dedicated", "gpu", NoSchedule);
        let rows = [
            (toleration("dedicated", Equal, "gpu", Some(NoSchedule)), true),
            (toleration("dedicated", Equal, "gpu", None), true),
            (toleration("dedicated", Equal, "cpu", None), false),
            (toleration("dedicated", Exists, "", Some(NoSchedule)), true),
            (toleration("dedicated", Exists, "", Some(NoExecute)), false),
            (toleration("", Exists, "", None), true),
            (toleration("other", Exists, "", None), false),
        ];
        for (toleration, expected) in rows {
            assert_eq!(toleration.tolerates(&dedicated), expected, "{toleration:?}");
        }
    }

    #[test]
    fn soft_taints_never_keep_a_pod_off() {
        let soft = taint("slow", "", TaintEffect::PreferNoSchedule);
        let hard = taint("hard", "", TaintEffect::NoSchedule);
        assert_eq!(untolerated([&soft], &[]), None);
        assert_eq!(untolerated([&soft, &hard], &[]), Some(&hard));
    }
}

//! What a pool leaves out unless its requirements speak of it.
//!
//! With no word on it: amd64, categories c, m and r, generation above 2, at
//! least 2 vCPUs, nothing burstable, bare metal or accelerated. A requirement
//! on a key speaks for that key; naming families or types outright (`In`)
//! speaks for everything that follows from them.

use spotocean_core::instance_type::{Architecture, InstanceType, name_parts};
use spotocean_core::label;
use spotocean_core::requirement::{Operator, Requirement};

const CATEGORIES: [&str; 3] = ["c", "m", "r"];
const GENERATION_MIN: i64 = 3;
const VCPUS_MIN: i64 = 2;

/// Which keys a pool's requirements speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    architecture: bool,
    category: bool,
    generation: bool,
    vcpus: bool,
    burstable: bool,
    metal: bool,
    accelerators: bool,
}

impl Spoken {
    /// Reads a pool's requirements.
    #[must_use]
    pub(super) fn of(requirements: &[Requirement]) -> Self {
        let speaks = |keys: &[&str]| requirements.iter().any(|own| keys.contains(&own.key.as_ref()));
        let names = |keys: &[&str]| {
            requirements
                .iter()
                .any(|own| own.operator == Operator::In && keys.contains(&own.key.as_ref()))
        };
        let types = names(&[label::INSTANCE_TYPE, label::INSTANCE_FAMILY]);
        Self {
            architecture: types || speaks(&[label::ARCH]),
            category: types || speaks(&[label::INSTANCE_CATEGORY]),
            generation: types || speaks(&[label::INSTANCE_GENERATION]),
            vcpus: types || speaks(&[label::INSTANCE_CPU]),
            burstable: types || names(&[label::INSTANCE_CATEGORY]),
            metal: names(&[label::INSTANCE_TYPE])
                || speaks(&[label::INSTANCE_SIZE, label::INSTANCE_HYPERVISOR]),
            accelerators: types
                || names(&[label::INSTANCE_CATEGORY])
                || speaks(&[label::INSTANCE_GPU_NAME, label::INSTANCE_GPU_COUNT]),
        }
    }

    /// Whether the defaults let a type through.
    #[must_use]
    pub(super) fn admits(self, instance_type: &InstanceType) -> bool {
        let parts = name_parts(instance_type.name.as_str());
        let generation = parts.generation.unwrap_or(0);
        (self.architecture || instance_type.architecture == Architecture::Amd64)
            && (self.category || CATEGORIES.contains(&parts.category))
            && (self.generation || generation >= GENERATION_MIN)
            && (self.vcpus || instance_type.vcpus >= VCPUS_MIN)
            && (self.burstable || !instance_type.is_burstable)
            && (self.metal || !instance_type.is_bare_metal)
            && (self.accelerators || instance_type.accelerators.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use spotocean_core::instance_type::{Accelerator, InstanceType};

    use super::*;
    use crate::fixtures;

    fn accelerated(name: &str) -> InstanceType {
        InstanceType {
            accelerators: vec![Accelerator {
                resource: "nvidia.com/gpu".into(),
                name: "t4".into(),
                count: 1,
            }],
            ..fixtures::instance_type(name, 4, 16)
        }
    }

    fn metal(name: &str) -> InstanceType {
        InstanceType {
            is_bare_metal: true,
            ..fixtures::instance_type(name, 96, 384)
        }
    }

    #[test]
    fn defaults_hold_until_a_requirement_speaks() {
        let none = || vec![];
        let speak = |key, operator, value| vec![Requirement::new(key, operator, [value])];
        let plain = |name: &str| fixtures::instance_type(name, 2, 8);
        let rows = [
            (none(), plain("m5.large"), true),
            (none(), plain("m6g.large"), false),
            (none(), plain("t3.large"), false),
            (none(), plain("m2.large"), false),
            (none(), fixtures::instance_type("m5.tiny", 1, 2), false),
            (none(), accelerated("g4dn.xlarge"), false),
            (none(), metal("m5.metal"), false),
            (
                speak(label::ARCH, Operator::In, "arm64"),
                plain("m6g.large"),
                true,
            ),
            (
                speak(label::INSTANCE_CATEGORY, Operator::In, "t"),
                plain("t3.large"),
                true,
            ),
            (
                speak(label::INSTANCE_CATEGORY, Operator::NotIn, "m"),
                accelerated("g4dn.xlarge"),
                false,
            ),
            (
                speak(label::INSTANCE_CATEGORY, Operator::In, "g"),
                accelerated("g4dn.xlarge"),
                true,
            ),
            (
                speak(label::INSTANCE_TYPE, Operator::In, "m5.metal"),
                metal("m5.metal"),
                true,
            ),
            (
                speak(label::INSTANCE_FAMILY, Operator::In, "m5"),
                metal("m5.metal"),
                false,
            ),
            (
                speak(label::INSTANCE_FAMILY, Operator::In, "m6g"),
                plain("m6g.large"),
                true,
            ),
            (
                speak(label::INSTANCE_FAMILY, Operator::NotIn, "m5"),
                plain("m6g.large"),
                false,
            ),
        ];
        for (requirements, instance_type, expected) in rows {
            assert_eq!(
                Spoken::of(&requirements).admits(&instance_type),
                expected,
                "{} with {requirements:?}",
                instance_type.name
            );
        }
    }
}

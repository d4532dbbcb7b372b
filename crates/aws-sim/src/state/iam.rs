//! Roles and instance profiles. Policies are not evaluated; `/_sim/deny` stands in for them.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::random;
use crate::state::{ACCOUNT, Tags};

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// Name.
    pub name: String,
    /// Path, `/` unless given.
    pub path: String,
    /// Tags.
    pub tags: Tags,
}

impl Role {
    /// The role's ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role{}{}", self.path, self.name)
    }
}

/// An instance profile.
#[derive(Debug, Clone)]
pub struct InstanceProfile {
    /// Name.
    pub name: String,
    /// Path.
    pub path: String,
    /// The role it carries; one at most.
    pub role: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Moment,
}

impl InstanceProfile {
    /// The profile's id.
    pub fn id(&self, seed: u64) -> String {
        format!(
            "AIPA{}",
            random::hex(seed, &["profile", &self.name], 17).to_uppercase()
        )
    }

    /// The profile's ARN.
    pub fn arn(&self) -> String {
        format!(
            "arn:aws:iam::{ACCOUNT}:instance-profile{}{}",
            self.path, self.name
        )
    }
}

/// All of it, by name.
#[derive(Debug, Clone, Default)]
pub struct Iam {
    /// Roles.
    pub roles: BTreeMap<String, Role>,
    /// Instance profiles.
    pub profiles: BTreeMap<String, InstanceProfile>,
}

impl Iam {
    /// The node role of the cluster, and one that EKS does not know.
    pub fn prepared(cluster: &str) -> Iam {
        let names = [format!("SpotOceanNodeRole-{cluster}"), "SomeOtherRole".to_owned()];
        let roles = names
            .into_iter()
            .map(|name| {
                (
                    name.clone(),
                    Role {
                        name,
                        path: "/".to_owned(),
                        tags: Tags::new(),
                    },
                )
            })
            .collect();
        Iam {
            roles,
            profiles: BTreeMap::new(),
        }
    }

    /// The profile with this name or ARN.
    pub fn profile(&self, name_or_arn: &str) -> Option<&InstanceProfile> {
        self.profiles.get(name_or_arn).or_else(|| {
            self.profiles
                .values()
                .find(|profile| profile.arn() == name_or_arn)
        })
    }
}

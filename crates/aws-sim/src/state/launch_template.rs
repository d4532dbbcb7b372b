//! Launch templates: immutable numbered versions of launch data. The data is not judged here; EC2
//! too judges it only at launch.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::state::Tags;
use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// One version.
#[derive(Debug, Clone)]
pub struct Version {
    /// What was sent as `LaunchTemplateData`.
    pub data: Params,
    /// Description.
    pub description: Option<String>,
    /// When it was made.
    pub created: Moment,
}

/// A launch template.
#[derive(Debug, Clone)]
pub struct LaunchTemplate {
    /// Id.
    pub id: String,
    /// Name, unique in the region.
    pub name: String,
    /// When it was made.
    pub created: Moment,
    /// Number of the default version.
    pub default_version: u64,
    /// Highest number ever given.
    pub latest_version: u64,
    /// Versions by number.
    pub versions: BTreeMap<u64, Version>,
    /// Tags.
    pub tags: Tags,
}

impl LaunchTemplate {
    /// The version that `$Latest`, `$Default` or a number means.
    pub fn resolve(&self, version: &str) -> Result<(u64, &Version), ApiError> {
        let number = match version {
            "$Latest" => self.versions.keys().next_back().copied(),
            "$Default" => Some(self.default_version),
            other => other.parse().ok(),
        };
        number
            .and_then(|number| Some((number, self.versions.get(&number)?)))
            .ok_or_else(|| {
                ApiError::client(
                    "InvalidLaunchTemplateId.VersionNotFound",
                    format!(
                        "Could not find the specified version {version} for the launch template with ID {}.",
                        self.id
                    ),
                )
            })
    }
}

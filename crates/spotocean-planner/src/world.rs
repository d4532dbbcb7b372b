//! What a plan needs to know of AWS beyond prices: questions, and the answers
//! the shell has so far.
//!
//! [`questions()`] are derived from the oceans, so a cache entry is found by the
//! question itself and no answer can belong to the wrong pool.
//! [`resolve`](resolve::resolve) reads the answers back for one pool.

pub mod assumed;
pub mod cluster;
mod questions;
pub mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spotocean_core::id::InstanceId;
use spotocean_core::port::{
    AccessEntryOutcome, CloudError, Cluster, Image, ImageQuery, InstanceProfileRequest, SecurityGroup,
    SelectorTerm, Subnet,
};

pub(crate) use questions::{access_request, node_role};
pub use questions::{instance_profile_name, questions};

/// One answer, with when it was given. An error is an answer too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// When it was given.
    pub as_of: Timestamp,
    /// What was answered.
    pub result: Result<T, CloudError>,
}

/// How a node role is admitted to the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AccessRequest {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The role's name.
    pub role: Arc<str>,
    /// How.
    pub method: AccessMethod,
}

/// The way a node role is admitted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AccessMethod {
    /// An EKS access entry of type EC2_LINUX.
    AccessEntry,
    /// One row in `mapRoles` of the `aws-auth` ConfigMap.
    AwsAuth,
}

/// What admitting a role came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AccessOutcome {
    /// By access entry.
    Entry(AccessEntryOutcome),
    /// The row is there.
    AwsAuthRow,
    /// `aws-auth` could not be changed safely; the sentence says why.
    AwsAuthRefused(Arc<str>),
}

/// Everything the oceans ask about. The shell keeps an answer to each of these fresh and forgets the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Questions {
    /// Clusters by name that are not given inline.
    pub clusters: BTreeSet<Arc<str>>,
    /// Subnet selectors.
    pub subnets: BTreeSet<Vec<SelectorTerm>>,
    /// Security group selectors.
    pub security_groups: BTreeSet<Vec<SelectorTerm>>,
    /// Images.
    pub images: BTreeSet<ImageQuery>,
    /// Instance profiles that we make for a role. An effect in `Manage` mode only: in `Observe` mode the planner does not ask.
    pub instance_profiles: BTreeSet<InstanceProfileRequest>,
    /// Instance profiles the user brings: the role in each is looked up.
    pub foreign_instance_profiles: BTreeSet<Arc<str>>,
    /// Roles to admit. An effect in `Manage` mode only.
    pub access: BTreeSet<AccessRequest>,
    /// Instances that do not join, whose consoles may say why.
    pub consoles: BTreeSet<InstanceId>,
}

/// Answers by question. JSON writes the maps as lists of pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// Clusters.
    #[serde(with = "crate::pairs")]
    pub clusters: BTreeMap<Arc<str>, Answer<Cluster>>,
    /// Subnets.
    #[serde(with = "crate::pairs")]
    pub subnets: BTreeMap<Vec<SelectorTerm>, Answer<Vec<Subnet>>>,
    /// Security groups.
    #[serde(with = "crate::pairs")]
    pub security_groups: BTreeMap<Vec<SelectorTerm>, Answer<Vec<SecurityGroup>>>,
    /// Images.
    #[serde(with = "crate::pairs")]
    pub images: BTreeMap<ImageQuery, Answer<Vec<Image>>>,
    /// Our instance profiles: made and holding their role.
    #[serde(with = "crate::pairs")]
    pub instance_profiles: BTreeMap<InstanceProfileRequest, Answer<()>>,
    /// The role in each profile the user brings; `None` when there is no such profile.
    #[serde(with = "crate::pairs")]
    pub foreign_instance_profiles: BTreeMap<Arc<str>, Answer<Option<Arc<str>>>>,
    /// Admitted roles.
    #[serde(with = "crate::pairs")]
    pub access: BTreeMap<AccessRequest, Answer<AccessOutcome>>,
    /// The end of what consoles show.
    #[serde(with = "crate::pairs")]
    pub consoles: BTreeMap<InstanceId, Answer<Arc<str>>>,
}

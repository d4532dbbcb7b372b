//! What one pool's template came to in AWS, or the sentence that says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spotocean_api::condition::{ConditionType, Reason};
use spotocean_api::template::SelectorTerm as ApiSelectorTerm;
use spotocean_core::id::SecurityGroupId;
use spotocean_core::instance_type::Architecture;
use spotocean_core::port::{AccessEntryOutcome, CloudError, CloudErrorKind, Image, ImageQuery, Subnet};

use super::cluster::{ClusterFacts, cluster_facts};
use super::questions::{access_method, access_request, image_query, node_role, profile_request};
use super::{AccessMethod, AccessOutcome};
use crate::pool::{PoolView, may_act};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// What a pool's template came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedPool {
    /// The cluster to join.
    pub cluster: ClusterFacts,
    /// Subnets, sorted by id.
    pub subnets: Vec<Subnet>,
    /// Security groups, sorted by id.
    pub security_groups: Vec<SecurityGroupId>,
    /// The image per architecture.
    pub images: BTreeMap<Architecture, Image>,
    /// The instance profile's name.
    pub instance_profile: Arc<str>,
    /// How the role is admitted; `None` when nobody asks us to.
    pub access: Option<AccessMethod>,
}

/// Why a pool's template came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unresolved {
    /// The condition it speaks about.
    pub condition: ConditionType,
    /// The condition's reason.
    pub reason: Reason,
    /// One sentence: found, needed, what to change.
    pub message: String,
}

impl Unresolved {
    pub(super) fn new(condition: ConditionType, reason: Reason, message: String) -> Self {
        Self {
            condition,
            reason,
            message,
        }
    }

    pub(super) fn waiting(condition: ConditionType, whom: &str) -> Self {
        Self::new(
            condition,
            Reason::SourcesIncomplete,
            format!("{whom} has been asked and has not answered yet: nothing to do but wait"),
        )
    }

    /// What a failed call means: `not_found` where the thing does not exist, else what AWS said.
    pub(super) fn of_error(
        error: &CloudError,
        condition: ConditionType,
        not_found: Reason,
        sentence: impl FnOnce() -> String,
    ) -> Self {
        let CloudError {
            action,
            code,
            message,
            kind,
        } = error;
        let access = ConditionType::CloudAccess;
        match kind {
            CloudErrorKind::NotFound => Self::new(condition, not_found, sentence()),
            CloudErrorKind::Unauthorized if is_credential_error(code) => Self::new(
                access,
                Reason::CredentialsInvalid,
                format!(
                    "AWS does not accept the operator's credentials ({code}: {message}): renew them, or correct the role of its service account"
                ),
            ),
            CloudErrorKind::Unauthorized => Self::new(
                access,
                Reason::AccessDenied,
                format!(
                    "AWS refuses {action} ({code}: {message}): allow it in the operator's IAM policy, and look for a service control policy that denies it"
                ),
            ),
            CloudErrorKind::Throttled => Self::new(
                access,
                Reason::Throttled,
                format!("AWS limits the rate of {action} ({code}): it is asked again by itself"),
            ),
            CloudErrorKind::Unknown => Self::new(
                access,
                Reason::Unreachable,
                format!(
                    "AWS does not answer {action} ({code}: {message}): it is asked again by itself; check the network and the endpoint if this lasts"
                ),
            ),
            CloudErrorKind::Invalid | CloudErrorKind::TokenMismatch | CloudErrorKind::AlreadyExists => {
                Self::new(
                    condition,
                    not_found,
                    format!(
                        "AWS refuses {action} as it stands ({code}: {message}): correct what the message names"
                    ),
                )
            }
        }
    }
}

/// EC2's common client errors for credentials (EC2 API reference, "Common client error codes").
fn is_credential_error(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "NoCredentials"
    )
}

/// What a pool's template came to.
///
/// # Errors
/// The first thing that is not there, with what to change.
pub fn resolve(snapshot: &Snapshot, pool: &PoolView) -> Result<ResolvedPool, Unresolved> {
    let cluster = cluster_facts(snapshot, &pool.ocean)?;
    let (subnets, subnet_vpcs) = subnets(snapshot, pool)?;
    let (security_groups, group_vpcs) = security_groups(snapshot, pool)?;
    if !group_vpcs.is_subset(&subnet_vpcs) || subnet_vpcs.len() > 1 {
        return Err(Unresolved::new(
            ConditionType::NetworkResolved,
            Reason::NetworkMismatch,
            format!(
                "subnets are in {} and security groups in {}: an instance needs both in one VPC, so narrow the selectors",
                list(&subnet_vpcs),
                list(&group_vpcs)
            ),
        ));
    }
    Ok(ResolvedPool {
        cluster,
        subnets,
        security_groups,
        images: images(snapshot, pool)?,
        instance_profile: instance_profile(snapshot, pool)?,
        access: access(snapshot, pool)?,
    })
}

type Vpcs = BTreeSet<Arc<str>>;

fn subnets(snapshot: &Snapshot, pool: &PoolView) -> Result<(Vec<Subnet>, Vpcs), Unresolved> {
    let terms = &pool.effective.template.subnets;
    let condition = ConditionType::NetworkResolved;
    let none = || {
        format!(
            "no subnet has {}: tag the subnets so, or correct template.subnets",
            selector_text(terms)
        )
    };
    let answer = snapshot
        .world
        .subnets
        .get(&vocabulary::selector_terms(terms))
        .ok_or_else(|| Unresolved::waiting(condition, "EC2 about subnets"))?;
    let found = answer
        .result
        .as_ref()
        .map_err(|error| Unresolved::of_error(error, condition, Reason::SubnetNotFound, none))?;
    if found.is_empty() {
        return Err(Unresolved::new(condition, Reason::SubnetNotFound, none()));
    }
    let mut subnets = found.clone();
    subnets.sort_by(|a, b| a.id.cmp(&b.id));
    let vpcs = subnets.iter().map(|subnet| subnet.vpc.clone()).collect();
    Ok((subnets, vpcs))
}

fn security_groups(snapshot: &Snapshot, pool: &PoolView) -> Result<(Vec<SecurityGroupId>, Vpcs), Unresolved> {
    let terms = &pool.effective.template.security_groups;
    let condition = ConditionType::NetworkResolved;
    let none = || {
        format!(
            "no security group has {}: tag the groups so, or correct template.securityGroups",
            selector_text(terms)
        )
    };
    let answer = snapshot
        .world
        .security_groups
        .get(&vocabulary::selector_terms(terms))
        .ok_or_else(|| Unresolved::waiting(condition, "EC2 about security groups"))?;
    let found = answer
        .result
        .as_ref()
        .map_err(|error| Unresolved::of_error(error, condition, Reason::SecurityGroupNotFound, none))?;
    if found.is_empty() {
        return Err(Unresolved::new(condition, Reason::SecurityGroupNotFound, none()));
    }
    let ids: BTreeSet<_> = found.iter().map(|group| group.id.clone()).collect();
    let vpcs = found.iter().map(|group| group.vpc.clone()).collect();
    Ok((ids.into_iter().collect(), vpcs))
}

fn images(snapshot: &Snapshot, pool: &PoolView) -> Result<BTreeMap<Architecture, Image>, Unresolved> {
    let condition = ConditionType::ImagesResolved;
    let query = image_query(snapshot, pool)
        .ok_or_else(|| Unresolved::waiting(condition, "EKS about the cluster's version"))?;
    let none = || image_sentence(&query);
    let answer = snapshot
        .world
        .images
        .get(&query)
        .ok_or_else(|| Unresolved::waiting(condition, "EC2 about images"))?;
    let found = answer
        .result
        .as_ref()
        .map_err(|error| Unresolved::of_error(error, condition, Reason::ImageNotFound, none))?;
    if found.is_empty() {
        return Err(Unresolved::new(condition, Reason::ImageNotFound, none()));
    }
    let mut images: BTreeMap<Architecture, Image> = BTreeMap::new();
    for image in found {
        let newest = images.entry(image.architecture).or_insert_with(|| image.clone());
        if (image.created_at, &image.id) > (newest.created_at, &newest.id) {
            *newest = image.clone();
        }
    }
    Ok(images)
}

fn image_sentence(query: &ImageQuery) -> String {
    match query {
        ImageQuery::Al2023 {
            kubernetes_version,
            version,
        } => format!(
            "there is no AL2023 image for Kubernetes {kubernetes_version} with version {version}: correct template.image.version, or use latest"
        ),
        ImageQuery::Bottlerocket {
            kubernetes_version,
            version,
        } => format!(
            "there is no Bottlerocket image for Kubernetes {kubernetes_version} with version {version}: correct template.image.version, or use latest"
        ),
        ImageQuery::Selector(terms) => format!(
            "none of the {} terms of template.image.selector selects an image: correct ids, names, tags and owner",
            terms.len()
        ),
    }
}

fn instance_profile(snapshot: &Snapshot, pool: &PoolView) -> Result<Arc<str>, Unresolved> {
    let condition = ConditionType::CloudAccess;
    if let Some(request) = profile_request(snapshot, pool) {
        // An ocean that only observes does not make the profile: its name is all a plan needs.
        if !may_act(&pool.ocean) {
            return Ok(request.name);
        }
        let answer = snapshot
            .world
            .instance_profiles
            .get(&request)
            .ok_or_else(|| Unresolved::waiting(condition, "IAM about the instance profile"))?;
        return match &answer.result {
            Ok(()) => Ok(request.name),
            Err(error) => Err(Unresolved::of_error(
                error,
                condition,
                Reason::RoleNotFound,
                || {
                    format!(
                        "there is no IAM role {}: create it, or correct template.role",
                        request.role
                    )
                },
            )),
        };
    }
    let name: Arc<str> = pool
        .effective
        .template
        .instance_profile
        .as_deref()
        .unwrap_or_default()
        .into();
    let none = || {
        format!(
            "there is no instance profile {name} with a role in it: create it, or correct template.instanceProfile"
        )
    };
    let answer = snapshot
        .world
        .foreign_instance_profiles
        .get(&name)
        .ok_or_else(|| Unresolved::waiting(condition, "IAM about the instance profile"))?;
    match &answer.result {
        Ok(Some(_)) => Ok(name),
        Ok(None) => Err(Unresolved::new(
            condition,
            Reason::InstanceProfileNotFound,
            none(),
        )),
        Err(error) => Err(Unresolved::of_error(
            error,
            condition,
            Reason::InstanceProfileNotFound,
            none,
        )),
    }
}

fn access(snapshot: &Snapshot, pool: &PoolView) -> Result<Option<AccessMethod>, Unresolved> {
    let method = access_method(snapshot, pool);
    let Some(request) = access_request(snapshot, pool).filter(|_| may_act(&pool.ocean)) else {
        return Ok(method);
    };
    let condition = ConditionType::CloudAccess;
    let role = node_role(snapshot, pool).unwrap_or_else(|| request.role.clone());
    let refused = |message: String| Err(Unresolved::new(condition, Reason::RoleNotAdmitted, message));
    let answer = snapshot
        .world
        .access
        .get(&request)
        .ok_or_else(|| Unresolved::waiting(condition, "The cluster about admitting the node role"))?;
    match &answer.result {
        Ok(
            AccessOutcome::Entry(AccessEntryOutcome::Present | AccessEntryOutcome::Created)
            | AccessOutcome::AwsAuthRow,
        ) => Ok(method),
        Ok(AccessOutcome::Entry(AccessEntryOutcome::WrongType)) => refused(format!(
            "role {role} has an access entry that is not of type EC2_LINUX, which lets no node join: delete that entry, or choose another template.role"
        )),
        Ok(AccessOutcome::AwsAuthRefused(why)) => {
            refused(format!("role {role} could not be admitted in aws-auth: {why}"))
        }
        Err(error) => Err(Unresolved::of_error(
            error,
            condition,
            Reason::RoleNotAdmitted,
            || {
                format!(
                    "role {role} could not be admitted, because the role or the cluster does not exist: create the role, or correct template.role and cluster.name"
                )
            },
        )),
    }
}

/// A selector as a person would say it: `tag a=b and c, or id subnet-1`.
fn selector_text(terms: &[ApiSelectorTerm]) -> String {
    let term = |term: &ApiSelectorTerm| match &term.id {
        Some(id) => format!("id {id}"),
        None => {
            let tags: Vec<_> = term
                .tags
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("tag {}", tags.join(" and "))
        }
    };
    terms.iter().map(term).collect::<Vec<_>>().join(", or ")
}

fn list(names: &Vpcs) -> String {
    names
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<&str>>()
        .join(" and ")
}

#[cfg(test)]
mod tests;

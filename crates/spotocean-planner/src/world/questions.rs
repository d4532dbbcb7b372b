//! What the oceans ask of AWS, as a set of questions.
//!
//! Effects (instance profiles, admissions) are asked for only by oceans that
//! may act: one that observes, is paused or is being deleted touches nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_api::template::{Access, IMAGE_VERSION_LATEST, Image, ImageFamily};
use spotocean_core::id::Uid;
use spotocean_core::instance::TAG_CLUSTER_UID;
use spotocean_core::port::{ImageQuery, InstanceProfileRequest};

use super::{AccessMethod, AccessRequest, Questions, cluster};
use crate::digest::hexadecimal;
use crate::lifecycle::consoles_wanted;
use crate::pool::{PoolView, is_deleted, may_act, pools_of};
use crate::snapshot::Snapshot;
use crate::vocabulary;

/// Everything the oceans ask about, given what is answered already: the image
/// depends on the cluster's version, the admission on its mode.
#[must_use]
pub fn questions(snapshot: &Snapshot) -> Questions {
    let mut questions = Questions {
        consoles: consoles_wanted(snapshot),
        ..Questions::default()
    };
    for ocean in snapshot.oceans.iter().filter(|ocean| !is_deleted(ocean)) {
        if !cluster::is_inline(ocean) {
            questions.clusters.insert(ocean.spec.cluster.name.as_str().into());
        }
        for pool in pools_of(ocean) {
            ask(snapshot, &pool, &mut questions);
        }
    }
    questions
}

fn ask(snapshot: &Snapshot, pool: &PoolView, questions: &mut Questions) {
    let template = &pool.effective.template;
    questions
        .subnets
        .insert(vocabulary::selector_terms(&template.subnets));
    questions
        .security_groups
        .insert(vocabulary::selector_terms(&template.security_groups));
    questions.images.extend(image_query(snapshot, pool));
    questions
        .foreign_instance_profiles
        .extend(template.instance_profile.as_deref().map(Arc::from));
    if may_act(&pool.ocean) {
        questions
            .instance_profiles
            .extend(profile_request(snapshot, pool));
        questions.access.extend(access_request(snapshot, pool));
    }
}

/// The image a pool wants; `None` while the cluster's version is not known.
pub(super) fn image_query(snapshot: &Snapshot, pool: &PoolView) -> Option<ImageQuery> {
    let Image {
        family,
        version,
        selector,
    } = &pool.effective.template.image;
    if !selector.is_empty() || *family == ImageFamily::Custom {
        return Some(ImageQuery::Selector(vocabulary::image_terms(selector)));
    }
    let kubernetes_version = cluster::version(snapshot, &pool.ocean)?;
    let version: Arc<str> = if version.is_empty() {
        IMAGE_VERSION_LATEST.into()
    } else {
        version.as_str().into()
    };
    Some(match family {
        ImageFamily::Bottlerocket => ImageQuery::Bottlerocket {
            kubernetes_version,
            version,
        },
        ImageFamily::AL2023 | ImageFamily::Custom => ImageQuery::Al2023 {
            kubernetes_version,
            version,
        },
    })
}

/// The instance profile that the operator makes for the pool's role; `None` where the user brings a profile.
pub(super) fn profile_request(snapshot: &Snapshot, pool: &PoolView) -> Option<InstanceProfileRequest> {
    let role = pool.effective.template.role.as_deref()?;
    let cluster = &pool.ocean.spec.cluster.name;
    Some(InstanceProfileRequest {
        name: instance_profile_name(cluster, &snapshot.cluster_uid, role).into(),
        role: role.into(),
        tags: BTreeMap::from([
            (TAG_CLUSTER_UID.into(), snapshot.cluster_uid.0.clone()),
            (format!("kubernetes.io/cluster/{cluster}").into(), "owned".into()),
        ]),
    })
}

/// The name of our instance profile for a role: `spotocean-<cluster>-<hash>`, at most 127 characters (IAM allows 128).
#[must_use]
pub fn instance_profile_name(cluster: &str, cluster_uid: &Uid, role: &str) -> String {
    format!("spotocean-{cluster}-{}", hexadecimal(&(cluster_uid, role), 16))
}

/// The role in the pool's instance profile, as far as it is known.
pub(crate) fn node_role(snapshot: &Snapshot, pool: &PoolView) -> Option<Arc<str>> {
    let template = &pool.effective.template;
    if let Some(role) = &template.role {
        return Some(role.as_str().into());
    }
    let profile = template.instance_profile.as_deref()?;
    let answer = snapshot.world.foreign_instance_profiles.get(profile)?;
    answer.result.as_ref().ok()?.clone()
}

/// How the pool's role is to be admitted; `None` for not at all, or not known yet.
pub(crate) fn access_request(snapshot: &Snapshot, pool: &PoolView) -> Option<AccessRequest> {
    Some(AccessRequest {
        cluster: pool.ocean.spec.cluster.name.as_str().into(),
        role: node_role(snapshot, pool)?,
        method: access_method(snapshot, pool)?,
    })
}

/// The way in: as the pool says, else by the cluster's authentication mode. A
/// self-managed cluster has no access entries; without an `aws-auth` of its own
/// somebody else admits its nodes.
pub(super) fn access_method(snapshot: &Snapshot, pool: &PoolView) -> Option<AccessMethod> {
    match pool.effective.template.access {
        Access::AccessEntry => Some(AccessMethod::AccessEntry),
        Access::AwsAuth => Some(AccessMethod::AwsAuth),
        Access::Unmanaged => None,
        Access::Auto if cluster::is_inline(&pool.ocean) => {
            snapshot.aws_auth.as_ref().map(|_| AccessMethod::AwsAuth)
        }
        Access::Auto => {
            let facts = cluster::cluster_facts(snapshot, &pool.ocean).ok()?;
            let mode = facts.authentication_mode?;
            // EKS: API and API_AND_CONFIG_MAP read access entries, CONFIG_MAP does not.
            Some(if mode.starts_with("API") {
                AccessMethod::AccessEntry
            } else {
                AccessMethod::AwsAuth
            })
        }
    }
}

//! One question of an ocean to AWS: how it is asked, where its answer goes, and how long that holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::TAG_CLUSTER_UID;
use spotocean_core::port::{
    Cloud, CloudError, CloudErrorKind, ImageQuery, InstanceProfileRequest, SelectorTerm,
};
use spotocean_planner::access::{self, Merge};
use spotocean_planner::snapshot::AttemptError;
use spotocean_planner::world::{AccessMethod, AccessOutcome, AccessRequest, Answer, Questions, World};

use crate::context::Context;

/// Any question.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Question {
    /// A cluster by name.
    Cluster(Arc<str>),
    /// Subnets.
    Subnets(Vec<SelectorTerm>),
    /// Security groups.
    SecurityGroups(Vec<SelectorTerm>),
    /// Images.
    Images(ImageQuery),
    /// A profile of ours: an effect.
    Profile(InstanceProfileRequest),
    /// The user's profile.
    ForeignProfile(Arc<str>),
    /// Admission of a role: an effect.
    Access(AccessRequest),
    /// What an instance shows on its console.
    Console(InstanceId),
}

/// Puts an answer in its place.
pub type Insert = Box<dyn FnOnce(&mut World) + Send>;

/// What asking came to.
pub enum Reply {
    /// An answer, good or bad.
    Answer {
        /// Puts it in its place.
        insert: Insert,
        /// Whether it is a good one.
        is_good: bool,
    },
    /// Nothing was asked: the lease is too short, or it is not known yet what to ask.
    NotAsked,
}

/// Everything asked, as one set.
pub fn all(questions: &Questions) -> BTreeSet<Question> {
    let clusters = questions.clusters.iter().cloned().map(Question::Cluster);
    let subnets = questions.subnets.iter().cloned().map(Question::Subnets);
    let groups = questions
        .security_groups
        .iter()
        .cloned()
        .map(Question::SecurityGroups);
    let images = questions.images.iter().cloned().map(Question::Images);
    let profiles = questions.instance_profiles.iter().cloned().map(Question::Profile);
    let foreign = questions.foreign_instance_profiles.iter().cloned();
    let access = questions.access.iter().cloned().map(Question::Access);
    let consoles = questions.consoles.iter().cloned().map(Question::Console);
    clusters
        .chain(subnets)
        .chain(groups)
        .chain(images)
        .chain(profiles)
        .chain(foreign.map(Question::ForeignProfile))
        .chain(access)
        .chain(consoles)
        .collect()
}

impl Question {
    /// How long a good answer holds.
    pub fn holds_for(&self) -> Duration {
        match self {
            // Free addresses change with every launch, and a console with every try.
            Self::Subnets(_) | Self::SecurityGroups(_) | Self::Console(_) => Duration::from_secs(60),
            Self::Cluster(_) | Self::Images(_) => Duration::from_secs(300),
            Self::Profile(_) | Self::ForeignProfile(_) | Self::Access(_) => Duration::from_secs(900),
        }
    }

    /// Takes the answer out: nobody asks any more.
    pub fn forget(&self, world: &mut World) {
        match self {
            Self::Cluster(key) => drop(world.clusters.remove(key)),
            Self::Subnets(key) => drop(world.subnets.remove(key)),
            Self::SecurityGroups(key) => drop(world.security_groups.remove(key)),
            Self::Images(key) => drop(world.images.remove(key)),
            Self::Profile(key) => drop(world.instance_profiles.remove(key)),
            Self::ForeignProfile(key) => drop(world.foreign_instance_profiles.remove(key)),
            Self::Access(key) => drop(world.access.remove(key)),
            Self::Console(key) => drop(world.consoles.remove(key)),
        }
    }

    /// Asks.
    pub async fn ask<C: Cloud>(self, context: &Context<C>, cluster_uid: &Arc<str>) -> Reply {
        let cloud = &context.cloud;
        match self {
            Self::Cluster(name) => {
                let result = context.read("DescribeCluster", cloud.cluster(&name)).await;
                answer(name, result, |world| &mut world.clusters)
            }
            Self::Subnets(terms) => {
                let result = context.read("DescribeSubnets", cloud.subnets(&terms)).await;
                answer(terms, result, |world| &mut world.subnets)
            }
            Self::SecurityGroups(terms) => {
                let result = context
                    .read("DescribeSecurityGroups", cloud.security_groups(&terms))
                    .await;
                answer(terms, result, |world| &mut world.security_groups)
            }
            Self::Images(query) => {
                let result = context.read("DescribeImages", cloud.images(&query)).await;
                answer(query, result, |world| &mut world.images)
            }
            Self::Profile(request) => {
                let call = cloud.ensure_instance_profile(&request);
                let result = context.write("CreateInstanceProfile", call).await;
                effect(request, result, |world| &mut world.instance_profiles)
            }
            Self::ForeignProfile(name) => {
                let call = cloud.instance_profile_role(&name);
                let result = context.read("GetInstanceProfile", call).await;
                answer(name, result, |world| &mut world.foreign_instance_profiles)
            }
            Self::Access(request) => {
                let result = match request.method {
                    AccessMethod::AccessEntry => admit_by_entry(context, &request, cluster_uid).await,
                    AccessMethod::AwsAuth => admit_by_config_map(context, &request).await,
                };
                effect(request, result, |world| &mut world.access)
            }
            Self::Console(id) => {
                let result = context.read("GetConsoleOutput", cloud.console_output(&id)).await;
                answer(id, result, |world| &mut world.consoles)
            }
        }
    }
}

fn answer<K, T>(
    key: K,
    result: Result<T, CloudError>,
    place: fn(&mut World) -> &mut BTreeMap<K, Answer<T>>,
) -> Reply
where
    K: Ord + Send + 'static,
    T: Send + 'static,
{
    let is_good = result.is_ok();
    let answer = Answer {
        as_of: Timestamp::now(),
        result,
    };
    Reply::Answer {
        insert: Box::new(move |world| drop(place(world).insert(key, answer))),
        is_good,
    }
}

fn effect<K, T>(
    key: K,
    result: Result<T, AttemptError>,
    place: fn(&mut World) -> &mut BTreeMap<K, Answer<T>>,
) -> Reply
where
    K: Ord + Send + 'static,
    T: Send + 'static,
{
    match result {
        Ok(value) => answer(key, Ok(value), place),
        Err(AttemptError::Cloud(error)) => answer(key, Err(error), place),
        Err(AttemptError::Kubernetes { status, message }) => {
            answer(key, Err(refused(status, &message)), place)
        }
        Err(AttemptError::LeaseTooShort) => Reply::NotAsked,
    }
}

/// A refusal of the apiserver in the port's words: answers know AWS only.
fn refused(status: u16, message: &str) -> CloudError {
    let kind = match status {
        401 | 403 => CloudErrorKind::Unauthorized,
        404 => CloudErrorKind::NotFound,
        409 | 429 => CloudErrorKind::Throttled,
        _ => CloudErrorKind::Unknown,
    };
    CloudError {
        kind,
        action: "UpdateConfigMap".into(),
        code: status.to_string().into(),
        message: message.into(),
    }
}

async fn admit_by_entry<C: Cloud>(
    context: &Context<C>,
    request: &AccessRequest,
    cluster_uid: &Arc<str>,
) -> Result<AccessOutcome, AttemptError> {
    let role_arn = context
        .read("GetRole", context.cloud.role_arn(&request.role))
        .await
        .map_err(AttemptError::Cloud)?;
    let tags = BTreeMap::from([(Arc::from(TAG_CLUSTER_UID), cluster_uid.clone())]);
    let call = context
        .cloud
        .ensure_access_entry(&request.cluster, &role_arn, &tags);
    context
        .write("CreateAccessEntry", call)
        .await
        .map(AccessOutcome::Entry)
}

/// Reads the ConfigMap itself, not the store: the write must rest on exactly what it replaces.
async fn admit_by_config_map<C: Cloud>(
    context: &Context<C>,
    request: &AccessRequest,
) -> Result<AccessOutcome, AttemptError> {
    let role_arn = context
        .read("GetRole", context.cloud.role_arn(&request.role))
        .await
        .map_err(AttemptError::Cloud)?;
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), "kube-system");
    let found = maps
        .get_opt("aws-auth")
        .await
        .map_err(|error| crate::act::kubernetes::failure(&error))?;
    let Some(mut map) = found else {
        let sentence = "kube-system/aws-auth does not exist; create it, or use access entries";
        return Ok(AccessOutcome::AwsAuthRefused(sentence.into()));
    };
    let rows = map.data.as_ref().and_then(|data| data.get("mapRoles"));
    match access::merge(rows.map(String::as_str).unwrap_or_default(), &role_arn) {
        Ok(Merge::Present) => Ok(AccessOutcome::AwsAuthRow),
        Ok(Merge::Changed(text)) => {
            map.data
                .get_or_insert_default()
                .insert("mapRoles".to_owned(), text);
            maps.replace("aws-auth", &PostParams::default(), &map)
                .await
                .map(|_| AccessOutcome::AwsAuthRow)
                .map_err(|error| crate::act::kubernetes::failure(&error))
        }
        Err(refusal) => Ok(AccessOutcome::AwsAuthRefused(refusal.to_string().into())),
    }
}

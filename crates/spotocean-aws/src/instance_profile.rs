//! Instance profiles: the one we make for a role, and the role in the one a user brings.
//!
//! A profile is ours when it carries our tags; no other is ever changed or
//! deleted. What has to be done is computed from what is there ([`steps`]), so
//! a call that died in the middle is finished by the next one.

use std::sync::Arc;

use aws_sdk_iam::operation::add_role_to_instance_profile::builders::AddRoleToInstanceProfileInputBuilder;
use aws_sdk_iam::operation::create_instance_profile::builders::CreateInstanceProfileInputBuilder;
use aws_sdk_iam::operation::delete_instance_profile::builders::DeleteInstanceProfileInputBuilder;
use aws_sdk_iam::operation::get_instance_profile::builders::GetInstanceProfileInputBuilder;
use aws_sdk_iam::operation::remove_role_from_instance_profile::builders::RemoveRoleFromInstanceProfileInputBuilder;
use aws_sdk_iam::types::{InstanceProfile as Described, Tag};
use spotocean_core::instance::TAG_CLUSTER_UID;
use spotocean_core::port::{CloudError, CloudErrorKind, InstanceProfileRequest};

use crate::client::AwsCloud;
use crate::error::invalid;
use crate::tag::{self, Tags};
use crate::throttle::Action;

const GET: Action = Action::other("GetInstanceProfile");
const CREATE: Action = Action::other("CreateInstanceProfile");
const ADD_ROLE: Action = Action::other("AddRoleToInstanceProfile");
const REMOVE_ROLE: Action = Action::other("RemoveRoleFromInstanceProfile");
const DELETE: Action = Action::other("DeleteInstanceProfile");

/// A profile, as far as it matters here. IAM allows one role per profile.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Profile {
    tags: Tags,
    role: Option<Arc<str>>,
}

/// One change on the way to the wanted profile.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Create,
    RemoveRole(Arc<str>),
    AddRole,
}

/// Makes the profile and puts the role in it, unless that is so already.
pub(crate) async fn ensure(cloud: &AwsCloud, request: &InstanceProfileRequest) -> Result<(), CloudError> {
    let found = find(cloud, &request.name).await?;
    for step in steps(found.as_ref(), request)? {
        take(cloud, &step, request).await?;
    }
    Ok(())
}

/// Deletes a profile that carries our tags; absent is fine.
pub(crate) async fn delete(cloud: &AwsCloud, name: &str) -> Result<(), CloudError> {
    let Some(profile) = find(cloud, name).await? else {
        return Ok(());
    };
    if !profile.tags.contains_key(TAG_CLUSTER_UID) {
        return Err(not_ours(DELETE, name));
    }
    if let Some(role) = &profile.role {
        absent_is_fine(remove_role(cloud, name, role).await)?;
    }
    let request = DeleteInstanceProfileInputBuilder::default().instance_profile_name(name);
    absent_is_fine(cloud.call(DELETE, request.send_with(&cloud.iam)).await.map(drop))
}

/// The role in the profile of that name.
pub(crate) async fn role_of(cloud: &AwsCloud, name: &str) -> Result<Option<Arc<str>>, CloudError> {
    Ok(find(cloud, name).await?.and_then(|profile| profile.role))
}

/// What has to be done.
///
/// # Errors
/// When a profile of that name is somebody else's.
fn steps(found: Option<&Profile>, request: &InstanceProfileRequest) -> Result<Vec<Step>, CloudError> {
    let Some(profile) = found else {
        return Ok(vec![Step::Create, Step::AddRole]);
    };
    if !tag::all_match(&request.tags, &profile.tags) {
        return Err(not_ours(CREATE, &request.name));
    }
    Ok(match &profile.role {
        None => vec![Step::AddRole],
        Some(role) if *role == request.role => Vec::new(),
        Some(other) => vec![Step::RemoveRole(other.clone()), Step::AddRole],
    })
}

async fn take(cloud: &AwsCloud, step: &Step, request: &InstanceProfileRequest) -> Result<(), CloudError> {
    match step {
        Step::Create => {
            let input = CreateInstanceProfileInputBuilder::default()
                .instance_profile_name(&*request.name)
                .set_tags(Some(iam_tags(&request.tags)?));
            cloud.call(CREATE, input.send_with(&cloud.iam)).await.map(drop)
        }
        Step::RemoveRole(role) => absent_is_fine(remove_role(cloud, &request.name, role).await),
        Step::AddRole => {
            let input = AddRoleToInstanceProfileInputBuilder::default()
                .instance_profile_name(&*request.name)
                .role_name(&*request.role);
            cloud.call(ADD_ROLE, input.send_with(&cloud.iam)).await.map(drop)
        }
    }
}

async fn remove_role(cloud: &AwsCloud, name: &str, role: &str) -> Result<(), CloudError> {
    let request = RemoveRoleFromInstanceProfileInputBuilder::default()
        .instance_profile_name(name)
        .role_name(role);
    cloud
        .call(REMOVE_ROLE, request.send_with(&cloud.iam))
        .await
        .map(drop)
}

async fn find(cloud: &AwsCloud, name: &str) -> Result<Option<Profile>, CloudError> {
    let request = GetInstanceProfileInputBuilder::default().instance_profile_name(name);
    match cloud.call(GET, request.send_with(&cloud.iam)).await {
        Ok(answer) => Ok(answer.instance_profile().map(read)),
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(profile: &Described) -> Profile {
    Profile {
        tags: profile
            .tags()
            .iter()
            .map(|tag| (tag.key().into(), tag.value().into()))
            .collect(),
        role: profile.roles().first().map(|role| role.role_name().into()),
    }
}

fn iam_tags(tags: &Tags) -> Result<Vec<Tag>, CloudError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(&**key).value(&**value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(CREATE.name, "InvalidTag", error.to_string()))
}

fn absent_is_fine(result: Result<(), CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if error.kind != CloudErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn not_ours(action: Action, name: &str) -> CloudError {
    invalid(
        action.name,
        "NotOurs",
        format!(
            "an instance profile {name} exists without the tags of this cluster and is left alone; delete it, or name it in template.instanceProfile"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(cluster: &str) -> Tags {
        [(TAG_CLUSTER_UID.into(), cluster.into())].into()
    }

    fn profile(cluster: &str, role: Option<&str>) -> Profile {
        Profile {
            tags: tags(cluster),
            role: role.map(Into::into),
        }
    }

    fn request() -> InstanceProfileRequest {
        InstanceProfileRequest {
            name: "spotocean-prod".into(),
            role: "node".into(),
            tags: tags("uid-1"),
        }
    }

    #[test]
    fn what_is_there_decides_what_is_done() {
        let rows = [
            (None, vec![Step::Create, Step::AddRole]),
            (Some(profile("uid-1", None)), vec![Step::AddRole]),
            (Some(profile("uid-1", Some("node"))), vec![]),
            (
                Some(profile("uid-1", Some("old"))),
                vec![Step::RemoveRole("old".into()), Step::AddRole],
            ),
        ];
        for (found, expected) in rows {
            assert_eq!(steps(found.as_ref(), &request()), Ok(expected), "{found:?}");
        }
    }

    #[test]
    fn a_profile_of_somebody_else_is_left_alone() {
        for found in [
            profile("uid-2", Some("node")),
            Profile {
                tags: Tags::new(),
                role: None,
            },
        ] {
            let refused = steps(Some(&found), &request()).expect_err("it is not ours");
            assert_eq!(&*refused.code, "NotOurs");
        }
    }
}

//! IAM: roles and instance profiles.

use crate::operations::Answer;
use crate::random;
use crate::state::iam::{InstanceProfile, Role};
use crate::state::{Tags, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

/// Carries out an IAM action.
pub fn iam(world: &mut World, action: &str, params: &Params) -> Answer {
    match action {
        "GetRole" => {
            let role = role(world, params.required("RoleName")?)?.clone();
            Ok(vec![described_role("Role", world, &role)])
        }
        "CreateInstanceProfile" => create_profile(world, params),
        "GetInstanceProfile" => {
            let profile = profile(world, params)?.clone();
            Ok(vec![described("InstanceProfile", world, &profile)])
        }
        "DeleteInstanceProfile" => delete_profile(world, params),
        "AddRoleToInstanceProfile" => add_role(world, params),
        "RemoveRoleFromInstanceProfile" => remove_role(world, params),
        "TagInstanceProfile" => {
            let tags = tags(params)?;
            let name = profile(world, params)?.name.clone();
            if let Some(profile) = world.iam.profiles.get_mut(&name) {
                profile.tags.extend(tags);
            }
            Ok(Vec::new())
        }
        "UntagInstanceProfile" => {
            let name = profile(world, params)?.name.clone();
            if let Some(profile) = world.iam.profiles.get_mut(&name) {
                profile
                    .tags
                    .retain(|key, _| !params.texts("TagKeys").contains(key));
            }
            Ok(Vec::new())
        }
        "ListInstanceProfileTags" => {
            let profile = profile(world, params)?.clone();
            Ok(vec![tag_list(&profile.tags), Element::text("IsTruncated", false)])
        }
        "ListInstanceProfiles" | "ListInstanceProfilesForRole" => list_profiles(world, params),
        _ => Err(ApiError::unknown_action(action)),
    }
}

fn no_such_entity(message: String) -> ApiError {
    ApiError::new(404, "NoSuchEntity", message)
}

fn role<'a>(world: &'a World, name: &str) -> Result<&'a Role, ApiError> {
    world
        .iam
        .roles
        .get(name)
        .ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))
}

fn profile<'a>(world: &'a World, params: &Params) -> Result<&'a InstanceProfile, ApiError> {
    let name = params.required("InstanceProfileName")?;
    world
        .iam
        .profiles
        .get(name)
        .ok_or_else(|| no_such_entity(format!("Instance Profile {name} cannot be found.")))
}

fn tags(params: &Params) -> Result<Tags, ApiError> {
    params
        .list("Tags")
        .into_iter()
        .map(|tag| {
            Ok((
                tag.required("Key")?.to_owned(),
                tag.text("Value").unwrap_or_default().to_owned(),
            ))
        })
        .collect()
}

fn create_profile(world: &mut World, params: &Params) -> Answer {
    let name = params.required("InstanceProfileName")?.to_owned();
    let is_valid = name.len() <= 128
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter));
    if !is_valid {
        return Err(ApiError::client(
            "ValidationError",
            "The specified value for instanceProfileName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
        ));
    }
    if world.iam.profiles.contains_key(&name) {
        return Err(ApiError::new(
            409,
            "EntityAlreadyExists",
            format!("Instance Profile {name} already exists."),
        ));
    }
    let path = params.text("Path").unwrap_or("/").to_owned();
    let profile = InstanceProfile {
        name: name.clone(),
        path,
        role: None,
        tags: tags(params)?,
        created: world.now(),
    };
    let answer = vec![described("InstanceProfile", world, &profile)];
    world.iam.profiles.insert(name, profile);
    Ok(answer)
}

fn delete_profile(world: &mut World, params: &Params) -> Answer {
    let profile = profile(world, params)?;
    if profile.role.is_some() {
        return Err(ApiError::new(
            409,
            "DeleteConflict",
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    let name = profile.name.clone();
    world.iam.profiles.remove(&name);
    Ok(Vec::new())
}

fn add_role(world: &mut World, params: &Params) -> Answer {
    let role = role(world, params.required("RoleName")?)?.name.clone();
    let profile = profile(world, params)?;
    if profile.role.is_some() {
        return Err(ApiError::new(
            409,
            "LimitExceeded",
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        ));
    }
    let name = profile.name.clone();
    if let Some(profile) = world.iam.profiles.get_mut(&name) {
        profile.role = Some(role);
    }
    Ok(Vec::new())
}

fn remove_role(world: &mut World, params: &Params) -> Answer {
    let role = params.required("RoleName")?;
    let profile = profile(world, params)?;
    if profile.role.as_deref() != Some(role) {
        return Err(no_such_entity(format!(
            "Role {role} is not associated with instance profile {}.",
            profile.name
        )));
    }
    let name = profile.name.clone();
    if let Some(profile) = world.iam.profiles.get_mut(&name) {
        profile.role = None;
    }
    Ok(Vec::new())
}

fn list_profiles(world: &World, params: &Params) -> Answer {
    let role = params.text("RoleName");
    let prefix = params.text("PathPrefix").unwrap_or("/");
    let profiles = world
        .iam
        .profiles
        .values()
        .filter(|profile| role.is_none_or(|role| profile.role.as_deref() == Some(role)))
        .filter(|profile| profile.path.starts_with(prefix))
        .map(|profile| described("member", world, profile));
    Ok(vec![
        Element::list("InstanceProfiles", profiles),
        Element::text("IsTruncated", false),
    ])
}

fn tag_list(tags: &Tags) -> Element {
    Element::list(
        "Tags",
        tags.iter()
            .map(|(key, value)| Element::new("member").field("Key", key).field("Value", value)),
    )
}

fn described(name: &str, world: &World, profile: &InstanceProfile) -> Element {
    let roles = profile
        .role
        .as_ref()
        .and_then(|role| world.iam.roles.get(role))
        .map(|role| described_role("member", world, role));
    Element::new(name)
        .field("Path", &profile.path)
        .field("InstanceProfileName", &profile.name)
        .field("InstanceProfileId", profile.id(world.options.seed))
        .field("Arn", profile.arn())
        .field("CreateDate", world.timestamp(profile.created))
        .with(Element::list("Roles", roles))
        .with(tag_list(&profile.tags))
}

fn described_role(name: &str, world: &World, role: &Role) -> Element {
    let id = random::hex(world.options.seed, &["role", &role.name], 17).to_uppercase();
    Element::new(name)
        .field("Path", &role.path)
        .field("RoleName", &role.name)
        .field("RoleId", format!("AROA{id}"))
        .field("Arn", role.arn())
        .field("CreateDate", "2026-01-01T00:00:00Z")
        .field(
            "AssumeRolePolicyDocument",
            "%7B%22Version%22%3A%222012-10-17%22%7D",
        )
        .with(tag_list(&role.tags))
}

//! Tags: their limits, and CreateTags, DeleteTags, DescribeTags over every kind of resource that has them.

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging, refuse_dry_run};
use crate::state::{Tags, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

const TAGS_PER_RESOURCE_MAX: usize = 50;
const RESOURCES_PER_CALL_MAX: usize = 1000;

/// Reads and judges `Tag.N`.
pub fn parse(list: &[&Params]) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for each in list {
        let key = each.required("Key")?;
        let value = each.text("Value").unwrap_or_default();
        check(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ApiError::invalid_value(format!(
                "Duplicate tag key '{key}' specified."
            )));
        }
    }
    Ok(tags)
}

fn check(key: &str, value: &str) -> Result<(), ApiError> {
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(ApiError::invalid_value(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
        )));
    }
    if key.chars().count() > 128 {
        return Err(ApiError::invalid_value(
            "Tag key exceeds the maximum length of 128 characters",
        ));
    }
    if value.chars().count() > 256 {
        return Err(ApiError::invalid_value(
            "Tag value exceeds the maximum length of 256 characters",
        ));
    }
    Ok(())
}

/// Refuses more tags than a resource may have; those of AWS do not count.
pub fn check_count(tags: &Tags) -> Result<(), ApiError> {
    let own = tags.keys().filter(|key| !key.starts_with("aws:")).count();
    if own > TAGS_PER_RESOURCE_MAX {
        return Err(ApiError::client(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        ));
    }
    Ok(())
}

/// CreateTags: all resources or none.
pub fn create_tags(world: &mut World, params: &Params) -> Answer {
    let ids = resource_ids(params)?;
    let list = params.list("Tag");
    if list.is_empty() {
        return Err(ApiError::missing("Tag"));
    }
    let tags = parse(&list)?;
    for id in &ids {
        let mut merged = resource_tags(world, id)?.clone();
        merged.extend(tags.clone());
        check_count(&merged)?;
    }
    refuse_dry_run(params)?;
    for id in &ids {
        resource_tags(world, id)?.extend(tags.clone());
    }
    Ok(vec![Element::text("return", true)])
}

/// DeleteTags: by key, or by key and value; without tags, all but those of AWS.
pub fn delete_tags(world: &mut World, params: &Params) -> Answer {
    let ids = resource_ids(params)?;
    let list: Vec<(String, Option<String>)> = params
        .list("Tag")
        .into_iter()
        .map(|tag| {
            Ok((
                tag.required("Key")?.to_owned(),
                tag.at("Value")
                    .map(|_| tag.text("Value").unwrap_or_default().to_owned()),
            ))
        })
        .collect::<Result<_, ApiError>>()?;
    for id in &ids {
        resource_tags(world, id)?;
    }
    refuse_dry_run(params)?;
    for id in &ids {
        let tags = resource_tags(world, id)?;
        tags.retain(|key, value| {
            let named = list.is_empty()
                || list
                    .iter()
                    .any(|(found, only)| found == key && only.as_ref().is_none_or(|only| only == value));
            key.starts_with("aws:") || !named
        });
    }
    Ok(vec![Element::text("return", true)])
}

fn resource_ids(params: &Params) -> Result<Vec<String>, ApiError> {
    let ids = params.texts("ResourceId");
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    if ids.len() > RESOURCES_PER_CALL_MAX {
        return Err(ApiError::invalid_value(format!(
            "At most {RESOURCES_PER_CALL_MAX} resources can be tagged per call."
        )));
    }
    Ok(ids)
}

/// The tags of a resource; a new instance is not there yet for the tag index.
fn resource_tags<'a>(world: &'a mut World, id: &str) -> Result<&'a mut Tags, ApiError> {
    let now = world.now();
    let not_found =
        |code: &str, what: &str| ApiError::client(code, format!("The {what} ID '{id}' does not exist"));
    let kind = id.split('-').next().unwrap_or_default();
    match kind {
        "i" => world
            .instances
            .get_mut(id)
            .filter(|instance| instance.visible.by_tag <= now)
            .map(|instance| &mut instance.tags)
            .ok_or_else(|| not_found("InvalidInstanceID.NotFound", "instance")),
        "subnet" => world
            .network
            .subnets
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidSubnetID.NotFound", "subnet")),
        "sg" => world
            .network
            .security_groups
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidGroup.NotFound", "security group")),
        "vpc" => world
            .network
            .vpcs
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidVpcID.NotFound", "vpc")),
        "lt" => world
            .launch_templates
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidLaunchTemplateId.NotFound", "launch template")),
        "fleet" => world
            .fleets
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidFleetId.NotFound", "fleet")),
        "ami" => world
            .images
            .get_mut(id)
            .map(|found| &mut found.tags)
            .ok_or_else(|| not_found("InvalidAMIID.NotFound", "image")),
        "vol" => world
            .instances
            .values_mut()
            .flat_map(|instance| &mut instance.volumes)
            .find(|volume| volume.id == id)
            .map(|volume| &mut volume.tags)
            .ok_or_else(|| not_found("InvalidVolume.NotFound", "volume")),
        _ => Err(ApiError::client(
            "InvalidID",
            format!("The ID '{id}' is not valid"),
        )),
    }
}

/// DescribeTags.
pub fn describe_tags(world: &mut World, params: &Params) -> Answer {
    let filters = Filters::parse(params)?;
    filters.check(&["key", "value", "resource-id", "resource-type", "tag"])?;
    let keyed: Vec<_> = all(world)
        .into_iter()
        .filter(|(id, kind, key, value)| {
            let only = Tags::from([(key.clone(), value.clone())]);
            filters.accept(Some(&only), |filter| match filter {
                "key" => vec![key.clone()],
                "value" => vec![value.clone()],
                "resource-id" => vec![id.clone()],
                _ => vec![(*kind).to_owned()],
            })
        })
        .map(|(id, kind, key, value)| {
            let element = Element::new("item")
                .field("resourceId", &id)
                .field("resourceType", kind)
                .field("key", &key)
                .field("value", value);
            (format!("{id}/{key}"), element)
        })
        .collect::<std::collections::BTreeMap<String, Element>>()
        .into_iter()
        .collect();
    let (page, next) = paging(params, (5, 1000))?.or_size(1000).page(keyed);
    Ok(listed("tagSet", page, next))
}

fn all(world: &World) -> Vec<(String, &'static str, String, String)> {
    let now = world.now();
    let mut found = Vec::new();
    let mut add = |id: &str, kind: &'static str, tags: &Tags| {
        found.extend(
            tags.iter()
                .map(|(key, value)| (id.to_owned(), kind, key.clone(), value.clone())),
        );
    };
    for instance in world
        .instances
        .values()
        .filter(|instance| instance.visible.by_tag <= now)
    {
        add(&instance.id, "instance", &instance.tags);
        for volume in &instance.volumes {
            add(&volume.id, "volume", &volume.tags);
        }
    }
    for subnet in world.network.subnets.values() {
        add(&subnet.id, "subnet", &subnet.tags);
    }
    for group in world.network.security_groups.values() {
        add(&group.id, "security-group", &group.tags);
    }
    for vpc in world.network.vpcs.values() {
        add(&vpc.id, "vpc", &vpc.tags);
    }
    for template in world.launch_templates.values() {
        add(&template.id, "launch-template", &template.tags);
    }
    for fleet in world.fleets.values() {
        add(&fleet.id, "fleet", &fleet.tags);
    }
    for image in world
        .images
        .values()
        .filter(|image| image.owner == crate::state::ACCOUNT)
    {
        add(&image.id, "image", &image.tags);
    }
    found
}

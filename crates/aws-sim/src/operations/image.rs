//! DescribeImages.

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::image::Image;
use crate::state::{ACCOUNT, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, tag_set};

/// DescribeImages: by id, owner (`self`, `amazon`, an account) and filters.
pub fn describe_images(world: &mut World, params: &Params) -> Answer {
    let (ids, owners) = (params.texts("ImageId"), params.texts("Owner"));
    let filters = Filters::parse(params)?;
    filters.check(&[
        "tag",
        "architecture",
        "creation-date",
        "description",
        "image-id",
        "image-type",
        "is-public",
        "name",
        "owner-alias",
        "owner-id",
        "platform",
        "root-device-type",
        "state",
        "virtualization-type",
        "hypervisor",
        "ena-support",
    ])?;
    for id in &ids {
        if !id.starts_with("ami-") {
            return Err(ApiError::client(
                "InvalidAMIID.Malformed",
                format!("Invalid id: \"{id}\""),
            ));
        }
        if !world.images.contains_key(id) {
            return Err(ApiError::client(
                "InvalidAMIID.NotFound",
                format!("The image id '[{id}]' does not exist"),
            ));
        }
    }
    let keyed: Vec<_> = world
        .images
        .values()
        .filter(|image| ids.is_empty() || ids.contains(&image.id))
        .filter(|image| owners.is_empty() || owners.iter().any(|owner| owned_by(image, owner)))
        .filter(|image| filters.accept(Some(&image.tags), |filter| values(image, filter)))
        .map(|image| (image.id.clone(), described(image)))
        .collect();
    let (page, next) = paging(params, (1, 1000))?.page(keyed);
    Ok(listed("imagesSet", page, next))
}

fn owned_by(image: &Image, owner: &str) -> bool {
    match owner {
        "self" => image.owner == ACCOUNT,
        other => image.owner == other || image.owner_alias.as_deref() == Some(other),
    }
}

fn values(image: &Image, filter: &str) -> Vec<String> {
    let value = match filter {
        "architecture" => image.architecture.clone(),
        "creation-date" => image.creation_date.clone(),
        "description" => image.description.clone(),
        "image-id" => image.id.clone(),
        "image-type" => "machine".to_owned(),
        "is-public" => (image.owner != ACCOUNT).to_string(),
        "name" => image.name.clone(),
        "owner-alias" => return image.owner_alias.clone().into_iter().collect(),
        "owner-id" => image.owner.clone(),
        "root-device-type" => "ebs".to_owned(),
        "state" => "available".to_owned(),
        "virtualization-type" => "hvm".to_owned(),
        "hypervisor" => "xen".to_owned(),
        "ena-support" => "true".to_owned(),
        _ => return Vec::new(),
    };
    vec![value]
}

fn described(image: &Image) -> Element {
    let devices = image.volumes.iter().map(|(device, size_gib)| {
        let ebs = Element::new("ebs")
            .field("deleteOnTermination", true)
            .field("snapshotId", image.id.replacen("ami-", "snap-", 1))
            .field("volumeSize", size_gib)
            .field("volumeType", "gp3")
            .field("encrypted", false);
        Element::new("item").field("deviceName", device).with(ebs)
    });
    Element::new("item")
        .field("imageId", &image.id)
        .field(
            "imageLocation",
            format!(
                "{}/{}",
                image.owner_alias.as_deref().unwrap_or(&image.owner),
                image.name
            ),
        )
        .field("imageState", "available")
        .field("imageOwnerId", &image.owner)
        .field("creationDate", &image.creation_date)
        .field("deprecationTime", &image.deprecation_date)
        .field("isPublic", image.owner != ACCOUNT)
        .field("architecture", &image.architecture)
        .field("imageType", "machine")
        .field("platformDetails", "Linux/UNIX")
        .field("usageOperation", "RunInstances")
        .maybe("imageOwnerAlias", image.owner_alias.as_ref())
        .field("name", &image.name)
        .field("description", &image.description)
        .field("rootDeviceType", "ebs")
        .field("rootDeviceName", &image.root_device)
        .with(Element::list("blockDeviceMapping", devices))
        .field("virtualizationType", "hvm")
        .with(tag_set(&image.tags))
        .field("hypervisor", "xen")
        .field("enaSupport", true)
        .field("imdsSupport", "v2.0")
}

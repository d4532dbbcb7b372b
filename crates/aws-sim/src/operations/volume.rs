//! DescribeVolumes: the volumes of the instances that are there.

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::World;
use crate::state::instance::{Instance, InstanceState, Volume};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, tag_set};

/// DescribeVolumes.
pub fn describe_volumes(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("VolumeId");
    let filters = Filters::parse(params)?;
    filters.check(&[
        "tag",
        "attachment.instance-id",
        "availability-zone",
        "status",
        "volume-id",
        "volume-type",
    ])?;
    let mut keyed: Vec<(String, Element)> = world
        .instances
        .values()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .flat_map(|instance| instance.volumes.iter().map(move |volume| (instance, volume)))
        .filter(|(_, volume)| ids.is_empty() || ids.contains(&volume.id))
        .filter(|(instance, volume)| {
            filters.accept(Some(&volume.tags), |name| match name {
                "attachment.instance-id" => vec![instance.id.clone()],
                "availability-zone" => vec![instance.zone.clone()],
                "status" => vec!["in-use".to_owned()],
                "volume-type" => vec![volume.kind.clone()],
                _ => vec![volume.id.clone()],
            })
        })
        .map(|(instance, volume)| (volume.id.clone(), described(world, instance, volume)))
        .collect();
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    if let Some(missing) = ids.iter().find(|id| !keyed.iter().any(|(found, _)| found == *id)) {
        return Err(ApiError::client(
            "InvalidVolume.NotFound",
            format!("The volume '{missing}' does not exist."),
        ));
    }
    let (page, next) = paging(params, (5, 1000))?.or_size(1000).page(keyed);
    Ok(listed("volumeSet", page, next))
}

fn described(world: &World, instance: &Instance, volume: &Volume) -> Element {
    let attachment = Element::new("item")
        .field("volumeId", &volume.id)
        .field("instanceId", &instance.id)
        .field("device", &volume.device)
        .field("status", "attached")
        .field("attachTime", world.timestamp(instance.launched))
        .field("deleteOnTermination", volume.delete_on_termination);
    Element::new("item")
        .field("volumeId", &volume.id)
        .field("size", volume.size_gib)
        .field("availabilityZone", &instance.zone)
        .field("status", "in-use")
        .field("createTime", world.timestamp(instance.launched))
        .with(Element::list("attachmentSet", [attachment]))
        .with(tag_set(&volume.tags))
        .field("volumeType", &volume.kind)
        .field("encrypted", volume.is_encrypted)
}

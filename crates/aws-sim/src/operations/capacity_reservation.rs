//! DescribeCapacityReservations. Reservations are made by the control API; all are open, for Linux with default tenancy.

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging};
use crate::state::{ACCOUNT, World};
use crate::wire::query::Params;
use crate::wire::xml::Element;

/// DescribeCapacityReservations.
pub fn describe(world: &mut World, params: &Params) -> Answer {
    let filters = Filters::parse(params)?;
    filters.check(&[
        "availability-zone",
        "instance-match-criteria",
        "instance-platform",
        "instance-type",
        "state",
        "tenancy",
    ])?;
    let keyed: Vec<_> = world
        .reservations
        .iter()
        .filter(|(_, reservation)| {
            filters.accept(None, |filter| {
                vec![match filter {
                    "availability-zone" => reservation.zone.clone(),
                    "instance-match-criteria" => "open".to_owned(),
                    "instance-platform" => "Linux/UNIX".to_owned(),
                    "instance-type" => reservation.instance_type.clone(),
                    "state" => "active".to_owned(),
                    _ => "default".to_owned(),
                }]
            })
        })
        .map(|(id, reservation)| {
            let available = world.available(reservation);
            let element = Element::new("item")
                .field("capacityReservationId", id)
                .field("ownerId", ACCOUNT)
                .field("instanceType", &reservation.instance_type)
                .field("instancePlatform", "Linux/UNIX")
                .field("availabilityZone", &reservation.zone)
                .field("tenancy", "default")
                .field("totalInstanceCount", reservation.total)
                .field("availableInstanceCount", available)
                .field("state", "active")
                .field("endDateType", "unlimited")
                .field("instanceMatchCriteria", "open");
            (id.clone(), element)
        })
        .collect();
    let (page, next) = paging(params, (1, 1000))?.page(keyed);
    Ok(listed("capacityReservationSet", page, next))
}

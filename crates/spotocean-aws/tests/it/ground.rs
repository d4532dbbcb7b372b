//! What a launch stands on, found and made as the operator does it: an image, a
//! group, a subnet, a profile, and templates and fleets on top of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::ImageId;
use spotocean_core::instance_type::Architecture;
use spotocean_core::launch::{
    AllocationStrategy, FleetConfig, FleetOverride, FleetRequest, LaunchTemplate, MetadataOptions,
};
use spotocean_core::port::{Cloud, Image, ImageQuery, InstanceProfileRequest, Subnet};

use crate::arm::Arm;

/// Tags by key.
pub(crate) type Tags = BTreeMap<Arc<str>, Arc<str>>;

/// Tags of these pairs.
pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

/// A profile for the role, ours by the cluster's uid.
pub(crate) fn profile(arm: &Arm, name: &str, role: &str, cluster_uid: &str) -> InstanceProfileRequest {
    InstanceProfileRequest {
        name: format!("{name}-{}", arm.cluster).into(),
        role: role.into(),
        tags: tags(&[("spotocean.dev/cluster-uid", cluster_uid)]),
    }
}

/// What a fleet needs, found as the operator finds it.
pub(crate) struct Ground {
    image: ImageId,
    group: Arc<str>,
    profile: Arc<str>,
    /// The subnet in us-east-1a.
    pub(crate) subnet: Subnet,
}

impl Ground {
    /// Finds and makes it.
    pub(crate) async fn of(arm: &Arm) -> Ground {
        let images = arm
            .cloud
            .images(&ImageQuery::Selector(arm.images.clone()))
            .await
            .expect("there are images");
        let groups = arm
            .cloud
            .security_groups(&arm.security_groups)
            .await
            .expect("there are groups");
        let subnets = arm.cloud.subnets(&arm.subnets).await.expect("there are subnets");
        let profile = profile(arm, "fleet", &arm.role, "uid-1");
        arm.cloud
            .ensure_instance_profile(&profile)
            .await
            .expect("the profile is made");
        let is_amd64 = |image: &&Image| image.architecture == Architecture::Amd64;
        let in_first_zone = |subnet: &&Subnet| subnet.zone.as_str() == "us-east-1a";
        Ground {
            image: images.iter().find(is_amd64).expect("one for amd64").id.clone(),
            group: groups.first().expect("one group").id.as_str().into(),
            subnet: subnets
                .iter()
                .find(in_first_zone)
                .expect("one subnet per zone")
                .clone(),
            profile: profile.name,
        }
    }

    /// A template of that name.
    pub(crate) fn template(&self, name: &str, capacity_type: CapacityType) -> LaunchTemplate {
        launch_template(name, capacity_type, &self.image, &self.group, &self.profile)
    }
}

fn launch_template(
    name: &str,
    capacity_type: CapacityType,
    image: &ImageId,
    group: &str,
    profile: &str,
) -> LaunchTemplate {
    LaunchTemplate {
        name: name.into(),
        capacity_type,
        image: image.clone(),
        instance_profile: profile.into(),
        security_groups: vec![group.into()],
        user_data: "#!/bin/sh\n".into(),
        block_devices: Vec::new(),
        metadata: MetadataOptions {
            http_tokens: "required".into(),
            http_put_response_hop_limit: 1,
            http_endpoint: "enabled".into(),
            http_protocol_ipv6: "disabled".into(),
        },
        detailed_monitoring: false,
        public_ip: None,
        key_pair: None,
        tags: tags(&[("spotocean.dev/ocean-uid", "uid-1")]),
    }
}

/// A fleet of m5.large in us-east-1a from the template `fleet-<capacity type>`.
pub(crate) fn fleet(ground: &Ground, token: &str, capacity_type: CapacityType, count: i64) -> FleetRequest {
    FleetRequest {
        client_token: token.into(),
        capacity_type,
        allocation_strategy: match capacity_type {
            CapacityType::Spot => AllocationStrategy::PriceCapacityOptimized,
            CapacityType::OnDemand => AllocationStrategy::LowestPrice,
        },
        target_capacity: count,
        configs: vec![FleetConfig {
            launch_template: format!("fleet-{capacity_type}").into(),
            overrides: vec![FleetOverride {
                instance_type: "m5.large".into(),
                subnet: ground.subnet.id.clone(),
                zone: ground.subnet.zone.clone(),
                priority: None,
                max_price: None,
            }],
        }],
        tags: tags(&[("spotocean.dev/launch", token)]),
    }
}

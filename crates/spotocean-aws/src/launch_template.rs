//! Launch templates. A template is its content: the name is the content's hash,
//! nothing changes one after it was made, and one that is there already is the
//! one we wanted.
//!
//! Tags: the IAM policy admits a launch only when every resource it creates is
//! tagged in the same call, so the template carries tags for instances, volumes
//! and network interfaces, and for the spot request on a spot launch alone: on
//! an on-demand launch EC2 refuses the last (karpenter-provider-aws #5850).

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::operation::create_launch_template::builders::CreateLaunchTemplateInputBuilder;
use aws_sdk_ec2::operation::delete_launch_template::builders::DeleteLaunchTemplateInputBuilder;
use aws_sdk_ec2::operation::describe_launch_templates::builders::DescribeLaunchTemplatesInputBuilder;
use aws_sdk_ec2::types::{
    LaunchTemplate as Described, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataEndpointState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceMetadataProtocolIpv6,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplateTagSpecificationRequest,
    LaunchTemplatesMonitoringRequest, RequestLaunchTemplateData, ResourceType, VolumeType, builders,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use builders::RequestLaunchTemplateDataBuilder;
use jiff::Timestamp;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::launch::{BlockDevice, LaunchTemplate, MetadataOptions};
use spotocean_core::port::{CloudError, CloudErrorKind};

use crate::client::AwsCloud;
use crate::error::invalid;
use crate::page::{self, Page};
use crate::tag::{self, Tags};
use crate::throttle::Action;
use crate::timestamp;

const CREATE: Action = Action::write("CreateLaunchTemplate");
const DELETE: Action = Action::write("DeleteLaunchTemplate");
const DESCRIBE: Action = Action::read("DescribeLaunchTemplates");
/// EC2's largest page of launch templates.
const PAGE_SIZE: i32 = 200;
/// EC2's limit on user data, before base64.
const USER_DATA_BYTES_MAX: usize = 16_384;

/// Creates the template unless one of its name exists.
pub(crate) async fn ensure(cloud: &AwsCloud, template: &LaunchTemplate) -> Result<(), CloudError> {
    // No client token: with one, EC2 would answer a template that was deleted meanwhile with its first answer.
    let request = input(template)?.send_with(&cloud.ec2_writes);
    match cloud.call(CREATE, request).await {
        Err(error) if error.kind != CloudErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Names of the templates with these tags, with their creation time.
pub(crate) async fn with_tags(
    cloud: &AwsCloud,
    tags: &Tags,
) -> Result<BTreeMap<Arc<str>, Timestamp>, CloudError> {
    let described = page::every(|token| async move {
        let request = DescribeLaunchTemplatesInputBuilder::default()
            .set_filters(Some(tag::filters(tags)))
            .max_results(PAGE_SIZE)
            .set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.launch_templates.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    Ok(described
        .await?
        .iter()
        .filter(|template| tag::all_match(tags, &tag::read(template.tags())))
        .filter_map(name_and_time)
        .collect())
}

/// Deletes a template; absent is fine.
pub(crate) async fn delete(cloud: &AwsCloud, name: &str) -> Result<(), CloudError> {
    let request = DeleteLaunchTemplateInputBuilder::default()
        .launch_template_name(name)
        .send_with(&cloud.ec2_writes);
    match cloud.call(DELETE, request).await {
        Err(error) if error.kind != CloudErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn name_and_time(template: &Described) -> Option<(Arc<str>, Timestamp)> {
    Some((
        template.launch_template_name()?.into(),
        timestamp::read(template.create_time()?)?,
    ))
}

/// The request as EC2 takes it.
fn input(template: &LaunchTemplate) -> Result<CreateLaunchTemplateInputBuilder, CloudError> {
    let size_bytes = template.user_data.len();
    if size_bytes > USER_DATA_BYTES_MAX {
        return Err(invalid(
            CREATE.name,
            "InvalidUserData.TooLarge",
            format!(
                "the user data has {size_bytes} bytes and EC2 takes {USER_DATA_BYTES_MAX}; shorten template.userData"
            ),
        ));
    }
    Ok(CreateLaunchTemplateInputBuilder::default()
        .launch_template_name(&*template.name)
        .launch_template_data(data(template))
        .tag_specifications(tag::specification(ResourceType::LaunchTemplate, &template.tags)))
}

fn data(template: &LaunchTemplate) -> RequestLaunchTemplateData {
    let data = RequestLaunchTemplateData::builder()
        .image_id(template.image.as_str())
        .iam_instance_profile(
            LaunchTemplateIamInstanceProfileSpecificationRequest::builder()
                .name(&*template.instance_profile)
                .build(),
        )
        .user_data(STANDARD.encode(template.user_data.as_bytes()))
        .metadata_options(metadata(&template.metadata))
        .monitoring(
            LaunchTemplatesMonitoringRequest::builder()
                .enabled(template.detailed_monitoring)
                .build(),
        )
        .set_key_name(template.key_pair.as_deref().map(str::to_owned))
        .set_block_device_mappings(Some(template.block_devices.iter().map(device).collect()))
        .set_tag_specifications(Some(tag_specifications(template)));
    network(data, template).build()
}

/// A public address can only be asked for on a network interface, and with one
/// named the groups belong on it: EC2 refuses both places at once.
fn network(
    data: RequestLaunchTemplateDataBuilder,
    template: &LaunchTemplate,
) -> RequestLaunchTemplateDataBuilder {
    let groups = template
        .security_groups
        .iter()
        .map(std::string::ToString::to_string)
        .collect();
    let Some(public_ip) = template.public_ip else {
        return data.set_security_group_ids(Some(groups));
    };
    data.network_interfaces(
        LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
            .device_index(0)
            .associate_public_ip_address(public_ip)
            .delete_on_termination(true)
            .set_groups(Some(groups))
            .build(),
    )
}

fn metadata(options: &MetadataOptions) -> LaunchTemplateInstanceMetadataOptionsRequest {
    LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::from(&*options.http_tokens))
        .http_put_response_hop_limit(options.http_put_response_hop_limit)
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::from(
            &*options.http_endpoint,
        ))
        .http_protocol_ipv6(LaunchTemplateInstanceMetadataProtocolIpv6::from(
            &*options.http_protocol_ipv6,
        ))
        .build()
}

fn device(device: &BlockDevice) -> LaunchTemplateBlockDeviceMappingRequest {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .set_volume_size(device.size_gib)
        .set_volume_type(device.volume_type.as_deref().map(VolumeType::from))
        .set_iops(device.iops)
        .set_throughput(device.throughput_mibps)
        .set_encrypted(device.encrypted)
        .set_kms_key_id(text(&device.kms_key_id))
        .set_snapshot_id(text(&device.snapshot_id))
        .set_delete_on_termination(device.delete_on_termination)
        .build();
    LaunchTemplateBlockDeviceMappingRequest::builder()
        .device_name(&*device.device_name)
        .ebs(volume)
        .build()
}

fn tag_specifications(template: &LaunchTemplate) -> Vec<LaunchTemplateTagSpecificationRequest> {
    let always = [
        ResourceType::Instance,
        ResourceType::Volume,
        ResourceType::NetworkInterface,
    ];
    let spot = (template.capacity_type == CapacityType::Spot).then_some(ResourceType::SpotInstancesRequest);
    always
        .into_iter()
        .chain(spot)
        .map(|resource| {
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(resource)
                .set_tags(Some(tag::list(&template.tags)))
                .build()
        })
        .collect()
}

#[cfg(test)]
mod tests;

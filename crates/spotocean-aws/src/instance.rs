//! Instances: listed by tag, described by id, terminated, tagged, and their console read.
//!
//! EC2 fails a whole call for one id it does not know ("By-id calls"), so a
//! failed batch is asked again without the ids its message names, or in halves
//! where it names none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_ec2::operation::create_tags::builders::CreateTagsInputBuilder;
use aws_sdk_ec2::operation::delete_tags::builders::DeleteTagsInputBuilder;
use aws_sdk_ec2::operation::describe_instances::builders::DescribeInstancesInputBuilder;
use aws_sdk_ec2::operation::get_console_output::builders::GetConsoleOutputInputBuilder;
use aws_sdk_ec2::operation::terminate_instances::builders::TerminateInstancesInputBuilder;
use aws_sdk_ec2::types::{Instance as Described, InstanceLifecycleType, Reservation, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::{Instance, InstanceState};
use spotocean_core::port::{CloudError, CloudErrorKind};

use crate::client::AwsCloud;
use crate::error::unreadable;
use crate::page::{self, Page};
use crate::tag::{self, Tags};
use crate::throttle::Action;
use crate::timestamp;

const DESCRIBE: Action = Action::read("DescribeInstances");
const CREATE_TAGS: Action = Action::tag("CreateTags");
const DELETE_TAGS: Action = Action::tag("DeleteTags");
const CONSOLE_OUTPUT: Action = Action::read("GetConsoleOutput");
/// EC2's largest page of instances.
const PAGE_SIZE: i32 = 1000;
/// Ids per call. EC2 takes 1,000; smaller batches lose less to one bad id.
const IDS_PER_CALL: usize = 500;
/// How much of the console's end is worth keeping: the last screens of a boot, small enough for a status or a log line.
const CONSOLE_BYTES_MAX: usize = 8192;

/// All instances with these tags, in any state, sorted by id.
pub(crate) async fn with_tags(cloud: &AwsCloud, tags: &Tags) -> Result<Vec<Instance>, CloudError> {
    let request = DescribeInstancesInputBuilder::default()
        .set_filters(Some(tag::filters(tags)))
        .max_results(PAGE_SIZE);
    let mut instances = describe(cloud, &request).await?;
    instances.retain(|instance| tag::all_match(tags, &instance.tags));
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(instances)
}

/// Instances by id, sorted; ids EC2 does not know are left out.
pub(crate) async fn by_id(cloud: &AwsCloud, ids: &[InstanceId]) -> Result<Vec<Instance>, CloudError> {
    let mut found = BTreeMap::new();
    let mut batches = batches(ids);
    while let Some(batch) = batches.pop() {
        // MaxResults together with ids is refused.
        let request = DescribeInstancesInputBuilder::default().set_instance_ids(Some(texts(&batch)));
        match describe(cloud, &request).await {
            Ok(instances) => found.extend(instances.into_iter().map(|found| (found.id.clone(), found))),
            Err(error) if is_about_ids(&error) => batches.extend(without_unknown(&batch, &error.message)),
            Err(error) => return Err(error),
        }
    }
    let asked: BTreeSet<_> = ids.iter().collect();
    found.retain(|id, _| asked.contains(id));
    Ok(found.into_values().collect())
}

/// Terminates instances. Each id gets its chance: what is wrong with one is reported after the others were terminated.
pub(crate) async fn terminate(cloud: &AwsCloud, ids: &[InstanceId]) -> Result<(), CloudError> {
    let mut first_error = None;
    let mut batches = batches(ids);
    while let Some(batch) = batches.pop() {
        let request = TerminateInstancesInputBuilder::default()
            .set_instance_ids(Some(texts(&batch)))
            .send_with(&cloud.ec2_writes);
        let Err(error) = cloud.call(Action::terminate(batch.len()), request).await else {
            continue;
        };
        if is_about_ids(&error) {
            batches.extend(without_unknown(&batch, &error.message));
        } else if matches!(error.kind, CloudErrorKind::Throttled | CloudErrorKind::Unknown) {
            return Err(error);
        } else if batch.len() == 1 {
            first_error.get_or_insert(error);
        } else {
            batches.extend(halves(&batch));
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Sets tags.
pub(crate) async fn set_tags(cloud: &AwsCloud, ids: &[InstanceId], tags: &Tags) -> Result<(), CloudError> {
    if tags.is_empty() {
        return Ok(());
    }
    for batch in batches(ids) {
        let request = CreateTagsInputBuilder::default()
            .set_resources(Some(texts(&batch)))
            .set_tags(Some(tag::list(tags)))
            .send_with(&cloud.ec2_writes);
        cloud.call(CREATE_TAGS, request).await?;
    }
    Ok(())
}

/// Removes tags, whatever their value.
pub(crate) async fn remove_tags(
    cloud: &AwsCloud,
    ids: &[InstanceId],
    keys: &[Arc<str>],
) -> Result<(), CloudError> {
    if keys.is_empty() {
        // Without a list of tags DeleteTags removes them all.
        return Ok(());
    }
    let tags: Vec<Tag> = keys
        .iter()
        .map(|key| Tag::builder().key(&**key).build())
        .collect();
    for batch in batches(ids) {
        let request = DeleteTagsInputBuilder::default()
            .set_resources(Some(texts(&batch)))
            .set_tags(Some(tags.clone()))
            .send_with(&cloud.ec2_writes);
        cloud.call(DELETE_TAGS, request).await?;
    }
    Ok(())
}

/// The end of the console output: as it is now on Nitro, else what EC2 kept of the last boot.
pub(crate) async fn console_output(cloud: &AwsCloud, id: &InstanceId) -> Result<Arc<str>, CloudError> {
    let request = |latest| {
        GetConsoleOutputInputBuilder::default()
            .instance_id(id.as_str())
            .set_latest(latest)
            .send_with(&cloud.ec2)
    };
    let output = match cloud.call(CONSOLE_OUTPUT, request(Some(true))).await {
        Err(error) if &*error.code == "UnsupportedOperation" => {
            cloud.call(CONSOLE_OUTPUT, request(None)).await?
        }
        other => other?,
    };
    console_text(output.output().unwrap_or_default())
}

fn console_text(encoded: &str) -> Result<Arc<str>, CloudError> {
    let compact: String = encoded.split_whitespace().collect();
    let bytes = STANDARD.decode(compact).map_err(|error| {
        unreadable(
            CONSOLE_OUTPUT.name,
            format!("the console output is not base64: {error}"),
        )
    })?;
    let end = &bytes[bytes.len().saturating_sub(CONSOLE_BYTES_MAX)..];
    Ok(String::from_utf8_lossy(end).into())
}

async fn describe(
    cloud: &AwsCloud,
    request: &DescribeInstancesInputBuilder,
) -> Result<Vec<Instance>, CloudError> {
    page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer
                .reservations()
                .iter()
                .flat_map(Reservation::instances)
                .filter_map(read)
                .collect(),
            next: answer.next_token,
        })
    })
    .await
}

/// One instance as EC2 describes it; `None` where it lacks what every instance has.
fn read(described: &Described) -> Option<Instance> {
    let state = described.state()?.name()?;
    Some(Instance {
        id: described.instance_id()?.into(),
        instance_type: described.instance_type()?.as_str().into(),
        zone: described.placement()?.availability_zone()?.into(),
        capacity_type: match described.instance_lifecycle() {
            Some(InstanceLifecycleType::Spot) => CapacityType::Spot,
            _ => CapacityType::OnDemand,
        },
        state: InstanceState::parse(state.as_str())?,
        state_reason: described
            .state_reason()
            .and_then(|reason| reason.code())
            .unwrap_or_default()
            .into(),
        image: described.image_id().unwrap_or_default().into(),
        launched_at: timestamp::read(described.launch_time()?)?,
        private_dns_name: described.private_dns_name().unwrap_or_default().into(),
        tags: tag::read(described.tags()),
    })
}

/// `InvalidInstanceID.NotFound` and `.Malformed`.
fn is_about_ids(error: &CloudError) -> bool {
    error.code.starts_with("InvalidInstanceID.")
}

/// The ids in batches of what one call takes, each id once.
fn batches(ids: &[InstanceId]) -> Vec<Vec<InstanceId>> {
    let distinct: BTreeSet<_> = ids.iter().cloned().collect();
    let distinct: Vec<_> = distinct.into_iter().collect();
    distinct.chunks(IDS_PER_CALL).map(<[_]>::to_vec).collect()
}

/// What to ask again after EC2 refused a batch over an id: the batch without the ids
/// the message names, or its halves where it names none. A single id refused is done.
fn without_unknown(batch: &[InstanceId], message: &str) -> Vec<Vec<InstanceId>> {
    let named = |id: &InstanceId| {
        message
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .any(|word| word == id.as_str())
    };
    let rest: Vec<_> = batch.iter().filter(|id| !named(id)).cloned().collect();
    if rest.len() == batch.len() {
        return halves(batch);
    }
    if rest.is_empty() { Vec::new() } else { vec![rest] }
}

/// Two halves; none of a single id.
fn halves(batch: &[InstanceId]) -> Vec<Vec<InstanceId>> {
    if batch.len() < 2 {
        return Vec::new();
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    vec![first.to_vec(), second.to_vec()]
}

fn texts(ids: &[InstanceId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;

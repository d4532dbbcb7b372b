//! The interruption queue: messages received, read and deleted.
//!
//! What a body says is decided by its version, source and detail type. Anything
//! unknown or unreadable becomes a message without an event, so that it is
//! deleted instead of coming back for ever; missing one costs time only,
//! because the instances themselves are watched too.

use std::sync::Arc;

use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchOutput;
use aws_sdk_sqs::operation::delete_message_batch::builders::DeleteMessageBatchInputBuilder;
use aws_sdk_sqs::operation::get_queue_url::builders::GetQueueUrlInputBuilder;
use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageInputBuilder;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::InstanceState;
use spotocean_core::port::{CloudError, CloudEvent, CloudEventKind, QueueMessage};

use crate::client::AwsCloud;
use crate::error::{invalid, kind, unreadable};
use crate::throttle::Action;

const GET_URL: Action = Action::other("GetQueueUrl");
const RECEIVE: Action = Action::other("ReceiveMessage");
const DELETE: Action = Action::other("DeleteMessageBatch");
/// SQS's most messages per receive and per delete.
const BATCH: usize = 10;
/// SQS's longest wait.
const WAIT_SECONDS: i32 = 20;
/// A message not deleted by then comes back.
const VISIBILITY_SECONDS: i32 = 20;

/// Waits up to 20 s for messages; at most 10. `queue` is a name or a URL.
pub(crate) async fn receive(cloud: &AwsCloud, queue: &str) -> Result<Vec<QueueMessage>, CloudError> {
    let request = ReceiveMessageInputBuilder::default()
        .queue_url(&*url(cloud, queue).await?)
        .max_number_of_messages(10)
        .wait_time_seconds(WAIT_SECONDS)
        .visibility_timeout(VISIBILITY_SECONDS);
    let answer = cloud.call(RECEIVE, request.send_with(&cloud.sqs)).await?;
    Ok(answer.messages().iter().filter_map(read).collect())
}

/// Deletes messages. All are tried; the first refusal is reported.
pub(crate) async fn delete(cloud: &AwsCloud, queue: &str, receipts: &[Arc<str>]) -> Result<(), CloudError> {
    if receipts.is_empty() {
        return Ok(());
    }
    let url = url(cloud, queue).await?;
    let mut result = Ok(());
    for batch in receipts.chunks(BATCH) {
        let request = DeleteMessageBatchInputBuilder::default()
            .queue_url(&*url)
            .set_entries(Some(entries(batch)?));
        let answer = cloud.call(DELETE, request.send_with(&cloud.sqs)).await;
        result = result.and(answer.and_then(|answer| refusal(&answer)));
    }
    result
}

/// The queue's URL; looked up once per queue, because it never changes.
async fn url(cloud: &AwsCloud, queue: &str) -> Result<Arc<str>, CloudError> {
    if queue.starts_with("https://") || queue.starts_with("http://") {
        return Ok(queue.into());
    }
    let known = |url: Option<Arc<str>>| {
        let mut urls = cloud
            .queue_urls
            .lock()
            .expect("nothing panics while it holds the lock");
        if let Some(url) = url {
            urls.insert(queue.into(), url);
        }
        urls.get(queue).cloned()
    };
    if let Some(url) = known(None) {
        return Ok(url);
    }
    let request = GetQueueUrlInputBuilder::default().queue_name(queue);
    let answer = cloud.call(GET_URL, request.send_with(&cloud.sqs)).await?;
    known(answer.queue_url().map(Into::into))
        .ok_or_else(|| unreadable(GET_URL.name, format!("queue {queue} has no URL")))
}

fn entries(receipts: &[Arc<str>]) -> Result<Vec<DeleteMessageBatchRequestEntry>, CloudError> {
    receipts
        .iter()
        .enumerate()
        .map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&**receipt)
                .build()
        })
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(DELETE.name, "InvalidEntry", error.to_string()))
}

/// A batch answers 200 also where entries of it failed.
fn refusal(answer: &DeleteMessageBatchOutput) -> Result<(), CloudError> {
    match answer.failed().first() {
        None => Ok(()),
        Some(failed) => Err(CloudError {
            kind: kind(failed.code()),
            action: DELETE.name.into(),
            code: failed.code().into(),
            message: failed.message().unwrap_or_default().into(),
        }),
    }
}

fn read(message: &Message) -> Option<QueueMessage> {
    Some(QueueMessage {
        receipt: message.receipt_handle()?.into(),
        event: message.body().and_then(event),
    })
}

/// An EventBridge event as it stands in a message's body.
#[derive(Deserialize)]
struct Body {
    version: String,
    id: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    source: String,
    time: Timestamp,
    detail: Value,
}

/// The detail of EC2's own events. The id is taken from here, never from
/// `resources`, whose ARNs come in two forms.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InstanceDetail {
    instance_id: String,
    state: Option<String>,
}

/// The detail of AWS Health's events.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthDetail {
    service: String,
    event_type_code: String,
    event_type_category: String,
    status_code: Option<String>,
    #[serde(default)]
    affected_entities: Vec<HealthEntity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthEntity {
    entity_value: String,
}

/// What the body says; `None` for what is not ours to act on or cannot be read.
fn event(body: &str) -> Option<CloudEvent> {
    let body: Body = serde_json::from_str(body).ok()?;
    if body.version != "0" {
        return None;
    }
    let (instances, kind) = match (body.source.as_str(), body.detail_type.as_str()) {
        ("aws.health", "AWS Health Event") => health(body.detail)?,
        ("aws.ec2", detail_type) => ec2(detail_type, body.detail)?,
        _ => return None,
    };
    Some(CloudEvent {
        id: body.id.into(),
        time: body.time,
        instances,
        kind,
    })
}

fn ec2(detail_type: &str, detail: Value) -> Option<(Vec<InstanceId>, CloudEventKind)> {
    let detail: InstanceDetail = serde_json::from_value(detail).ok()?;
    let kind = match detail_type {
        "EC2 Spot Instance Interruption Warning" => CloudEventKind::SpotInterruption,
        "EC2 Instance Rebalance Recommendation" => CloudEventKind::RebalanceRecommendation,
        "EC2 Instance State-change Notification" => {
            CloudEventKind::StateChange(InstanceState::parse(&detail.state?)?)
        }
        "EC2 Capacity Reservation Instance Interruption Warning" => CloudEventKind::ReservationInterruption,
        _ => return None,
    };
    Some((vec![detail.instance_id.into()], kind))
}

/// Scheduled changes of EC2 that are still open; one event may list many instances.
fn health(detail: Value) -> Option<(Vec<InstanceId>, CloudEventKind)> {
    let detail: HealthDetail = serde_json::from_value(detail).ok()?;
    let is_ours = detail.service == "EC2"
        && detail.event_type_category == "scheduledChange"
        && detail.status_code.as_deref() != Some("closed");
    let mut instances: Vec<InstanceId> = detail
        .affected_entities
        .into_iter()
        .map(|entity| entity.entity_value)
        .filter(|value| value.starts_with("i-"))
        .map(InstanceId::from)
        .collect();
    instances.sort();
    instances.dedup();
    if !is_ours || instances.is_empty() {
        return None;
    }
    Some((
        instances,
        CloudEventKind::ScheduledChange(detail.event_type_code.into()),
    ))
}

#[cfg(test)]
mod tests;

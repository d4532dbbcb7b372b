//! SQS in its JSON protocol. Long polling is the server's; here a receive looks once.

use serde_json::{Map, Value, json};

use crate::state::World;
use crate::state::queue::{Message, Queue};
use crate::wire::error::ApiError;

const BATCH_MAX: usize = 10;

/// Carries out an SQS action.
pub fn sqs(world: &mut World, action: &str, body: &Value) -> Result<Value, ApiError> {
    match action {
        "GetQueueUrl" => {
            let name = body["QueueName"].as_str().ok_or_else(|| missing("QueueName"))?;
            if !world.queues.contains_key(name) {
                return Err(no_queue());
            }
            Ok(json!({"QueueUrl": world.queue_url(name)}))
        }
        "ListQueues" => {
            let urls: Vec<String> = world.queues.keys().map(|name| world.queue_url(name)).collect();
            Ok(json!({"QueueUrls": urls}))
        }
        "CreateQueue" => {
            let name = body["QueueName"]
                .as_str()
                .ok_or_else(|| missing("QueueName"))?
                .to_owned();
            world
                .queues
                .entry(name.clone())
                .or_insert_with(|| Queue::new(&name));
            Ok(json!({"QueueUrl": world.queue_url(&name)}))
        }
        "ReceiveMessage" => receive(world, body),
        "SendMessage" => send(world, body),
        "DeleteMessage" => {
            let handle = body["ReceiptHandle"]
                .as_str()
                .ok_or_else(|| missing("ReceiptHandle"))?
                .to_owned();
            if queue(world, body)?.delete(&handle) {
                Ok(json!({}))
            } else {
                Err(bad_handle(&handle))
            }
        }
        "DeleteMessageBatch" => delete_batch(world, body),
        "ChangeMessageVisibility" => {
            let handle = body["ReceiptHandle"]
                .as_str()
                .ok_or_else(|| missing("ReceiptHandle"))?
                .to_owned();
            let seconds = body["VisibilityTimeout"]
                .as_i64()
                .ok_or_else(|| missing("VisibilityTimeout"))?;
            let now_ms = world.clock.real_ms();
            let is_known = queue(world, body)?.change_visibility(&handle, seconds, now_ms);
            if is_known {
                Ok(json!({}))
            } else {
                Err(bad_handle(&handle))
            }
        }
        "PurgeQueue" => {
            queue(world, body)?.purge();
            Ok(json!({}))
        }
        "GetQueueAttributes" => attributes(world, body),
        _ => Err(ApiError::client(
            "InvalidAction",
            format!("The action {action} is not valid for this endpoint."),
        )),
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::client(
        "MissingParameter",
        format!("The request must contain the parameter {name}."),
    )
}

fn no_queue() -> ApiError {
    ApiError::client("QueueDoesNotExist", "The specified queue does not exist.")
}

fn bad_handle(handle: &str) -> ApiError {
    ApiError::client(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

fn queue<'a>(world: &'a mut World, body: &Value) -> Result<&'a mut Queue, ApiError> {
    let url = body["QueueUrl"].as_str().ok_or_else(|| missing("QueueUrl"))?;
    let name = url.rsplit('/').next().unwrap_or_default();
    world.queues.get_mut(name).ok_or_else(no_queue)
}

fn receive(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let most = body["MaxNumberOfMessages"].as_i64().unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
            ),
        ));
    }
    let wait = body["WaitTimeSeconds"].as_i64().unwrap_or(0);
    if !(0..=20).contains(&wait) {
        return Err(ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
            ),
        ));
    }
    let now_ms = world.clock.real_ms();
    let start_ms = world.clock.timestamp(world.now()).as_millisecond() - now_ms;
    let hide_seconds = body["VisibilityTimeout"].as_i64();
    let most = usize::try_from(most).unwrap_or(1);
    let messages: Vec<Value> = queue(world, body)?
        .receive(most, hide_seconds, now_ms)
        .into_iter()
        .map(|(handle, message)| described(&handle, &message, start_ms))
        .collect();
    Ok(if messages.is_empty() {
        json!({})
    } else {
        json!({"Messages": messages})
    })
}

fn described(handle: &str, message: &Message, start_ms: i64) -> Value {
    json!({
        "MessageId": message.id,
        "ReceiptHandle": handle,
        "Body": message.body,
        "Attributes": {
            "SentTimestamp": (start_ms + message.sent_ms).to_string(),
            "ApproximateReceiveCount": message.receives.to_string(),
            "ApproximateFirstReceiveTimestamp": (start_ms + message.first_received_ms.unwrap_or(message.sent_ms)).to_string(),
        },
    })
}

fn send(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let text = body["MessageBody"]
        .as_str()
        .ok_or_else(|| missing("MessageBody"))?
        .to_owned();
    let delay_seconds = body["DelaySeconds"].as_i64().unwrap_or(0);
    let id = world.new_uuid();
    let now_ms = world.clock.real_ms();
    queue(world, body)?.send(id.clone(), text, delay_seconds, now_ms);
    Ok(json!({"MessageId": id}))
}

fn delete_batch(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let entries: Vec<(String, String)> = body["Entries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (text("Id"), text("ReceiptHandle"))
        })
        .collect();
    if entries.is_empty() {
        return Err(ApiError::client(
            "EmptyBatchRequest",
            "There should be at least one DeleteMessageBatchRequestEntry in the request.",
        ));
    }
    if entries.len() > BATCH_MAX {
        return Err(ApiError::client(
            "TooManyEntriesInBatchRequest",
            format!(
                "Maximum number of entries per request are {BATCH_MAX}. You have sent {}.",
                entries.len()
            ),
        ));
    }
    let queue = queue(world, body)?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, handle) in entries {
        if queue.delete(&handle) {
            successful.push(json!({"Id": id}));
        } else {
            failed.push(json!({"Id": id, "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "The input receipt handle is invalid."}));
        }
    }
    Ok(json!({"Successful": successful, "Failed": failed}))
}

fn attributes(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let region = world.options.region.clone();
    let now_ms = world.clock.real_ms();
    let queue = queue(world, body)?;
    let (visible, hidden) = queue.lengths(now_ms);
    let all = [
        ("ApproximateNumberOfMessages", visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", hidden.to_string()),
        ("VisibilityTimeout", queue.visibility_seconds.to_string()),
        ("MessageRetentionPeriod", queue.retention_seconds.to_string()),
        (
            "QueueArn",
            format!("arn:aws:sqs:{region}:{}:{}", crate::state::ACCOUNT, queue.name),
        ),
    ];
    let wanted: Vec<&str> = body["AttributeNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let found: Map<String, Value> = all
        .into_iter()
        .filter(|(name, _)| wanted.contains(&"All") || wanted.contains(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    Ok(if found.is_empty() {
        json!({})
    } else {
        json!({"Attributes": found})
    })
}

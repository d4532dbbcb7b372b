//! Listens to the interruption queue. A message stays in the queue until its effect is on record.

use std::sync::Arc;
use std::time::Duration;

use spotocean_core::port::{Cloud, CloudEventKind, QueueMessage};
use spotocean_planner::snapshot::ReceivedEvent;
use tracing::{info, warn};

use super::note;
use crate::batch::News;
use crate::context::Context;
use crate::metrics::EventLabels;

/// The pause after an error; messages keep for minutes.
const RETRY: Duration = Duration::from_secs(5);
/// Events kept at most; what is beyond stays in the queue and comes again.
const EVENTS_MAX: usize = 5_000;

/// Listens for as long as it is polled.
pub async fn keep<C: Cloud>(context: Arc<Context<C>>, queue: Arc<str>) {
    loop {
        match context
            .read("ReceiveMessage", context.cloud.receive_messages(&queue))
            .await
        {
            Ok(messages) => {
                context.view.with(|seen| note(&mut seen.queue_source, None));
                take(&context, &queue, messages).await;
            }
            Err(error) => {
                warn!(%error, queue = &*queue, "the interruption queue cannot be read");
                context
                    .view
                    .with(|seen| note(&mut seen.queue_source, Some(error)));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn take<C: Cloud>(context: &Context<C>, queue: &str, messages: Vec<QueueMessage>) {
    let (events, others): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.event.is_some());
    let received = events.into_iter().filter_map(|message| {
        let receipt = message.receipt;
        message.event.map(|event| ReceivedEvent { receipt, event })
    });
    for event in received {
        heed(context, event);
    }
    if others.is_empty() {
        return;
    }
    let receipts: Vec<Arc<str>> = others.into_iter().map(|message| message.receipt).collect();
    let call = context.cloud.delete_messages(queue, &receipts);
    if let Err(error) = context.write("DeleteMessage", call).await {
        // They come again.
        info!(?error, "messages that are not for us were left in the queue");
    }
}

fn heed<C>(context: &Context<C>, received: ReceivedEvent) {
    let event = &received.event;
    info!(kind = word(&event.kind), instances = ?event.instances, id = &*event.id, "event received");
    let labels = EventLabels {
        kind: word(&event.kind).to_owned(),
    };
    context.metrics.interruptions.get_or_create(&labels).inc();
    let news = news(&event.kind);
    context.view.with(|seen| keep_event(&mut seen.events, received));
    context.view.instances_wanted.notify_one();
    context.wake.ring(news);
}

fn news(kind: &CloudEventKind) -> News {
    match kind {
        CloudEventKind::SpotInterruption | CloudEventKind::ReservationInterruption => News::Forced,
        CloudEventKind::StateChange(state) if state.is_ending() => News::Forced,
        CloudEventKind::StateChange(_)
        | CloudEventKind::RebalanceRecommendation
        | CloudEventKind::ScheduledChange(_) => News::Change,
    }
}

/// Queues deliver twice: the later receipt is the valid one.
fn keep_event(events: &mut Vec<ReceivedEvent>, received: ReceivedEvent) {
    let known = events
        .iter()
        .position(|known| known.event.id == received.event.id);
    match known {
        Some(index) => events[index] = received,
        None if events.len() < EVENTS_MAX => events.push(received),
        None => {}
    }
}

fn word(kind: &CloudEventKind) -> &'static str {
    match kind {
        CloudEventKind::SpotInterruption => "SpotInterruption",
        CloudEventKind::RebalanceRecommendation => "RebalanceRecommendation",
        CloudEventKind::StateChange(_) => "StateChange",
        CloudEventKind::ScheduledChange(_) => "ScheduledChange",
        CloudEventKind::ReservationInterruption => "ReservationInterruption",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use spotocean_core::port::CloudEvent;

    use super::*;

    #[test]
    fn a_message_that_comes_twice_is_one_event_under_its_last_receipt() {
        let received = |id: &str, receipt: &str| ReceivedEvent {
            receipt: receipt.into(),
            event: CloudEvent {
                id: id.into(),
                time: Timestamp::UNIX_EPOCH,
                instances: vec!["i-1".into()],
                kind: CloudEventKind::SpotInterruption,
            },
        };
        let mut events = Vec::new();
        for event in [received("a", "1"), received("b", "2"), received("a", "3")] {
            keep_event(&mut events, event);
        }
        let receipts: Vec<&str> = events.iter().map(|event| &*event.receipt).collect();
        assert_eq!(receipts, ["3", "2"]);
    }
}

//! Keeps the list of instances fresh: often while something is on its way, at once when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use spotocean_api::ocean_node::Phase;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::{Instance, InstanceState, TAG_CLUSTER_UID};
use spotocean_core::port::{Cloud, CloudError};
use tracing::warn;

use super::note;
use crate::batch::News;
use crate::context::Context;
use crate::store::Objects;

/// The pace while an instance starts or ends.
const BUSY_EVERY: Duration = Duration::from_secs(10);
/// The pace otherwise: losing every event costs this much time.
const QUIET_EVERY: Duration = Duration::from_secs(45);
/// The pause between two listings however much is asked for.
const PAUSE_MIN: Duration = Duration::from_secs(2);

/// Keeps instances fresh for as long as it is polled.
pub async fn keep<C: Cloud>(context: Arc<Context<C>>, cluster_uid: Arc<str>) {
    let tags = BTreeMap::from([(Arc::from(TAG_CLUSTER_UID), cluster_uid)]);
    loop {
        list(&context, &tags).await;
        tokio::time::sleep(PAUSE_MIN).await;
        let pace = if is_busy(&context) {
            BUSY_EVERY
        } else {
            QUIET_EVERY
        };
        tokio::select! {
            () = context.view.instances_wanted.notified() => {}
            () = tokio::time::sleep(pace - PAUSE_MIN) => {}
        }
    }
}

async fn list<C: Cloud>(context: &Context<C>, tags: &BTreeMap<Arc<str>, Arc<str>>) {
    let result = match context
        .read("DescribeInstances", context.cloud.instances(tags))
        .await
    {
        Ok(listed) => with_missing(context, listed).await,
        Err(error) => Err(error),
    };
    let is_news = context.view.with(|seen| match result {
        Ok(instances) => {
            let is_news = *seen.instances != instances || !seen.instances_source.is_complete;
            seen.instances = Arc::new(instances);
            note(&mut seen.instances_source, None);
            is_news
        }
        Err(error) => {
            warn!(%error, "instances cannot be listed; nothing is removed until they can");
            let is_news = seen.instances_source.is_complete;
            note(&mut seen.instances_source, Some(error));
            is_news
        }
    });
    if is_news {
        context.wake.ring(News::Change);
    }
}

/// Instances that OceanNodes name and the listing does not show are asked for by id: listings by tag lag behind.
async fn with_missing<C: Cloud>(
    context: &Context<C>,
    mut listed: Vec<Instance>,
) -> Result<Vec<Instance>, CloudError> {
    let shown: BTreeSet<&InstanceId> = listed.iter().map(|instance| &instance.id).collect();
    let named = context.store.with(|objects| named(objects));
    let missing: Vec<InstanceId> = named.into_iter().filter(|id| !shown.contains(id)).collect();
    if missing.is_empty() {
        return Ok(listed);
    }
    let call = context.cloud.instances_by_id(&missing);
    listed.extend(context.read("DescribeInstances", call).await?);
    listed.sort_by(|left, right| left.id.cmp(&right.id));
    listed.dedup_by(|left, right| left.id == right.id);
    Ok(listed)
}

fn named(objects: &Objects) -> BTreeSet<InstanceId> {
    let rows = objects.ocean_nodes.iter().filter_map(|(_, row)| row.object());
    rows.filter_map(|node| node.status.as_ref()?.instance_id.as_deref().map(Into::into))
        .collect()
}

fn is_busy<C>(context: &Context<C>) -> bool {
    let is_moving = |state| {
        matches!(
            state,
            InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Stopping
        )
    };
    let view = &context.view;
    view.with(|seen| seen.instances.iter().any(|instance| is_moving(instance.state)))
        || context.store.with(|objects| nodes_are_moving(objects))
}

fn nodes_are_moving(objects: &Objects) -> bool {
    let mut nodes = objects.ocean_nodes.iter().filter_map(|(_, row)| row.object());
    nodes.any(|node| {
        let phase = node.status.as_ref().map_or(Phase::Pending, |status| status.phase);
        node.metadata.deletion_timestamp.is_some() || phase != Phase::Initialized
    })
}

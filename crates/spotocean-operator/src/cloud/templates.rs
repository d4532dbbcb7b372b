//! Keeps the list of our launch templates fresh, so that unused ones can be collected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spotocean_core::instance::TAG_CLUSTER_UID;
use spotocean_core::port::Cloud;
use tracing::warn;

use super::catalogue::repeat;
use crate::context::Context;

/// Collecting a template late costs nothing but its row in the console.
const EVERY: Duration = Duration::from_secs(300);

/// Keeps launch templates fresh for as long as it is polled.
pub async fn keep<C: Cloud>(context: Arc<Context<C>>, cluster_uid: Arc<str>) {
    let tags = BTreeMap::from([(Arc::from(TAG_CLUSTER_UID), cluster_uid)]);
    repeat(EVERY, || async {
        match context
            .read("DescribeLaunchTemplates", context.cloud.launch_templates(&tags))
            .await
        {
            Ok(templates) => {
                context
                    .view
                    .with(|seen| seen.launch_templates = Arc::new(templates));
                true
            }
            Err(error) => {
                warn!(%error, "launch templates cannot be listed");
                false
            }
        }
    })
    .await;
}

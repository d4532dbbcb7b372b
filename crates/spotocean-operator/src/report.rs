//! Says what came of a look: status of oceans, events, metrics. Each is written only where it changed.

pub mod desk;
pub mod event;
pub mod gauge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::OceanName;
use tracing::{debug, warn};

use crate::act::kubernetes::Writer;

/// The shortest time between two writes of one ocean's status, unless a condition flips.
const WRITE_EVERY: Duration = Duration::from_secs(15);
/// The longest a write may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The owner of the fields of status.
pub const FIELD_MANAGER: &str = "spotocean";

/// The one writer of oceans' status.
pub struct Reporter {
    writer: Writer,
    tried: BTreeMap<OceanName, Tried>,
}

struct Tried {
    at: Instant,
    uid: Option<String>,
    status: SpotOceanStatus,
}

/// What distinguishes statuses that may not wait.
fn signature(status: &SpotOceanStatus) -> Vec<(&str, &str, &str)> {
    let rows = status.conditions.iter();
    rows.map(|row| (row.type_.as_str(), row.status.as_str(), row.reason.as_str()))
        .collect()
}

/// Whether `after` is written now, given what the ocean shows and what was written last.
fn is_due(
    before: Option<&SpotOceanStatus>,
    after: &SpotOceanStatus,
    last: Option<(&SpotOceanStatus, Duration)>,
) -> bool {
    if before == Some(after) {
        return false;
    }
    let Some((written, age)) = last else {
        return true;
    };
    let is_flip =
        signature(written) != signature(after) || written.observed_generation != after.observed_generation;
    is_flip || age >= WRITE_EVERY
}

impl Reporter {
    /// A reporter that has written nothing.
    pub fn new(writer: Writer) -> Self {
        Self {
            writer,
            tried: BTreeMap::new(),
        }
    }

    /// Writes the statuses that are due, all at once.
    pub async fn write(
        &mut self,
        oceans: &[Arc<SpotOcean>],
        statuses: &BTreeMap<OceanName, SpotOceanStatus>,
    ) {
        let now = Instant::now();
        let mut due = Vec::new();
        for ocean in oceans {
            let name = OceanName::from(ocean.metadata.name.as_deref().unwrap_or_default());
            let Some(after) = statuses.get(&name) else {
                continue;
            };
            let last = self
                .tried
                .get(&name)
                .filter(|tried| tried.uid == ocean.metadata.uid);
            let last = last.map(|tried| (&tried.status, now.duration_since(tried.at)));
            if is_due(ocean.status.as_ref(), after, last) {
                due.push((name, ocean.metadata.uid.clone(), after));
            }
        }
        self.tried.retain(|name, _| statuses.contains_key(name));
        for (name, uid, status) in &due {
            let tried = Tried {
                at: now,
                uid: uid.clone(),
                status: (*status).clone(),
            };
            self.tried.insert(name.clone(), tried);
        }
        let writes = due
            .iter()
            .map(|(name, uid, status)| self.apply(name, uid.as_deref(), status));
        futures::future::join_all(writes).await;
    }

    /// Server-side apply: fields that are no longer in the status go, and nobody else's are touched.
    async fn apply(&self, name: &OceanName, uid: Option<&str>, status: &SpotOceanStatus) {
        let body = json!({
            "apiVersion": "spotocean.dev/v1alpha1",
            "kind": "SpotOcean",
            "metadata": { "name": name, "uid": uid },
            "status": status,
        });
        let api: Api<SpotOcean> = Api::all(self.writer.client.clone());
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        let write = api.patch_status(name.as_str(), &parameters, &patch);
        match tokio::time::timeout(TIMEOUT, write).await {
            Ok(Ok(ocean)) => self.writer.record(kube::core::DeserializeGuard(Ok(ocean))),
            // The ocean is gone or another one: the next look knows.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                debug!(ocean = %name, "the ocean had changed; its status was not written");
            }
            Ok(Err(error)) => warn!(ocean = %name, %error, "the status cannot be written"),
            Err(_) => warn!(ocean = %name, "the status cannot be written: no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn status(ready: &str, nodes: u32) -> SpotOceanStatus {
        SpotOceanStatus {
            nodes: Some(nodes),
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: ready.to_owned(),
                reason: "Healthy".to_owned(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            }],
            ..SpotOceanStatus::default()
        }
    }

    #[test]
    fn status_is_written_when_it_changed_and_rarely_unless_a_condition_flips() {
        let seconds = Duration::from_secs;
        let (one, two, flipped) = (status("True", 1), status("True", 2), status("False", 1));
        let rows = [
            ("first sight", None, &one, None, true),
            (
                "nothing changed",
                Some(&one),
                &one,
                Some((&one, seconds(60))),
                false,
            ),
            (
                "a number, at once",
                Some(&one),
                &two,
                Some((&one, seconds(3))),
                false,
            ),
            (
                "a number, later",
                Some(&one),
                &two,
                Some((&one, seconds(15))),
                true,
            ),
            ("a flip", Some(&one), &flipped, Some((&one, seconds(1))), true),
            (
                "somebody else wrote",
                Some(&two),
                &one,
                Some((&one, seconds(15))),
                true,
            ),
            ("a new leader", Some(&one), &two, None, true),
        ];
        for (name, before, after, last, expected) in rows {
            assert_eq!(is_due(before, after, last), expected, "{name}");
        }
    }
}

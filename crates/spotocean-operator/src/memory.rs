//! What the planner remembers, kept in a ConfigMap so that the next leader knows it too.
//!
//! Losing it costs money at worst (a cooldown too short, a class tried again), so a map that cannot be read is
//! replaced and one that cannot be written is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use spotocean_planner::snapshot::Memory;
use tracing::{info, warn};

/// The ConfigMap's name.
pub const NAME: &str = "spotocean-memory";
/// The key in it.
const KEY: &str = "memory.json";
/// The shortest time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// A ConfigMap holds a mebibyte; what is longer than this is not written.
const BYTES_MAX: usize = 900_000;
/// The longest a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The keeper of one term's memory.
pub struct Keeper {
    maps: Api<ConfigMap>,
    written: Option<Memory>,
    tried_at: Option<Instant>,
}

impl Keeper {
    /// A keeper for the namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            maps: Api::namespaced(client, namespace),
            written: None,
            tried_at: None,
        }
    }

    /// What was remembered last; `None` while it cannot be read.
    pub async fn load(&mut self) -> Option<Memory> {
        let map = match tokio::time::timeout(TIMEOUT, self.maps.get_opt(NAME)).await {
            Ok(Ok(map)) => map,
            Ok(Err(error)) => {
                warn!(%error, "what was remembered cannot be read");
                return None;
            }
            Err(_) => {
                warn!("what was remembered cannot be read: no answer");
                return None;
            }
        };
        let memory = map.map_or_else(Memory::default, |map| parse(&map));
        self.written = Some(memory.clone());
        Some(memory)
    }

    /// Whether `memory` should be written now.
    pub fn is_due(&self, memory: &Memory, now: Instant) -> bool {
        let is_rested = self
            .tried_at
            .is_none_or(|tried_at| now.duration_since(tried_at) >= WRITE_EVERY);
        is_rested && self.written.as_ref() != Some(memory)
    }

    /// Writes it.
    pub async fn write(&mut self, memory: &Memory) {
        self.tried_at = Some(Instant::now());
        let text = serde_json::to_string(memory).expect("memory is plain data");
        if text.len() > BYTES_MAX {
            warn!(
                bytes = text.len(),
                "what is to be remembered is too long for a ConfigMap"
            );
            return;
        }
        match tokio::time::timeout(TIMEOUT, self.put(text)).await {
            Ok(Ok(())) => self.written = Some(memory.clone()),
            Ok(Err(error)) => warn!(%error, "what is to be remembered cannot be written"),
            Err(_) => warn!("what is to be remembered cannot be written: no answer"),
        }
    }

    async fn put(&self, text: String) -> Result<(), kube::Error> {
        let data = BTreeMap::from([(KEY.to_owned(), text)]);
        let parameters = PostParams::default();
        match self.maps.get_opt(NAME).await? {
            Some(mut map) => {
                map.data = Some(data);
                self.maps.replace(NAME, &parameters, &map).await?;
            }
            None => {
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        ..ObjectMeta::default()
                    },
                    data: Some(data),
                    ..ConfigMap::default()
                };
                self.maps.create(&parameters, &map).await?;
                info!(name = NAME, "memory begun");
            }
        }
        Ok(())
    }
}

fn parse(map: &ConfigMap) -> Memory {
    let text = map.data.as_ref().and_then(|data| data.get(KEY));
    text.map_or_else(Memory::default, |text| {
        serde_json::from_str(text).unwrap_or_else(|error| {
            warn!(%error, "what was remembered cannot be understood; beginning anew");
            Memory::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_forgotten() {
        let rows = [
            ("{}", 0),
            ("{\"unexplainedInstances\":{\"i-1\":\"2026-01-01T00:00:00Z\"}}", 1),
            ("[", 0),
        ];
        for (text, expected) in rows {
            let map = ConfigMap {
                data: Some(BTreeMap::from([(KEY.to_owned(), text.to_owned())])),
                ..ConfigMap::default()
            };
            assert_eq!(parse(&map).unexplained_instances.len(), expected, "{text}");
        }
    }
}

//! Takes away from a cluster what a fault does not need: delta debugging
//! (Zeller 1999) over the cluster's JSON, one key or list item at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::world::World;

/// Without these an object is not one, or says something else.
const NEEDED: [&str; 24] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "uid",
    "spec",
    "status",
    "containers",
    "image",
    "allocatable",
    "capacity",
    "conditions",
    "key",
    "operator",
    "topologyKey",
    "maxSkew",
    "whenUnsatisfiable",
    "effect",
    "csi",
    "driver",
    "volumeHandle",
    "storageClassName",
    "accessModes",
];

/// The smallest cluster found that is still faulty; `is_faulty` may panic on nonsense.
pub(crate) fn minimise(world: &World, is_faulty: impl Fn(&World) -> bool) -> World {
    let is_faulty =
        |value: &Value| catch_unwind(AssertUnwindSafe(|| is_faulty(&from_json(value)))).unwrap_or(false);
    let mut smallest = to_json(world);
    loop {
        let before = smallest.clone();
        for path in paths(&before) {
            let mut smaller = smallest.clone();
            if remove(&mut smaller, &path) && is_faulty(&smaller) {
                smallest = smaller;
            }
        }
        if smallest == before {
            return from_json(&smallest);
        }
    }
}

/// A cluster as one JSON object.
pub(crate) fn to_json(world: &World) -> Value {
    json!({"objects": world.objects, "daemonSets": world.daemon_sets, "pending": world.pending,
        "pools": world.pools, "attachmentSlots": world.attachment_slots})
}

/// The cluster in a JSON object; what is left out is empty.
pub(crate) fn from_json(value: &Value) -> World {
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    World {
        objects: list("objects"),
        daemon_sets: list("daemonSets"),
        pending: list("pending"),
        pools: list("pools"),
        attachment_slots: value["attachmentSlots"].as_i64().unwrap_or(27),
    }
}

/// Everything that could go: whole objects before their parts, later items before earlier ones.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut layer = vec![(Vec::new(), value)];
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (path, value) in layer {
            let parts: Vec<(String, &Value)> = match value {
                Value::Array(items) => {
                    let items = items.iter().enumerate().rev();
                    items.map(|(index, item)| (index.to_string(), item)).collect()
                }
                Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), item)).collect(),
                _ => Vec::new(),
            };
            for (key, item) in parts {
                let mut path: Vec<String> = path.clone();
                let may_go = path.is_empty() || !NEEDED.contains(&key.as_str());
                path.push(key);
                if path.len() > 1 && may_go {
                    found.push(path.clone());
                }
                next.push((path, item));
            }
        }
        layer = next;
    }
    found
}

/// Removes what is at a path, if it is there.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let parent = parents.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        other => other.get_mut(key),
    });
    match parent {
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        Some(Value::Object(map)) => map.remove(last).is_some(),
        _ => false,
    }
}

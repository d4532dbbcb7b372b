//! Bottlerocket: TOML settings. The user's documents are merged key by key, ours on top.
//!
//! Source of the keys: Bottlerocket's settings reference (`settings.kubernetes.*`,
//! `settings.bootstrap-commands.*`).

use std::collections::BTreeMap;
use std::fmt::Display;

use spotocean_api::kubelet::Kubelet;
use spotocean_api::template::InstanceStore;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};

use super::node_label::settable;
use super::{Bootstrap, BootstrapError};

/// Resources that `kube-reserved` and `system-reserved` know.
const RESERVABLE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, BootstrapError> {
    let Kubelet {
        kube_reserved,
        system_reserved,
        ..
    } = bootstrap.kubelet;
    for (setting, reserved) in [
        ("kubeReserved", kube_reserved),
        ("systemReserved", system_reserved),
    ] {
        if let Some(resource) = reserved.keys().find(|name| !RESERVABLE.contains(&name.as_str())) {
            return Err(BootstrapError::NotReservable {
                resource: resource.as_str().into(),
                setting,
            });
        }
    }
    let mut merged = DocumentMut::new();
    for text in bootstrap.own {
        let own: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| BootstrapError::Toml(one_line(error.message()).into()))?;
        merge(merged.as_table_mut(), own.as_table());
    }
    merge(merged.as_table_mut(), &settings(bootstrap));
    Ok(merged.to_string())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lays `over` over `under`: tables merge, everything else replaces.
fn merge(under: &mut dyn TableLike, over: &dyn TableLike) {
    for (key, item) in over.iter() {
        let both = under
            .get_mut(key)
            .and_then(Item::as_table_like_mut)
            .zip(item.as_table_like());
        match both {
            Some((under, over)) => merge(under, over),
            None => {
                under.insert(key, item.clone());
            }
        }
    }
}

fn settings(bootstrap: &Bootstrap<'_>) -> Table {
    let mut settings = implicit();
    if let Some(InstanceStore::RAID0) = bootstrap.instance_store {
        settings.insert("bootstrap-commands", Item::Table(instance_storage()));
    }
    settings.insert("kubernetes", Item::Table(kubernetes(bootstrap)));
    let mut root = Table::new();
    root.insert("settings", Item::Table(settings));
    root
}

/// A table that shows only through its children.
fn implicit() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

fn kubernetes(bootstrap: &Bootstrap<'_>) -> Table {
    let (cluster, kubelet) = (bootstrap.cluster, bootstrap.kubelet);
    let mut table = Table::new();
    table.insert("api-server", value(cluster.endpoint.as_ref()));
    table.insert(
        "cluster-certificate",
        value(cluster.certificate_authority.as_ref()),
    );
    table.insert("cluster-dns-ip", cluster_dns(bootstrap));
    table.insert("cluster-name", value(cluster.name.as_ref()));
    if let Some(enforced) = kubelet.cpu_cfs_quota {
        table.insert("cpu-cfs-quota-enforced", value(enforced));
    }
    let thresholds = [
        (
            "image-gc-high-threshold-percent",
            kubelet.image_gc_high_threshold_percent,
        ),
        (
            "image-gc-low-threshold-percent",
            kubelet.image_gc_low_threshold_percent,
        ),
    ];
    for (key, percent) in thresholds {
        if let Some(percent) = percent {
            table.insert(key, value(percent.to_string()));
        }
    }
    table.insert("max-pods", value(bootstrap.max_pods));
    insert_map(&mut table, "eviction-hard", &kubelet.eviction_hard);
    insert_map(&mut table, "eviction-soft", &kubelet.eviction_soft);
    insert_map(
        &mut table,
        "eviction-soft-grace-period",
        &kubelet.eviction_soft_grace_period,
    );
    insert_map(&mut table, "kube-reserved", &kubelet.kube_reserved);
    let labels = settable(bootstrap.labels).map(|(key, value)| (key.to_string(), value.to_string()));
    insert_map(&mut table, "node-labels", &labels.collect());
    table.insert("node-taints", Item::Table(node_taints(bootstrap)));
    insert_map(&mut table, "system-reserved", &kubelet.system_reserved);
    table
}

fn insert_map<T: Display>(table: &mut Table, key: &str, map: &BTreeMap<String, T>) {
    if map.is_empty() {
        return;
    }
    let mut inner = Table::new();
    for (name, text) in map {
        inner.insert(name, value(text.to_string()));
    }
    table.insert(key, Item::Table(inner));
}

fn cluster_dns(bootstrap: &Bootstrap<'_>) -> Item {
    match bootstrap.kubelet.cluster_dns.as_deref() {
        None | Some([]) => value(bootstrap.cluster.dns.as_ref()),
        Some([one]) => value(one),
        Some(several) => value(several.iter().collect::<Array>()),
    }
}

/// One list per key, in the order of the pool: Bottlerocket writes a taint as `value:effect`.
fn node_taints(bootstrap: &Bootstrap<'_>) -> Table {
    let mut table = Table::new();
    for taint in bootstrap.taints {
        let text = format!("{}:{}", taint.value, taint.effect.as_str());
        let list = table
            .entry(&taint.key)
            .or_insert_with(|| Item::Value(Value::Array(Array::new())));
        if let Some(list) = list.as_array_mut() {
            list.push(text);
        }
    }
    table
}

/// Stripes local disks and puts the runtime's and the kubelet's data on them.
fn instance_storage() -> Table {
    let init: Array = ["apiclient", "ephemeral-storage", "init"].into_iter().collect();
    let bind: Array = [
        "apiclient",
        "ephemeral-storage",
        "bind",
        "--dirs",
        "/var/lib/containerd",
        "/var/lib/kubelet",
        "/var/log/pods",
    ]
    .into_iter()
    .collect();
    let mut commands = Array::new();
    commands.push(init);
    commands.push(bind);
    let mut command = Table::new();
    command.insert("commands", value(commands));
    command.insert("essential", value(true));
    command.insert("mode", value("always"));
    let mut table = implicit();
    table.insert("000-mount-instance-storage", Item::Table(command));
    table
}

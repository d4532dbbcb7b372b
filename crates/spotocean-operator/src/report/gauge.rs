//! Turns a look into gauges.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_core::id::OceanName;
use spotocean_planner::snapshot::{Snapshot, Source};

use crate::metrics::{Metrics, NodeLabels, ObjectLabels, OceanLabels, SourceLabels};

/// Sets every gauge that a look decides.
pub fn set(metrics: &Metrics, snapshot: &Snapshot, statuses: &BTreeMap<OceanName, SpotOceanStatus>) {
    set_nodes(metrics, &snapshot.ocean_nodes);
    set_oceans(metrics, statuses);
    let sources = &snapshot.sources;
    for (name, source) in [
        ("kubernetes", &sources.kubernetes),
        ("instances", &sources.instances),
        ("catalogue", &sources.catalogue),
        ("prices", &sources.prices),
        ("queue", &sources.queue),
    ] {
        set_source(metrics, name, source, snapshot.now);
    }
    for (kind, count) in [
        ("Pod", snapshot.pods.len()),
        ("Node", snapshot.nodes.len()),
        ("OceanNode", snapshot.ocean_nodes.len()),
        ("OceanLaunch", snapshot.launches.len()),
        ("SpotOcean", snapshot.oceans.len()),
    ] {
        let labels = ObjectLabels {
            kind: kind.to_owned(),
        };
        metrics
            .objects
            .get_or_create(&labels)
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

fn set_nodes(metrics: &Metrics, nodes: &[Arc<OceanNode>]) {
    metrics.nodes.clear();
    for node in nodes {
        let phase = node.status.as_ref().map_or(Phase::Pending, |status| status.phase);
        let labels = NodeLabels {
            ocean: node.spec.ocean_name.clone(),
            pool: node.spec.pool_name.clone(),
            capacity_type: node.spec.capacity_type.as_str().to_owned(),
            phase: phase.as_str().to_owned(),
        };
        metrics.nodes.get_or_create(&labels).inc();
    }
}

fn set_oceans(metrics: &Metrics, statuses: &BTreeMap<OceanName, SpotOceanStatus>) {
    metrics.pending_pods.clear();
    metrics.hourly_cost_dollars.clear();
    metrics.purchase_gap_ratio.clear();
    for (name, status) in statuses {
        let labels = OceanLabels {
            ocean: name.to_string(),
        };
        let pending = i64::from(status.pending_pods.unwrap_or_default());
        metrics.pending_pods.get_or_create(&labels).set(pending);
        let cost = status
            .hourly_cost_usd
            .as_deref()
            .and_then(|text| text.parse().ok());
        metrics
            .hourly_cost_dollars
            .get_or_create(&labels)
            .set(cost.unwrap_or_default());
        let gap: Option<f64> = status
            .gap
            .as_deref()
            .and_then(|text| text.strip_suffix('%')?.parse().ok());
        if let Some(percent) = gap {
            metrics
                .purchase_gap_ratio
                .get_or_create(&labels)
                .set(percent / 100.0);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "an age in seconds is far below 2^52")]
fn set_source(metrics: &Metrics, name: &str, source: &Source, now: Timestamp) {
    let labels = SourceLabels {
        source: name.to_owned(),
    };
    let age = source
        .as_of
        .map_or(-1.0, |as_of| now.duration_since(as_of).as_secs_f64());
    metrics.source_age_seconds.get_or_create(&labels).set(age);
    metrics
        .source_complete
        .get_or_create(&labels)
        .set(i64::from(source.is_complete));
}

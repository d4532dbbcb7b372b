//! What /metrics shows. Labels are bounded: kinds, reasons, pools; never an instance, a pod or a message.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Float = Gauge<f64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Nodes of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NodeLabels {
    /// The ocean.
    pub ocean: String,
    /// The pool.
    pub pool: String,
    /// spot or on-demand.
    pub capacity_type: String,
    /// The OceanNode's phase.
    pub phase: String,
}

/// One ocean.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OceanLabels {
    /// The ocean.
    pub ocean: String,
}

/// One kind of command and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CommandLabels {
    /// The command's variant.
    pub kind: String,
    /// done, stale, held_up (429: a disruption budget, or an apiserver that is too busy) or failed.
    pub outcome: String,
}

/// One AWS action and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The action, such as CreateFleet.
    pub action: String,
    /// ok, or the kind of the error.
    pub outcome: String,
}

/// One AWS action.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ActionLabels {
    /// The action.
    pub action: String,
}

/// One rule of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabels {
    /// The rule's variant.
    pub rule: String,
}

/// One source of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabels {
    /// kubernetes, instances, catalogue, prices or queue.
    pub source: String,
}

/// One kind of queue event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// The event's variant.
    pub kind: String,
}

/// One kind of watched object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ObjectLabels {
    /// The Kubernetes kind.
    pub kind: String,
}

/// Every metric.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Nodes by ocean, pool, capacity type and phase.
    pub nodes: Family<NodeLabels, Gauge>,
    /// Pods that wait, by ocean.
    pub pending_pods: Family<OceanLabels, Gauge>,
    /// What the nodes cost an hour, by ocean.
    pub hourly_cost_dollars: Family<OceanLabels, Float>,
    /// How far the last purchase's cost is above its proven lower bound, by ocean.
    pub purchase_gap_ratio: Family<OceanLabels, Float>,
    /// Commands carried out.
    pub commands: Family<CommandLabels, Counter>,
    /// Calls to AWS.
    pub cloud_calls: Family<CallLabels, Counter>,
    /// How long calls to AWS took.
    pub cloud_call_seconds: Histograms<ActionLabels>,
    /// How long planning took.
    pub plan_seconds: Histogram,
    /// From the snapshot to the last command handed over.
    pub pass_seconds: Histogram,
    /// Commands that the guard took out.
    pub guard_stripped: Family<RuleLabels, Counter>,
    /// Events of the interruption queue.
    pub interruptions: Family<EventLabels, Counter>,
    /// Whether this process leads.
    pub leader: Gauge,
    /// Age of each source; -1 before it was first read.
    pub source_age_seconds: Family<SourceLabels, Float>,
    /// Whether each source is complete.
    pub source_complete: Family<SourceLabels, Gauge>,
    /// Objects in the stores.
    pub objects: Family<ObjectLabels, Gauge>,
}

fn plan_buckets() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

fn call_buckets() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            nodes: Family::default(),
            pending_pods: Family::default(),
            hourly_cost_dollars: Family::default(),
            purchase_gap_ratio: Family::default(),
            commands: Family::default(),
            cloud_calls: Family::default(),
            cloud_call_seconds: Family::new_with_constructor(call_buckets),
            plan_seconds: plan_buckets(),
            pass_seconds: plan_buckets(),
            guard_stripped: Family::default(),
            interruptions: Family::default(),
            leader: Gauge::default(),
            source_age_seconds: Family::default(),
            source_complete: Family::default(),
            objects: Family::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::with_prefix("spotocean");
        let r = &mut registry;
        r.register(
            "nodes",
            "OceanNodes by ocean, pool, capacity type and phase",
            self.nodes.clone(),
        );
        r.register(
            "pending_pods",
            "Pods that wait for an ocean",
            self.pending_pods.clone(),
        );
        r.register(
            "hourly_cost_dollars",
            "What an ocean's nodes cost an hour",
            self.hourly_cost_dollars.clone(),
        );
        r.register(
            "purchase_gap_ratio",
            "How far the cost of an ocean's last purchase is above its proven lower bound",
            self.purchase_gap_ratio.clone(),
        );
        r.register(
            "commands",
            "Commands carried out, by outcome",
            self.commands.clone(),
        );
        r.register(
            "cloud_calls",
            "Calls to AWS, by outcome",
            self.cloud_calls.clone(),
        );
        r.register(
            "cloud_call_seconds",
            "Duration of calls to AWS",
            self.cloud_call_seconds.clone(),
        );
        r.register("plan_seconds", "Duration of planning", self.plan_seconds.clone());
        r.register(
            "pass_seconds",
            "Duration of a pass, from the snapshot to the last command handed over",
            self.pass_seconds.clone(),
        );
        r.register(
            "guard_stripped",
            "Commands that the guard took out, by rule",
            self.guard_stripped.clone(),
        );
        r.register(
            "interruptions",
            "Events of the interruption queue",
            self.interruptions.clone(),
        );
        r.register("leader", "1 where this process leads", self.leader.clone());
        r.register(
            "source_age_seconds",
            "Age of each source of a snapshot, -1 before it was first read",
            self.source_age_seconds.clone(),
        );
        r.register(
            "source_complete",
            "1 where a source is complete; nothing is removed on an incomplete one",
            self.source_complete.clone(),
        );
        r.register("objects", "Objects in the stores", self.objects.clone());
        registry
    }

    /// The page, in OpenMetrics text.
    pub fn page(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a string cannot fail");
        page
    }

    /// Counts one call to AWS.
    pub fn called(&self, action: &'static str, outcome: &str, took: Duration) {
        self.cloud_calls
            .get_or_create(&CallLabels {
                action: action.to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
        self.cloud_call_seconds
            .get_or_create(&ActionLabels {
                action: action.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// Counts one command.
    pub fn commanded(&self, kind: &'static str, outcome: &'static str) {
        self.commands
            .get_or_create(&CommandLabels {
                kind: kind.to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_carries_the_documented_names() {
        let metrics = Metrics::default();
        metrics.commanded("Purchase", "done");
        metrics.called("CreateFleet", "ok", Duration::from_millis(20));
        metrics.leader.set(1);
        let rule = "Limits".to_owned();
        metrics.guard_stripped.get_or_create(&RuleLabels { rule }).inc();
        let page = metrics.page();
        for line in [
            "spotocean_commands_total{kind=\"Purchase\",outcome=\"done\"} 1",
            "spotocean_cloud_calls_total{action=\"CreateFleet\",outcome=\"ok\"} 1",
            "spotocean_cloud_call_seconds_count{action=\"CreateFleet\"} 1",
            "spotocean_leader 1",
            "# TYPE spotocean_plan_seconds histogram",
            "spotocean_guard_stripped_total{rule=\"Limits\"} 1",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }
}

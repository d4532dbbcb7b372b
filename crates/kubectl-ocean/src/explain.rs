//! `explain pod` and `explain node`: the planner's reasons, printed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;
use spotocean_core::id::ObjectKey;
use spotocean_core::offering::Market;
use spotocean_planner::provisioning::explanation::funnel::Funnel;
use spotocean_planner::provisioning::explanation::removal::{NodeExplanation, explain_node};
use spotocean_planner::provisioning::explanation::{Outcome, PodExplanation, explain_pod};
use spotocean_planner::snapshot::Snapshot;
use spotocean_solver::problem::NodeRef;

use crate::answer::{PoolNames, WhyNot, usd, zone_id};
use crate::args::{ExplainNode, ExplainPod};
use crate::exit;
use crate::input::{self, InputError};
use crate::output::print;
use crate::table::Table;

/// A pod explained, as the plugin prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodAnswer {
    pod: String,
    outcome: &'static str,
    /// Where it is, or will be.
    place: Option<String>,
    /// Why not, pool by pool, where it stays pending.
    reasons: Vec<WhyNot>,
    /// Nodes that are there, by what speaks against them.
    nodes: Vec<Refused>,
    pools: Vec<PoolAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    /// Null where nothing speaks against them, seen one by one.
    reason: Option<String>,
    nodes: usize,
    example: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolAnswer {
    pool: String,
    offerings: usize,
    steps: Vec<StepAnswer>,
    /// The constraint that leaves none.
    binding: Option<String>,
    /// The smallest changes that would admit the pod, each by itself.
    changes: Vec<ChangeAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepAnswer {
    constraint: String,
    offerings_left: usize,
    types_left: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeAnswer {
    #[serde(rename = "do")]
    steps: Vec<String>,
    admits: usize,
    cheapest: Option<String>,
}

/// Explains a pod.
///
/// # Errors
/// When the input cannot be used, or holds no such pod.
pub(crate) fn pod(arguments: &ExplainPod) -> Result<ExitCode, InputError> {
    let read = input::read_and_tell(&arguments.world)?;
    let (namespace, name) = arguments
        .pod
        .split_once('/')
        .unwrap_or(("default", &arguments.pod));
    let key = ObjectKey::new(namespace, name);
    let explained = explain_pod(&read.snapshot, &key).ok_or_else(|| InputError::NotThere {
        file: arguments.world.cluster.clone(),
        kind: "Pod",
        name: key.to_string(),
    })?;
    print(
        arguments.output,
        &pod_answer(&read.snapshot, &explained),
        pod_text,
    );
    Ok(match explained.outcome {
        Outcome::Pending(_) => exit::some_pending(),
        _ => exit::ALL_PLACED,
    })
}

fn pod_answer(snapshot: &Snapshot, explained: &PodExplanation) -> PodAnswer {
    let names = PoolNames::of(snapshot);
    let market = |market: &Market| format!("{} in {}", market.instance_type, zone_id(snapshot, &market.zone));
    let (outcome, place, reasons) = match &explained.outcome {
        Outcome::Bound(node) => ("Bound", Some(node.to_string()), &[][..]),
        Outcome::NotWaiting => ("NotWaiting", None, &[][..]),
        Outcome::Nominated => ("OnItsWay", None, &[][..]),
        Outcome::Existing(node) => ("ExistingNode", Some(node_name(node)), &[][..]),
        Outcome::New(node) => ("NewNode", node.candidates.first().map(market), &[][..]),
        Outcome::Pending(reasons) => ("Pending", None, &reasons[..]),
    };
    PodAnswer {
        pod: explained.pod.to_string(),
        outcome,
        place,
        reasons: reasons
            .iter()
            .map(|own| WhyNot {
                pool: names.name(&own.pool),
                reason: own.reason.as_str(),
                message: own.message.to_string(),
            })
            .collect(),
        nodes: refused(explained),
        pools: explained
            .pools
            .iter()
            .map(|funnel| pool_answer(&names, funnel, market))
            .collect(),
    }
}

fn node_name(node: &NodeRef) -> String {
    match node {
        NodeRef::Node(name) => name.to_string(),
        NodeRef::OnItsWay(name) => name.to_string(),
    }
}

/// Nodes grouped by what speaks against them, the commonest first.
fn refused(explained: &PodExplanation) -> Vec<Refused> {
    let mut groups: BTreeMap<Option<String>, (usize, String)> = BTreeMap::new();
    for (node, refusal) in &explained.nodes {
        let reason = refusal.as_ref().map(ToString::to_string);
        let group = groups.entry(reason).or_insert_with(|| (0, node_name(node)));
        group.0 += 1;
    }
    let mut groups: Vec<Refused> = groups
        .into_iter()
        .map(|(reason, (nodes, example))| Refused {
            reason,
            nodes,
            example,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.nodes));
    groups
}

fn pool_answer(names: &PoolNames, funnel: &Funnel, market: impl Fn(&Market) -> String) -> PoolAnswer {
    PoolAnswer {
        pool: names.name(&funnel.pool),
        offerings: funnel.offerings,
        binding: funnel
            .binding
            .map(|position| funnel.steps[position].text.to_string()),
        steps: funnel
            .steps
            .iter()
            .map(|step| StepAnswer {
                constraint: step.text.to_string(),
                offerings_left: step.offerings,
                types_left: step.types,
            })
            .collect(),
        changes: funnel
            .changes
            .iter()
            .map(|change| ChangeAnswer {
                steps: change.steps.iter().map(ToString::to_string).collect(),
                admits: change.admits,
                cheapest: change.cheapest.as_ref().map(&market),
            })
            .collect(),
    }
}

fn pod_text(answer: &PodAnswer) -> String {
    let place = answer.place.as_deref().unwrap_or_default();
    let mut text = match answer.outcome {
        "Bound" => format!("Pod {} is bound to {place}.\n", answer.pod),
        "OnItsWay" => format!("A node for pod {} is on its way.\n", answer.pod),
        "ExistingNode" => format!("Pod {} fits node {place}.\n", answer.pod),
        "NewNode" => format!("A node would be bought for pod {}: {place}.\n", answer.pod),
        "Pending" => format!("Pod {} stays pending.\n", answer.pod),
        _ => format!("Pod {} waits for no node.\n", answer.pod),
    };
    let mut nodes = Table::new(&["nodes", "that", "such as"]);
    for group in &answer.nodes {
        let reason = group
            .reason
            .clone()
            .unwrap_or_else(|| "have room for it, seen one by one".to_owned());
        nodes.row([group.nodes.to_string(), reason, group.example.clone()]);
    }
    if !nodes.is_empty() {
        text.push_str(&format!("\n{}", nodes.text()));
    }
    for pool in &answer.pools {
        pool_text(&mut text, pool);
    }
    text
}

fn pool_text(text: &mut String, pool: &PoolAnswer) {
    let _ = writeln!(
        text,
        "\nPool {}: {} offerings in the region",
        pool.pool, pool.offerings
    );
    let mut steps = Table::new(&["left", "types", "after"]);
    for step in &pool.steps {
        let is_binding = pool.binding.as_ref() == Some(&step.constraint) && step.offerings_left == 0;
        let mark = if is_binding { "  <- leaves none" } else { "" };
        steps.row([
            step.offerings_left.to_string(),
            step.types_left.to_string(),
            format!("{}{mark}", step.constraint),
        ]);
    }
    text.push_str(&steps.text());
    if pool.changes.is_empty() {
        return;
    }
    text.push_str("Any one of these would admit it:\n");
    for change in &pool.changes {
        let cheapest = change
            .cheapest
            .as_ref()
            .map_or_else(String::new, |market| format!(", cheapest {market}"));
        let _ = writeln!(
            text,
            "- {} ({} offerings{cheapest})",
            change.steps.join("; and "),
            change.admits
        );
    }
}

/// A node explained, as the plugin prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeAnswer {
    node: String,
    pool: Option<String>,
    price_per_hour: Option<f64>,
    verdict: String,
    /// What forbids its removal.
    blocks: Vec<String>,
    /// What removing it would come to.
    without_it: WithoutIt,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithoutIt {
    pods: Vec<String>,
    onto_existing_nodes: usize,
    more_new_nodes: i64,
    added_hourly_cost: f64,
    stranded: Vec<String>,
}

/// Explains a node.
///
/// # Errors
/// When the input cannot be used, or holds no such node.
pub(crate) fn node(arguments: &ExplainNode) -> Result<ExitCode, InputError> {
    let read = input::read_and_tell(&arguments.world)?;
    let name = arguments.node.as_str().into();
    let explained = explain_node(&read.snapshot, &name).ok_or_else(|| InputError::NotThere {
        file: arguments.world.cluster.clone(),
        kind: "Node",
        name: arguments.node.clone(),
    })?;
    print(
        arguments.output,
        &node_answer(&read.snapshot, &explained),
        node_text,
    );
    Ok(exit::ALL_PLACED)
}

fn node_answer(snapshot: &Snapshot, explained: &NodeExplanation) -> NodeAnswer {
    let names = PoolNames::of(snapshot);
    let what_if = &explained.what_if;
    NodeAnswer {
        node: explained.node.to_string(),
        pool: explained.pool.as_ref().map(|pool| names.name(pool)),
        price_per_hour: explained.price.map(usd),
        verdict: explained.verdict.to_string(),
        blocks: explained.blocks.iter().map(ToString::to_string).collect(),
        without_it: WithoutIt {
            pods: what_if.pods.iter().map(ToString::to_string).collect(),
            onto_existing_nodes: what_if.onto_existing,
            more_new_nodes: what_if.new_nodes,
            added_hourly_cost: usd(what_if.added_cost),
            stranded: what_if.stranded.iter().map(|(pod, _)| pod.to_string()).collect(),
        },
    }
}

fn node_text(answer: &NodeAnswer) -> String {
    let mut text = format!("Node {}: {}.\n", answer.node, answer.verdict);
    let pool = answer.pool.as_deref().unwrap_or("none");
    let price = answer.price_per_hour.map_or_else(
        || "not known".to_owned(),
        |price| format!("{price:.4} USD an hour"),
    );
    let _ = writeln!(text, "Pool: {pool}. Price: {price}.");
    if !answer.blocks.is_empty() {
        text.push_str("It is not removed, because:\n");
    }
    for block in &answer.blocks {
        let _ = writeln!(text, "- {block}");
    }
    let without = &answer.without_it;
    let _ = writeln!(
        text,
        "Without it: {} pods to move, {} onto nodes that are there, {} more nodes to buy for {:.4} USD an hour, {} pods without a place.",
        without.pods.len(),
        without.onto_existing_nodes,
        without.more_new_nodes,
        without.added_hourly_cost,
        without.stranded.len()
    );
    text
}

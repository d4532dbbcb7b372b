//! `simulate`: what the operator would do with a dumped cluster.

use std::process::ExitCode;
use std::time::Instant;

use spotocean_planner::provisioning::Prepared;
use spotocean_planner::record;
use spotocean_planner::snapshot::Snapshot;

use crate::answer::{Answer, answer};
use crate::args::Simulate;
use crate::consolidated;
use crate::exit;
use crate::input::{self, InputError};
use crate::output::print;
use crate::table::Table;

/// Plans and prints.
///
/// # Errors
/// When the input cannot be used.
pub(crate) fn simulate(arguments: &Simulate) -> Result<ExitCode, InputError> {
    let read = input::read_and_tell(&arguments.world)?;
    if let Some(file) = &arguments.record {
        record(&read.snapshot, file)?;
    }
    let prepared = Prepared::of(&read.snapshot);
    let started = Instant::now();
    let provision = prepared.rehearse();
    let consolidation = arguments
        .consolidate
        .then(|| prepared.consolidate(&provision.solution))
        .flatten();
    let solve_millis = (started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let mut answer = answer(&read.snapshot, &provision, solve_millis);
    if let Some(consolidation) = &consolidation {
        consolidated::add(&mut answer, &read.snapshot, consolidation);
    }
    print(arguments.output, &answer, table);
    Ok(if answer.unschedulable.is_empty() {
        exit::ALL_PLACED
    } else {
        exit::some_pending()
    })
}

fn record(snapshot: &Snapshot, file: &str) -> Result<(), InputError> {
    let text = record::write(snapshot).map_err(|error| InputError::Record {
        file: file.to_owned(),
        error,
    })?;
    std::fs::write(file, text).map_err(|error| InputError::Unwritable {
        file: file.to_owned(),
        error,
    })
}

fn table(answer: &Answer) -> String {
    let mut text = String::new();
    let mut nodes = Table::new(&[
        "pool",
        "type",
        "zone",
        "capacity",
        "$/hour",
        "pods",
        "alternatives",
    ]);
    for node in &answer.new_nodes {
        nodes.row([
            node.pool.clone(),
            node.instance_type.clone(),
            node.zone.clone(),
            node.capacity_type.to_owned(),
            format!("{:.4}", node.price_per_hour),
            node.pods.len().to_string(),
            node.alternatives.to_string(),
        ]);
    }
    section(&mut text, "New nodes", &nodes);
    let mut filled = Table::new(&["node", "pods"]);
    for node in &answer.existing {
        filled.row([node.node.clone(), node.pods.len().to_string()]);
    }
    section(&mut text, "Pods onto nodes that are there", &filled);
    let mut removed = Table::new(&["node", "reason"]);
    for node in &answer.removed {
        removed.row([node.node.clone(), node.reason.clone()]);
    }
    section(&mut text, "Removed", &removed);
    let mut left = Table::new(&["pod", "pool", "reason", "message"]);
    for pod in &answer.unschedulable {
        for why in &pod.reasons {
            left.row([
                pod.pod.clone(),
                why.pool.clone(),
                why.reason.to_owned(),
                why.message.clone(),
            ]);
        }
    }
    section(&mut text, "Pending", &left);
    text.push_str(&summary(answer));
    text
}

fn section(text: &mut String, title: &str, table: &Table) {
    if !table.is_empty() {
        text.push_str(&format!("{title}\n{}\n", table.text()));
    }
}

fn within(answer: &Answer) -> String {
    let bound = answer.capped_bound;
    bound.map_or_else(String::new, |bound| {
        format!(" (within them nothing costs less than {bound:.4})")
    })
}

fn summary(answer: &Answer) -> String {
    let pods: usize = answer.new_nodes.iter().map(|node| node.pods.len()).sum();
    let there: usize = answer.existing.iter().map(|node| node.pods.len()).sum();
    let bound = answer
        .lower_bound
        .zip(answer.gap)
        .map_or_else(String::new, |(bound, gap)| {
            format!(
                ", proven to be within {:.1} % of the cheapest ({bound:.4})",
                gap * 100.0
            )
        });
    let caps = match answer.share_caps > 0.0 {
        true => format!(
            ", {:.4} of it for share caps{}",
            answer.share_caps,
            within(answer)
        ),
        false => String::new(),
    };
    format!(
        "{} new nodes for {pods} pods at {:.4} USD an hour{caps}{bound}; {there} pods onto nodes that are there; {} pods stay pending; planned in {:.0} ms\n",
        answer.new_nodes.len(),
        answer.hourly_cost,
        answer.unschedulable.len(),
        answer.solve_millis
    )
}

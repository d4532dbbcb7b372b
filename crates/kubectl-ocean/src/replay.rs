//! `replay`: the plan that follows from a recorded snapshot.

use std::process::ExitCode;

use spotocean_planner::plan::{Plan, plan};
use spotocean_planner::record;

use crate::args::Replay;
use crate::dump::Source;
use crate::exit;
use crate::input::InputError;
use crate::output::print;
use crate::table::Table;

/// Plans anew and prints.
///
/// # Errors
/// When the file is no record of this version.
pub(crate) fn replay(arguments: &Replay) -> Result<ExitCode, InputError> {
    let source = Source::named(&arguments.snapshot)?;
    let snapshot = record::read(&source.text()?).map_err(|error| InputError::Record {
        file: source.name().to_string(),
        error,
    })?;
    let plan = plan(&snapshot);
    print(arguments.output, &plan, text);
    let pending = plan
        .statuses
        .values()
        .filter_map(|status| status.pending_pods)
        .sum::<u32>();
    Ok(if pending == 0 {
        exit::ALL_PLACED
    } else {
        exit::some_pending()
    })
}

fn text(plan: &Plan) -> String {
    let mut commands = Table::new(&["command", "lane", "because"]);
    for planned in &plan.commands {
        commands.row([
            planned.command.kind().to_owned(),
            format!("{:?}", planned.lane),
            planned.because.to_string(),
        ]);
    }
    let mut statuses = Table::new(&["ocean", "nodes", "pending", "$/hour", "ready", "message"]);
    for (ocean, status) in &plan.statuses {
        let count = |count: Option<u32>| count.unwrap_or(0).to_string();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        statuses.row([
            ocean.to_string(),
            count(status.nodes),
            count(status.pending_pods),
            status.hourly_cost_usd.clone().unwrap_or_default(),
            ready.map(|ready| ready.status.clone()).unwrap_or_default(),
            ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        ]);
    }
    let events = plan
        .events
        .iter()
        .map(|event| format!("{}: {}\n", event.reason, event.message));
    let events: String = events.collect();
    format!(
        "{}\n{}\n{} commands, {} events; next look at {}\n{events}",
        commands.text(),
        statuses.text(),
        plan.commands.len(),
        plan.events.len(),
        plan.next_look
    )
}

//! Shows a story as it happens: a table that is redrawn on a terminal, else one
//! plain line whenever something changed. Knows nothing of the steps.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use kube::ResourceExt;
use spotocean_api::ocean_node::{OceanNode, Phase};
use spotocean_e2e::world::{self, World};

/// Rows of the table; a terminal of 24 lines still shows the steps above it.
const TABLE_ROWS: usize = 14;

/// Where the story is shown.
#[derive(Debug)]
pub(super) struct Screen {
    started: Instant,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A terminal, and the lines of it that the next drawing replaces.
    Redrawn { lines: usize },
    /// A file or pipe, and the last line written to it.
    Plain { last: String },
}

impl Screen {
    pub(super) fn new() -> Screen {
        let form = if std::io::stdout().is_terminal() {
            Form::Redrawn { lines: 0 }
        } else {
            Form::Plain { last: String::new() }
        };
        Screen {
            started: Instant::now(),
            form,
        }
    }

    /// Seconds since the story began.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Writes a line that stays.
    pub(super) fn say(&mut self, line: &str) {
        self.clear();
        println!("[{:>6.1} s] {line}", self.seconds());
    }

    /// Shows the present state below what was said.
    pub(super) fn show(&mut self, world: &World) {
        let line = status_line(world);
        let seconds = self.seconds();
        match &mut self.form {
            Form::Plain { last } if *last == line => {}
            Form::Plain { last } => {
                println!("[{seconds:>6.1} s]   {line}");
                *last = line;
            }
            Form::Redrawn { .. } => self.redraw(&line, world),
        }
        // A pipe may be gone; the story goes on without its audience.
        let _unread = std::io::stdout().flush();
    }

    fn redraw(&mut self, line: &str, world: &World) {
        self.clear();
        let mut drawn = vec![format!("[{:>6.1} s]   {line}", self.seconds())];
        drawn.extend(table(world));
        println!("{}", drawn.join("\n"));
        if let Form::Redrawn { lines } = &mut self.form {
            *lines = drawn.len();
        }
    }

    /// Takes back what was shown last.
    fn clear(&mut self) {
        if let Form::Redrawn { lines } = &mut self.form {
            if *lines > 0 {
                // ECMA-48: CPL moves up that many lines, ED erases to the end.
                print!("\x1b[{lines}F\x1b[J");
            }
            *lines = 0;
        }
    }
}

fn status_line(world: &World) -> String {
    let launching = world.in_phase(&[Phase::Pending, Phase::Launched]).len();
    let joined = world.in_phase(&[Phase::Registered, Phase::Initialized]).len();
    let leaving = world.in_phase(&[Phase::Draining, Phase::Terminating]).len();
    let saved = world
        .oceans
        .iter()
        .find_map(|ocean| ocean.status.as_ref()?.saved.clone());
    format!(
        "pods {:>2} pending {:>2} running   nodes {launching} launching {joined} joined {leaving} leaving   ${}/hour, saved {}",
        world.pending_pods(),
        world.running_pods(),
        dollars(world.price_micro_usd_per_hour()),
        saved.as_deref().unwrap_or("-"),
    )
}

fn table(world: &World) -> Vec<String> {
    if world.ocean_nodes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![row(["NODE", "TYPE", "ZONE", "CAPACITY", "$/HOUR", "PHASE"])];
    lines.extend(world.ocean_nodes.iter().take(TABLE_ROWS).map(node_row));
    let hidden = world.ocean_nodes.len().saturating_sub(TABLE_ROWS);
    if hidden > 0 {
        lines.push(format!("             and {hidden} more"));
    }
    lines
}

fn node_row(node: &OceanNode) -> String {
    let status = node.status.clone().unwrap_or_default();
    let phase = match status.reason {
        Some(reason) => format!("{} ({reason:?})", world::phase(node).as_str()),
        None => world::phase(node).as_str().to_owned(),
    };
    row([
        &node.name_any(),
        status.instance_type.as_deref().unwrap_or("-"),
        status.zone.as_deref().unwrap_or("-"),
        &format!("{:?}", node.spec.capacity_type).to_lowercase(),
        &status.price_micro_usd_per_hour.map(dollars).unwrap_or_default(),
        &phase,
    ])
}

fn row(cells: [&str; 6]) -> String {
    let [name, instance_type, zone, capacity, price, phase] = cells;
    format!("             {name:<24} {instance_type:<14} {zone:<12} {capacity:<9} {price:>8}  {phase}")
}

/// Micro-USD as dollars with four digits.
pub(super) fn dollars(micro_usd: u64) -> String {
    let rounded = micro_usd.saturating_add(50) / 100;
    format!("{}.{:04}", rounded / 10_000, rounded % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_four_digits() {
        for (micro_usd, expected) in [
            (0, "0.0000"),
            (1_234_567, "1.2346"),
            (96_000, "0.0960"),
            (49, "0.0000"),
        ] {
            assert_eq!(dollars(micro_usd), expected);
        }
    }

    #[test]
    fn an_empty_world_is_one_line() {
        let world = World::default();
        assert!(table(&world).is_empty());
        assert!(status_line(&world).contains("0 pending"));
    }
}

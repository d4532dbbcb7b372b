//! What one pass gathers: commands in order, and when to look again.

use std::sync::Arc;

use jiff::Timestamp;

use crate::command::{Command, Lane, Planned};

/// Commands and the times at which something falls due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agenda {
    /// Records of intent; they go before everything else.
    pub records: Vec<Planned>,
    /// Commands in order.
    pub commands: Vec<Planned>,
    /// When something falls due.
    pub looks: Vec<Timestamp>,
}

impl Agenda {
    /// Adds a command that may wait its turn.
    pub fn ordinary(&mut self, command: Command, because: impl Into<Arc<str>>) {
        self.add(command, Lane::Ordinary, because);
    }

    /// Adds a command in a lane.
    pub fn add(&mut self, command: Command, lane: Lane, because: impl Into<Arc<str>>) {
        self.commands.push(Planned {
            command,
            lane,
            because: because.into(),
        });
    }

    /// Adds a record that goes before the effects it announces.
    pub fn first(&mut self, planned: Planned) {
        self.records.push(planned);
    }

    /// Asks for a look at `time`.
    pub fn look_at(&mut self, time: Timestamp) {
        self.looks.push(time);
    }

    /// Records, then commands.
    #[must_use]
    pub fn into_commands(self) -> Vec<Planned> {
        self.records.into_iter().chain(self.commands).collect()
    }
}

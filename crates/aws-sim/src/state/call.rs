//! The ordered log of calls: what was asked, what was answered. It judges nothing.

use std::collections::BTreeMap;

use serde::Serialize;

const KEPT: usize = 50_000;

/// One call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its place in the order, from 1.
    pub sequence: u64,
    /// Simulated seconds since the start.
    pub at_seconds: f64,
    /// Real time, RFC 3339.
    pub time: String,
    /// Service.
    pub service: String,
    /// Action.
    pub action: String,
    /// Parameters, cut short; user data by size only.
    pub params: serde_json::Value,
    /// The error code it was answered with, or `connection dropped`; none while it runs and when it succeeded.
    pub error: Option<String>,
    /// Whether it has been answered.
    pub is_answered: bool,
    /// The fault rule that struck it.
    pub fault_rule: Option<u64>,
}

/// All calls so far.
#[derive(Debug, Default)]
pub struct CallLog {
    calls: Vec<Call>,
    dropped: u64,
    counts: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
}

impl CallLog {
    /// Notes a call; answers with its sequence number.
    pub fn begin(&mut self, call: Call) -> u64 {
        *self
            .counts
            .entry(format!("{}:{}", call.service, call.action))
            .or_default() += 1;
        if self.calls.len() >= KEPT {
            self.calls.drain(..KEPT / 10);
            self.dropped += (KEPT / 10) as u64;
        }
        let sequence = self.dropped + self.calls.len() as u64 + 1;
        self.calls.push(Call { sequence, ..call });
        sequence
    }

    /// Notes how a call was answered.
    pub fn end(&mut self, sequence: u64, error: Option<String>) {
        let index = sequence
            .checked_sub(self.dropped + 1)
            .and_then(|index| usize::try_from(index).ok());
        let Some(call) = index.and_then(|index| self.calls.get_mut(index)) else {
            return;
        };
        if error.is_some() {
            *self
                .errors
                .entry(format!("{}:{}", call.service, call.action))
                .or_default() += 1;
        }
        call.error = error;
        call.is_answered = true;
    }

    /// Notes the fault rule that struck a call.
    pub fn strike(&mut self, sequence: u64, rule: u64) {
        let index = sequence
            .checked_sub(self.dropped + 1)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(call) = index.and_then(|index| self.calls.get_mut(index)) {
            call.fault_rule = Some(rule);
        }
    }

    /// The calls kept, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Calls by `service:Action`.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Failed calls by `service:Action`.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let dropped = self.dropped + self.calls.len() as u64;
        *self = CallLog {
            dropped,
            ..CallLog::default()
        };
    }
}

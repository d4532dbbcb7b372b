//! Faults on order: rules that match calls by service and action and say what goes wrong, before or
//! after the call took effect. The first rule that matches decides; rules wear out.

use serde::{Deserialize, Serialize};

use crate::filter::wildcard;
use crate::wire::error::ApiError;

/// Whether the call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before: it has none (a held or delayed call has it later).
    #[default]
    Before,
    /// After: only the answer suffers. "Launched, but the answer was lost."
    After,
}

/// The error a call is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Injected {
    /// The error's code.
    pub code: String,
    /// The HTTP status.
    #[serde(default = "client_error")]
    pub status: u16,
    /// The sentence.
    #[serde(default)]
    pub message: String,
}

fn client_error() -> u16 {
    400
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// The call is answered with this error.
    Error(Injected),
    /// The connection is closed without an answer.
    Drop,
    /// The call succeeds and finds nothing (DescribeInstances: an empty 200).
    Empty,
    /// The call waits this many real seconds.
    DelaySeconds(f64),
    /// The call waits until `/_sim/release` names this hold (or none).
    Hold(String),
}

impl From<&Injected> for ApiError {
    fn from(injected: &Injected) -> ApiError {
        let message = if injected.message.is_empty() {
            format!("{} (injected).", injected.code)
        } else {
            injected.message.clone()
        };
        ApiError::new(injected.status, injected.code.clone(), message)
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Assigned by the simulator.
    #[serde(default)]
    pub id: u64,
    /// The service it is about (`ec2`, `sqs`, ...); any when unset.
    #[serde(default)]
    pub service: Option<String>,
    /// The action, with wildcards.
    pub action: String,
    /// The first matching call it applies to, counted from 1.
    #[serde(default = "first")]
    pub nth: u64,
    /// How many calls in a row it applies to; no end when unset.
    #[serde(default)]
    pub count: Option<u64>,
    /// Before or after the effect.
    #[serde(default)]
    pub when: When,
    /// What goes wrong.
    pub fault: Fault,
    /// Matching calls seen so far.
    #[serde(default)]
    pub seen: u64,
}

fn first() -> u64 {
    1
}

/// What a rule decided about one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The rule.
    pub rule: u64,
    /// Before or after the effect.
    pub when: When,
    /// What goes wrong.
    pub fault: Fault,
}

/// The ordered rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    last_id: u64,
}

impl Rules {
    /// Adds a rule at the end; answers with its id.
    pub fn add(&mut self, rule: Rule) -> u64 {
        self.last_id += 1;
        self.rules.push(Rule {
            id: self.last_id,
            seen: 0,
            ..rule
        });
        self.last_id
    }

    /// Removes one rule, or all.
    pub fn remove(&mut self, id: Option<u64>) {
        self.rules.retain(|rule| id.is_some_and(|id| rule.id != id));
    }

    /// Removes the rules that hold calls under this name (any, when unset).
    pub fn remove_holds(&mut self, name: Option<&str>) {
        self.rules.retain(|rule| match &rule.fault {
            Fault::Hold(found) => name.is_some_and(|name| name != found),
            _ => true,
        });
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Counts a call against every rule it matches; the first rule that applies decides.
    pub fn judge(&mut self, service: &str, action: &str) -> Option<Verdict> {
        let mut verdict = None;
        for rule in &mut self.rules {
            let matches = rule.service.as_deref().is_none_or(|found| found == service)
                && wildcard(&rule.action, action);
            if !matches {
                continue;
            }
            rule.seen += 1;
            let end = rule
                .count
                .map_or(u64::MAX, |count| rule.nth.saturating_add(count));
            if verdict.is_none() && rule.seen >= rule.nth && rule.seen < end {
                verdict = Some(Verdict {
                    rule: rule.id,
                    when: rule.when,
                    fault: rule.fault.clone(),
                });
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: &str, nth: u64, count: Option<u64>) -> Rule {
        Rule {
            id: 0,
            service: Some("ec2".into()),
            action: action.into(),
            nth,
            count,
            when: When::After,
            fault: Fault::Drop,
            seen: 0,
        }
    }

    fn check(rules: &[Rule], calls: &[&str], expected: &[Option<u64>]) {
        let mut book = Rules::default();
        for rule in rules {
            book.add(rule.clone());
        }
        let found: Vec<Option<u64>> = calls
            .iter()
            .map(|call| book.judge("ec2", call).map(|verdict| verdict.rule))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rules_count_calls_apply_in_order_and_wear_out() {
        check(
            &[rule("CreateFleet", 2, Some(1))],
            &["CreateFleet"; 3],
            &[None, Some(1), None],
        );
        check(
            &[rule("Describe*", 1, None)],
            &["DescribeSubnets", "CreateFleet"],
            &[Some(1), None],
        );
        check(
            &[rule("*", 2, Some(1)), rule("X", 1, Some(2))],
            &["X"; 3],
            &[Some(2), Some(1), None],
        );
    }

    #[test]
    fn rules_are_read_from_json() {
        for text in [
            r#"{"action":"CreateFleet","count":1,"when":"after","fault":"drop"}"#,
            r#"{"action":"DescribeInstances","fault":"empty"}"#,
            r#"{"service":"ec2","action":"*","fault":{"error":{"code":"InternalError","status":500}}}"#,
            r#"{"action":"CreateFleet","nth":2,"fault":{"hold":"a"}}"#,
            r#"{"action":"CreateFleet","fault":{"delaySeconds":2.5}}"#,
        ] {
            serde_json::from_str::<Rule>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

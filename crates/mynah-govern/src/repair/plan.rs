//! From findings to a plan. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::ticket::Ticket;
use crate::validate::{Finding, Severity};

/// One action and the findings it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Ids of the findings.
    pub findings: Vec<String>,
    /// Their rules.
    pub rules: Vec<String>,
    /// What is done.
    pub action: Action,
}

/// What will be done, and what people must do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// 16 hexadecimal characters over the steps: the same repair planned again has the same id.
    pub id: String,
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// For what no step puts right.
    pub tickets: Vec<Ticket>,
}

impl Plan {
    /// A plan of these steps, with its id.
    pub fn new(steps: Vec<Step>, tickets: Vec<Ticket>) -> Plan {
        let text = serde_json::to_string(&steps).unwrap_or_default();
        Plan { id: crate::short_id(&["plan", &text]), steps, tickets }
    }

    /// Whether there is nothing to do for anybody.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.tickets.is_empty()
    }
}

/// Plans what can be repaired, and writes tickets for what cannot. Findings of weight
/// [`Severity::Info`] without a repair need neither.
pub fn plan(findings: &[Finding]) -> Plan {
    let (mut steps, mut tickets): (Vec<Step>, Vec<Ticket>) = Default::default();
    let mut planned: HashMap<Action, usize> = HashMap::new();
    for finding in findings {
        match &finding.repair {
            Some(action) => {
                // One content of several artifacts is moved aside once.
                let at = *planned.entry(action.clone()).or_insert_with(|| {
                    steps.push(Step { findings: Vec::new(), rules: Vec::new(), action: action.clone() });
                    steps.len() - 1
                });
                steps[at].findings.push(finding.id.clone());
                steps[at].rules.push(finding.rule.to_string());
                // The damaged bytes are out of the way then, but the right ones are still missing.
                if matches!(action, Action::MoveAside { .. }) && finding.rule.starts_with("artifact.") {
                    tickets.push(Ticket::of(finding));
                }
            }
            None if finding.severity > Severity::Info => tickets.push(Ticket::of(finding)),
            None => {}
        }
    }
    Plan::new(steps, tickets)
}

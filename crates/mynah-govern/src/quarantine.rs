//! Who is kept out of comparison, serving and promotion. Pure; [`crate::repair`] carries it out.

use std::collections::HashMap;

use mynah_ledger::Run;

use crate::repair::{Action, Plan, Step};
use crate::validate::{Finding, Policy, Severity, Validation};

/// How the reasons begin that governance itself writes. A quarantine with another reason is a person's, and only a
/// person ends it.
pub const REASON_PREFIX: &str = "governance: ";

/// Findings that a reason names at most.
const NAMED_MAX: usize = 3;
const REASON_CHARS_MAX: usize = 900;

/// The plan for all runs of a validation: whom to put into quarantine, whom to take out.
pub fn plan(validation: &Validation, policy: &Policy) -> Plan {
    let mut by_run: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in &validation.findings {
        if let Some(run_id) = finding.subject.strip_prefix("run:") {
            by_run.entry(run_id).or_default().push(finding);
        }
    }
    let steps = validation.runs.iter().filter_map(|run| {
        let findings = by_run.get(run.id.as_str()).map_or(&[][..], Vec::as_slice);
        let action = decide(run, findings, policy)?;
        let of = |text: fn(&Finding) -> String| findings.iter().map(|finding| text(finding)).collect();
        Some(Step { findings: of(|f| f.id.clone()), rules: of(|f| f.rule.to_string()), action })
    });
    Plan::new(steps.collect(), Vec::new())
}

/// What to do with a run, given its findings: put it into quarantine, take it out, or nothing.
pub fn decide(run: &Run, findings: &[&Finding], policy: &Policy) -> Option<Action> {
    // Those about the quarantine itself would hold it up for ever.
    let heavy: Vec<&&Finding> = findings
        .iter()
        .filter(|finding| finding.severity >= policy.quarantine_at && finding.place != "quarantine")
        .collect();
    match (&run.quarantine, heavy.as_slice()) {
        (None, []) => None,
        (None, heavy) => {
            Some(Action::Quarantine { run_id: run.id.clone(), reason: reason(heavy), was: None })
        }
        (Some(quarantine), []) if quarantine.reason.starts_with(REASON_PREFIX) => {
            Some(Action::Release { run_id: run.id.clone(), was: quarantine.reason.clone() })
        }
        (Some(_), _) => None,
    }
}

fn reason(heavy: &[&&Finding]) -> String {
    let worst = heavy.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Error);
    let named: Vec<String> = heavy
        .iter()
        .take(NAMED_MAX)
        .map(|finding| format!("{} at {}", finding.rule, finding.place))
        .collect();
    let more = heavy.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("{REASON_PREFIX}{}: {}{more}", worst.as_str(), named.join("; "));
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use mynah_ledger::Quarantine;

    use super::*;

    #[test]
    fn decisions() {
        let heavy = Finding::new("artifact.changed", "run:r", "artifact a", "x");
        let light = Finding::new("metric.gap", "run:r", "metric m", "x");
        let about = Finding::new("run.state-differs", "run:r", "quarantine", "x");
        let run = |reason: Option<&str>| Run {
            id: "r".to_string(),
            quarantine: reason
                .map(|reason| Quarantine { reason: reason.to_string(), ..Quarantine::default() }),
            ..Run::default()
        };
        let own = format!("{REASON_PREFIX}critical: artifact.changed at artifact a");
        for (reason, findings, expect) in [
            (None, vec![], "nothing"),
            (None, vec![&light, &about], "nothing"),
            (None, vec![&heavy, &light], "in"),
            (Some(own.as_str()), vec![&heavy], "nothing"),
            (Some(own.as_str()), vec![&light], "out"),
            (Some("looks odd"), vec![], "nothing"),
        ] {
            let found = match decide(&run(reason), &findings, &Policy::default()) {
                None => "nothing",
                Some(Action::Quarantine { reason, .. }) => {
                    assert_eq!(reason, own);
                    "in"
                }
                Some(_) => "out",
            };
            assert_eq!(found, expect, "{reason:?} {findings:?}");
        }
    }
}

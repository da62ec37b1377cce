//! The audit log on the page: newest first, filtered, and whether it verifies.

use mynah_ledger::{AuditEvent, Ledger};
use serde_json::{Value, json};

use crate::answer::{ApiError, Reply, reply};
use crate::fields::Fields;
use crate::governance::{Caller, Verified};

const EVENTS: usize = 100;
const EVENTS_MAX: usize = 1_000;
/// Events read at once while looking for those that fit.
const BLOCK: u64 = 2_000;
/// Events that one question looks through; the page asks on.
const LOOKED_MAX: u64 = 50_000;

/// Events before `before` (the end of the log where nothing is said), newest first. `subject` and `kind` fit
/// where they are contained; `next` is where to ask on.
pub(super) fn events(ledger: &Ledger, fields: Fields) -> Reply {
    let head = ledger.audit_head()?;
    let before = match fields.integer_if("before")? {
        None => head.size,
        Some(before) => u64::try_from(before)
            .map_err(|_| ApiError::invalid("'before' is the number of an event"))?
            .min(head.size),
    };
    let most = fields.count("max_results", EVENTS, EVENTS_MAX)?;
    let subject = fields.string_if("subject")?.unwrap_or_default();
    let kind = fields.string_if("kind")?.unwrap_or_default();
    let fits = |event: &AuditEvent| event.subject.contains(subject) && event.kind.contains(kind);
    let mut found: Vec<Value> = Vec::new();
    let (mut end, mut looked) = (before, 0);
    while end > 0 && found.len() < most && looked < LOOKED_MAX {
        let from = end.saturating_sub(BLOCK);
        let block = ledger.audit_events(from, (end - from) as usize)?;
        looked += end - from;
        let mut next = from;
        for event in block.iter().rev().filter(|event| event.seq < end) {
            if fits(event) {
                found.push(told(event));
                if found.len() == most {
                    next = event.seq;
                    break;
                }
            }
        }
        end = next;
    }
    reply(&json!({
        "events": found, "size": head.size, "root": hex(&head.root), "origin": ledger.audit_origin()?,
        "next": (end > 0).then_some(end),
    }))
}

fn told(event: &AuditEvent) -> Value {
    // The text is what is proven; who and what are read from it.
    let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
    json!({
        "seq": event.seq, "at_ms": event.at_ms, "kind": event.kind, "subject": event.subject,
        "by": body["by"].as_str().unwrap_or_default(), "detail": body["detail"], "leaf": hex(&event.leaf),
    })
}

/// Reads the whole log and computes its tree again; with `last`, only says what came out the last time.
pub(super) fn verify(caller: &Caller<'_>, fields: Fields) -> Reply {
    let found = match fields.boolean_if("last")?.unwrap_or(false) {
        true => caller.governance.last_verified_log(),
        false => Some(caller.governance.verified_log(caller.ledger)?),
    };
    let size = caller.ledger.audit_head()?.size;
    let Some(found) = found else { return reply(&json!({"verified": null, "size": size})) };
    let Verified { head, held, report } = &found.found;
    reply(&json!({
        "held_size": held.size, "verified": report.findings.is_empty(), "events": report.events, "findings": report.findings,
        "at_ms": found.at_ms, "at_size": head.size, "root": hex(&head.root), "size": size,
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

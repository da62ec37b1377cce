//! Tickets: what people must do, with guidance. They lie in the ledger, as shared artifacts.

use mynah_ledger::{ArtifactOwner, Ledger};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::validate::{Finding, Severity, rule};

const FOLDER: &str = "governance/tickets";

/// Whether somebody still has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketState {
    /// Yes.
    Open,
    /// No.
    Closed,
}

/// One thing that people must do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The id of its finding.
    pub id: String,
    /// The rule that found it.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// `run:ID`, `model:NAME`, `audit`, `store`.
    pub subject: String,
    /// Where in it.
    pub place: String,
    /// What the rule finds, in general.
    pub title: String,
    /// What was found here.
    pub message: String,
    /// Why it matters.
    pub why: String,
    /// What to do, step by step.
    pub guidance: Vec<String>,
    /// Open or closed.
    pub state: TicketState,
    /// What was done about it, once it is closed.
    pub resolution: Option<String>,
}

impl Ticket {
    /// The ticket of a finding.
    pub fn of(finding: &Finding) -> Ticket {
        let rule = rule(finding.rule);
        Ticket {
            id: finding.id.clone(),
            rule: finding.rule.to_string(),
            severity: finding.severity,
            subject: finding.subject.clone(),
            place: finding.place.clone(),
            title: rule.map_or("", |rule| rule.title).to_string(),
            message: finding.message.clone(),
            why: rule.map_or("", |rule| rule.why).to_string(),
            guidance: rule
                .map_or(&[][..], |rule| rule.guidance)
                .iter()
                .map(|line| (*line).to_string())
                .collect(),
            state: TicketState::Open,
            resolution: None,
        }
    }

    fn path(id: &str) -> String {
        format!("{FOLDER}/{id}.json")
    }
}

/// Puts tickets into the ledger and says how many were new. One that is there already and open is left as it
/// is; one that was closed is opened again, because its finding is back.
///
/// # Errors
/// When the ledger cannot be written.
pub fn file_tickets(ledger: &Ledger, tickets: &[Ticket]) -> Result<usize> {
    let mut filed = 0;
    for ticket in tickets {
        let known: Option<Ticket> = files::read(ledger, &ArtifactOwner::Shared, &Ticket::path(&ticket.id))?;
        if known.is_some_and(|known| known.state == TicketState::Open) {
            continue;
        }
        files::write(ledger, &ArtifactOwner::Shared, &Ticket::path(&ticket.id), ticket)?;
        filed += 1;
    }
    Ok(filed)
}

/// All tickets, open ones first, heaviest first.
///
/// # Errors
/// When the ledger cannot be read.
pub fn tickets(ledger: &Ledger) -> Result<Vec<Ticket>> {
    let mut tickets: Vec<Ticket> = files::read_all(ledger, &ArtifactOwner::Shared, FOLDER)?;
    let key = |ticket: &Ticket| (ticket.state == TicketState::Closed, std::cmp::Reverse(ticket.severity));
    tickets.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id)));
    Ok(tickets)
}

/// Closes a ticket with what was done about it.
///
/// # Errors
/// `NotFound`; `Argument` without a resolution; when the ledger cannot be written.
pub fn close_ticket(ledger: &Ledger, id: &str, resolution: &str) -> Result<Ticket> {
    if resolution.trim().is_empty() {
        return Err(Error::argument("a ticket is closed with what was done about it"));
    }
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::argument("the id of a ticket has 16 hexadecimal characters"));
    }
    let path = Ticket::path(id);
    let ticket: Option<Ticket> = files::read(ledger, &ArtifactOwner::Shared, &path)?;
    let ticket = ticket.ok_or_else(|| Error::not_found(format!("there is no ticket {id}")))?;
    let ticket =
        Ticket { state: TicketState::Closed, resolution: Some(resolution.trim().to_string()), ..ticket };
    files::write(ledger, &ArtifactOwner::Shared, &path, &ticket)?;
    Ok(ticket)
}

//! What stands between a client and production: the stage of that name, and the alias of that name, are only
//! for versions whose run passes the server's policy.

use mynah_govern::promote::{Request, assess};
use mynah_ledger::{Ledger, ModelVersion, SearchModels, Stage};

use super::registry::PROMPT_TAG;
use crate::answer::{ApiError, Code};
use crate::governance::Caller;

/// The alias that means production to whoever loads a model by it.
const PROTECTED_ALIAS: &str = "production";
/// Versions of one page of a search.
const VERSIONS: usize = 10_000;

pub(super) fn is_protected(alias: &str) -> bool {
    alias.eq_ignore_ascii_case(PROTECTED_ALIAS)
}

fn request(name: &str, version: u64) -> Request {
    Request { model: name.to_string(), version, stage: Stage::Production, baseline_run: None }
}

/// Refuses a version that may not be in production, with every reason.
pub(super) fn check(caller: &Caller<'_>, name: &str, version: u64) -> Result<(), ApiError> {
    if is_prompt(caller.ledger, name, version)? {
        return Ok(());
    }
    let assessment = assess(caller.ledger, &request(name, version), caller.governance.policy())?;
    if assessment.is_eligible() {
        return Ok(());
    }
    let message = format!(
        "the alias '{PROTECTED_ALIAS}' is for versions that may go to production, and version {version} of {name} may \
         not: {}; put it right, or have it overruled and signed",
        assessment.reasons.join("; ")
    );
    Err(ApiError::new(Code::PermissionDenied, message + &advice(name, version)))
}

/// Moves a version to production, with the record of why it may be there.
pub(super) fn promote(
    caller: &Caller<'_>,
    name: &str,
    version: u64,
    archives: bool,
) -> Result<ModelVersion, ApiError> {
    let ledger = caller.ledger;
    // The ledger's own words about a store that takes no changes, before anything is read for nothing.
    if ledger.is_read_only() || is_prompt(ledger, name, version)? {
        return Ok(ledger.transition_model_version(name, version, Stage::Production, archives)?);
    }
    let others = if archives { Vec::new() } else { in_production(ledger, name, version)? };
    let policy = caller.governance.policy();
    mynah_govern::promote::promote(ledger, &request(name, version), policy, None, caller.by)
        .map_err(|error| refusal(error, name, version))?;
    // A promotion archives what was there; a client that did not ask for that keeps it.
    for other in others {
        ledger.transition_model_version(name, other, Stage::Production, false)?;
    }
    Ok(ledger.model_version(name, version)?)
}

/// A prompt is a text: no run made it, and there is nothing to measure. Both the model and the version must say so,
/// and a version that a run or a logged model made is none.
fn is_prompt(ledger: &Ledger, name: &str, version: u64) -> Result<bool, ApiError> {
    let says_so = |tags: &[mynah_ledger::Tag]| {
        tags.iter().any(|tag| tag.key == PROMPT_TAG && tag.value.eq_ignore_ascii_case("true"))
    };
    let found = ledger.model_version(name, version)?;
    let is_made =
        [&found.run_id, &found.model_id].iter().any(|id| id.as_ref().is_some_and(|id| !id.is_empty()));
    Ok(!is_made && says_so(&found.tags) && says_so(&ledger.registered_model(name)?.tags))
}

fn in_production(ledger: &Ledger, name: &str, except: u64) -> Result<Vec<u64>, ApiError> {
    // A name may hold one kind of quote; with both, all versions are looked through.
    let quote = ['\'', '"'].into_iter().find(|quote| !name.contains(*quote));
    let filter = quote.map(|quote| format!("name = {quote}{name}{quote}")).unwrap_or_default();
    let mut search = SearchModels { filter, max_results: VERSIONS, ..SearchModels::default() };
    let mut versions = Vec::new();
    loop {
        let page = ledger.search_model_versions(&search)?;
        let held = page.items.iter().filter(|v| v.name == name && v.stage == Stage::Production);
        versions.extend(held.map(|v| v.version).filter(|version| *version != except));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(versions);
        }
    }
}

/// Governance's refusal with every reason, and the command for whoever may overrule it.
fn refusal(error: mynah_govern::Error, name: &str, version: u64) -> ApiError {
    let is_refused = error.kind() == mynah_govern::ErrorKind::Refused;
    let error = ApiError::from(error);
    if is_refused { error.add(&advice(name, version)) } else { error }
}

/// What whoever may overrule calls.
fn advice(name: &str, version: u64) -> String {
    format!(": `mynah runs promote {name} {version} --to production --override FILE`")
}

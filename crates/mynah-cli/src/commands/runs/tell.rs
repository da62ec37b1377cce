//! Hooks of a policy file: who is told of findings, refused gates and drift.

use std::time::Duration;

use mynah_govern::gate::{self, Notice, Sender, SystemRunner};
use mynah_govern::schedule::LedgerClaims;
use mynah_govern::validate::Policy;
use mynah_ledger::Ledger;

use crate::failure::Result;
use crate::recording;

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells everybody whom the policy names, each once in the life of the ledger; says on standard error how it went.
///
/// # Errors
/// When the ledger cannot keep who was told. A receiver that fails is no error of the command.
pub fn tell(ledger: &Ledger, policy: &Policy, notice: Option<Notice>) -> Result<()> {
    let Some(notice) = notice.filter(|_| !policy.hooks.is_empty()) else { return Ok(()) };
    let claims = LedgerClaims::new(ledger, &recording::actor());
    for delivery in gate::fire(&policy.hooks, &notice, &claims, &HttpSender, &SystemRunner)? {
        match delivery.outcome {
            None => {}
            Some(Ok(())) => eprintln!("note: {} was told ({})", delivery.hook, notice.kind),
            Some(Err(why)) => eprintln!("note: {} could not be told ({}): {why}", delivery.hook, notice.kind),
        }
    }
    Ok(())
}

/// Sends webhooks.
struct HttpSender;

impl Sender for HttpSender {
    fn post(&self, url: &str, key: &str, body: &str) -> std::result::Result<u16, String> {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A notice goes where the policy says, not where the receiver sends it.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent("mynah");
        if url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") {
            config = config.proxy(None);
        }
        let request = config.build().new_agent().post(url);
        let request = request.header("Content-Type", "application/json").header("Idempotency-Key", key);
        request.send(body).map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    }
}

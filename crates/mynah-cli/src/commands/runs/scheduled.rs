//! Scheduled validation: everything is validated at the slots of a cron expression, each slot once, whatever number
//! of processes keep the same schedule.

use std::time::Duration;

use mynah_base::time::{now_ms, utc};
use mynah_govern::gate::Notice;
use mynah_govern::schedule::{LedgerClaims, Schedule};
use mynah_govern::validate::{Policy, Severity, Validation, validate_place};
use mynah_govern::{quarantine, repair};
use mynah_ledger::{Batch, Ledger, Metric};

use super::tell::tell;
use crate::failure::{Failure, Result};
use crate::recording;

/// The name that slots are claimed under: two schedules with the same slot validate once.
const NAME: &str = "validation";
/// Clocks jump and machines sleep: look at least this often.
const LOOK: Duration = Duration::from_secs(30);

/// Validates at every slot until the process ends. `told` hears of each slot that was done here.
///
/// # Errors
/// When the expression is none. Trouble at a slot is told on standard error, and the next slot comes.
pub fn keep(
    ledger: &Ledger,
    policy: &Policy,
    cron: &str,
    apart: bool,
    told: &mut dyn FnMut(i64, &Validation),
) -> Result<()> {
    let schedule = Schedule::new(NAME, cron)?;
    let claims = LedgerClaims::new(ledger, &recording::actor());
    let mut since = now_ms();
    loop {
        let now = now_ms();
        let work = |slot: i64| {
            let found = validate_place(ledger.location(), policy, None, now_ms())?;
            if apart {
                let plan = quarantine::plan(&found, policy);
                repair::apply(ledger, &plan, &recording::actor())?;
            }
            record(ledger, slot, &found)?;
            if let Err(error) = tell(ledger, policy, Notice::of_findings(&found.findings, policy.notify_at)) {
                eprintln!("note: nobody was told: {error}");
            }
            told(slot, &found);
            Ok(())
        };
        if let Err(error) = schedule.run_due(since, now, &claims, work) {
            eprintln!("note: the validation at {} failed: {error}", utc(now));
        }
        since = since.max(now);
        let next = schedule
            .cron
            .next(now)
            .ok_or_else(|| Failure::new(format!("'{cron}' has no next time")).at("--schedule"))?;
        let wait = u64::try_from(next.saturating_sub(now_ms())).unwrap_or(0);
        std::thread::sleep(LOOK.min(Duration::from_millis(wait)));
    }
}

/// Findings by severity as metrics of the slot's own run: a line on the page over time.
fn record(ledger: &Ledger, slot: i64, found: &Validation) -> mynah_ledger::Result<()> {
    let now = now_ms();
    let count = |severity: Severity| found.findings.iter().filter(|f| f.severity == severity).count() as f64;
    let severities = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
    let metrics = severities
        .map(|severity| Metric::new(format!("findings.{}", severity.as_str()), count(severity), now, 0));
    let run_id = LedgerClaims::run_id("schedule", &format!("{NAME}@{slot}"));
    ledger.log_batch(&run_id, Batch { metrics: metrics.to_vec(), ..Batch::default() })
}

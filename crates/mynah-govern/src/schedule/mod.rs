//! Scheduled work: cron expressions, and a claim that lets each slot happen once, whatever number of
//! processes look at the clock.

mod claims;
mod cron;

pub use claims::{Claims, GOVERNANCE_EXPERIMENT, LedgerClaims, MemoryClaims};
pub use cron::Cron;

use crate::error::{Error, Result};

/// Something that is done at the slots of a cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Unique; part of the claim's key.
    pub name: String,
    /// When.
    pub cron: Cron,
}

impl Schedule {
    /// A schedule.
    ///
    /// # Errors
    /// `Argument` for an empty name or an expression that is none.
    pub fn new(name: &str, cron: &str) -> Result<Schedule> {
        if name.trim().is_empty() || name.chars().count() > 200 {
            return Err(Error::argument("a schedule needs a name of at most 200 characters"));
        }
        Ok(Schedule { name: name.to_string(), cron: cron.parse()? })
    }

    /// The slot that is due: the latest after `since_ms` and not after `now_ms`. Slots missed before it are left
    /// out: validating ten times in a row finds nothing that once does not.
    pub fn due(&self, since_ms: i64, now_ms: i64) -> Option<i64> {
        self.cron.latest(now_ms).filter(|slot| *slot > since_ms)
    }

    /// Does the work of the slot that is due, if nobody else has; gives the slot when it was done here.
    ///
    /// # Errors
    /// Of the claims; of the work, which is then recorded as failed.
    pub fn run_due(
        &self,
        since_ms: i64,
        now_ms: i64,
        claims: &dyn Claims,
        work: impl FnOnce(i64) -> Result<()>,
    ) -> Result<Option<i64>> {
        let Some(slot) = self.due(since_ms, now_ms) else { return Ok(None) };
        let key = format!("{}@{slot}", self.name);
        if !claims.claim("schedule", &key)? {
            return Ok(None);
        }
        match work(slot) {
            Ok(()) => claims.finish("schedule", &key, Ok(()))?,
            Err(error) => {
                claims.finish("schedule", &key, Err(&error.to_string()))?;
                return Err(error);
            }
        }
        Ok(Some(slot))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_slot_is_done_once_by_whoever_is_first() {
        let schedule = Schedule::new("nightly", "0 3 * * *").unwrap();
        let (claims, done) = (MemoryClaims::default(), AtomicUsize::new(0));
        const DAY_MS: i64 = 86_400_000;
        for day in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let now = day * DAY_MS + 5 * 3_600_000;
                        let work = |_| {
                            done.fetch_add(1, Ordering::Relaxed);
                            Ok(())
                        };
                        schedule.run_due(now - DAY_MS, now, &claims, work).unwrap();
                    });
                }
            });
            assert_eq!(done.load(Ordering::Relaxed) as i64, day + 1);
        }
        // Nothing is due twice, and slots missed long ago are left out.
        assert_eq!(schedule.due(3 * 3_600_000, 4 * 3_600_000), None);
        assert_eq!(schedule.due(0, 10 * DAY_MS), Some(9 * DAY_MS + 3 * 3_600_000));
    }

    #[test]
    fn failed_work_is_recorded_and_not_repeated() {
        let schedule = Schedule::new("x", "* * * * *").unwrap();
        let claims = MemoryClaims::default();
        let failed = schedule.run_due(0, 60_000, &claims, |_| Err(Error::storage("disk full")));
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(claims.outcome("schedule", "x@60000"), Some(Err("disk full".to_string())));
        assert_eq!(schedule.run_due(0, 60_000, &claims, |_| Ok(())).unwrap(), None);
        assert!(Schedule::new(" ", "* * * * *").is_err() && Schedule::new("x", "* * *").is_err());
    }
}

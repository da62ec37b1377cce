//! The thread that computes masks while the model computes logits.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::thread;

use super::constraint::{Constraint, TokenMask};
use crate::error::{Error, ErrorKind, Result};

struct Job {
    index: usize,
    constraint: Box<dyn Constraint>,
    mask: TokenMask,
}

/// A constraint that has come back.
pub(super) struct Masked {
    /// The number it was sent under.
    pub index: usize,
    /// The constraint and its mask, or why there is none.
    pub result: Result<(Box<dyn Constraint>, TokenMask)>,
}

/// Sends constraints to the thread and collects them again.
pub(super) struct MaskWorker {
    jobs: mpsc::Sender<Job>,
    masked: mpsc::Receiver<Masked>,
    outstanding: usize,
}

impl MaskWorker {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start() -> Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (outbox, masked) = mpsc::channel();
        let run = move || {
            for job in inbox {
                let Job { index, mut constraint, mut mask } = job;
                let result = std::panic::catch_unwind(AssertUnwindSafe(move || {
                    constraint.mask(&mut mask)?;
                    Ok((constraint, mask))
                }));
                let result = result.unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::Constraint,
                        "the constraint panicked while its mask was computed",
                    ))
                });
                if outbox.send(Masked { index, result }).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("mynah-masks".into())
            .spawn(run)
            .map_err(|error| Error::new(ErrorKind::Model, format!("no thread for masks: {error}")))?;
        Ok(Self { jobs, masked, outstanding: 0 })
    }

    /// Starts the computation of a mask.
    pub fn send(&mut self, index: usize, constraint: Box<dyn Constraint>, mask: TokenMask) {
        if self.jobs.send(Job { index, constraint, mask }).is_ok() {
            self.outstanding += 1;
        }
    }

    /// The next mask that is ready; waits for it. `None` when none is under way.
    pub fn receive(&mut self) -> Option<Masked> {
        if self.outstanding == 0 {
            return None;
        }
        self.outstanding -= 1;
        self.masked.recv().ok()
    }
}

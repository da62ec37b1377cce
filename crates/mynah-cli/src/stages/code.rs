//! Programs that a model wrote, run against tests: what code tasks are graded with, and a reward for training on them.

use std::time::Duration;

use pyc_driver::Worker;

use crate::failure::{Failure, Result};

/// Seconds that one program and its tests may take.
const SECONDS_MAX: u64 = 20;
const MEMORY_BYTES_MAX: u64 = 512 << 20;
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Runs programs in processes of their own, without files, network and clock.
pub struct CodeJudge {
    worker: Worker,
}

/// How a program did.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// It ended without an exception, a limit or a crash.
    pub passed: bool,
    /// Otherwise the last line that it wrote to stderr, or what ended it.
    pub error: String,
}

impl Judged {
    /// The reward of the program for whoever wrote it: 1 when it passed, else 0.
    pub fn reward(&self) -> f64 {
        f64::from(u8::from(self.passed))
    }
}

impl CodeJudge {
    /// A judge whose workers are this very program.
    ///
    /// # Errors
    /// When the system does not tell which program this is.
    pub fn new() -> Result<CodeJudge> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::new(format!("cannot find this program to run workers: {e}")))?;
        let worker = Worker {
            program,
            time: Duration::from_secs(SECONDS_MAX),
            memory_bytes: MEMORY_BYTES_MAX,
            output_bytes: OUTPUT_BYTES_MAX,
            // Tests draw numbers to try functions on.
            allow: vec!["random".to_string()],
        };
        Ok(CodeJudge { worker })
    }

    /// Runs a program followed by its tests.
    pub fn judge(&self, program: &str, tests: &str) -> Judged {
        match self.worker.run(&format!("{program}\n{tests}\n")) {
            Ok(outcome) if outcome.exit == 0 => Judged { passed: true, error: String::new() },
            Ok(outcome) => {
                let last = outcome.errors.lines().rfind(|l| !l.trim().is_empty());
                Judged { passed: false, error: last.unwrap_or("it ended early").to_string() }
            }
            Err(error) => Judged { passed: false, error: error.to_string() },
        }
    }
}

//! Ctrl-C as a question a loop can ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::failure::{Failure, Result};

/// Makes the first Ctrl-C set the returned flag (a training loop then saves and ends) and the second one
/// end the program at once.
///
/// # Errors
/// When the handler cannot be installed.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            save_recordings();
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: saving, then ending (again to end at once)");
    })
    .map_err(|error| Failure::new(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(flag)
}

/// How long an impatient user waits for what is queued for the ledger.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes what is queued for the ledger, if that is quick.
fn save_recordings() {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        // The process ends whatever comes out of it.
        let _ = done.send(mynah_ledger::flush_all());
    });
    let _ = wait.recv_timeout(PATIENCE);
}

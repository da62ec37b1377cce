//! Ctrl-C as a question a loop can ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: saving, then ending (again to end at once)");
    })
    .map_err(|error| Failure::new(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(flag)
}

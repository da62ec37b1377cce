//! The tool `python` of `mynah serve`: code that the model writes, run apart from the server with nothing but limits.
//!
//! A process of its own for every call: what the code does to its interpreter, it does not do to the server.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mynah_serve::ServerTool;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};

/// Seconds that the code may take.
const SECONDS_MAX: u64 = 10;
/// What a process needs besides, before it is ended from outside.
const SECONDS_GRACE: u64 = 2;
/// Memory that the code may take.
const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// Text that it may write.
const OUTPUT_BYTES_MAX: u64 = 32 << 10;
/// A program is given on a command line, which systems bound.
const CODE_BYTES_MAX: usize = 64 << 10;

/// Runs Python without files, network, clock or environment.
pub struct PythonTool {
    program: PathBuf,
}

impl PythonTool {
    /// The tool, run by this very program.
    ///
    /// # Errors
    /// When the system does not tell which program this is.
    pub fn new() -> Result<PythonTool> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(format!("cannot find this program for the tool python: {error}"))
        })?;
        Ok(PythonTool { program })
    }

    /// What the code prints, and where it prints nothing and is one expression, its value: models ask for `12*7`, too.
    fn answer(&self, code: &str) -> std::io::Result<String> {
        let told = self.outcome(code)?;
        if !told.is_empty() {
            return Ok(told);
        }
        // Nothing outside has changed, so that it may be run again. A statement is refused as an argument of print().
        let is_line = !code.trim().is_empty() && !code.trim().contains('\n');
        let shown =
            if is_line { self.outcome(&format!("print(({}\n))", code.trim()))? } else { String::new() };
        let is_value = !shown.is_empty() && !shown.contains("SyntaxError");
        Ok(if is_value { shown } else { "(nothing was printed)".to_string() })
    }

    fn outcome(&self, code: &str) -> std::io::Result<String> {
        let mut child = Command::new(&self.program)
            .args(["py", "run", "--max-time", &SECONDS_MAX.to_string()])
            .args([
                "--max-memory",
                &MEMORY_BYTES_MAX.to_string(),
                "--max-output",
                &OUTPUT_BYTES_MAX.to_string(),
            ])
            .args(["-c", code])
            .env_clear()
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let printed = read_all(child.stdout.take());
        let errors = read_all(child.stderr.take());
        let ended = wait(&mut child)?;
        let text = |thread: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().unwrap_or_default()).trim_end().to_string()
        };
        let (printed, errors) = (text(printed), text(errors));
        let mut parts = Vec::new();
        parts.extend(Some(printed).filter(|text| !text.is_empty()));
        parts.extend(Some(errors).filter(|text| !text.is_empty()));
        if !ended {
            parts.push(format!("ended after {} seconds", SECONDS_MAX + SECONDS_GRACE));
        }
        Ok(parts.join("\n"))
    }
}

/// Reads a pipe to its end in a thread, so that the process never waits for it.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error counts. The code's own limit is lower.
            let _ = pipe.take(4 * OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for the end; false when the process had to be ended.
fn wait(child: &mut Child) -> std::io::Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX + SECONDS_GRACE);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}

impl ServerTool for PythonTool {
    fn definition(&self) -> Value {
        let about = "Runs Python 3.12 and tells what it prints. For arithmetic, text, dates and data. There are no files, \
                     no network and no clock; print() what you want to see, or give one expression.";
        json!({"type": "function", "function": {
            "name": "python", "description": about,
            "parameters": {
                "type": "object", "required": ["code"], "additionalProperties": false,
                "properties": {"code": {"type": "string", "description": "the program"}},
            },
        }})
    }

    fn run(&self, arguments: &str) -> String {
        let arguments: Value = match serde_json::from_str(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return format!("the arguments are not JSON: {error}"),
        };
        match arguments.get("code").and_then(Value::as_str) {
            None => "the argument 'code' is missing: a string with the program".to_string(),
            Some(code) if code.contains('\0') => "the code has a null character".to_string(),
            Some(code) if code.len() > CODE_BYTES_MAX => {
                format!("the code has {} bytes; at most {CODE_BYTES_MAX} are run", code.len())
            }
            Some(code) => {
                self.answer(code).unwrap_or_else(|error| format!("the code could not be run: {error}"))
            }
        }
    }
}

//! The tool `python` of `mynah serve`: code that the model writes, run apart from the server with nothing but limits.
//!
//! A process of its own for every call, which the system holds apart where it can: what the code does to its
//! interpreter, it does not do to the server.

use std::time::Duration;

use mynah_serve::ServerTool;
use pyc_driver::Worker;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};

/// Seconds that the code may take.
const SECONDS_MAX: u64 = 10;
/// Memory that the code may take.
const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// Text that it may write.
const OUTPUT_BYTES_MAX: u64 = 32 << 10;
/// The longest program taken.
const CODE_BYTES_MAX: usize = 64 << 10;

/// Runs Python without files, network, clock or environment.
pub struct PythonTool {
    worker: Worker,
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
        let worker = Worker {
            program,
            time: Duration::from_secs(SECONDS_MAX),
            memory_bytes: MEMORY_BYTES_MAX,
            output_bytes: OUTPUT_BYTES_MAX,
            allow: Vec::new(),
        };
        Ok(PythonTool { worker })
    }

    /// What the code prints, and where it prints nothing and is one expression, its value: models ask for `12*7`, too.
    fn answer(&self, code: &str) -> std::result::Result<String, pyc_driver::Error> {
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

    fn outcome(&self, code: &str) -> std::result::Result<String, pyc_driver::Error> {
        let outcome = self.worker.run(code)?;
        let (printed, errors) = (outcome.output.trim_end(), outcome.errors.trim_end());
        let parts: Vec<&str> = [printed, errors].into_iter().filter(|text| !text.is_empty()).collect();
        Ok(parts.join("\n"))
    }
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

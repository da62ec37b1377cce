//! A worker process: ours (an example of a crate) or the peer's (a Python script).
//!
//! The protocol is one line of JSON each way. First the worker says
//! `{"ready":true,"version":"…","cases":["…"]}`; for every case name on its stdin it runs that case once
//! and answers `{"case":"…","seconds":s,"work":w,"unit":"flop|byte|token"}`; at the end of its stdin it
//! says `{"peak_rss_bytes":n}` and ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::catalogue::Bench;
use crate::workspace;

/// A running worker.
pub struct Worker {
    pub label: String,
    pub version: String,
    pub cases: Vec<String>,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// One answer.
pub struct Sample {
    pub seconds: f64,
    pub work: f64,
    pub unit: String,
    /// Processor seconds, where the worker says them: they do not count the time that others took away.
    pub cpu_seconds: Option<f64>,
    /// The machine's measured peak in the unit of the rate, where the worker measures it.
    pub peak: Option<f64>,
}

/// Builds our worker in release mode and says where it is.
///
/// # Errors
/// When it does not build; the compiler has already said why.
pub fn build(bench: &Bench) -> Result<PathBuf, String> {
    build_example(bench.krate, bench.example)
}

/// Builds an example of a crate in release mode and says where it is.
///
/// # Errors
/// When it does not build; the compiler has already said why.
pub fn build_example(krate: &str, example: &str) -> Result<PathBuf, String> {
    eprintln!("building {example} of {krate} …");
    let output = workspace::cargo()
        .args(["build", "--release", "--quiet", "--message-format", "json-render-diagnostics"])
        .args(["-p", krate, "--example", example])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo ({error})"))?;
    if !output.status.success() {
        return Err(format!("the example {example} of {krate} does not build"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == example)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo does not say where the example {example} is"))
}

/// The peer's script, as an argument.
///
/// # Errors
/// When the repository has none.
pub fn script(bench: &Bench) -> Result<String, String> {
    script_at(bench.script)
}

/// A script of `xtask/peers` by its name without `.py`.
///
/// # Errors
/// When the repository has none.
pub fn script_at(name: &str) -> Result<String, String> {
    let path = workspace::root().join("xtask/peers").join(format!("{name}.py"));
    if !path.exists() {
        return Err(format!("xtask/peers/{name}.py is absent"));
    }
    Ok(path.to_string_lossy().into_owned())
}

impl Worker {
    /// Starts a worker and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started or ends before it is ready; the message carries its last words.
    pub fn start(
        label: &str,
        program: &Path,
        arguments: &[String],
        flags: &[String],
    ) -> Result<Worker, String> {
        let mut child = Command::new(program)
            .args(arguments)
            .args(flags)
            .current_dir(workspace::root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {} ({error})", program.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("a worker without output")?;
        let errors = child.stderr.take();
        // Read the whole time, so that a talkative worker never blocks on a full pipe.
        let words = std::thread::spawn(move || {
            let mut last = String::new();
            for line in errors.into_iter().flat_map(|e| BufReader::new(e).lines()).map_while(Result::ok) {
                if !line.trim().is_empty() {
                    last = line;
                }
            }
            last
        });
        let mut worker = Worker {
            label: label.to_string(),
            version: String::new(),
            cases: Vec::new(),
            child,
            input,
            output: BufReader::new(output),
        };
        match worker.read() {
            Ok(ready) if ready["ready"] == true => {
                worker.version = ready["version"].as_str().unwrap_or_default().to_string();
                worker.cases = ready["cases"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|case| case.as_str().map(str::to_string))
                    .collect();
                Ok(worker)
            }
            Ok(other) => Err(format!("{label} said {other} instead of being ready")),
            Err(message) => {
                let _ = worker.child.wait();
                let last = words.join().unwrap_or_default();
                Err(if last.is_empty() { message } else { last })
            }
        }
    }

    /// Runs a case once.
    ///
    /// # Errors
    /// When the worker dies or answers something else.
    pub fn run(&mut self, case: &str) -> Result<Sample, String> {
        let input = self.input.as_mut().ok_or("the worker has ended")?;
        writeln!(input, "{case}")
            .and_then(|()| input.flush())
            .map_err(|error| format!("{} died before '{case}' ({error})", self.label))?;
        let answer = self.read()?;
        let sample = Sample {
            seconds: answer["seconds"].as_f64().unwrap_or(f64::NAN),
            work: answer["work"].as_f64().unwrap_or(f64::NAN),
            unit: answer["unit"].as_str().unwrap_or_default().to_string(),
            cpu_seconds: answer["cpu"].as_f64().filter(|seconds| *seconds > 0.0),
            peak: answer["peak"].as_f64().filter(|peak| *peak > 0.0),
        };
        if answer["case"] != case || !(sample.seconds > 0.0 && sample.work > 0.0) {
            return Err(format!("{} answered {answer} to '{case}'", self.label));
        }
        Ok(sample)
    }

    /// Ends the worker; its peak memory, if it says it.
    ///
    /// # Errors
    /// When it fails while ending.
    pub fn finish(&mut self) -> Result<Option<u64>, String> {
        drop(self.input.take());
        let peak = self.read().ok().and_then(|last| last["peak_rss_bytes"].as_u64());
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(peak) } else { Err(format!("{} failed at the end", self.label)) }
    }

    /// The next line of JSON; other lines (a library's greeting) are passed over.
    fn read(&mut self) -> Result<Value, String> {
        loop {
            let mut line = String::new();
            match self.output.read_line(&mut line) {
                Ok(0) => return Err(format!("{} ended without an answer", self.label)),
                Ok(_) => {
                    if let Ok(value @ Value::Object(_)) = serde_json::from_str(&line) {
                        return Ok(value);
                    }
                }
                Err(error) => return Err(format!("{}: {error}", self.label)),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Only a worker left behind by an error still runs here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"echo 'hello'
echo '{"ready":true,"version":"9","cases":["a","b"]}'
while read case; do echo "{\"case\":\"$case\",\"seconds\":0.5,\"work\":10,\"unit\":\"byte\"}"; done
echo '{"peak_rss_bytes":123}'"#;

    fn shell(script: &str) -> Result<Worker, String> {
        Worker::start("sh", Path::new("sh"), &["-c".to_string(), script.to_string()], &[])
    }

    #[test]
    fn speaks_the_protocol() {
        let mut worker = shell(SCRIPT).unwrap();
        assert_eq!((worker.version.as_str(), worker.cases.len()), ("9", 2));
        let sample = worker.run("b").unwrap();
        assert_eq!((sample.seconds, sample.work, sample.unit.as_str()), (0.5, 10.0, "byte"));
        assert_eq!(worker.finish().unwrap(), Some(123));
    }

    #[test]
    fn a_worker_that_cannot_start_says_why() {
        let message = shell("echo no module named torch >&2; exit 1").err().unwrap();
        assert_eq!(message, "no module named torch");
        assert!(Worker::start("x", Path::new("no-such-program"), &[], &[]).is_err());
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let script = r#"echo '{"ready":true,"version":"","cases":["a"]}'; read x; echo '{"case":"other"}'"#;
        assert!(shell(script).unwrap().run("a").is_err());
    }
}

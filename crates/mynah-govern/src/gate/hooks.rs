//! Hooks: telling somebody, once.
//!
//! A hook fires for a notice at most once in the life of a store, whatever number of processes see the notice:
//! the key of hook and notice is claimed before anything is sent. What was claimed and failed is
//! not sent again by itself; the delivery is recorded, and whoever wants it again gives the notice another key.
//! The key travels with the call (`Idempotency-Key`), so that a receiver can tell as well.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gates::{EXIT_PASSED, EXIT_REGRESSED, GateReport, GateResult};
use crate::drift::DriftWindow;
use crate::error::{Error, Result};
use crate::schedule::Claims;
use crate::validate::{Finding, Severity};

/// How long a command may run.
const COMMAND_SECONDS_MAX: u64 = 60;

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// One POST of the notice as JSON.
    Webhook {
        /// `http://…` or `https://…`.
        url: String,
    },
    /// A program with its arguments (no shell); the notice comes as JSON on its standard input.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
}

/// Whom to tell what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Unique among the hooks.
    pub name: String,
    /// Kinds of notices: `gate.regressed`, `validation.error`, …; empty: all.
    #[serde(default)]
    pub on: Vec<String>,
    /// What it does.
    pub call: Call,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// `gate.regressed`, …
    pub kind: String,
    /// What makes it this notice and no other, for instance the run and the gates.
    pub key: String,
    /// What is sent.
    pub body: Value,
}

impl Notice {
    /// Gates that a run did not pass; nothing when it passed. The same decision about the same run is one notice.
    pub fn of_gates(run_id: &str, report: &GateReport) -> Option<Notice> {
        let kind = match report.exit_code() {
            EXIT_PASSED => return None,
            EXIT_REGRESSED => "gate.regressed",
            _ => "gate.undecided",
        };
        let lines: Vec<String> = report.results.iter().map(GateResult::message).collect();
        Some(Notice {
            kind: kind.to_string(),
            key: format!("{run_id} {}", lines.join("; ")),
            body: json!({"run": run_id, "gates": report.to_json()}),
        })
    }

    /// Findings of a validation, of this weight or above; nothing when there are none. The same findings are one
    /// notice.
    pub fn of_findings(findings: &[Finding], severity_min: Severity) -> Option<Notice> {
        let heavy: Vec<&Finding> =
            findings.iter().filter(|finding| finding.severity >= severity_min).collect();
        let worst = heavy.iter().map(|finding| finding.severity).max()?;
        let mut ids: Vec<&str> = heavy.iter().map(|finding| finding.id.as_str()).collect();
        ids.sort_unstable();
        Some(Notice {
            kind: format!("validation.{}", worst.as_str()),
            key: ids.join(" "),
            body: json!({"findings": heavy.iter().map(|finding| finding.to_json()).collect::<Vec<_>>()}),
        })
    }

    /// What drifts in a window of an experiment's dashboard; nothing when nothing does.
    pub fn of_drift(experiment: &str, window: &DriftWindow) -> Option<Notice> {
        let drifting = window.report.drifting();
        if drifting.is_empty() {
            return None;
        }
        Some(Notice {
            kind: "drift".to_string(),
            key: format!("{experiment} {} {} {}", window.from_ms, window.to_ms, drifting.join(" ")),
            body: json!({
                "experiment": experiment, "from_ms": window.from_ms, "to_ms": window.to_ms,
                "drifting": drifting, "report": window.report.to_json(),
            }),
        })
    }
}

/// Sends webhooks; the program that has an HTTP client brings one.
pub trait Sender {
    /// Sends one POST with `Content-Type: application/json` and `Idempotency-Key: key`, and gives the status.
    ///
    /// # Errors
    /// What went wrong, in one line.
    fn post(&self, url: &str, key: &str, body: &str) -> std::result::Result<u16, String>;
}

/// Runs commands.
pub trait Runner {
    /// Runs a program to its end with this text as its input, and gives its exit code.
    ///
    /// # Errors
    /// What went wrong, in one line.
    fn run(&self, argv: &[String], key: &str, input: &str) -> std::result::Result<i32, String>;
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The hook.
    pub hook: String,
    /// The claimed key.
    pub key: String,
    /// Nothing: it had fired before. Else `Ok`, or what went wrong.
    pub outcome: Option<std::result::Result<(), String>>,
}

impl Delivery {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        let (state, why) = match &self.outcome {
            None => ("fired before", None),
            Some(Ok(())) => ("delivered", None),
            Some(Err(why)) => ("failed", Some(why)),
        };
        json!({"hook": self.hook, "key": self.key, "state": state, "why": why})
    }
}

/// Tells every hook that wants this kind of notice, each once.
///
/// # Errors
/// `Argument` for a hook that is none, before any is fired; when the claims cannot be kept.
pub fn fire(
    hooks: &[Hook],
    notice: &Notice,
    claims: &dyn Claims,
    sender: &dyn Sender,
    runner: &dyn Runner,
) -> Result<Vec<Delivery>> {
    check_hooks(hooks)?;
    let mut deliveries = Vec::new();
    for hook in hooks.iter().filter(|hook| hook.on.is_empty() || hook.on.contains(&notice.kind)) {
        let key = crate::short_id(&["hook", &hook.name, &notice.kind, &notice.key]);
        let outcome = match claims.claim("hook", &key)? {
            false => None,
            true => {
                let outcome = call(hook, notice, &key, sender, runner);
                claims.finish("hook", &key, outcome.as_ref().map(drop).map_err(String::as_str))?;
                Some(outcome)
            }
        };
        deliveries.push(Delivery { hook: hook.name.clone(), key, outcome });
    }
    Ok(deliveries)
}

/// Whether all of these can be called.
///
/// # Errors
/// `Argument` for a hook that is none, or a name that two of them have.
pub fn check_hooks(hooks: &[Hook]) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        check(hook)?;
        if hooks[..index].iter().any(|other| other.name == hook.name) {
            return Err(Error::argument(format!(
                "two hooks are called '{}'; each fires once by its name",
                hook.name
            )));
        }
    }
    Ok(())
}

fn check(hook: &Hook) -> Result<()> {
    let bad = |why: &str| Err(Error::argument(format!("the hook '{}' {why}", hook.name)));
    match &hook.call {
        Call::Webhook { url } => {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
                || url.chars().any(char::is_control)
            {
                return bad("needs a URL that begins with http:// or https:// and names a host");
            }
        }
        Call::Command { argv } => {
            if argv.first().is_none_or(String::is_empty) {
                return bad("needs a program to run");
            }
        }
    }
    if hook.name.trim().is_empty() { bad("needs a name") } else { Ok(()) }
}

fn call(
    hook: &Hook,
    notice: &Notice,
    key: &str,
    sender: &dyn Sender,
    runner: &dyn Runner,
) -> std::result::Result<(), String> {
    let body = json!({"kind": notice.kind, "hook": hook.name, "key": key, "notice": notice.body}).to_string();
    match &hook.call {
        Call::Webhook { url } => match sender.post(url, key, &body)? {
            200..=299 => Ok(()),
            status => Err(format!("the receiver answered {status}")),
        },
        Call::Command { argv } => match runner.run(argv, key, &body)? {
            0 => Ok(()),
            code => Err(format!("the command ended with code {code}")),
        },
    }
}

/// Runs commands on this machine, for a minute at most. The key is in the environment as `MYNAH_HOOK_KEY`;
/// output is thrown away.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRunner;

impl Runner for SystemRunner {
    fn run(&self, argv: &[String], key: &str, input: &str) -> std::result::Result<i32, String> {
        let [program, arguments @ ..] = argv else { return Err("no program".to_string()) };
        let mut child = Command::new(program)
            .args(arguments)
            .env("MYNAH_HOOK_KEY", key)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        let (pipe, input) = (child.stdin.take(), input.to_string());
        // In a thread: a program that does not read must not hold us up.
        std::thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                // A program that needs no input closes it early; its exit code says how it went.
                let _ = pipe.write_all(input.as_bytes());
            }
        });
        let until = Instant::now() + Duration::from_secs(COMMAND_SECONDS_MAX);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status.code().unwrap_or(-1)),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => {
                    // It may have ended just now; then there is nothing to kill.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{program} ran for more than {COMMAND_SECONDS_MAX} s and was ended"));
                }
                Err(error) => return Err(format!("cannot wait for {program}: {error}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::schedule::MemoryClaims;

    #[derive(Default)]
    struct Recorder {
        calls: Mutex<Vec<String>>,
        status: u16,
    }

    impl Sender for Recorder {
        fn post(&self, url: &str, key: &str, body: &str) -> std::result::Result<u16, String> {
            self.calls.lock().unwrap().push(format!("{url} {key} {body}"));
            if self.status == 0 { Err("no route to host".to_string()) } else { Ok(self.status) }
        }
    }

    impl Runner for Recorder {
        fn run(&self, argv: &[String], key: &str, _: &str) -> std::result::Result<i32, String> {
            self.calls.lock().unwrap().push(format!("{} {key}", argv.join(" ")));
            Ok(0)
        }
    }

    fn hooks() -> Vec<Hook> {
        let webhook = Call::Webhook { url: "https://example.com/h".to_string() };
        let command = Call::Command { argv: vec!["notify".to_string(), "-x".to_string()] };
        vec![
            Hook { name: "all".to_string(), on: Vec::new(), call: webhook },
            Hook { name: "gates".to_string(), on: vec!["gate.regressed".to_string()], call: command },
        ]
    }

    fn notice(kind: &str, key: &str) -> Notice {
        Notice { kind: kind.to_string(), key: key.to_string(), body: json!({"run": "r"}) }
    }

    #[test]
    fn each_hook_fires_once_for_a_notice() {
        let (claims, recorder) = (MemoryClaims::default(), Recorder { status: 204, ..Recorder::default() });
        let fire = |notice: &Notice| fire(&hooks(), notice, &claims, &recorder, &recorder).unwrap();
        let first = fire(&notice("gate.regressed", "1"));
        assert!(first.iter().all(|delivery| delivery.outcome == Some(Ok(()))) && first.len() == 2);
        assert!(fire(&notice("gate.regressed", "1")).iter().all(|delivery| delivery.outcome.is_none()));
        assert_eq!(fire(&notice("drift", "1")).len(), 1);
        assert_eq!(fire(&notice("gate.regressed", "2")).len(), 2);
        let calls = recorder.calls.lock().unwrap();
        assert_eq!(calls.len(), 5);
        assert!(calls[0].contains(&format!("\"key\":\"{}\"", first[0].key)), "{}", calls[0]);
    }

    #[test]
    fn notices_of_gates_and_findings() {
        let gates = ["x:min at-most 1".parse().unwrap()];
        let ask = |value: f64| {
            let report = super::super::evaluate(&gates, |_| vec![value], |_| Vec::new());
            Notice::of_gates("r", &report)
        };
        assert_eq!(ask(1.0), None);
        assert_eq!(ask(2.0).unwrap().kind, "gate.regressed");
        assert_eq!(ask(2.0), ask(2.0));
        assert_ne!(ask(2.0).unwrap().key, ask(3.0).unwrap().key);
        let findings =
            [Finding::new("metric.gap", "run:r", "x", "y"), Finding::new("run.gone", "run:r", "x", "y")];
        assert_eq!(Notice::of_findings(&findings, Severity::Info).unwrap().kind, "validation.critical");
        assert_eq!(Notice::of_findings(&findings[..1], Severity::Error), None);
    }

    #[test]
    fn many_threads_fire_once() {
        let (claims, recorder) = (MemoryClaims::default(), Recorder { status: 200, ..Recorder::default() });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    fire(&hooks(), &notice("gate.regressed", "1"), &claims, &recorder, &recorder).unwrap()
                });
            }
        });
        assert_eq!(recorder.calls.lock().unwrap().len(), 2);
    }

    #[test]
    fn failures_are_told_and_not_repeated() {
        for (status, expect) in [(0, "no route to host"), (500, "the receiver answered 500")] {
            let (claims, recorder) = (MemoryClaims::default(), Recorder { status, ..Recorder::default() });
            let found = fire(&hooks()[..1], &notice("x", "1"), &claims, &recorder, &recorder).unwrap();
            assert_eq!(found[0].outcome, Some(Err(expect.to_string())));
            let again = fire(&hooks()[..1], &notice("x", "1"), &claims, &recorder, &recorder).unwrap();
            assert_eq!(again[0].outcome, None);
        }
    }

    #[test]
    fn what_is_no_hook_is_refused_before_any_fires() {
        let (claims, recorder) = (MemoryClaims::default(), Recorder { status: 200, ..Recorder::default() });
        let hook = |call: Call| Hook { name: "h".to_string(), on: Vec::new(), call };
        for bad in [
            hook(Call::Webhook { url: "ftp://x".to_string() }),
            hook(Call::Webhook { url: "http://".to_string() }),
            hook(Call::Webhook { url: "http://x\r\nEvil: 1".to_string() }),
            hook(Call::Command { argv: Vec::new() }),
            Hook { name: "all".to_string(), ..hook(Call::Command { argv: vec!["x".to_string()] }) },
        ] {
            let list = [hooks(), vec![bad]].concat();
            assert!(fire(&list, &notice("x", "1"), &claims, &recorder, &recorder).is_err());
        }
        assert!(recorder.calls.lock().unwrap().is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn commands_get_the_notice_and_tell_their_code() {
        let run = |script: &str| {
            let argv = ["/bin/sh", "-c", script].map(str::to_string);
            SystemRunner.run(&argv, "k1", "{\"a\":1}")
        };
        assert_eq!(run("test \"$(cat)\" = '{\"a\":1}' && test \"$MYNAH_HOOK_KEY\" = k1"), Ok(0));
        assert_eq!(run("exit 7"), Ok(7));
        assert!(SystemRunner.run(&["/no/such/program".to_string()], "k", "").is_err());
    }
}

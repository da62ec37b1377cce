//! `mynah weights status`: one line a server, or a view that follows them.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use mynah_base::units;
use mynah_serve::weights::Link;
use serde_json::{Value, json};

use super::link::HttpLink;
use super::push::Servers;
use crate::failure::{Failure, Result};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Clears the screen and goes to its first place (ECMA-48).
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah weights status --to http://a:8000 http://b:8000 --admin-key K --watch

In a terminal --watch is a view that is drawn again every second; elsewhere it prints lines."
)]
pub struct Status {
    #[command(flatten)]
    servers: Servers,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print as JSON, one line a look
    #[arg(long)]
    json: bool,
}

type Look = (String, std::result::Result<Value, String>);

pub fn status(arguments: &Status) -> Result<()> {
    let links = HttpLink::all(&arguments.servers.to, arguments.servers.admin_key.as_deref())?;
    let is_view = arguments.watch && !arguments.json && std::io::stdout().is_terminal();
    let mut before: Option<(Instant, Vec<Look>)> = None;
    loop {
        let at = Instant::now();
        let found: Vec<Look> = links.iter().map(|link| (link.name().to_string(), look(link))).collect();
        let text = if arguments.json {
            let one = |(name, status): &Look| match status {
                Ok(status) => json!({"server": name, "status": status}),
                Err(why) => json!({"server": name, "error": why}),
            };
            format!("{}\n", Value::Array(found.iter().map(one).collect()))
        } else if is_view {
            let seconds = before.as_ref().map(|(then, _)| at.duration_since(*then).as_secs_f64());
            format!("{CLEAR}{}", view(&found, before.as_ref().map(|(_, looks)| looks.as_slice()), seconds))
        } else {
            found.iter().map(|(name, status)| line(name, status) + "\n").collect()
        };
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        drop(out);
        if written.is_err() {
            // Whoever read has gone.
            return Ok(());
        }
        if !arguments.watch {
            return match found.into_iter().find_map(|(name, status)| Some((name, status.err()?))) {
                Some((name, why)) => Err(Failure::new(why).at(name)),
                None => Ok(()),
            };
        }
        before = Some((at, found));
        std::thread::sleep(LOOK_EVERY.saturating_sub(at.elapsed()));
    }
}

fn look(link: &HttpLink) -> std::result::Result<Value, String> {
    let bytes = link.get("/admin/weights/status")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the answer is no JSON: {error}"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The first digits of a version.
fn short(value: &Value) -> String {
    let digits = value["version"].as_str().unwrap_or_default().trim_start_matches("blake3:");
    if digits.is_empty() { "-".to_string() } else { digits.chars().take(12).collect() }
}

/// What is under way at a server, in a few words.
fn doing(status: &Value) -> String {
    let push = &status["push"];
    let canary = &status["canary"];
    if !canary.is_null() {
        return format!(
            "on trial: {} with {:.1}%, {} of {} requests failed (before: {} of {}), {} of {} probes differ",
            short(push),
            canary["share"].as_f64().unwrap_or(0.0) * 100.0,
            canary["errors"],
            canary["requests"],
            canary["base_errors"],
            canary["base_requests"],
            canary["mismatches"],
            canary["probes"],
        );
    }
    match (push, status["staged"].is_null()) {
        (Value::Null, _) => String::new(),
        (push, _) if push["in_doubt"] == true => format!("{} in doubt", short(push)),
        (push, _) if push["promised"] == true => format!("{} promised", short(push)),
        (push, false) => format!("{} verified (epoch {})", short(push), push["epoch"]),
        (push, true) => format!("{} comes (epoch {})", short(push), push["epoch"]),
    }
}

/// All servers as a table, with what changed since the look before.
fn view(found: &[Look], before: Option<&[Look]>, seconds: Option<f64>) -> String {
    let versions: std::collections::BTreeSet<String> = found
        .iter()
        .filter_map(|(_, status)| status.as_ref().ok().map(|status| short(&status["live"])))
        .collect();
    let ready = found.iter().filter(|(_, status)| status.as_ref().is_ok_and(|s| s["ready"] == true)).count();
    let mut text = format!(
        "mynah weights: {} servers, {ready} ready, {}\n\n",
        found.len(),
        match versions.len() {
            0 => "no version known".to_string(),
            1 => "one version".to_string(),
            count => format!("{count} versions"),
        }
    );
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{:<28} {:<13} {:>6} {:<13} {:>5} {:>11} {:>10} {:>6} {:>6} {:>5} {:>8} {:>9}",
        "server",
        "serves",
        "epoch",
        "before",
        "asks",
        "received",
        "per s",
        "taken",
        "given",
        "veto",
        "stage",
        "pause"
    );
    for (place, (name, status)) in found.iter().enumerate() {
        let status = match status {
            Ok(status) => status,
            Err(why) => {
                let _ = writeln!(text, "{name:<28} {why}");
                continue;
            }
        };
        let figures = &status["figures"];
        let received = figures["received_bytes"].as_u64().unwrap_or(0);
        let earlier = before
            .and_then(|looks| looks.get(place)?.1.as_ref().ok())
            .and_then(|status| status["figures"]["received_bytes"].as_u64());
        let rate = match (earlier, seconds) {
            (Some(earlier), Some(seconds)) if seconds > 0.0 => {
                units::bytes((received.saturating_sub(earlier) as f64 / seconds) as u64)
            }
            _ => "-".to_string(),
        };
        let _ = writeln!(
            text,
            "{name:<28} {:<13} {:>6} {:<13} {:>5} {:>11} {rate:>10} {:>6} {:>6} {:>5} {:>6.2} s {:>6.1} ms",
            short(&status["live"]),
            status["live"]["epoch"].as_u64().unwrap_or(0),
            short(&status["previous"]),
            count(&status["requests"]),
            units::bytes(received),
            count(&figures["committed"]),
            count(&figures["aborted"]),
            count(&figures["vetoes"]),
            figures["stage_seconds"].as_f64().unwrap_or(0.0),
            figures["pause_seconds"].as_f64().unwrap_or(0.0) * 1e3,
        );
        let doing = doing(status);
        if !doing.is_empty() {
            let _ = writeln!(text, "    {doing}");
        }
        if let Some(why) = status["reason"].as_str() {
            let _ = writeln!(text, "    NOT READY: {why}");
        }
    }
    text.push_str("\nCtrl-C ends\n");
    text
}

fn line(name: &str, status: &std::result::Result<Value, String>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(why) => return format!("{name}: {why}"),
    };
    let figures = &status["figures"];
    let doing = match doing(status) {
        text if text.is_empty() => text,
        text => format!(", {text}"),
    };
    let ready = match status["reason"].as_str() {
        None => "ready".to_string(),
        Some(why) => format!("NOT READY: {why}"),
    };
    format!(
        "{name}: {} {} (epoch {}), before {}; {ready}{doing}; {} requests; {} received, {} taken, {} given up, last stage \
         {:.2} s, last pause {:.1} ms",
        status["model"].as_str().unwrap_or("-"),
        short(&status["live"]),
        status["live"]["epoch"].as_u64().unwrap_or(0),
        short(&status["previous"]),
        status["requests"],
        units::bytes(figures["received_bytes"].as_u64().unwrap_or(0)),
        figures["committed"],
        figures["aborted"],
        figures["stage_seconds"].as_f64().unwrap_or(0.0),
        figures["pause_seconds"].as_f64().unwrap_or(0.0) * 1e3,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: char, received: u64) -> Value {
        json!({
            "model": "m", "live": {"version": format!("blake3:{}", version.to_string().repeat(64)), "epoch": 4},
            "previous": null, "staged": null, "push": null, "canary": null, "ready": true, "reason": null,
            "requests": 3, "figures": {"received_bytes": received, "committed": 2, "aborted": 1, "vetoes": 0,
            "stage_seconds": 0.5, "pause_seconds": 0.004},
        })
    }

    #[test]
    fn a_view_shows_rates_trials_and_what_is_wrong() {
        let before = [("http://a".to_string(), Ok(status('1', 1_000)))];
        let mut now = status('1', 3_001_000);
        now["push"] = json!({"version": format!("blake3:{}", "2".repeat(64)), "epoch": 5});
        now["canary"] = json!({"share": 0.1, "requests": 9, "errors": 1, "base_requests": 80, "base_errors": 0,
                               "probes": 4, "mismatches": 0});
        let found = [("http://a".to_string(), Ok(now)), ("http://b".to_string(), Err("refused".to_string()))];
        let text = view(&found, Some(&before), Some(2.0));
        for part in [
            "2 servers, 1 ready, one version",
            "111111111111",
            "1.4 MiB",
            "on trial: 222222222222 with 10.0%",
            "1 of 9 requests",
            "http://b",
            "refused",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let mut held = status('1', 0);
        held["push"] = json!({"version": format!("blake3:{}", "3".repeat(64)), "epoch": 6, "promised": true});
        held["reason"] = json!("has promised");
        let text = line("http://a", &Ok(held));
        assert!(text.contains("333333333333 promised") && text.contains("NOT READY: has promised"), "{text}");
    }
}

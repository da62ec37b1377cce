//! What is counted about new weights.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Counters since the start, and the last times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Bytes of uploads that came in, as they were counted from the socket's bodies.
    pub(super) received_bytes: u64,
    /// Bytes of streams that were made for servers that lag behind.
    pub(super) sent_bytes: u64,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) rolled_back: u64,
    pub(super) vetoes: u64,
    pub(super) last_veto_epoch: u64,
    /// From the order to stage to the answer.
    pub(super) stage_seconds: f64,
    /// From the first byte of an upload until it was whole.
    pub(super) receive_seconds_total: f64,
    pub(super) build_seconds_total: f64,
    pub(super) load_seconds_total: f64,
    pub(super) install_seconds_total: f64,
    /// From the promise to the decision.
    pub(super) pause_seconds: f64,
    pub(super) pause_seconds_total: f64,
    // The state as it is, for monitors.
    pub(super) is_ready: bool,
    pub(super) is_staged: bool,
    pub(super) loaded: usize,
    pub(super) trial_ppm: u32,
}

impl Figures {
    fn stages(&self) -> [(&'static str, f64); 4] {
        [
            ("receive", self.receive_seconds_total),
            ("build", self.build_seconds_total),
            ("load", self.load_seconds_total),
            ("install", self.install_seconds_total),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let stages: serde_json::Map<String, Value> =
            self.stages().into_iter().map(|(stage, seconds)| (stage.to_string(), json!(seconds))).collect();
        json!({
            "received_bytes": self.received_bytes, "sent_bytes": self.sent_bytes, "committed": self.committed,
            "aborted": self.aborted, "rolled_back": self.rolled_back, "vetoes": self.vetoes,
            "last_veto_epoch": self.last_veto_epoch, "stage_seconds": self.stage_seconds,
            "stage_seconds_total": stages, "pause_seconds": self.pause_seconds,
            "pause_seconds_total": self.pause_seconds_total,
        })
    }

    /// Lines for `/metrics`; `labels` names the model.
    pub(crate) fn write(&self, text: &mut String, labels: &str, epoch: u64) {
        let flag = |is: bool| f64::from(u8::from(is));
        let families: [(&str, &str, &str, f64); 14] = [
            ("weights_epoch", "gauge", "The epoch of the weights that requests get.", epoch as f64),
            ("weights_ready", "gauge", "1 while requests may be routed here.", flag(self.is_ready)),
            ("weights_staged", "gauge", "1 while a version waits for a decision.", flag(self.is_staged)),
            ("weights_versions", "gauge", "Versions in memory.", self.loaded as f64),
            (
                "weights_canary_share",
                "gauge",
                "Share of requests that a version on trial gets, 0 to 1.",
                f64::from(self.trial_ppm) / 1e6,
            ),
            ("weights_received_bytes_total", "counter", "Bytes of uploads.", self.received_bytes as f64),
            (
                "weights_sent_bytes_total",
                "counter",
                "Bytes for servers that lag behind.",
                self.sent_bytes as f64,
            ),
            ("weights_committed_total", "counter", "Versions that were taken.", self.committed as f64),
            ("weights_aborted_total", "counter", "Pushes that were given up.", self.aborted as f64),
            (
                "weights_rolled_back_total",
                "counter",
                "Times the version before came back.",
                self.rolled_back as f64,
            ),
            ("weights_vetoes_total", "counter", "Versions that this server refused.", self.vetoes as f64),
            (
                "weights_pause_seconds_total",
                "counter",
                "Time between promises and decisions, in which no step is taken.",
                self.pause_seconds_total,
            ),
            ("weights_pause_seconds", "gauge", "The last such time.", self.pause_seconds),
            (
                "weights_stage_seconds",
                "gauge",
                "Time from the last order to stage to its end.",
                self.stage_seconds,
            ),
        ];
        // Writing to a string does not fail.
        for (name, kind, help, value) in families {
            let _ = writeln!(
                text,
                "# HELP mynah_{name} {help}\n# TYPE mynah_{name} {kind}\nmynah_{name}{{{labels}}} {value}"
            );
        }
        let name = "mynah_weights_stage_seconds_total";
        let _ = writeln!(text, "# HELP {name} Time that versions took, by stage.\n# TYPE {name} counter");
        for (stage, seconds) in self.stages() {
            let _ = writeln!(text, "{name}{{{labels},stage=\"{stage}\"}} {seconds}");
        }
    }
}

//! What is counted about new weights.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Counters since the start, and the last times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Bytes of uploads that came in, as they were counted from the socket's bodies.
    pub(super) received_bytes: u64,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) rolled_back: u64,
    pub(super) vetoes: u64,
    pub(super) last_veto_epoch: u64,
    /// From the order to stage to the answer.
    pub(super) stage_seconds: f64,
    pub(super) stage_seconds_total: f64,
    /// From the promise to the decision.
    pub(super) pause_seconds: f64,
    pub(super) pause_seconds_total: f64,
}

impl Figures {
    pub(super) fn json(&self) -> Value {
        json!({
            "received_bytes": self.received_bytes, "committed": self.committed, "aborted": self.aborted,
            "rolled_back": self.rolled_back, "vetoes": self.vetoes, "last_veto_epoch": self.last_veto_epoch,
            "stage_seconds": self.stage_seconds, "stage_seconds_total": self.stage_seconds_total,
            "pause_seconds": self.pause_seconds, "pause_seconds_total": self.pause_seconds_total,
        })
    }

    /// Lines for `/metrics`; `labels` names the model.
    pub(crate) fn write(&self, text: &mut String, labels: &str, epoch: u64) {
        let families: [(&str, &str, &str, f64); 8] = [
            ("weights_epoch", "gauge", "The epoch of the weights that requests get.", epoch as f64),
            ("weights_received_bytes_total", "counter", "Bytes of uploads.", self.received_bytes as f64),
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
                "weights_stage_seconds_total",
                "counter",
                "Time to build, check and load versions.",
                self.stage_seconds_total,
            ),
            (
                "weights_pause_seconds_total",
                "counter",
                "Time between promises and decisions, in which no step is taken.",
                self.pause_seconds_total,
            ),
        ];
        for (name, kind, help, value) in families {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "# HELP mynah_{name} {help}\n# TYPE mynah_{name} {kind}\nmynah_{name}{{{labels}}} {value}"
            );
        }
    }
}

//! A plan for people and programs.

use std::fmt::Write;

use mynah_base::units;
use serde_json::{Value, json};

use super::{Change, Plan, TensorPlan};
use crate::Manifest;

/// Tensors listed in an explanation; the rest is counted.
const LISTED_MAX: usize = 20;

impl Plan {
    /// What moves and why, in a page. `from` and `to` are the manifests it was made of.
    pub fn explain(&self, from: Option<&Manifest>, to: &Manifest) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let from_name = self.from.map_or("nothing".to_string(), |hash| hash.short());
        let _ = writeln!(text, "plan {}: {from_name} -> {}", self.digest.short(), self.to.short());
        let total = self.keep_bytes + self.copy_bytes + self.send_bytes;
        let _ = writeln!(
            text,
            "  {} in all: {} stay, {} are copied on the receiver, {} are sent ({:.2}%)",
            units::bytes(total),
            units::bytes(self.keep_bytes),
            units::bytes(self.copy_bytes),
            units::bytes(self.send_bytes),
            100.0 * self.delta_share()
        );
        let largest = self.buckets.iter().map(|bucket| bucket.size_bytes).max().unwrap_or(0);
        let _ = writeln!(text, "  {} buckets, the largest {}", self.buckets.len(), units::bytes(largest));
        let estimate = &self.estimate;
        let _ = writeln!(
            text,
            "  about {} (wire {}, hashing {}, copying {}, overlapped); {} at most on one rank, {:.2}x its weights",
            units::duration(estimate.total_seconds),
            units::duration(estimate.wire_seconds),
            units::duration(estimate.hash_seconds),
            units::duration(estimate.copy_seconds),
            units::bytes(estimate.peak_bytes),
            estimate.peak_bytes as f64 / estimate.rank_bytes.max(1) as f64
        );
        let whole = to.head().is_partial.then(|| from.and_then(|from| to.onto(from).ok())).flatten();
        let to = whole.as_ref().unwrap_or(to);
        let mut changed: Vec<(usize, &TensorPlan)> =
            self.tensors.iter().enumerate().filter(|(_, plan)| plan.change != Change::Unchanged).collect();
        let unchanged = self.tensors.len() - changed.len();
        changed.sort_by_key(|(index, plan)| (std::cmp::Reverse(plan.send_bytes), *index));
        for (index, plan) in changed.iter().take(LISTED_MAX) {
            let Some(tensor) = to.tensors().get(*index) else { continue };
            let _ = write!(
                text,
                "  {:9} {}: {} sent",
                plan.change.name(),
                tensor.label(),
                units::bytes(plan.send_bytes)
            );
            if plan.copy_bytes > 0 {
                let _ = write!(text, ", {} copied", units::bytes(plan.copy_bytes));
            }
            let source =
                plan.from_tensor.zip(from).and_then(|(source, from)| from.tensors().get(source as usize));
            if let Some(source) = source
                && matches!(plan.change, Change::Renamed | Change::Split | Change::Merged)
            {
                let _ = write!(text, ", from {}", source.label());
            }
            if let Some(group) = &tensor.group {
                let _ = write!(text, ", with the group {group}");
            }
            text.push('\n');
        }
        if changed.len() > LISTED_MAX {
            let _ = writeln!(text, "  and {} more", changed.len() - LISTED_MAX);
        }
        if !self.removed.is_empty() {
            let names = self.removed.iter().filter_map(|&t| from?.tensors().get(t as usize));
            let names: Vec<String> = names.take(LISTED_MAX).map(|tensor| tensor.label()).collect();
            let _ = writeln!(text, "  removed   {} ({})", self.removed.len(), names.join(", "));
        }
        let _ = writeln!(text, "  unchanged {unchanged} of {} tensors", self.tensors.len());
        text
    }

    /// Totals, estimate, buckets, and the tensors that are not as they were.
    pub fn to_json(&self, to: &Manifest) -> Value {
        let estimate = &self.estimate;
        let bucket = |bucket: &super::Bucket| {
            let ranks: Vec<u32> = (0..64).filter(|rank| bucket.ranks >> rank & 1 == 1).collect();
            json!({ "ranks": ranks, "size_bytes": bucket.size_bytes, "pieces": bucket.pieces.len() })
        };
        let tensor = |(index, plan): (usize, &TensorPlan)| {
            json!({
                "tensor": to.tensors().get(index).map(|tensor| tensor.label()),
                "change": plan.change.name(),
                "keep_bytes": plan.keep_bytes,
                "copy_bytes": plan.copy_bytes,
                "send_bytes": plan.send_bytes,
            })
        };
        let changed = self.tensors.iter().enumerate().filter(|(_, plan)| plan.change != Change::Unchanged);
        json!({
            "digest": self.digest.to_string(),
            "from": self.from.map(|hash| hash.to_string()),
            "to": self.to.to_string(),
            "keep_bytes": self.keep_bytes,
            "copy_bytes": self.copy_bytes,
            "send_bytes": self.send_bytes,
            "delta_percent": 100.0 * self.delta_share(),
            "removed": self.removed.len(),
            "tensors": changed.map(tensor).collect::<Vec<_>>(),
            "buckets": self.buckets.iter().map(bucket).collect::<Vec<_>>(),
            "estimate": {
                "wire_seconds": estimate.wire_seconds,
                "hash_seconds": estimate.hash_seconds,
                "copy_seconds": estimate.copy_seconds,
                "total_seconds": estimate.total_seconds,
                "peak_bytes": estimate.peak_bytes,
                "rank_bytes": estimate.rank_bytes,
            },
        })
    }
}

//! What has to move to get from one version to another, and in which order.
//!
//! A [`Plan`] says for every chunk of the new version whether the receiver keeps it, copies it from another place
//! of the version it has, or has to be sent it, and packs what is sent into buckets that never exceed a cap. It is
//! made from two manifests alone, by merging sorted lists, so a plan for a million chunks takes a fraction of a
//! second, and two machines that hold the same manifests make the same plan with the same digest.
//!
//! A chunk that is sent need not be sent whole: the delta codec decides that when it sees the bytes. The figures of
//! a plan are upper bounds in this respect.

mod buckets;
mod compare;
mod explain;
#[cfg(test)]
mod tests;

use crate::manifest::Tensor;
use crate::wire::Writer;
use crate::{Error, Hash, Manifest, Result};

/// The largest tensor-parallel group: the ranks of a bucket are the bits of one word.
pub const RANKS_MAX: u32 = 64;

/// How to plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// No bucket is larger. At least the size of the largest chunk.
    pub bucket_bytes_max: u64,
    /// Ranks of the tensor-parallel group, from 1 to 64. Replicas of the group get the same buckets.
    pub ranks: u32,
    /// Which tensors are cut among the ranks. A tensor that no rule names goes to every rank.
    pub cuts: Vec<CutRule>,
    /// What the machine can do, for the estimate.
    pub rates: Rates,
}

/// Tensors whose name fits the pattern are cut along an axis, evenly among the ranks. Of several rules that fit,
/// the one with the longest pattern counts, so their order does not matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutRule {
    /// A name in which `*` stands for any text, for instance `*.q_proj.weight`.
    pub pattern: String,
    /// The axis.
    pub axis: u8,
}

/// Bytes a second of the stages that every push goes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The network, or the broadcast.
    pub wire_bytes_per_second: f64,
    /// BLAKE3.
    pub hash_bytes_per_second: f64,
    /// Copies in memory.
    pub copy_bytes_per_second: f64,
}

impl Default for Rates {
    /// One gigabit Ethernet, one thread of a server processor. Measure your own.
    fn default() -> Self {
        Self { wire_bytes_per_second: 118e6, hash_bytes_per_second: 2e9, copy_bytes_per_second: 3e9 }
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { bucket_bytes_max: 64 << 20, ranks: 1, cuts: Vec::new(), rates: Rates::default() }
    }
}

/// What became of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The same bytes under the same name.
    Unchanged,
    /// Other bytes, the same type and shape.
    Changed,
    /// The same name with another type or shape.
    Reformed,
    /// The same bytes under another name.
    Renamed,
    /// Cut out of a larger tensor.
    Split,
    /// Put together from smaller tensors.
    Merged,
    /// The same tensor in other parts.
    Resharded,
    /// New.
    Added,
}

impl Change {
    /// The name in JSON and in explanations.
    pub fn name(self) -> &'static str {
        match self {
            Change::Unchanged => "unchanged",
            Change::Changed => "changed",
            Change::Reformed => "reformed",
            Change::Renamed => "renamed",
            Change::Split => "split",
            Change::Merged => "merged",
            Change::Resharded => "resharded",
            Change::Added => "added",
        }
    }
}

/// The plan for one tensor of the new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPlan {
    /// What became of it.
    pub change: Change,
    /// The tensor of the old version that it comes from, where there is one.
    pub from_tensor: Option<u32>,
    /// Bytes at the same place of the same tensor.
    pub keep_bytes: u64,
    /// Bytes that the receiver has in another place.
    pub copy_bytes: u64,
    /// Bytes that are sent.
    pub send_bytes: u64,
    /// The chunks that are copied.
    pub copies: Vec<Copy>,
}

/// Chunks that the receiver copies out of the version it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// First chunk in the new tensor, from 0.
    pub to_chunk: u32,
    /// The old tensor.
    pub from_tensor: u32,
    /// First chunk in the old tensor.
    pub from_chunk: u32,
    /// How many.
    pub count: u32,
}

/// Chunks of one tensor that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The tensor of the new version.
    pub tensor: u32,
    /// The first chunk, from 0.
    pub first_chunk: u32,
    /// How many.
    pub count: u32,
    /// Their bytes.
    pub size_bytes: u64,
}

/// What is sent at once, to the same ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Bit r is set when rank r needs it.
    pub ranks: u64,
    /// What is in it, in the order of the new version.
    pub pieces: Vec<Piece>,
    /// Bytes of all pieces.
    pub size_bytes: u64,
}

/// Seconds and bytes that the push is expected to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Sending.
    pub wire_seconds: f64,
    /// Checking what came and what was copied.
    pub hash_seconds: f64,
    /// Filling the shadow.
    pub copy_seconds: f64,
    /// All, where the stages overlap bucket by bucket.
    pub total_seconds: f64,
    /// Bytes on the fullest rank while both versions and two buckets are there.
    pub peak_bytes: u64,
    /// Bytes of the new version on the fullest rank.
    pub rank_bytes: u64,
}

/// How to get from one version to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The old version; nothing for a receiver that has none.
    pub from: Option<Hash>,
    /// The new version, whole.
    pub to: Hash,
    /// One for each tensor of the new manifest, in its order.
    pub tensors: Vec<TensorPlan>,
    /// Tensors of the old manifest that nothing of the new one is.
    pub removed: Vec<u32>,
    /// What is sent, in order.
    pub buckets: Vec<Bucket>,
    /// Bytes that stay.
    pub keep_bytes: u64,
    /// Bytes that are copied on the receiver.
    pub copy_bytes: u64,
    /// Bytes that are sent, each counted once however many ranks get it.
    pub send_bytes: u64,
    /// See there.
    pub estimate: Estimate,
    /// BLAKE3 over everything above but the estimate.
    pub digest: Hash,
}

impl Plan {
    /// Plans the way from `from` (or from nothing) to `to`.
    ///
    /// # Errors
    /// `Mismatch` when they are of different models, or a partial version is no step from `from`;
    /// `Argument` for impossible options.
    pub fn new(from: Option<&Manifest>, to: &Manifest, options: &PlanOptions) -> Result<Plan> {
        check_options(to, options)?;
        let resolved;
        let mut to_whole = to;
        if let Some(from) = from {
            if from.head().model != to.head().model {
                return Err(Error::mismatch(format!(
                    "the old version is of {:?}, the new one of {:?}",
                    from.head().model,
                    to.head().model
                )));
            }
            if to.head().is_partial {
                resolved = to.onto(from)?;
                to_whole = &resolved;
            }
        } else if to.head().is_partial {
            return Err(Error::mismatch("a partial version needs its parent; plan from that"));
        }
        let (tensors, removed, wanted) = compare::compare(from, to_whole)?;
        let buckets = buckets::pack(to_whole, &wanted, options)?;
        let sum = |field: fn(&TensorPlan) -> u64| tensors.iter().map(field).sum();
        let mut plan = Plan {
            from: from.map(Manifest::digest),
            to: to_whole.digest(),
            keep_bytes: sum(|t| t.keep_bytes),
            copy_bytes: sum(|t| t.copy_bytes),
            send_bytes: sum(|t| t.send_bytes),
            estimate: Estimate {
                wire_seconds: 0.0,
                hash_seconds: 0.0,
                copy_seconds: 0.0,
                total_seconds: 0.0,
                peak_bytes: 0,
                rank_bytes: 0,
            },
            digest: Hash::default(),
            tensors,
            removed,
            buckets,
        };
        plan.estimate = plan.estimated(from, to_whole, options);
        plan.digest = Hash::of(&plan.canonical_bytes());
        Ok(plan)
    }

    /// The share of the new version that is sent, from 0 to 1.
    pub fn delta_share(&self) -> f64 {
        let total = self.keep_bytes + self.copy_bytes + self.send_bytes;
        if total == 0 { 0.0 } else { self.send_bytes as f64 / total as f64 }
    }

    /// Refuses a plan that a receiver has no room for.
    ///
    /// # Errors
    /// `Capacity`, with the figures.
    pub fn check_memory(&self, memory_bytes: u64) -> Result<()> {
        if self.estimate.peak_bytes <= memory_bytes {
            return Ok(());
        }
        let bytes = mynah_base::units::bytes;
        Err(Error::new(
            crate::ErrorKind::Capacity,
            format!(
                "staging needs {} (both versions and two buckets), there are {}; lower the bucket cap, stage on \
                 disk, or use more ranks",
                bytes(self.estimate.peak_bytes),
                bytes(memory_bytes)
            ),
        ))
    }

    fn estimated(&self, from: Option<&Manifest>, to: &Manifest, options: &PlanOptions) -> Estimate {
        let seconds = |size_bytes: u64, rate: f64| size_bytes as f64 / rate.max(1.0);
        let rates = &options.rates;
        let total_bytes = self.keep_bytes + self.copy_bytes + self.send_bytes;
        let wire_seconds = seconds(self.send_bytes, rates.wire_bytes_per_second);
        let hash_seconds = seconds(self.send_bytes + self.copy_bytes, rates.hash_bytes_per_second);
        let copy_seconds = seconds(total_bytes, rates.copy_bytes_per_second);
        // The slowest stage runs all the time; the others add their share of one bucket at the ends.
        let slowest = wire_seconds.max(hash_seconds).max(copy_seconds);
        let ends = (wire_seconds + hash_seconds + copy_seconds - slowest) / self.buckets.len().max(1) as f64;
        let rank_bytes = |manifest: &Manifest| -> u64 {
            let held = |tensor: &Tensor| match buckets::cut_axis(&tensor.name, options) {
                Some(_) => tensor.size_bytes().div_ceil(u64::from(options.ranks)),
                None => tensor.size_bytes(),
            };
            manifest.tensors().iter().map(held).sum()
        };
        let largest = self.buckets.iter().map(|bucket| bucket.size_bytes).max().unwrap_or(0);
        let new_bytes = rank_bytes(to);
        Estimate {
            wire_seconds,
            hash_seconds,
            copy_seconds,
            total_seconds: slowest + ends,
            peak_bytes: from.map_or(0, rank_bytes) + new_bytes + 2 * largest,
            rank_bytes: new_bytes,
        }
    }

    fn canonical_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(b"MYNAHWP1".to_vec());
        writer.option(self.from.as_ref(), Writer::hash);
        writer.hash(&self.to);
        writer.u32(self.tensors.len() as u32);
        for tensor in &self.tensors {
            writer.u8(tensor.change as u8);
            writer.option(tensor.from_tensor, Writer::u32);
            writer.u64(tensor.keep_bytes);
            writer.u32(tensor.copies.len() as u32);
            for copy in &tensor.copies {
                [copy.to_chunk, copy.from_tensor, copy.from_chunk, copy.count]
                    .into_iter()
                    .for_each(|field| writer.u32(field));
            }
        }
        writer.u32(self.removed.len() as u32);
        self.removed.iter().for_each(|&tensor| writer.u32(tensor));
        writer.u32(self.buckets.len() as u32);
        for bucket in &self.buckets {
            writer.u64(bucket.ranks);
            writer.u32(bucket.pieces.len() as u32);
            for piece in &bucket.pieces {
                [piece.tensor, piece.first_chunk, piece.count]
                    .into_iter()
                    .for_each(|field| writer.u32(field));
            }
        }
        writer.0
    }
}

fn check_options(to: &Manifest, options: &PlanOptions) -> Result<()> {
    let largest =
        to.tensors().iter().map(|t| u64::from(to.head().chunk_bytes).max(t.dtype.unit_bytes() as u64)).max();
    let largest = largest.unwrap_or(0);
    if options.bucket_bytes_max < largest {
        return Err(Error::argument(format!(
            "buckets of at most {} bytes cannot hold a chunk of {largest}",
            options.bucket_bytes_max
        )));
    }
    if options.ranks == 0 || options.ranks > RANKS_MAX {
        return Err(Error::argument(format!("{} ranks; 1 to {RANKS_MAX} are possible", options.ranks)));
    }
    let mut cuts: Vec<&CutRule> = options.cuts.iter().collect();
    cuts.sort();
    match cuts.windows(2).find(|pair| pair[0].pattern == pair[1].pattern && pair[0].axis != pair[1].axis) {
        Some(pair) => {
            Err(Error::argument(format!("two rules cut {:?} along different axes", pair[0].pattern)))
        }
        None => Ok(()),
    }
}

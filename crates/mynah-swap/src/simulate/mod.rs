//! The protocol in a world that breaks: seeded, so that every failure can be seen again.
//!
//! A [`run_seed`] puts coordinators and replicas, with the very state machines of [`crate::protocol`], into a world
//! that loses, delays, duplicates and reorders messages, cuts the network in parts, crashes processes before,
//! during and after any log write (which is then there, absent or torn), stops processes for a while, and makes
//! their clocks jump. After every event it checks:
//!
//! - every replica that serves, serves the version of the log (with [`CommitMode::Rolling`](crate::protocol::CommitMode),
//!   during a commit round, that or the one before);
//! - the bytes it serves are the version's bytes;
//! - no two coordinators have led in one term;
//! - in the end, when nothing breaks any more, everything heals: all replicas serve the same version, and one
//!   more update commits.
//!
//! Each of the [mistakes](crate::protocol::Mutation) that can be built in is caught within a few thousand seeds, most of
//! them in the first.

mod parts;
mod world;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::protocol::Mutation;

pub use world::run_seed;

/// Simulated seconds of one seed.
pub const SECONDS_A_SEED: u64 = 110;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Threads. The results do not depend on it.
    pub threads: usize,
    /// A mistake to build in, to see it caught.
    pub mutation: Mutation,
}

/// What happened in one seed, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SimulationStats {
    pub simulated_seconds: u64,
    pub events: u64,
    pub messages: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub crashes: u64,
    pub torn_writes: u64,
    pub partitions: u64,
    pub clock_jumps: u64,
    pub pauses: u64,
    pub terms: u64,
    pub updates: u64,
    pub commits: u64,
    pub rollbacks: u64,
    pub aborts: u64,
    pub vetoes: u64,
    pub joins: u64,
    pub left_out: u64,
    pub chunks_refused: u64,
    pub bytes_fetched: u64,
    pub bytes_fetched_for_rollbacks: u64,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that shows it again.
    pub seed: u64,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// What was promised and did not hold.
    pub what: String,
    /// The last things that happened before.
    pub trace: Vec<String>,
}

/// The result of many seeds.
#[derive(Clone, Debug)]
pub struct SimulationReport {
    /// Seeds that ran.
    pub seeds: u64,
    /// The mistake that was built in.
    pub mutation: Mutation,
    /// Sums over all seeds.
    pub stats: SimulationStats,
    /// The failure with the lowest seed.
    pub failure: Option<Failure>,
}

impl SimulationStats {
    /// Names and values, in the order of reports.
    pub fn fields(&self) -> [(&'static str, u64); 21] {
        [
            ("simulated_seconds", self.simulated_seconds),
            ("events", self.events),
            ("messages", self.messages),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("crashes", self.crashes),
            ("torn_writes", self.torn_writes),
            ("partitions", self.partitions),
            ("clock_jumps", self.clock_jumps),
            ("pauses", self.pauses),
            ("terms", self.terms),
            ("updates", self.updates),
            ("commits", self.commits),
            ("rollbacks", self.rollbacks),
            ("aborts", self.aborts),
            ("vetoes", self.vetoes),
            ("joins", self.joins),
            ("left_out", self.left_out),
            ("chunks_refused", self.chunks_refused),
            ("bytes_fetched", self.bytes_fetched),
            ("bytes_fetched_for_rollbacks", self.bytes_fetched_for_rollbacks),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.simulated_seconds += other.simulated_seconds;
        self.events += other.events;
        self.messages += other.messages;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.crashes += other.crashes;
        self.torn_writes += other.torn_writes;
        self.partitions += other.partitions;
        self.clock_jumps += other.clock_jumps;
        self.pauses += other.pauses;
        self.terms += other.terms;
        self.updates += other.updates;
        self.commits += other.commits;
        self.rollbacks += other.rollbacks;
        self.aborts += other.aborts;
        self.vetoes += other.vetoes;
        self.joins += other.joins;
        self.left_out += other.left_out;
        self.chunks_refused += other.chunks_refused;
        self.bytes_fetched += other.bytes_fetched;
        self.bytes_fetched_for_rollbacks += other.bytes_fetched_for_rollbacks;
    }
}

impl SimulationReport {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let stats: serde_json::Map<String, Value> =
            self.stats.fields().into_iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        json!({
            "seeds": self.seeds,
            "mistake": self.mutation.name(),
            "promises": PROMISES,
            "held": self.failure.is_none(),
            "stats": stats,
            "failure": self.failure.as_ref().map(|failure| json!({
                "seed": failure.seed,
                "at_ms": failure.at_ms,
                "what": failure.what,
                "trace": failure.trace,
            })),
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = format!("{} seeds\n", self.seeds);
        for (name, value) in self.stats.fields() {
            text.push_str(&format!("  {name:28} {value}\n"));
        }
        match &self.failure {
            None => {
                text.push_str("every promise held:\n");
                PROMISES.iter().for_each(|promise| text.push_str(&format!("  {promise}\n")));
            }
            Some(failure) => {
                text.push_str(&format!(
                    "BROKEN in seed {} at {} ms: {}\n",
                    failure.seed, failure.at_ms, failure.what
                ));
                failure.trace.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
            }
        }
        text
    }
}

/// What a run holds, as [`run`] checks it: in every seed, after every event.
pub const PROMISES: [&str; 4] = [
    "all replicas that serve, serve the version of the log: everywhere or nowhere",
    "no byte is served that was not verified",
    "no two coordinators lead in one term",
    "when nothing breaks any more, all replicas serve one version and the next update commits",
];

/// Runs seeds until one fails. The failure reported is that of the lowest seed among those that ran.
pub fn run(options: &SimulateOptions) -> SimulationReport {
    run_watched(options, &|_, _| {})
}

/// The same, and tells after every seed how many have run and what has happened in all of them.
pub fn run_watched(
    options: &SimulateOptions,
    watch: &(dyn Fn(u64, &SimulationStats) + Sync),
) -> SimulationReport {
    let next = AtomicU64::new(options.seeds.start);
    let result = Mutex::new((0u64, SimulationStats::default(), None::<Failure>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.seeds.end {
                return;
            }
            let outcome = run_seed(seed, options.mutation, false);
            let mut result = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            result.0 += 1;
            match outcome {
                Ok(stats) => {
                    result.1.add(&stats);
                    watch(result.0, &result.1);
                }
                Err(failure) => {
                    // Seeds below this one still run to their end; none above begins.
                    next.fetch_max(options.seeds.end, Ordering::Relaxed);
                    if result.2.as_ref().is_none_or(|known| known.seed > failure.seed) {
                        result.2 = Some(failure);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.clamp(1, 256) {
            scope.spawn(work);
        }
        work();
    });
    let (seeds, stats, failure) = result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Once more, to be told how it came to it.
    let failure = failure.map(|f| run_seed(f.seed, options.mutation, true).err().unwrap_or(f));
    SimulationReport { seeds, mutation: options.mutation, stats, failure }
}

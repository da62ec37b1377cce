//! A timeline in the Chrome trace event format, which Perfetto and browsers open: one track per worker.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// One process in the timeline; its threads are the workers.
const PROCESS: u32 = 1;

/// What happened when, on which worker.
pub(crate) struct Trace {
    began: Instant,
    events: Mutex<Vec<Value>>,
}

impl Trace {
    pub fn new(name: &str, workers: usize) -> Trace {
        let named = |what: &str, tid: usize, name: &str| json!({ "ph": "M", "name": what, "pid": PROCESS, "tid": tid, "args": { "name": name } });
        let mut events = vec![named("process_name", 0, &format!("flow {name}"))];
        for worker in 0..workers {
            events.push(named("thread_name", worker + 1, &format!("worker {worker}")));
            events.push(json!({
                "ph": "M", "name": "thread_sort_index", "pid": PROCESS, "tid": worker + 1, "args": { "sort_index": worker },
            }));
        }
        Trace { began: Instant::now(), events: Mutex::new(events) }
    }

    /// Now, in microseconds of the timeline.
    pub fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// A slice from `from_us` until now.
    pub fn slice(&self, worker: usize, category: &str, name: &str, from_us: u64, facts: Value) {
        let duration_us = self.now_us().saturating_sub(from_us);
        self.add(json!({
            "ph": "X", "name": name, "cat": category, "pid": PROCESS, "tid": worker + 1,
            "ts": from_us, "dur": duration_us, "args": facts,
        }));
    }

    /// A moment.
    pub fn moment(&self, worker: usize, name: &str, facts: Value) {
        self.add(json!({
            "ph": "i", "s": "t", "name": name, "cat": "stage", "pid": PROCESS, "tid": worker + 1,
            "ts": self.now_us(), "args": facts,
        }));
    }

    /// How many processors running stages use, from now on.
    pub fn cpus(&self, used: usize) {
        self.add(json!({
            "ph": "C", "name": "cpus", "pid": PROCESS, "tid": 0, "ts": self.now_us(), "args": { "used": used },
        }));
    }

    /// An arrow from the end of one stage to the start of another.
    pub fn arrow(&self, id: usize, from: (usize, u64), to: (usize, u64)) {
        for (phase, (worker, at_us)) in [("s", from), ("f", to)] {
            self.add(json!({
                "ph": phase, "bp": "e", "id": id, "name": "needs", "cat": "needs", "pid": PROCESS, "tid": worker + 1,
                "ts": at_us,
            }));
        }
    }

    fn add(&self, event: Value) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Writes the timeline.
    pub fn save(&self, path: &Path, facts: Value) -> Result<()> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let text = json!({ "traceEvents": *events, "displayTimeUnit": "ms", "otherData": facts }).to_string();
        mynah_base::write_atomic(path, |file| file.write_all(text.as_bytes()))
            .map_err(|e| Error::io("write the trace", path, &e))
    }
}

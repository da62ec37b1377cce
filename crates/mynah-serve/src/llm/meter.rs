//! How long answers take, as histograms, and how they end. Counting is a few atomic additions a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mynah_engine::live::{Event, Finish};

/// Upper bounds of waiting for a first token and for whole answers, in seconds.
pub(crate) const LONG_BOUNDS_S: [f64; 16] =
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0];
/// Upper bounds of the time between two tokens, in seconds.
pub(crate) const SHORT_BOUNDS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5];

/// How answers end.
pub(crate) const REASONS: [&str; 4] = ["stop", "length", "abort", "error"];

/// What is measured of one model's answers; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Figures>);

/// The figures since the start.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// From the request to its first token.
    pub(crate) first_token: Histogram<{ LONG_BOUNDS_S.len() + 1 }>,
    /// From token to token.
    pub(crate) between_tokens: Histogram<{ SHORT_BOUNDS_S.len() + 1 }>,
    /// From the request to its end.
    pub(crate) whole: Histogram<{ LONG_BOUNDS_S.len() + 1 }>,
    /// Samples by [`REASONS`].
    ends: [AtomicU64; REASONS.len()],
}

impl Figures {
    /// Samples that ended for this one of [`REASONS`].
    pub(crate) fn ended(&self, reason: usize) -> u64 {
        self.ends[reason].load(Ordering::Relaxed)
    }
}

/// Counts by upper bound, and their sum.
#[derive(Debug)]
pub(crate) struct Histogram<const BUCKETS: usize> {
    counts: [AtomicU64; BUCKETS],
    total_us: AtomicU64,
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Histogram<BUCKETS> {
        Histogram { counts: std::array::from_fn(|_| AtomicU64::new(0)), total_us: AtomicU64::new(0) }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    /// `count` times the same; the bounds are those the histogram is read with.
    fn add(&self, time: Duration, count: u64, bounds_s: &[f64]) {
        let seconds = time.as_secs_f64();
        let place = bounds_s.iter().position(|bound| seconds <= *bound).unwrap_or(bounds_s.len());
        self.counts[place].fetch_add(count, Ordering::Relaxed);
        self.total_us.fetch_add(time.as_micros() as u64 * count, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn total_s(&self) -> f64 {
        self.total_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}

impl Meter {
    pub(crate) fn figures(&self) -> &Figures {
        &self.0
    }

    /// Whether two models share it: one of them is then an adapter of the other.
    pub(crate) fn is_same(&self, other: &Meter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A request begins now.
    pub(crate) fn begin(&self, samples: usize) -> Timer {
        Timer { meter: self.clone(), began: Instant::now(), last: vec![None; samples] }
    }
}

/// Times one request by its events.
pub(crate) struct Timer {
    meter: Meter,
    began: Instant,
    /// When each sample had its last token.
    last: Vec<Option<Instant>>,
}

impl Timer {
    pub(crate) fn event(&mut self, event: &Event) {
        let figures = self.meter.figures();
        match event {
            Event::Prompt(_) => {}
            Event::Piece(piece) => {
                let (now, tokens) = (Instant::now(), piece.tokens.len() as u64);
                let Some(last) = self.last.get_mut(piece.sample).filter(|_| tokens > 0) else { return };
                let new = match *last {
                    // Tokens that come together share the time since the ones before.
                    Some(before) => {
                        let each = now.duration_since(before) / piece.tokens.len() as u32;
                        figures.between_tokens.add(each, tokens, &SHORT_BOUNDS_S);
                        false
                    }
                    None => true,
                };
                *last = Some(now);
                if new {
                    figures.first_token.add(now.duration_since(self.began), 1, &LONG_BOUNDS_S);
                }
            }
            Event::Finished { finish, .. } => {
                let reason = match finish {
                    Finish::Stop(_) => 0,
                    Finish::Length => 1,
                    Finish::Cancelled => 2,
                };
                figures.ends[reason].fetch_add(1, Ordering::Relaxed);
            }
            Event::Done(_) => figures.whole.add(self.began.elapsed(), 1, &LONG_BOUNDS_S),
            Event::Failed(_) => {
                figures.ends[3].fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mynah_engine::live::{Piece, PieceToken};

    use super::*;

    #[test]
    fn tokens_and_ends_are_counted() {
        let meter = Meter::default();
        let mut timer = meter.begin(1);
        let piece = |count: usize| {
            let tokens = vec![PieceToken { id: 1, logprobs: None }; count];
            Event::Piece(Piece { sample: 0, text: String::new(), tokens })
        };
        for count in [1, 0, 3, 1] {
            timer.event(&piece(count));
        }
        timer.event(&Event::Finished {
            sample: 0,
            finish: Finish::Length,
            completion_tokens: 5,
            spans: Vec::new(),
        });
        timer.event(&Event::Done(mynah_engine::live::Usage::default()));
        let figures = meter.figures();
        assert_eq!(figures.first_token.counts().iter().sum::<u64>(), 1);
        assert_eq!(figures.between_tokens.counts().iter().sum::<u64>(), 4);
        assert_eq!(figures.whole.counts().iter().sum::<u64>(), 1);
        assert_eq!((figures.ended(0), figures.ended(1)), (0, 1));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram: Histogram<3> = Histogram::default();
        for ms in [1, 1_000, 1_001, 5_000] {
            histogram.add(Duration::from_millis(ms), 1, &[1.0, 2.0]);
        }
        assert_eq!(histogram.counts(), [2, 1, 1]);
        assert!((histogram.total_s() - 7.002).abs() < 1e-6);
    }
}

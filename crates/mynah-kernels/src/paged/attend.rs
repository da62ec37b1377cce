//! How the work of a step is cut: tiles of queries, and spans of keys for long sequences.

use super::cache::PagedKv;
use super::span::{Job, ROWS_MAX, State, run_span, space_len};
use super::{SPAN, UNIT};
use crate::nn::check::strided;
use crate::nn::scratch::{self, padded, take};
use crate::nn::{Rows, RowsMut};
use crate::pool::{self, Shared};
use std::ops::Range;

/// What an attention layer computes besides the shape of its cache. Query head h reads key head
/// h / (heads / kv_heads); a query sees its own position and those before it.
#[derive(Clone, Copy, Debug)]
pub struct PagedAttention<'a> {
    /// Query heads, H.
    pub heads: usize,
    /// Factor on q·k, usually 1/√D.
    pub scale: f32,
    /// How many of the latest keys a query sees, its own among them; at least 1.
    pub window: Option<usize>,
    /// Scores become cap · tanh(score / cap) (Gemma 2, section 2).
    pub softcap: Option<f32>,
    /// For each head a score that takes its share of the softmax and has no value (GPT-OSS).
    pub sinks: Option<&'a [f32]>,
}

/// Consecutive tokens of a sequence. Their own keys and values are in the pages already.
#[derive(Clone, Copy, Debug)]
pub struct PagedSegment<'a> {
    /// How many.
    pub tokens: usize,
    /// The position of the first.
    pub start: usize,
    /// `pages[i]` holds the positions from i·P to (i+1)·P − 1.
    pub pages: &'a [u32],
}

/// Attention of the tokens of all segments, in order: rows (H, D) of q to rows (H, D) of out.
///
/// # Panics
/// If sizes do not belong together, pages are too few for a segment, or a page is outside the cache.
pub fn paged_attention(
    config: &PagedAttention<'_>,
    kv: &PagedKv,
    segments: &[PagedSegment<'_>],
    q: Rows<'_, f32>,
    out: RowsMut<'_, f32>,
) {
    check(config, kv, segments, &q, &out);
    let group = config.heads / kv.heads;
    let tiles = tiles(config, kv, segments, group);
    let work = Work { config, kv, segments, q, out_stride: out.stride, out: Shared::new(out.data), group };
    // A few tiles of long sequences: their spans are shared between threads, then merged.
    let spans: usize = tiles.iter().map(|tile| tile.spans().len()).sum();
    if tiles.len() < 2 * pool::threads() && spans > tiles.len() {
        return work.split(&tiles, spans);
    }
    pool::run(tiles.len(), |i| {
        let tile = &tiles[i];
        let state_len = state_len(tile.rows(group), kv);
        scratch::with(2 * padded(state_len), |mut space| {
            let (total, part) = (take(&mut space, state_len), take(&mut space, state_len));
            for (i, span) in tile.spans().enumerate() {
                let place = if i == 0 { &mut *total } else { &mut *part };
                work.span(tile, span, place);
                if i > 0 {
                    merge(kv, tile.rows(group), total, part);
                }
            }
            work.finish(tile, total);
        });
    });
}

/// Tokens of a segment and a key head: the rows of a tile are their query heads, token by token.
struct Tile {
    segment: usize,
    /// The row of q of the first token.
    first_row: usize,
    tokens: Range<usize>,
    kv_head: usize,
    /// Positions that some row sees.
    seen: Range<usize>,
}

impl Tile {
    fn rows(&self, group: usize) -> usize {
        self.tokens.len() * group
    }

    /// The spans that hold the positions seen.
    fn spans(&self) -> Range<usize> {
        self.seen.start / SPAN..self.seen.end.div_ceil(SPAN)
    }
}

fn tiles(
    config: &PagedAttention<'_>,
    kv: &PagedKv,
    segments: &[PagedSegment<'_>],
    group: usize,
) -> Vec<Tile> {
    let tokens_max = (ROWS_MAX / group).max(1);
    let mut tiles = Vec::new();
    let mut row = 0;
    for (index, segment) in segments.iter().enumerate() {
        for kv_head in 0..kv.heads {
            for first in (0..segment.tokens).step_by(tokens_max) {
                let tokens = first..(first + tokens_max).min(segment.tokens);
                let start = segment.start + first + 1;
                let seen = start.saturating_sub(config.window.unwrap_or(start))..segment.start + tokens.end;
                tiles.push(Tile { segment: index, first_row: row + first, tokens, kv_head, seen });
            }
        }
        row += segment.tokens;
    }
    // The longest first: what is left over at the end is short.
    tiles.sort_by_key(|tile| std::cmp::Reverse(tile.tokens.len() * tile.seen.len()));
    tiles
}

struct Work<'a> {
    config: &'a PagedAttention<'a>,
    kv: &'a PagedKv,
    segments: &'a [PagedSegment<'a>],
    q: Rows<'a, f32>,
    out: Shared<f32>,
    out_stride: usize,
    group: usize,
}

/// Floats of the state of `rows` rows: sums, then maximum and denominator of each.
fn state_len(rows: usize, kv: &PagedKv) -> usize {
    rows * (kv.value_stride() + 2)
}

/// Sums (rows, D'), maxima and denominators.
fn parts<'a>(kv: &PagedKv, rows: usize, state: &'a mut [f32]) -> State<'a> {
    let (sums, rest) = state.split_at_mut(rows * kv.value_stride());
    let (greatest, denominators) = rest.split_at_mut(rows);
    State { sums, greatest, denominators: &mut denominators[..rows] }
}

impl Work<'_> {
    /// One span of a tile, from nothing.
    fn span(&self, tile: &Tile, span: usize, state: &mut [f32]) {
        let (kv, rows, dim) = (self.kv, tile.rows(self.group), self.kv.dim);
        let segment = &self.segments[tile.segment];
        scratch::with(padded(rows * dim) + space_len(rows), |mut space| {
            let q = take(&mut space, rows * dim);
            for (i, q) in q.chunks_exact_mut(dim).enumerate() {
                let (token, head) = (i / self.group, tile.kv_head * self.group + i % self.group);
                let at = (tile.first_row + token) * self.q.stride + head * dim;
                let from = &self.q.data[at..][..dim];
                q.iter_mut().zip(from).for_each(|(q, from)| *q = from * self.config.scale);
            }
            let job = Job {
                kv,
                pages: segment.pages,
                kv_head: tile.kv_head,
                q,
                rows,
                group: self.group,
                position: segment.start + tile.tokens.start,
                window: self.config.window,
                softcap: self.config.softcap,
                keys: span * SPAN..((span + 1) * SPAN).min(tile.seen.end),
            };
            run_span(&job, parts(kv, rows, state), space);
        });
    }

    /// Divides the sums by their denominators, a sink's share among them, into the rows of out.
    fn finish(&self, tile: &Tile, state: &mut [f32]) {
        let (dim, stride, rows) = (self.kv.dim, self.kv.value_stride(), tile.rows(self.group));
        let state = parts(self.kv, rows, state);
        for i in 0..rows {
            let (token, head) = (i / self.group, tile.kv_head * self.group + i % self.group);
            let (greatest, denominator) = (state.greatest[i], state.denominators[i]);
            let factor = match self.config.sinks {
                None => 1.0 / denominator,
                Some(sinks) => {
                    let top = greatest.max(sinks[head]);
                    let own = (greatest - top).exp();
                    own / (denominator * own + (sinks[head] - top).exp())
                }
            };
            let at = (tile.first_row + token) * self.out_stride + head * dim;
            // SAFETY: only this tile has this token and head.
            let out = unsafe { self.out.slice(at..at + dim) };
            let sums = &state.sums[i * stride..][..dim];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * factor);
        }
    }

    /// Every span of every tile is a task; then the spans of each tile are merged in order.
    fn split(&self, tiles: &[Tile], spans: usize) {
        let len =
            padded(tiles.iter().map(|tile| state_len(tile.rows(self.group), self.kv)).max().unwrap_or(0));
        let pairs: Vec<(usize, usize)> =
            tiles.iter().enumerate().flat_map(|(i, tile)| tile.spans().map(move |span| (i, span))).collect();
        scratch::with(spans * len, |space| {
            pool::run_chunks_mut(space, len, |i, state| {
                let (tile, span) = (&tiles[pairs[i].0], pairs[i].1);
                self.span(tile, span, &mut state[..state_len(tile.rows(self.group), self.kv)]);
            });
            let mut states = space.chunks_exact_mut(len);
            for tile in tiles {
                let rows = tile.rows(self.group);
                let used = state_len(rows, self.kv);
                let mut total: Option<&mut [f32]> = None;
                for state in states.by_ref().take(tile.spans().len()) {
                    match &mut total {
                        None => total = Some(&mut state[..used]),
                        Some(total) => merge(self.kv, rows, total, &mut state[..used]),
                    }
                }
                if let Some(total) = total {
                    self.finish(tile, total);
                }
            }
        });
    }
}

/// Adds a later span to those before it.
fn merge(kv: &PagedKv, rows: usize, total: &mut [f32], part: &mut [f32]) {
    let stride = kv.value_stride();
    let (total, part) = (parts(kv, rows, total), parts(kv, rows, part));
    for i in 0..rows {
        if part.greatest[i] == f32::NEG_INFINITY && part.denominators[i] == 0.0 {
            continue; // Nothing that this row sees is in the span.
        }
        let sums = &mut total.sums[i * stride..][..stride];
        let added = &part.sums[i * stride..][..stride];
        if total.greatest[i] == f32::NEG_INFINITY && total.denominators[i] == 0.0 {
            sums.copy_from_slice(added);
            (total.greatest[i], total.denominators[i]) = (part.greatest[i], part.denominators[i]);
            continue;
        }
        let top = total.greatest[i].max(part.greatest[i]);
        let (old, new) = ((total.greatest[i] - top).exp(), (part.greatest[i] - top).exp());
        sums.iter_mut().zip(added).for_each(|(sum, added)| *sum = *sum * old + added * new);
        total.denominators[i] = total.denominators[i] * old + part.denominators[i] * new;
        total.greatest[i] = top;
    }
}

#[track_caller]
fn check(
    config: &PagedAttention<'_>,
    kv: &PagedKv,
    segments: &[PagedSegment<'_>],
    q: &Rows<'_, f32>,
    out: &RowsMut<'_, f32>,
) {
    let what = "paged_attention";
    assert!(
        config.heads > 0 && config.heads.is_multiple_of(kv.heads),
        "{what}: {} heads over {} key heads",
        config.heads,
        kv.heads
    );
    assert!(config.window != Some(0), "{what}: a window of no keys");
    if let Some(sinks) = config.sinks {
        assert_eq!(sinks.len(), config.heads, "{what}: a sink for each head");
    }
    let tokens = segments.iter().map(|segment| segment.tokens).sum();
    strided("paged_attention q", q.data.len(), tokens, config.heads * kv.dim, q.stride);
    strided("paged_attention out", out.data.len(), tokens, config.heads * kv.dim, out.stride);
    debug_assert!(kv.page_tokens.is_multiple_of(UNIT));
    for segment in segments {
        let end = segment.start.checked_add(segment.tokens).expect("a position");
        let used = end.div_ceil(kv.page_tokens);
        assert!(used <= segment.pages.len(), "{what}: {} pages for {end} positions", segment.pages.len());
        let outside = segment.pages[..used].iter().find(|&&page| page as usize >= kv.pages());
        assert!(outside.is_none(), "{what}: page {outside:?} of {}", kv.pages());
    }
}

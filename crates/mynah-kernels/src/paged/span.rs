//! The kernel: a tile of queries over one span of keys.

use super::cache::{KvFormat, PagedKv};
use super::{BLOCK, SPAN, UNIT};
use crate::nn::math;
use crate::nn::simd::{Simd, kernel};
use half::{bf16, f16};
use std::ops::Range;

/// Rows of a tile: a multiple of the register tile's, whose scores of a block (24 KiB) stay in the first cache.
pub(super) const ROWS_MAX: usize = 48;

/// Up to this many rows a tile waits for its keys and values more than for its arithmetic.
const ASKING_ROWS_MAX: usize = 8;

#[derive(Clone, Copy)]
enum Asked {
    Keys,
    Values,
}

/// Queries of a tile and the keys of a span.
pub(super) struct Job<'a> {
    pub kv: &'a PagedKv,
    pub pages: &'a [u32],
    pub kv_head: usize,
    /// (rows, D), times the scale of the scores. Row i is token i / group.
    pub q: &'a [f32],
    pub rows: usize,
    pub group: usize,
    /// Position of the first row's token.
    pub position: usize,
    pub window: Option<usize>,
    pub softcap: Option<f32>,
    /// Positions of the span's keys, as far as a row sees them; inside the pages.
    pub keys: Range<usize>,
}

/// What a tile knows of each row after some keys: Σ e^(score − greatest)·value (rows, D'), the greatest score and
/// Σ e^(score − greatest).
pub(super) struct State<'a> {
    pub sums: &'a mut [f32],
    pub greatest: &'a mut [f32],
    pub denominators: &'a mut [f32],
}

impl Job<'_> {
    /// Positions that row `i` sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> Range<usize> {
        let end = self.position + i / self.group + 1;
        end.saturating_sub(self.window.unwrap_or(end))..end
    }

    /// Positions of the block from `block` on that some of `rows` sees.
    #[inline(always)]
    fn seen_by(&self, rows: Range<usize>, block: usize) -> Range<usize> {
        let (first, last) = (self.seen(rows.start).start, self.seen(rows.end - 1).end);
        let start = first.max(block).min(block + BLOCK);
        start..last.min(block + BLOCK).min(self.keys.end).max(start)
    }

    /// Asks for the keys or the values of these positions, into the second cache: they lie in pieces of a page and head,
    /// too short for the processor to see where they go on.
    #[inline(always)]
    fn ask_for<T>(&self, positions: Range<usize>, what: Asked) {
        let mut position = positions.start;
        while position < positions.end {
            let (page, offset) = self.place(position);
            let tokens = (positions.end - position).min(self.kv.page_tokens - offset);
            let (start, len) = match what {
                // A dimension of the page after the other: nearly all of them are wanted.
                Asked::Keys => (self.kv.keys_of::<T>(page, self.kv_head), self.kv.dim * self.kv.page_tokens),
                Asked::Values => {
                    let stride = self.kv.value_stride();
                    (
                        self.kv.values_of::<T>(page, self.kv_head).wrapping_add(offset * stride),
                        tokens * stride,
                    )
                }
            };
            #[cfg(target_arch = "x86_64")]
            for line in 0..(len * size_of::<T>()).div_ceil(64) {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                // SAFETY: a prefetch reads nothing.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(start.cast::<i8>().wrapping_add(64 * line)) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = (start, len);
            position += tokens;
        }
    }

    /// Page and offset of a position.
    #[inline(always)]
    fn place(&self, position: usize) -> (u32, usize) {
        (self.pages[position / self.kv.page_tokens], position % self.kv.page_tokens)
    }
}

kernel! {
    /// Computes the state of all rows over the span's keys; `space` is [`space_len`] floats of any content.
    pub(super) fn run_span(job: &Job<'_>, state: State<'_>, space: &mut [f32]) = run_span_body
}

#[inline(always)]
fn run_span_body<S: Simd>(s: S, job: &Job<'_>, state: State<'_>, space: &mut [f32]) {
    match job.kv.format {
        KvFormat::F32 => span::<S, f32>(s, job, state, space),
        KvFormat::F16 => span::<S, f16>(s, job, state, space),
        KvFormat::Bf16 => span::<S, bf16>(s, job, state, space),
        KvFormat::Q8 => span::<S, i8>(s, job, state, space),
    }
}

/// A number as the cache keeps it.
trait Stored: Copy {
    /// Whether tokens have scales.
    const SCALED: bool = false;
    /// # Safety
    /// `S::LANES` numbers are readable at `x`.
    unsafe fn load<S: Simd>(s: S, x: *const Self) -> S::F;
}

macro_rules! stored {
    ($($type:ty: $load:ident, $scaled:literal;)*) => {
        $(impl Stored for $type {
            const SCALED: bool = $scaled;
            #[inline(always)]
            unsafe fn load<S: Simd>(s: S, x: *const Self) -> S::F {
                // SAFETY: the caller's promise.
                unsafe { s.$load(x) }
            }
        })*
    };
}
stored! { f32: load, false; f16: load_f16, false; bf16: load_bf16, false; i8: load_i8, true; }

/// Work space of a tile of `rows` rows: the scores of a block, and a factor each.
pub(super) fn space_len(rows: usize) -> usize {
    rows * BLOCK + rows
}

// Nothing in here may be a closure that is called from elsewhere: it would be compiled for the baseline.
#[inline(always)]
fn span<S: Simd, T: Stored>(s: S, job: &Job<'_>, state: State<'_>, space: &mut [f32]) {
    const { assert!(BLOCK.is_multiple_of(UNIT) && SPAN.is_multiple_of(BLOCK)) };
    let rows = job.rows;
    let stride = job.kv.value_stride();
    assert!(job.q.len() >= rows * job.kv.dim && state.sums.len() >= rows * stride, "a tile's buffers");
    state.sums.fill(0.0);
    state.greatest.fill(f32::NEG_INFINITY);
    state.denominators.fill(0.0);
    let (scores, factors) = space.split_at_mut(rows * BLOCK);
    let seen = job.seen(0).start.max(job.keys.start)..job.keys.end;
    // With many rows the arithmetic takes longer than the memory.
    let asks = rows <= ASKING_ROWS_MAX;
    if asks {
        job.ask_for::<T>(seen.start..(seen.start + BLOCK).min(seen.end), Asked::Keys);
    }
    for block in (seen.start / BLOCK * BLOCK..seen.end).step_by(BLOCK) {
        if asks {
            job.ask_for::<T>(block.max(seen.start)..(block + BLOCK).min(seen.end), Asked::Values);
        }
        let mut row = 0;
        while row < rows {
            let count = group_of::<S>(rows - row);
            let here = job.seen_by(row..row + count, block);
            if !here.is_empty() {
                score_rows::<S, T>(s, job, row, count, here, block, scores);
            }
            row += count;
        }
        for row in 0..rows {
            let seen = job.seen_by(row..row + 1, block);
            let scores = &mut scores[row * BLOCK..][..BLOCK];
            factors[row] = 1.0;
            if !seen.is_empty() {
                let place = (&mut state.greatest[row], &mut state.denominators[row]);
                factors[row] = softmax::<S, T>(s, job, seen, block, scores, place);
            }
        }
        if asks {
            job.ask_for::<T>(block + BLOCK..(block + 2 * BLOCK).min(seen.end), Asked::Keys);
        }
        let mut row = 0;
        while row < rows {
            let count = group_of::<S>(rows - row);
            let here = job.seen_by(row..row + count, block);
            if !here.is_empty() {
                for row in row..row + count {
                    clear(
                        &mut scores[row * BLOCK..][..BLOCK],
                        job.seen_by(row..row + 1, block),
                        &here,
                        block,
                    );
                }
                add_values::<S, T>(s, job, row, count, here, block, scores, factors, state.sums);
            }
            row += count;
        }
    }
}

/// Rows of the next register tile.
#[inline(always)]
fn group_of<S: Simd>(left: usize) -> usize {
    match left {
        left if left >= S::TILE.0 => S::TILE.0,
        left if left >= 4 => 4,
        left if left >= 2 => 2,
        _ => 1,
    }
}

/// Calls `$function::<S, T, ROWS, VECTORS>` for a register tile that the instruction set has room for.
macro_rules! with_tile {
    ($rows:expr, $vectors:expr, $function:ident($($argument:expr),*)) => {
        with_tile!(@ $rows, $vectors, $function($($argument),*);
            6 4, 6 3, 6 2, 6 1, 4 4, 4 3, 4 2, 4 1, 2 4, 2 3, 2 2, 2 1, 1 4, 1 3, 1 2, 1 1)
    };
    (@ $rows:expr, $vectors:expr, $function:ident $arguments:tt; $($r:literal $v:literal),*) => {
        match ($rows, $vectors) {
            $(($r, $v) if $r <= S::TILE.0 && $v <= S::TILE.1 =>
                with_tile!(! $function, $r, $v, $arguments),)*
            (rows, vectors) => unreachable!("no register tile of {rows} rows and {vectors} vectors"),
        }
    };
    (! $function:ident, $r:literal, $v:literal, ($($argument:expr),*)) => {
        // SAFETY: the sizes of the arguments, checked where they are made.
        unsafe { $function::<S, T, $r, $v>($($argument),*) }
    };
}

/// Scores of `count` rows from `row` on with the keys `here`, in whole units, into rows of [`BLOCK`].
#[inline(always)]
fn score_rows<S: Simd, T: Stored>(
    s: S,
    job: &Job<'_>,
    row: usize,
    count: usize,
    here: Range<usize>,
    block: usize,
    scores: &mut [f32],
) {
    let (kv, dim) = (job.kv, job.kv.dim);
    let q = job.q[row * dim..][..count * dim].as_ptr();
    let end = here.end.next_multiple_of(UNIT);
    let mut position = here.start / UNIT * UNIT;
    let out = scores[row * BLOCK..][..count * BLOCK].as_mut_ptr();
    while position < end {
        let (page, offset) = job.place(position);
        // Vectors side by side in the page.
        let vectors = (end - position).min(kv.page_tokens - offset) / S::LANES;
        let vectors = vectors.min(S::TILE.1);
        let keys = kv.keys_of::<T>(page, job.kv_head).wrapping_add(offset);
        let out = out.wrapping_add(position - block);
        let tile = ScoreTile { q, dim, keys, key_step: kv.page_tokens, out };
        with_tile!(count, vectors, score_tile(s, &tile));
        position += vectors * S::LANES;
    }
}

struct ScoreTile<T> {
    q: *const f32,
    dim: usize,
    keys: *const T,
    key_step: usize,
    out: *mut f32,
}

/// R rows and V vectors of scores: Σ q·k over the dimensions in order.
///
/// # Safety
/// R rows of q, V vectors of `dim` rows of keys, and V vectors of R rows of out are inside their buffers.
#[inline(always)]
unsafe fn score_tile<S: Simd, T: Stored, const R: usize, const V: usize>(s: S, tile: &ScoreTile<T>) {
    let mut sums = [[s.splat(0.0); V]; R];
    for d in 0..tile.dim {
        let mut keys = [s.splat(0.0); V];
        for (v, key) in keys.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *key = unsafe { T::load(s, tile.keys.add(d * tile.key_step + v * S::LANES)) };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let q = s.splat(unsafe { *tile.q.add(r * tile.dim + d) });
            for (sum, &key) in sums.iter_mut().zip(&keys) {
                *sum = s.mul_add(q, key, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { s.store(tile.out.add(r * BLOCK + v * S::LANES), sum) };
        }
    }
}

/// Turns the scores of the positions `seen` into e^(score − greatest), times the scale of the token's value, and
/// brings greatest and denominator up to date; returns what the sums so far are to be multiplied by.
#[inline(always)]
fn softmax<S: Simd, T: Stored>(
    s: S,
    job: &Job<'_>,
    seen: Range<usize>,
    block: usize,
    scores: &mut [f32],
    (greatest, denominator): (&mut f32, &mut f32),
) -> f32 {
    let first = seen.start / S::LANES * S::LANES - block;
    let last = seen.end.next_multiple_of(S::LANES) - block;
    let scale_of = |i: usize, which: usize| {
        let (page, offset) = job.place(block + i);
        // SAFETY: a vector does not leave its page (pages are whole units, and units whole vectors).
        unsafe { s.load(job.kv.scales_of(page, job.kv_head)[which].add(offset)) }
    };
    if T::SCALED || job.softcap.is_some() {
        for i in (first..last).step_by(S::LANES) {
            let mut score = s.load_at(scores, i);
            if T::SCALED {
                score = s.mul(score, scale_of(i, 0));
            }
            if let Some(cap) = job.softcap {
                score = s.mul(s.splat(cap), math::tanh(s, s.mul(score, s.splat(1.0 / cap))));
            }
            s.store_at(scores, i, score);
        }
    }
    scores[first..seen.start - block].fill(f32::NEG_INFINITY);
    scores[seen.end - block..last].fill(f32::NEG_INFINITY);
    let mut top = s.splat(f32::NEG_INFINITY);
    for i in (first..last).step_by(S::LANES) {
        top = s.max(s.load_at(scores, i), top);
    }
    let top = s.greatest(top).max(*greatest);
    let minus_top = s.splat(-top);
    let mut total = s.splat(0.0);
    for i in (first..last).step_by(S::LANES) {
        let mut p = math::exp(s, s.add(s.load_at(scores, i), minus_top));
        total = s.add(total, p);
        if T::SCALED {
            p = s.mul(p, scale_of(i, 1));
        }
        s.store_at(scores, i, p);
    }
    let factor = (*greatest - top).exp();
    *denominator = *denominator * factor + s.sum(total);
    *greatest = top;
    factor
}

/// Zeroes the weights of keys that the row does not see but its neighbours do.
#[inline(always)]
fn clear(scores: &mut [f32], seen: Range<usize>, here: &Range<usize>, block: usize) {
    if seen.is_empty() {
        scores[here.start - block..here.end - block].fill(0.0);
        return;
    }
    scores[here.start - block..seen.start - block].fill(0.0);
    scores[seen.end - block..here.end - block].fill(0.0);
}

/// Adds the weighted values of the keys `here` to the sums of `count` rows from `row` on.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn add_values<S: Simd, T: Stored>(
    s: S,
    job: &Job<'_>,
    row: usize,
    count: usize,
    here: Range<usize>,
    block: usize,
    scores: &[f32],
    factors: &[f32],
    sums: &mut [f32],
) {
    let (kv, stride) = (job.kv, job.kv.value_stride());
    let mut position = here.start;
    while position < here.end {
        let (page, offset) = job.place(position);
        let tokens = (here.end - position).min(kv.page_tokens - offset);
        let values = kv.values_of::<T>(page, job.kv_head).wrapping_add(offset * stride);
        let mut col = 0;
        while col < stride {
            let vectors = ((stride - col) / S::LANES).min(S::TILE.1);
            let tile = ValueTile {
                weights: scores[row * BLOCK + position - block..].as_ptr(),
                tokens,
                values: values.wrapping_add(col),
                stride,
                // The sums so far are rescaled once a block.
                factors: (position == here.start).then(|| factors[row..row + count].as_ptr()),
                sums: sums[row * stride + col..].as_mut_ptr(),
            };
            with_tile!(count, vectors, value_tile(s, &tile));
            col += vectors * S::LANES;
        }
        position += tokens;
    }
}

struct ValueTile<T> {
    weights: *const f32,
    tokens: usize,
    values: *const T,
    stride: usize,
    factors: Option<*const f32>,
    sums: *mut f32,
}

/// R rows and V vectors of sums: sums · factor + Σ weight·value over the tokens in order.
///
/// # Safety
/// R rows of weights, V vectors of `tokens` rows of values, and V vectors of R rows of sums are inside their
/// buffers; R factors if there are any.
#[inline(always)]
unsafe fn value_tile<S: Simd, T: Stored, const R: usize, const V: usize>(s: S, tile: &ValueTile<T>) {
    let mut sums = [[s.splat(0.0); V]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *sum = unsafe { s.load(tile.sums.add(r * tile.stride + v * S::LANES)) };
            if let Some(factors) = tile.factors {
                // SAFETY: the caller's promise.
                *sum = s.mul(*sum, s.splat(unsafe { *factors.add(r) }));
            }
        }
    }
    for t in 0..tile.tokens {
        let mut values = [s.splat(0.0); V];
        for (v, value) in values.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = unsafe { T::load(s, tile.values.add(t * tile.stride + v * S::LANES)) };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let weight = s.splat(unsafe { *tile.weights.add(r * BLOCK + t) });
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum = s.mul_add(weight, value, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { s.store(tile.sums.add(r * tile.stride + v * S::LANES), sum) };
        }
    }
}

//! Shapes and settings of the fused kernels.

use super::check::{rows_of, same_len, strided, volume};
use super::reference::POLAR_EXPRESS;
use crate::float::Float;

/// A matrix given by its rows: row `i` starts at `i · stride`, so a view into a fused buffer needs no copy.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// The values.
    pub data: &'a [T],
    /// Values from one row's start to the next's.
    pub stride: usize,
}

/// The mutable form of [`Rows`].
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    /// The values.
    pub data: &'a mut [T],
    /// Values from one row's start to the next's.
    pub stride: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows `stride` apart.
    pub fn new(data: &'a [T], stride: usize) -> Self {
        Rows { data, stride }
    }
}

impl<'a, T> RowsMut<'a, T> {
    /// Rows `stride` apart.
    pub fn new(data: &'a mut [T], stride: usize) -> Self {
        RowsMut { data, stride }
    }
}

/// Rotary embedding, then RMS norm over the head, then a factor; each part can be off.
///
/// Rows are tokens of all sequences, (B·T, H, D). Row r has position `pos0 + r % tokens`. The rotation is
/// y₁ = x₁·c + x₂·s, y₂ = x₂·c − x₁·s on the two halves of the head.
#[derive(Clone, Copy, Debug)]
pub struct RopeNorm<'a, T> {
    /// Tokens of one sequence, T.
    pub tokens: usize,
    /// Heads in a row, H.
    pub heads: usize,
    /// Values of a head, D; even when there is a rotation.
    pub head_dim: usize,
    /// Cosine and sine tables, (positions, D/2) each; `None` does not rotate.
    pub tables: Option<(&'a [T], &'a [T])>,
    /// Position of a sequence's first token.
    pub pos0: usize,
    /// Epsilon of the norm; `None` does not normalise.
    pub norm_eps: Option<T>,
    /// Last factor; not 0 when there is a norm (the gradient divides by it).
    pub scale: T,
}

impl<'a, T: Float> RopeNorm<'a, T> {
    /// Cosines and sines of a row's position.
    #[inline]
    pub(crate) fn rotation(&self, row: usize) -> Option<(&'a [T], &'a [T])> {
        let half = self.head_dim / 2;
        let at = (self.pos0 + row % self.tokens) * half;
        self.tables.map(|(cos, sin)| (&cos[at..at + half], &sin[at..at + half]))
    }

    #[track_caller]
    fn check_config(&self, rows: usize) {
        assert!(self.tokens > 0, "rope_norm: sequences of 0 tokens");
        if let Some((cos, sin)) = self.tables {
            assert!(
                self.head_dim.is_multiple_of(2),
                "rope_norm: a rotation needs an even head, got {}",
                self.head_dim
            );
            same_len("rope_norm cos, sin", &[cos.len(), sin.len()]);
            let positions = self.pos0.saturating_add(self.tokens.min(rows));
            assert!(
                volume("rope_norm table", &[positions, self.head_dim / 2]) <= cos.len(),
                "rope_norm: {positions} positions of {} do not fit in a table of {}",
                self.head_dim / 2,
                cos.len()
            );
        }
        assert!(self.norm_eps.is_none() || self.scale != T::ZERO, "rope_norm: scale is 0 with the norm on");
    }

    /// Panics on wrong lengths; returns the number of rows.
    #[track_caller]
    pub(crate) fn check_forward(&self, x: usize, x_stride: usize, y: usize, inv_rms: usize) -> usize {
        let width = volume("rope_norm_forward H·D", &[self.heads, self.head_dim]);
        let rows = rows_of("rope_norm_forward y", y, width);
        strided("rope_norm_forward x", x, rows, width, x_stride);
        if self.norm_eps.is_some() {
            same_len("rope_norm_forward rows·heads, inv_rms", &[rows * self.heads, inv_rms]);
        }
        self.check_config(rows);
        rows
    }

    /// Panics on wrong lengths; returns the number of rows.
    #[track_caller]
    pub(crate) fn check_backward(
        &self,
        y: usize,
        inv_rms: usize,
        dy: usize,
        dx: usize,
        dx_stride: usize,
    ) -> usize {
        let width = volume("rope_norm_backward H·D", &[self.heads, self.head_dim]);
        let rows = rows_of("rope_norm_backward dy", dy, width);
        strided("rope_norm_backward dx", dx, rows, width, dx_stride);
        if self.norm_eps.is_some() {
            same_len("rope_norm_backward y, dy", &[y, dy]);
            same_len("rope_norm_backward rows·heads, inv_rms", &[rows * self.heads, inv_rms]);
        }
        self.check_config(rows);
        rows
    }
}

/// Shape and mask of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Sequences, B.
    pub batch: usize,
    /// Tokens of each sequence, T.
    pub tokens: usize,
    /// Query heads, H.
    pub heads: usize,
    /// Key and value heads; query head h uses h / (H / kv_heads).
    pub kv_heads: usize,
    /// Values of a head, D.
    pub head_dim: usize,
    /// Whether query i may not see keys j > i.
    pub causal: bool,
    /// How far a query sees: |i − j| ≤ window.
    pub window: Option<usize>,
    /// Factor on q·k, usually 1/√D.
    pub scale: f64,
}

impl AttentionShape {
    /// Keys that query `i` sees.
    #[inline]
    pub(crate) fn keys(&self, i: usize) -> std::ops::Range<usize> {
        let start = self.window.map_or(0, |window| i.saturating_sub(window));
        let end = if self.causal {
            i + 1
        } else {
            self.window
                .map_or(self.tokens, |window| i.saturating_add(window).saturating_add(1).min(self.tokens))
        };
        start..end
    }

    /// Values in a row of q.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Values in a row of k or v.
    pub(crate) fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Panics unless the shape is possible and each named buffer (length, stride, width) holds B·T rows.
    #[track_caller]
    pub(crate) fn check(&self, what: &str, buffers: &[(&str, usize, usize, usize)], lse: usize) {
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "{what}: {} query heads cannot share {} key heads",
            self.heads,
            self.kv_heads
        );
        assert!(self.scale > 0.0, "{what}: scale {} is not positive", self.scale);
        volume(what, &[self.batch, self.tokens, self.heads, self.head_dim]);
        let rows = self.batch * self.tokens;
        for &(name, len, stride, width) in buffers {
            strided(&format!("{what} {name}"), len, rows, width, stride);
        }
        same_len(&format!("{what} B·H·T, lse"), &[rows * self.heads, lse]);
    }
}

/// Shape of queries against a cache of keys and values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeShape {
    /// New queries, rows of q.
    pub queries: usize,
    /// Position of the first query; the cache must hold start + queries rows.
    pub start: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_dim: usize,
    /// Query at position i sees keys i − window ≤ j ≤ i.
    pub window: Option<usize>,
    /// Factor on q·k.
    pub scale: f64,
}

impl DecodeShape {
    #[track_caller]
    pub(crate) fn check(&self, q: usize, k: (usize, usize), v: (usize, usize), out: usize) {
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "attention_decode: {} query heads cannot share {} key heads",
            self.heads,
            self.kv_heads
        );
        assert!(self.scale > 0.0, "attention_decode: scale {} is not positive", self.scale);
        let cached = self.start.saturating_add(self.queries);
        volume("attention_decode", &[cached.saturating_add(1), self.heads, self.head_dim]);
        let (width, key_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        same_len("attention_decode q, out, queries·H·D", &[q, out, self.queries * width]);
        strided("attention_decode k", k.0, cached, key_width, k.1);
        strided("attention_decode v", v.0, cached, key_width, v.1);
    }
}

/// Shape of a fused final linear layer and cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropyShape {
    /// Values of a row of x and of w, d.
    pub dim: usize,
    /// Classes, V; rows of w.
    pub vocab: usize,
    /// c of the cap c·tanh(z/c) on the logits, or none.
    pub softcap: Option<f32>,
}

impl CrossEntropyShape {
    /// Panics on wrong lengths or targets; returns the number of rows.
    #[track_caller]
    pub(crate) fn check(&self, x: usize, w: usize, targets: &[i64], losses: usize) -> usize {
        let rows = rows_of("linear_cross_entropy x", x, self.dim);
        same_len(
            "linear_cross_entropy w, V·d",
            &[w, volume("linear_cross_entropy V·d", &[self.vocab, self.dim])],
        );
        same_len("linear_cross_entropy rows, targets, losses", &[rows, targets.len(), losses]);
        for (position, &target) in targets.iter().enumerate() {
            assert!(
                target == -1 || usize::try_from(target).is_ok_and(|target| target < self.vocab),
                "linear_cross_entropy: target {target} at position {position} is neither -1 nor below {}",
                self.vocab
            );
        }
        assert!(
            self.softcap.is_none_or(|cap| cap > 0.0),
            "linear_cross_entropy: softcap {:?} is not positive",
            self.softcap
        );
        rows
    }
}

/// What each row's loss is multiplied by before the gradient is taken.
#[derive(Clone, Copy, Debug)]
pub enum LossScale<'a, T> {
    /// The sum of all losses.
    Sum,
    /// The mean over rows that are not ignored.
    Mean,
    /// A factor a row: the upstream gradient of unreduced losses.
    Rows(&'a [T]),
}

impl<T: Float> LossScale<'_, T> {
    /// The factor of a row, given the count of rows that are not ignored.
    #[inline]
    pub(crate) fn of(&self, row: usize, counted: usize) -> T {
        match self {
            LossScale::Sum => T::ONE,
            LossScale::Mean => T::ONE / T::from_f64(counted.max(1) as f64),
            LossScale::Rows(scales) => scales[row],
        }
    }
}

/// Gradient of a table as its touched rows: ascending unique ids and one row of values for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows<T> {
    /// Row numbers, ascending, each once.
    pub ids: Vec<i64>,
    /// (ids.len(), dim) values.
    pub rows: Vec<T>,
}

/// Settings of one AdamW step (Loshchilov and Hutter 2019), the decay before the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this step, from 1.
    pub step: u64,
}

/// Settings of one Muon step; each stage can be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// Learning rate; times each matrix's own factor.
    pub lr: f64,
    /// Decay of the momentum; 0 uses the gradient alone.
    pub momentum: f64,
    /// Whether to look ahead: g + momentum·(m − g) instead of m.
    pub nesterov: bool,
    /// Whether to bring all rows to the same norm first (arXiv 2603.28254).
    pub equilibrate: bool,
    /// Polar Express iterations, 0 to 5 (arXiv 2505.16932); 0 skips the orthogonalisation.
    pub iterations: usize,
    /// Whether to set the Frobenius norm to √min(m, n) afterwards (arXiv 2602.21545).
    pub renormalize: bool,
    /// Decay of NorMuon's second moment (arXiv 2510.05491); `None` skips the stage.
    pub beta2: Option<f64>,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether to decay only where update and parameter have the same sign (arXiv 2510.12402).
    pub cautious: bool,
}

impl Default for Muon {
    fn default() -> Self {
        Muon {
            lr: 0.02,
            momentum: 0.95,
            nesterov: true,
            equilibrate: true,
            iterations: 5,
            renormalize: true,
            beta2: Some(0.9),
            weight_decay: 0.0,
            cautious: true,
        }
    }
}

/// A matrix parameter with its gradient and state, all row-major.
#[derive(Debug)]
pub struct MuonMatrix<'a, T> {
    /// Rows, m.
    pub rows: usize,
    /// Columns, n.
    pub cols: usize,
    /// Factor on the settings' learning rate.
    pub lr_factor: f64,
    /// The parameter, (m, n).
    pub param: &'a mut [T],
    /// Its gradient, (m, n).
    pub grad: &'a [T],
    /// Momentum, (m, n), zero before the first step.
    pub momentum: &'a mut [T],
    /// Second moment, one value for each row (m ≥ n) or column: see [`muon_second_len`].
    pub second: &'a mut [T],
}

/// Length of the second-moment state of a matrix: a value a row if it is square or tall, a column if wide.
pub fn muon_second_len(rows: usize, cols: usize) -> usize {
    rows.max(cols)
}

impl<T> MuonMatrix<'_, T> {
    #[track_caller]
    pub(crate) fn check(&self, config: &Muon) {
        let len = volume("muon_step m·n", &[self.rows, self.cols]);
        same_len(
            "muon_step m·n, param, grad, momentum",
            &[len, self.param.len(), self.grad.len(), self.momentum.len()],
        );
        same_len("muon_step second moment", &[muon_second_len(self.rows, self.cols), self.second.len()]);
        assert!(
            config.iterations <= POLAR_EXPRESS.len(),
            "muon_step: {} iterations, at most 5",
            config.iterations
        );
    }
}

//! Mamba-2 mixers (arXiv 2405.21060), token by token.
//!
//! The published code computes a prompt in chunks of a product form; here the recurrence itself runs, one token
//! after the other, so that a prompt gives the same bits however it is cut. Heads run in parallel.

use mynah_kernels::{nn, pool};

use crate::compute::linear::Linear;
use crate::compute::{dot, fit};
use crate::config::Mamba;
use crate::step::{Scratch, Step};

/// The weights of a mixer.
#[derive(Debug)]
pub(crate) struct MambaWeights {
    pub config: Mamba,
    /// Gate, x, B, C and time step, in this order.
    pub input: Linear,
    /// (channels, taps)
    pub conv: Vec<f32>,
    pub conv_bias: Option<Vec<f32>>,
    /// One a head.
    pub step_bias: Vec<f32>,
    /// One a head, negative.
    pub decay: Vec<f32>,
    /// One a head: the share of x that goes straight through.
    pub skip: Vec<f32>,
    /// One a channel.
    pub norm: Vec<f32>,
    pub output: Linear,
    /// Which of the model's mixers this is.
    pub number: usize,
}

/// The state of one mixer for all slots.
#[derive(Debug)]
pub(crate) struct MambaState {
    /// (slots, taps − 1, channels): what went into the convolution, oldest first.
    recent: Vec<f32>,
    recent_len: usize,
    /// (slots, heads, head_dim, state)
    state: Vec<f32>,
    state_len: usize,
}

impl MambaState {
    /// Empty state.
    pub(crate) fn new(config: &Mamba, slots: usize) -> Self {
        let recent_len = (config.taps - 1) * config.conv_channels();
        let state_len = config.inner() * config.state;
        Self {
            recent: vec![0.0; slots * recent_len],
            recent_len,
            state: vec![0.0; slots * state_len],
            state_len,
        }
    }

    /// Forgets a slot.
    pub(crate) fn clear(&mut self, slot: usize) {
        self.recent[slot * self.recent_len..][..self.recent_len].fill(0.0);
        self.state[slot * self.state_len..][..self.state_len].fill(0.0);
    }
}

impl MambaWeights {
    /// out = mixer(x); the state goes on.
    pub(crate) fn forward(
        &self,
        step: &Step<'_>,
        x: &[f32],
        memory: &mut MambaState,
        scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) {
        let c = &self.config;
        let Scratch { a: projected, b: mixed, c: spare, d: scanned, multiply } = scratch;
        step.linear(&self.input, x, projected, multiply);
        let (inner, channels) = (c.inner(), c.conv_channels());
        let row_len = inner + channels + c.heads;
        let rows = step.tokens.len();
        fit(spare, rows * channels);
        fit(mixed, rows * channels);
        fit(scanned, rows * inner);
        let mut first = 0;
        for segment in step.segments {
            let (slot, count) = (segment.slot as usize, segment.tokens.len());
            if segment.start == 0 {
                memory.clear(slot);
            }
            let recent = &mut memory.recent[slot * memory.recent_len..][..memory.recent_len];
            for row in first..first + count {
                let fresh = &projected[row * row_len + inner..][..channels];
                self.convolve(recent, fresh, &mut spare[row * channels..][..channels]);
            }
            let part = first * channels..(first + count) * channels;
            nn::silu(&spare[part.clone()], &mut mixed[part]);
            let state = &mut memory.state[slot * memory.state_len..][..memory.state_len];
            let (projected, mixed) = (&*projected, &*mixed);
            let scanned = &mut scanned[first * inner..(first + count) * inner];
            // (heads, rows, head_dim) for the time being, so that each head writes a piece of its own.
            let heads = (state, c.head_dim * c.state);
            pool::run_chunks_mut2(heads, (scanned, count * c.head_dim), |head, state, out| {
                for (i, out) in out.chunks_exact_mut(c.head_dim).enumerate() {
                    let row = first + i;
                    let time = projected[row * row_len + inner + channels + head];
                    self.advance(head, time, &mixed[row * channels..][..channels], state, out);
                }
            });
            first += count;
        }
        // Back to rows, with the gate and the norm over groups of channels.
        fit(mixed, rows * inner);
        let mut first = 0;
        let group = inner / c.groups;
        for segment in step.segments {
            let count = segment.tokens.len();
            for i in 0..count {
                let row = first + i;
                let y = &mut mixed[row * inner..][..inner];
                let gates = &projected[row * row_len..][..inner];
                for (at, y) in y.iter_mut().enumerate() {
                    let (head, channel) = (at / c.head_dim, at % c.head_dim);
                    let value = scanned[first * inner + (head * count + i) * c.head_dim + channel];
                    let gate = gates[at];
                    *y = value * (gate / (1.0 + (-gate).exp()));
                }
                for (y, gain) in y.chunks_exact_mut(group).zip(self.norm.chunks_exact(group)) {
                    let inverse = 1.0 / (dot(y, y) / group as f32 + c.norm_eps).sqrt();
                    y.iter_mut().zip(gain).for_each(|(y, gain)| *y *= inverse * gain);
                }
            }
            first += count;
        }
        step.linear(&self.output, mixed, out, multiply);
    }

    /// The causal convolution of one row, channel by channel; the row joins the recent ones.
    fn convolve(&self, recent: &mut [f32], fresh: &[f32], out: &mut [f32]) {
        let (channels, taps) = (fresh.len(), self.config.taps);
        for (channel, out) in out.iter_mut().enumerate() {
            let weights = &self.conv[channel * taps..][..taps];
            let mut sum = self.conv_bias.as_ref().map_or(0.0, |bias| bias[channel]);
            for (tap, weight) in weights[..taps - 1].iter().enumerate() {
                sum += weight * recent[tap * channels + channel];
            }
            *out = sum + weights[taps - 1] * fresh[channel];
        }
        if taps > 1 {
            recent.copy_within(channels.., 0);
            recent[(taps - 2) * channels..].copy_from_slice(fresh);
        }
    }

    /// h ← exp(Δ·A)·h + Δ·x·Bᵀ, y = h·C + D·x for one head.
    fn advance(&self, head: usize, time: f32, mixed: &[f32], state: &mut [f32], out: &mut [f32]) {
        let c = &self.config;
        let group = head / (c.heads / c.groups);
        let x = &mixed[head * c.head_dim..][..c.head_dim];
        let b = &mixed[c.inner() + group * c.state..][..c.state];
        let output = &mixed[c.inner() + (c.groups + group) * c.state..][..c.state];
        let time = softplus(time + self.step_bias[head]).clamp(c.time_step.0, c.time_step.1);
        let keep = (time * self.decay[head]).exp();
        for ((x, state), out) in x.iter().zip(state.chunks_exact_mut(c.state)).zip(out) {
            let share = time * x;
            state.iter_mut().zip(b).for_each(|(h, b)| *h = *h * keep + share * b);
            *out = dot(state, output) + self.skip[head] * x;
        }
    }
}

/// ln(1 + eˣ); beyond 20 it is x to the last bit of f32.
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

//! One step: the rows of all segments, where each belongs, and the buffers of the pass.

use mynah_kernels::paged::PagedSegment;
use mynah_kernels::quant::Scratch as Multiply;

use crate::adapter::{Adapters, add_adapters};
use crate::compute::linear::Linear;
use crate::compute::rope::Angles;
use crate::config::Rope;
use crate::segment::Segment;

/// What all parts read during a step. Row i of every matrix belongs to token i.
pub(crate) struct Step<'a> {
    pub segments: &'a [Segment<'a>],
    /// The same for the attention kernel.
    pub paged: Vec<PagedSegment<'a>>,
    pub tokens: Vec<u32>,
    /// The segment of each token.
    pub owners: Vec<usize>,
    pub positions: Vec<usize>,
    /// The page and the place in it of each token's key and value.
    pub places: Vec<(u32, usize)>,
    pub adapters: &'a Adapters,
    pub ropes: &'a [Rope],
    /// One for each of `ropes`.
    pub angles: Vec<Angles>,
}

/// Buffers that are kept from step to step; a part uses them as it likes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub a: Vec<f32>,
    pub b: Vec<f32>,
    pub c: Vec<f32>,
    pub d: Vec<f32>,
    /// Of matrix products.
    pub multiply: Multiply,
}

impl<'a> Step<'a> {
    /// Lays out the rows of the segments, which have been checked.
    pub(crate) fn new(
        segments: &'a [Segment<'a>],
        page_tokens: usize,
        ropes: &'a [Rope],
        adapters: &'a Adapters,
    ) -> Self {
        let paged = segments
            .iter()
            .map(|segment| PagedSegment {
                tokens: segment.tokens.len(),
                start: segment.start,
                pages: segment.pages,
            })
            .collect();
        let count = segments.iter().map(|segment| segment.tokens.len()).sum();
        let (mut tokens, mut owners) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut positions, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (number, segment) in segments.iter().enumerate() {
            for (i, &token) in segment.tokens.iter().enumerate() {
                let position = segment.start + i;
                tokens.push(token);
                owners.push(number);
                positions.push(position);
                places.push((segment.pages[position / page_tokens], position % page_tokens));
            }
        }
        let mut angles = vec![Angles::default(); ropes.len()];
        for (angles, rope) in angles.iter_mut().zip(ropes) {
            angles.compute(rope, &positions);
        }
        Self { segments, paged, tokens, owners, positions, places, adapters, ropes, angles }
    }

    /// Rows without sequences, for parts that look at each row alone. No adapter applies to them.
    pub(crate) fn of_rows(count: usize, ropes: &'a [Rope], adapters: &'a Adapters) -> Self {
        let (segments, paged, places) = (&[], Vec::new(), Vec::new());
        let (tokens, owners, positions) = (vec![0; count], Vec::new(), Vec::new());
        Self { segments, paged, tokens, owners, positions, places, adapters, ropes, angles: Vec::new() }
    }

    /// y = layer(x) for all rows of the step, with the adapters of their segments.
    pub(crate) fn linear(&self, layer: &Linear, x: &[f32], y: &mut Vec<f32>, multiply: &mut Multiply) {
        layer.apply(x, self.tokens.len(), y, multiply);
        if !self.adapters.is_empty() {
            add_adapters(self.adapters, self.segments, layer, x, y, multiply);
        }
    }
}

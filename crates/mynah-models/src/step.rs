//! One step: the rows of all segments, where each belongs, and the buffers of the pass.

use mynah_kernels::quant::Scratch as Multiply;

use crate::compute::linear::Linear;
use crate::compute::rope::Angles;
use crate::config::Rope;
use crate::segment::Segment;

/// One token of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its row in every matrix of the step.
    pub row: usize,
    /// Its segment.
    pub segment: usize,
    /// The page its key and value go to.
    pub page: usize,
    /// The place in the page.
    pub offset: usize,
}

/// What all parts read during a step.
pub(crate) struct Step<'a> {
    pub segments: &'a [Segment<'a>],
    pub rows: Vec<Row>,
    pub tokens: Vec<u32>,
    pub positions: Vec<usize>,
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
    pub(crate) fn new(segments: &'a [Segment<'a>], page_tokens: usize, ropes: &'a [Rope]) -> Self {
        let count = segments.iter().map(|segment| segment.tokens.len()).sum();
        let (mut rows, mut tokens, mut positions) =
            (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        for (number, segment) in segments.iter().enumerate() {
            for (i, &token) in segment.tokens.iter().enumerate() {
                let position = segment.start + i;
                let page = segment.pages[position / page_tokens] as usize;
                rows.push(Row { row: rows.len(), segment: number, page, offset: position % page_tokens });
                tokens.push(token);
                positions.push(position);
            }
        }
        let mut angles = vec![Angles::default(); ropes.len()];
        for (angles, rope) in angles.iter_mut().zip(ropes) {
            angles.compute(rope, &positions);
        }
        Self { segments, rows, tokens, positions, ropes, angles }
    }

    /// y = layer(x) for all rows of the step.
    pub(crate) fn linear(&self, layer: &Linear, x: &[f32], y: &mut Vec<f32>, multiply: &mut Multiply) {
        layer.apply(x, self.rows.len(), y, multiply);
    }
}

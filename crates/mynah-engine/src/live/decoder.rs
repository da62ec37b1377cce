//! The decoder of mynah-models as a [`StepModel`].

use mynah_models::{Decoder, Segment};

use super::step_model::StepModel;
use crate::error::{Error, ErrorKind, Result};

impl StepModel for Decoder {
    fn vocab_size(&self) -> usize {
        Decoder::vocab_size(self)
    }

    fn context_length(&self) -> usize {
        Decoder::context_length(self)
    }

    fn page_tokens(&self) -> usize {
        Decoder::page_tokens(self)
    }

    fn page_count(&self) -> usize {
        Decoder::page_count(self)
    }

    fn slot_count(&self) -> usize {
        Decoder::slot_count(self)
    }

    fn has_recurrent_state(&self) -> bool {
        Decoder::has_recurrent_state(self)
    }

    fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> Result<()> {
        Decoder::step(self, segments, logits).map_err(model_error)
    }

    fn copy_page(&mut self, from: u32, to: u32) -> Result<()> {
        Decoder::copy_page(self, from, to).map_err(model_error)
    }

    fn clear_slot(&mut self, slot: u32) -> Result<()> {
        Decoder::clear_slot(self, slot).map_err(model_error)
    }
}

fn model_error(error: mynah_models::Error) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}

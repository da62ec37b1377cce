//! Bits per byte: how well a model predicts text, whatever its tokenizer.

use mynah_data::Batch;
use mynah_nn::{Gpt, Reduction};
use mynah_tensor::{Tensor, no_grad};

use crate::error::{Error, ErrorKind, Result};

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Sum of the losses of the counted tokens, in nats.
    pub nats: f64,
    /// Bytes that the counted tokens stand for.
    pub bytes: u64,
    /// Tokens counted.
    pub tokens: u64,
}

impl Measured {
    /// Bits per byte; infinite when nothing was counted.
    pub fn bits_per_byte(&self) -> f64 {
        if self.bytes == 0 { f64::INFINITY } else { self.nats / (std::f64::consts::LN_2 * self.bytes as f64) }
    }

    /// Mean loss in nats per counted token.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }
}

/// Runs a model over batches. `token_bytes` has the length of each token, 0 for special ones: those and
/// masked targets (−1) are not counted.
///
/// # Errors
/// [`ErrorKind::Data`] when a target has no length, [`ErrorKind::NotFinite`] when a loss is no number,
/// [`ErrorKind::Model`] when the model fails.
pub fn bits_per_byte(model: &Gpt, batches: &[Batch], token_bytes: &[u32]) -> Result<Measured> {
    let mut measured = Measured::default();
    for batch in batches {
        let losses = no_grad(|| {
            let (ids, targets) = tensors(batch)?;
            let losses = model.loss(&ids, &targets, Reduction::None).map_err(model_error)?;
            losses.to_vec::<f32>().map_err(tensor_error)
        })?;
        for (&target, loss) in batch.targets.iter().zip(losses) {
            let Ok(id) = usize::try_from(target) else { continue };
            let Some(&bytes) = token_bytes.get(id) else {
                let message = format!(
                    "target {id} is not in the tokenizer's vocabulary of {}; use the tokenizer that the model \
                     was trained with",
                    token_bytes.len()
                );
                return Err(Error::new(ErrorKind::Data, message));
            };
            if bytes > 0 {
                measured.nats += f64::from(loss);
                measured.bytes += u64::from(bytes);
                measured.tokens += 1;
            }
        }
        if !measured.nats.is_finite() {
            let message = "the validation loss is no number: the model's weights are broken".to_string();
            return Err(Error::new(ErrorKind::NotFinite, message));
        }
    }
    Ok(measured)
}

/// Cuts ids into rows of `cols` tokens, `rows` rows a batch, so that every id but the first is a target
/// exactly once; the end is padded with masked targets.
pub fn windows(ids: &[u32], rows: usize, cols: usize) -> Vec<Batch> {
    let (rows, cols) = (rows.max(1), cols.max(1));
    let predictions = ids.len().saturating_sub(1);
    let mut batches = Vec::new();
    for start in (0..predictions).step_by(rows * cols) {
        // A last batch of fewer rows needs no padding rows.
        let rows = (predictions - start).div_ceil(cols).min(rows);
        let range = start..start + rows * cols;
        let id = |at: usize| ids.get(at).map(|&id| i64::from(id));
        batches.push(Batch {
            inputs: range.clone().map(|at| id(at).unwrap_or(0)).collect(),
            targets: range.map(|at| id(at + 1).unwrap_or(-1)).collect(),
            rows,
            cols,
        });
    }
    batches
}

/// A batch as tensors (rows, cols) of i64.
pub(crate) fn tensors(batch: &Batch) -> Result<(Tensor, Tensor)> {
    let shape = [batch.rows, batch.cols];
    let ids = Tensor::from_vec(batch.inputs.clone(), &shape).map_err(tensor_error)?;
    let targets = Tensor::from_vec(batch.targets.clone(), &shape).map_err(tensor_error)?;
    Ok((ids, targets))
}

pub(crate) fn model_error(error: mynah_nn::Error) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}

pub(crate) fn tensor_error(error: mynah_tensor::Error) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_predict_every_token_once() {
        for n in 0..40u32 {
            let ids: Vec<u32> = (100..100 + n).collect();
            let batches = windows(&ids, 2, 5);
            let targets: Vec<i64> =
                batches.iter().flat_map(|b| b.targets.clone()).filter(|&t| t >= 0).collect();
            let expect: Vec<i64> = ids.iter().skip(1).map(|&id| i64::from(id)).collect();
            assert_eq!(targets, expect);
            for batch in &batches {
                assert_eq!(batch.inputs.len(), batch.rows * batch.cols);
                for (input, target) in batch.inputs.iter().zip(&batch.targets) {
                    assert!(*target == -1 || *target == input + 1);
                }
            }
        }
    }

    #[test]
    fn no_bytes_is_no_score() {
        assert_eq!(Measured::default().bits_per_byte(), f64::INFINITY);
        let one = Measured { nats: std::f64::consts::LN_2 * 6.0, bytes: 3, tokens: 2 };
        assert!((one.bits_per_byte() - 2.0).abs() < 1e-12);
    }
}

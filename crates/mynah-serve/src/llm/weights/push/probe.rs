//! What a version says to known prompts, from a cold run of its own.

use std::path::Path;

use mynah_models::{Decoder, LoadOptions, Logits, Segment};
use serde_json::Value;

use super::push_error;
use crate::error::Result;
use crate::llm::parts::Parts;
use crate::llm::weights::trial::Probe;

/// Probes of a file.
const LINES_MAX: usize = 1_000;
/// Tokens of an answer that is computed.
const ANSWER_TOKENS: usize = 8;

/// Reads prompts, one JSON object a line with `prompt` (a text, or a list of token ids), and computes what the version in a
/// folder says to each: its likeliest tokens and their log probabilities. Lines that have `tokens` and `logprobs` are
/// taken as they are. `load`: as the servers load it.
///
/// # Errors
/// `Weights` when a line is malformed, the model cannot be loaded, or its logits are no numbers.
pub fn expect(folder: &Path, load: &LoadOptions, lines: &str) -> Result<Vec<Probe>> {
    let wrong = |error: String| push_error(error);
    let path = folder.to_str().ok_or_else(|| push_error("the folder's path is not valid UTF-8"))?;
    let mut decoder: Option<Decoder> = None;
    let mut probes = Vec::new();
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |what: &str| push_error(format!("line {} of the probes: {what}", number + 1));
        if probes.len() == LINES_MAX {
            return Err(bad("more than 1,000 probes"));
        }
        let value: Value = serde_json::from_str(line).map_err(|error| bad(&error.to_string()))?;
        let prompt = match &value["prompt"] {
            Value::String(text) => {
                let parts = Parts::find(folder, None).map_err(|error| bad(&error.to_string()))?;
                parts.tokens.prompt_of_text(text).map_err(|error| bad(&error))?
            }
            Value::Array(ids) => ids
                .iter()
                .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
                .collect::<Option<Vec<u32>>>()
                .ok_or_else(|| bad("prompt must hold token ids"))?,
            _ => return Err(bad("it needs a prompt: a text, or a list of token ids")),
        };
        if let (Some(tokens), Some(logprobs)) = (value["tokens"].as_array(), value["logprobs"].as_array()) {
            let tokens: Option<Vec<u32>> =
                tokens.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect();
            let logprobs: Option<Vec<f32>> =
                logprobs.iter().map(|found| found.as_f64().map(|found| found as f32)).collect();
            match (tokens, logprobs) {
                (Some(tokens), Some(logprobs)) if tokens.len() == logprobs.len() && !tokens.is_empty() => {
                    probes.push(Probe { prompt, tokens, logprobs });
                    continue;
                }
                _ => return Err(bad("tokens and logprobs must be lists of numbers of one length")),
            }
        }
        if decoder.is_none() {
            decoder = Some(Decoder::open(path, load).map_err(|error| wrong(error.to_string()))?);
        }
        let Some(decoder) = &mut decoder else { continue };
        let length = prompt.len() + ANSWER_TOKENS;
        if prompt.is_empty() || length > decoder.context_length() {
            return Err(bad(&format!("{} tokens do not fit the model's context", prompt.len())));
        }
        probes.push(answer(decoder, prompt).map_err(|error| bad(&error))?);
    }
    if probes.is_empty() {
        return Err(push_error("the file of probes has none"));
    }
    Ok(probes)
}

/// The likeliest tokens after a prompt, read from the first page on.
fn answer(decoder: &mut Decoder, prompt: Vec<u32>) -> std::result::Result<Probe, String> {
    let mut known = prompt.clone();
    let (mut tokens, mut logprobs, mut logits, mut start) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let pages: Vec<u32> = (0..decoder.page_count() as u32).collect();
    while tokens.len() < ANSWER_TOKENS {
        let count = known.len().div_ceil(decoder.page_tokens());
        let segment = Segment {
            tokens: &known[start..],
            start,
            pages: pages.get(..count).ok_or("the cache is too small for it")?,
            slot: 0,
            weights: 0,
            adapter: None,
            logits: Logits::Last,
        };
        if start == 0 {
            decoder.clear_slot(0).or_else(|error| match decoder.has_recurrent_state() {
                true => Err(error.to_string()),
                false => Ok(()),
            })?;
        }
        decoder.step(&[segment], &mut logits).map_err(|error| error.to_string())?;
        if let Some(broken) = logits.iter().find(|logit| logit.is_nan() || **logit == f32::INFINITY) {
            return Err(format!("the version's logits have {broken}"));
        }
        let best = (0..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best });
        let greatest = f64::from(logits[best]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - greatest).exp()).sum();
        logprobs.push(-sum.ln() as f32);
        tokens.push(best as u32);
        start = known.len();
        known.push(best as u32);
    }
    Ok(Probe { prompt, tokens, logprobs })
}

//! Requests are hostile: everything that can be wrong with one is found before the engine sees it.

use std::sync::Arc;

use super::constraint::{Constraint, ConstraintSource, GrammarCompiler};
use super::request::{LOGPROBS_MAX, Request, SAMPLES_MAX, STOP_TEXT_LEN_MAX, STOP_TEXTS_MAX};
use super::step_model::StepModel;
use super::writer::Spec;
use crate::error::{Error, ErrorKind, Result};

/// What requests are checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelFacts {
    pub vocab_size: usize,
    /// The most tokens of a sequence: the model's context, or what all pages together hold.
    pub context_length: usize,
    /// The model's own context.
    pub model_context_length: usize,
}

impl ModelFacts {
    /// Asks the model.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when it has no pages, no vocabulary or no slots.
    pub fn of(model: &dyn StepModel) -> Result<Self> {
        let page_tokens = model.page_tokens();
        let slots = if model.has_recurrent_state() { model.slot_count() } else { 1 };
        if page_tokens == 0 || model.page_count() == 0 || model.vocab_size() == 0 || slots == 0 {
            let message = format!(
                "the model has {} pages of {page_tokens} tokens, {slots} slots and {} token ids; \
                 it needs at least one of each",
                model.page_count(),
                model.vocab_size()
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
        let held = page_tokens.saturating_mul(model.page_count());
        let model_context_length = model.context_length();
        Ok(Self {
            vocab_size: model.vocab_size(),
            context_length: model_context_length.min(held),
            model_context_length,
        })
    }
}

/// Checks a request; gives what its samples share, and its constraint. The compiler is asked for only when there is
/// something to compile.
pub(super) fn check<'a>(
    request: Request,
    facts: &ModelFacts,
    compiler: impl FnOnce() -> Result<&'a GrammarCompiler>,
) -> Result<(Spec, Option<Box<dyn Constraint>>)> {
    let vocab_size = facts.vocab_size;
    let max_tokens = check_length(&request, facts)?;
    if let Some(at) = request.prompt.iter().position(|&id| id as usize >= vocab_size) {
        let message = format!(
            "token {at} of the prompt is {}, but the model knows ids below {vocab_size}",
            request.prompt[at]
        );
        return Err(Error::new(ErrorKind::Prompt, message));
    }
    let option = |message: String| Err(Error::new(ErrorKind::Option, message));
    if !(1..=SAMPLES_MAX).contains(&request.samples) {
        return option(format!("n is {}; it must be from 1 to {SAMPLES_MAX}", request.samples));
    }
    request.sampling.check(vocab_size)?;
    if request.stop_texts.len() > STOP_TEXTS_MAX {
        return option(format!("{} stop texts; at most {STOP_TEXTS_MAX}", request.stop_texts.len()));
    }
    if let Some(text) =
        request.stop_texts.iter().find(|text| text.is_empty() || text.len() > STOP_TEXT_LEN_MAX)
    {
        return option(format!(
            "a stop text has {} bytes; it must have 1 to {STOP_TEXT_LEN_MAX}",
            text.len()
        ));
    }
    for (name, value) in [("logprobs", request.logprobs), ("prompt_logprobs", request.prompt_logprobs)] {
        if let Some(value) = value.filter(|&value| value > LOGPROBS_MAX) {
            return option(format!("{name} is {value}; it must be from 0 to {LOGPROBS_MAX}"));
        }
    }
    if !(-100..=100).contains(&request.priority) {
        return option(format!("priority is {}; it must be from -100 to 100", request.priority));
    }
    let constraint = match request.constraint {
        None => None,
        Some(ConstraintSource::Custom(constraint)) => Some(constraint),
        Some(source) => Some(compiler()?.compile(source)?),
    };
    let spec = Spec {
        prompt: request.prompt,
        samples: request.samples,
        max_tokens,
        sampling: request.sampling,
        stop_texts: request.stop_texts,
        include_stop_text: request.include_stop_text,
        stop_ids: request.stop_ids,
        ignore_end: request.ignore_end,
        show_special: request.show_special,
        logprobs: request.logprobs,
        prompt_logprobs: request.prompt_logprobs,
        adapter: request.adapter,
        weights: request.weights,
        client: Arc::from(request.client),
    };
    Ok((spec, constraint))
}

/// The completion's limit; nothing is ever cut to fit.
fn check_length(request: &Request, facts: &ModelFacts) -> Result<usize> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Prompt, message));
    let prompt = request.prompt.len();
    if prompt == 0 {
        return refuse("the prompt is empty; it must have at least one token".to_string());
    }
    let context = facts.context_length;
    let limit = if context < facts.model_context_length {
        format!(
            "the memory for keys and values holds {context} (the model could read {})",
            facts.model_context_length
        )
    } else {
        format!("the model's context is {context}")
    };
    match request.max_tokens {
        None if prompt >= context => refuse(format!(
            "the prompt has {prompt} tokens and leaves no room for a completion; {limit} tokens, prompt and \
             completion together"
        )),
        None => Ok(context - prompt),
        Some(max_tokens) if prompt.saturating_add(max_tokens) > context => refuse(format!(
            "the prompt has {prompt} tokens and max_tokens is {max_tokens}, {} together; {limit} tokens",
            prompt.saturating_add(max_tokens)
        )),
        Some(max_tokens) => Ok(max_tokens),
    }
}

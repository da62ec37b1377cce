//! The fields by which clients say how tokens are chosen: OpenAI's, and those that other servers have added.

use mynah_engine::SamplingOptions;
use mynah_engine::live::{Request, STOP_TEXTS_MAX, Sampling};
use serde_json::Value;

use super::failure::{Failure, Outcome};
use super::generation::fresh_seed;
use super::input::{Input, shown};

/// Reads the common fields into a request: sampling, penalties, bias, stops, seed, and vLLM's additions.
pub(crate) fn read(body: &mut Input, request: &mut Request) -> Outcome<()> {
    request.sampling = Sampling {
        options: SamplingOptions {
            temperature: body.number("temperature", 0.0, 2.0)?.unwrap_or(1.0),
            top_k: top_k(body)?,
            top_p: share(body, "top_p")?.unwrap_or(1.0),
            min_p: body.number("min_p", 0.0, 1.0)?.unwrap_or(0.0),
            seed: body.integer("seed")?.map_or_else(fresh_seed, |seed| seed as u64),
        },
        typical_p: share(body, "typical_p")?.unwrap_or(1.0),
        repetition_penalty: body.number("repetition_penalty", 0.01, 100.0)?.unwrap_or(1.0) as f32,
        presence_penalty: body.number("presence_penalty", -2.0, 2.0)?.unwrap_or(0.0) as f32,
        frequency_penalty: body.number("frequency_penalty", -2.0, 2.0)?.unwrap_or(0.0) as f32,
        logit_bias: logit_bias(body)?,
    };
    request.stop_texts = stops(body, "stop")?;
    request.stop_ids = stop_ids(body)?;
    request.ignore_end = body.flag("ignore_eos")?.unwrap_or(false);
    request.include_stop_text = body.flag("include_stop_str_in_output")?.unwrap_or(false);
    request.show_special = !body.flag("skip_special_tokens")?.unwrap_or(true);
    if let Some(priority) = body.integer("priority")? {
        request.priority =
            i32::try_from(priority).ok().filter(|p| (-100..=100).contains(p)).ok_or_else(|| {
                Failure::field("priority", format!("priority is {priority}; it must be -100 to 100"))
            })?;
    }
    Ok(())
}

/// A probability above 0.
pub(crate) fn share(body: &mut Input, field: &str) -> Outcome<Option<f64>> {
    match body.number(field, 0.0, 1.0)? {
        Some(0.0) => {
            let name = body.name(field);
            let message = format!("{name} is 0, which leaves no token; give a number above 0 and at most 1");
            Err(Failure::field(name, message))
        }
        other => Ok(other),
    }
}

/// vLLM writes −1 for "all", others 0.
pub(crate) fn top_k(body: &mut Input) -> Outcome<usize> {
    match body.integer("top_k")? {
        None | Some(-1) => Ok(0),
        Some(k) => usize::try_from(k)
            .map_err(|_| Failure::field("top_k", format!("top_k is {k}; it must be -1, 0 (all) or greater"))),
    }
}

fn logit_bias(body: &mut Input) -> Outcome<Vec<(u32, f32)>> {
    let Some(Value::Object(map)) = body.take("logit_bias").map(|value| match value {
        // An empty list is what some clients write for an empty object.
        Value::Array(items) if items.is_empty() => Value::Object(serde_json::Map::new()),
        other => other,
    }) else {
        return Ok(Vec::new());
    };
    map.into_iter()
        .map(|(id, bias)| {
            let number = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias));
            match (id.parse::<u32>(), number) {
                (Ok(id), Some(bias)) => Ok((id, bias as f32)),
                (Err(_), _) => Err(Failure::field(
                    "logit_bias",
                    format!("logit_bias names the token {id:?}; write token ids"),
                )),
                _ => Err(Failure::field(
                    "logit_bias",
                    format!("logit_bias of token {id} is {}; it must be -100 to 100", shown(&bias)),
                )),
            }
        })
        .collect()
}

/// One text or a list of them.
pub(crate) fn stops(body: &mut Input, field: &str) -> Outcome<Vec<String>> {
    let name = body.name(field);
    let texts = match body.take(field) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                other => Err(Failure::field(
                    name.clone(),
                    format!("{name} has {}; it must hold strings", shown(&other)),
                )),
            })
            .collect::<Outcome<Vec<String>>>()?,
        Some(other) => {
            return Err(Failure::field(
                name.clone(),
                format!("{name} is {}; it must be a string or a list of strings", shown(&other)),
            ));
        }
    };
    if texts.len() > STOP_TEXTS_MAX || texts.iter().any(String::is_empty) {
        let message =
            format!("{name} has {} texts; give at most {STOP_TEXTS_MAX}, none of them empty", texts.len());
        return Err(Failure::field(name, message));
    }
    Ok(texts)
}

fn stop_ids(body: &mut Input) -> Outcome<Vec<u32>> {
    let ids = body.list("stop_token_ids")?.unwrap_or_default();
    ids.iter()
        .map(|id| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| Failure::field("stop_token_ids", "stop_token_ids must hold token ids"))
        })
        .collect()
}

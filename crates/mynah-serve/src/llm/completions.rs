//! `/v1/completions`: text or token ids in, text out.

use axum::body::Body;
use axum::http::Response;
use mynah_engine::live::{PieceToken, Request, SAMPLES_MAX, TokenLogprobs, Usage};
use serde_json::{Map, Value, json};

use super::App;
use super::failure::{Dialect, Failure, Outcome};
use super::generation::{Generation, Step, finish_reason, fresh_id, now_s, usage_json};
use super::input::{Input, shown};
use super::model::{ServedModel, Tokens};
use super::stream::{EventWriter, Stopped};
use super::weights::Versions;
use super::{json_response, sampling, stream};

/// Prompts of one request.
const PROMPTS_MAX: usize = 256;
/// What a completion gets when nobody says how long it may be, as OpenAI has it.
const MAX_TOKENS: usize = 16;
/// Alternatives a token.
const LOGPROBS_MAX: u64 = 20;

/// A request whose fields have been read.
struct Plan {
    id: String,
    created_s: i64,
    model: String,
    prompts: Vec<Vec<u32>>,
    samples: usize,
    echo: bool,
    logprobs: Option<usize>,
    stream: bool,
    stream_usage: bool,
    /// Choices tell which version of the weights wrote which tokens.
    with_weights: bool,
    versions: Versions,
}

pub(crate) async fn answer(app: &App, mut body: Input, client: String) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    let request = app.request(&model, client);
    let versions = app.versions();
    let (plan, generations, model) = app
        .work(move || {
            let (plan, request) = read(&mut body, &model, request, versions)?;
            body.finish()?;
            let start = |prompt: &Vec<u32>| Generation::start(&model, request_for(&request, prompt));
            let generations = plan.prompts.iter().map(start).collect::<Outcome<Vec<_>>>()?;
            Ok((plan, generations, model))
        })
        .await?;
    if plan.stream {
        return Ok(stream::respond(move |writer| async move {
            if let Err(Stopped::Failed(failure)) = write(&writer, &plan, &model, generations).await {
                // The client reads it where it reads everything else; nobody is left to tell when it has gone.
                let _ = writer.data(&failure.body(Dialect::OpenAi)).await;
            }
        }));
    }
    let mut choices = Vec::new();
    let mut usages = Vec::new();
    for (index, generation) in generations.into_iter().enumerate() {
        let (found, usage) = whole(&plan, &model, index, generation).await?;
        choices.extend(found);
        usages.push(usage);
    }
    Ok(json_response(&json!({
        "id": plan.id, "object": "text_completion", "created": plan.created_s, "model": plan.model,
        "choices": choices, "usage": usage_json(&usages),
    })))
}

fn read(
    body: &mut Input,
    model: &ServedModel,
    mut request: Request,
    versions: Versions,
) -> Outcome<(Plan, Request)> {
    sampling::read(body, &mut request)?;
    request.max_tokens = Some(body.count("max_tokens", 0, u64::from(u32::MAX))?.unwrap_or(MAX_TOKENS));
    let samples = body.count("n", 1, SAMPLES_MAX as u64)?.unwrap_or(1);
    if body.count("best_of", 1, SAMPLES_MAX as u64)?.is_some_and(|best_of| best_of != samples) {
        return Err(Failure::unsupported(
            "best_of",
            "best_of must equal n: this server gives back all that it samples",
        ));
    }
    if body.has("suffix") {
        return Err(Failure::unsupported(
            "suffix",
            "suffix is not supported: the models here only continue text",
        ));
    }
    let echo = body.flag("echo")?.unwrap_or(false);
    let logprobs = body.count("logprobs", 0, LOGPROBS_MAX)?;
    if request.max_tokens == Some(0) && !echo {
        return Err(Failure::field(
            "max_tokens",
            "max_tokens is 0, which only makes sense with echo; give at least 1",
        ));
    }
    request.logprobs = logprobs;
    request.prompt_logprobs = logprobs.filter(|_| echo);
    request.samples = samples;
    let stream = body.flag("stream")?.unwrap_or(false);
    let stream_usage = super::stream_usage(body, stream)?;
    body.note(&["user"]);
    let plan = Plan {
        id: fresh_id("cmpl-"),
        created_s: now_s(),
        model: model.name.clone(),
        prompts: prompts(body, model.tokens.as_ref())?,
        samples,
        echo,
        logprobs,
        stream,
        stream_usage,
        with_weights: body.flag("return_weights")?.unwrap_or(false),
        versions,
    };
    Ok((plan, request))
}

/// A text, a list of texts, token ids, or a list of those.
fn prompts(body: &mut Input, tokens: &dyn Tokens) -> Outcome<Vec<Vec<u32>>> {
    let bad = |message: String| Failure::field("prompt", message);
    let wanted = "a string, a list of strings, a list of token ids, or a list of such lists";
    let value = body.take("prompt").ok_or_else(|| body.absent("prompt"))?;
    let encode = |text: &str| tokens.prompt_of_text(text).map_err(bad);
    let prompts = match value {
        Value::String(text) => vec![encode(&text)?],
        Value::Array(items) if items.is_empty() => return Err(bad("prompt is an empty list".to_string())),
        Value::Array(items) if items[0].is_number() => vec![ids(&items, tokens)?],
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => encode(text),
                Value::Array(inner) => ids(inner, tokens),
                other => Err(bad(format!("prompt has {}; it must be {wanted}", shown(other)))),
            })
            .collect::<Outcome<_>>()?,
        other => return Err(bad(format!("prompt is {}; it must be {wanted}", shown(&other)))),
    };
    if prompts.len() > PROMPTS_MAX {
        return Err(bad(format!("{} prompts in one request; at most {PROMPTS_MAX} work", prompts.len())));
    }
    match prompts.iter().position(Vec::is_empty) {
        Some(index) => Err(bad(format!("prompt {index} is empty; the model needs at least one token"))),
        None => Ok(prompts),
    }
}

fn ids(items: &[Value], tokens: &dyn Tokens) -> Outcome<Vec<u32>> {
    let size = tokens.vocab_size();
    items
        .iter()
        .map(|item| {
            let id = item.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| (*id as usize) < size);
            id.ok_or_else(|| {
                let message =
                    format!("prompt has the token id {}; ids here are 0 to {}", shown(item), size - 1);
                Failure::field("prompt", message)
            })
        })
        .collect()
}

/// The same request with another prompt.
fn request_for(request: &Request, prompt: &[u32]) -> Request {
    Request {
        prompt: prompt.to_vec(),
        sampling: request.sampling.clone(),
        stop_texts: request.stop_texts.clone(),
        stop_ids: request.stop_ids.clone(),
        client: request.client.clone(),
        constraint: None,
        ..*request
    }
}

/// One prompt's choices, when they are complete.
async fn whole(
    plan: &Plan,
    model: &ServedModel,
    prompt: usize,
    mut generation: Generation,
) -> Outcome<(Vec<Value>, Usage)> {
    let mut texts = vec![String::new(); plan.samples];
    let mut scores: Vec<Scores> = (0..plan.samples).map(|_| Scores::default()).collect();
    let mut reasons = vec!["length"; plan.samples];
    let mut weights = vec![Value::Null; plan.samples];
    loop {
        match generation.next().await? {
            Step::Prompt(read) => {
                if plan.echo {
                    let echoed = Echo::new(&plan.prompts[prompt], read.logprobs, model.tokens.as_ref());
                    for (text, scores) in texts.iter_mut().zip(&mut scores) {
                        text.push_str(&echoed.text);
                        *scores = echoed.scores.clone();
                    }
                }
            }
            Step::Piece(piece) => {
                texts[piece.sample].push_str(&piece.text);
                scores[piece.sample].add(&piece.tokens, model.tokens.as_ref());
            }
            Step::Finished(sample, finish, spans) => {
                reasons[sample] = finish_reason(&finish);
                weights[sample] = plan.versions.spans(&spans);
            }
            Step::Done(usage) => {
                let choices = texts.iter().zip(&scores).zip(&reasons).enumerate().map(
                    |(sample, ((text, scores), reason))| {
                        let mut choice = json!({
                            "index": prompt * plan.samples + sample, "text": text, "finish_reason": reason,
                            "logprobs": plan.logprobs.map(|_| scores.json()),
                        });
                        if plan.with_weights {
                            choice["weights"] = weights[sample].take();
                        }
                        choice
                    },
                );
                return Ok((choices.collect(), usage));
            }
        }
    }
}

async fn write(
    writer: &EventWriter,
    plan: &Plan,
    model: &ServedModel,
    generations: Vec<Generation>,
) -> Result<(), Stopped> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = Map::new();
        let head = json!({
            "id": plan.id, "object": "text_completion", "created": plan.created_s, "model": plan.model,
        });
        if let Value::Object(head) = head {
            chunk.extend(head);
        }
        chunk.insert("choices".to_string(), choices);
        if plan.stream_usage {
            chunk.insert("usage".to_string(), usage);
        }
        Value::Object(chunk)
    };
    let mut usages = Vec::new();
    for (prompt, mut generation) in generations.into_iter().enumerate() {
        let mut offsets = vec![0; plan.samples];
        loop {
            let step = tokio::select! {
                step = generation.next() => step?,
                () = writer.gone() => return Err(Stopped::Gone),
            };
            let choice = |sample: usize, text: &str, scores: Option<Value>, reason: Option<&str>| {
                let index = prompt * plan.samples + sample;
                json!([{"index": index, "text": text, "logprobs": scores, "finish_reason": reason}])
            };
            match step {
                Step::Prompt(read) if plan.echo => {
                    let echoed = Echo::new(&plan.prompts[prompt], read.logprobs, model.tokens.as_ref());
                    for (sample, offset) in offsets.iter_mut().enumerate() {
                        let scores = plan.logprobs.map(|_| echoed.scores.json());
                        *offset = echoed.text.chars().count();
                        writer.data(&chunk(choice(sample, &echoed.text, scores, None), Value::Null)).await?;
                    }
                }
                Step::Prompt(_) => {}
                Step::Piece(piece) => {
                    let mut scores = Scores { length: offsets[piece.sample], ..Scores::default() };
                    scores.add(&piece.tokens, model.tokens.as_ref());
                    offsets[piece.sample] = scores.length;
                    let scores = plan.logprobs.map(|_| scores.json());
                    writer.data(&chunk(choice(piece.sample, &piece.text, scores, None), Value::Null)).await?;
                }
                Step::Finished(sample, finish, spans) => {
                    let mut last = choice(sample, "", None, Some(finish_reason(&finish)));
                    if plan.with_weights {
                        last[0]["weights"] = plan.versions.spans(&spans);
                    }
                    writer.data(&chunk(last, Value::Null)).await?;
                }
                Step::Done(usage) => {
                    usages.push(usage);
                    break;
                }
            }
        }
    }
    if plan.stream_usage {
        writer.data(&chunk(json!([]), usage_json(&usages))).await?;
    }
    writer.done().await?;
    Ok(())
}

/// The prompt as a part of the answer.
struct Echo {
    text: String,
    scores: Scores,
}

impl Echo {
    fn new(prompt: &[u32], logprobs: Option<Vec<TokenLogprobs>>, tokens: &dyn Tokens) -> Echo {
        let bytes: Vec<u8> = prompt.iter().flat_map(|id| tokens.bytes(*id).iter().copied()).collect();
        let mut scores = Scores::default();
        if let Some(all) = logprobs {
            // Nothing predicts the first token.
            let first = prompt.first().map(|id| PieceToken { id: *id, logprobs: None });
            let rest = all.into_iter().map(|one| PieceToken { id: one.id, logprobs: Some(one) });
            scores.add(&first.into_iter().chain(rest).collect::<Vec<_>>(), tokens);
        }
        Echo { text: String::from_utf8_lossy(&bytes).into_owned(), scores }
    }
}

/// Log probabilities as this older API lists them.
#[derive(Clone, Default)]
struct Scores {
    tokens: Vec<String>,
    logprobs: Vec<Value>,
    top: Vec<Value>,
    offsets: Vec<usize>,
    /// Characters so far.
    length: usize,
}

impl Scores {
    fn add(&mut self, tokens: &[PieceToken], codec: &dyn Tokens) {
        for token in tokens {
            let text = String::from_utf8_lossy(codec.bytes(token.id)).into_owned();
            self.offsets.push(self.length);
            self.length += text.chars().count();
            self.logprobs.push(token.logprobs.as_ref().map_or(Value::Null, |one| json!(one.logprob)));
            self.top.push(token.logprobs.as_ref().map_or(Value::Null, |one| {
                let named = one.top.iter().map(|(id, logprob)| {
                    (String::from_utf8_lossy(codec.bytes(*id)).into_owned(), json!(logprob))
                });
                Value::Object(named.collect())
            }));
            self.tokens.push(text);
        }
    }

    fn json(&self) -> Value {
        json!({
            "tokens": self.tokens, "token_logprobs": self.logprobs, "top_logprobs": self.top,
            "text_offset": self.offsets,
        })
    }
}

//! Writing a chat answer: whole, or as a stream of chunks.

use axum::body::Body;
use axum::http::Response;
use mynah_engine::live::{Finish, PieceToken, Usage};
use serde_json::{Map, Value, json};

use super::ask::{Plan, read};
use crate::llm::failure::{Dialect, Outcome};
use crate::llm::generation::{finish_reason, usage_json};
use crate::llm::input::Input;
use crate::llm::model::Tokens;
use crate::llm::served::{Round, Rounds, served_json};
use crate::llm::stream::{EventWriter, Stopped};
use crate::llm::turn::{Call, CallPiece, Part, Turn};
use crate::llm::weights::Versions;
use crate::llm::{App, json_response, stream};

/// Answers a request.
pub(crate) async fn answer(app: &App, mut body: Input, client: String) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    let request = app.request(&model, client);
    let call_pieces = app.config.incremental_tool_calls;
    let tools = app.config.tools.clone();
    let versions = app.versions();
    let (plan, turns) = app
        .work(move || {
            let (plan, ask) = read(body, request, call_pieces)?;
            Ok((plan, Rounds::start(ask, &model, &tools.0)?))
        })
        .await?;
    if plan.stream {
        return Ok(stream::respond(move |writer| async move {
            if let Err(Stopped::Failed(failure)) = write(&writer, &plan, turns, &versions).await {
                // The client reads it where it reads everything else; nobody is left to tell when it has gone.
                let _ = writer.data(&failure.body(Dialect::OpenAi)).await;
            }
        }));
    }
    whole(&plan, turns, &versions).await
}

/// What one sample has come to.
#[derive(Default)]
struct Message {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
    /// Calls that the server has run.
    served: Vec<Value>,
    scores: Vec<Value>,
    reason: &'static str,
    weights: Option<Value>,
}

async fn whole(plan: &Plan, mut turns: Rounds, versions: &Versions) -> Outcome<Response<Body>> {
    let mut messages: Vec<Message> = (0..plan.samples).map(|_| Message::default()).collect();
    let model = turns.model().clone();
    let usage = loop {
        let turn = match turns.next().await? {
            Round::Turn(turn) => turn,
            Round::Served { call, output } => {
                messages[0].served.push(served_json(&call, &output));
                continue;
            }
        };
        match turn {
            Turn::Prompt { .. } => {}
            Turn::Parts { sample, parts, tokens } => {
                let message = &mut messages[sample];
                if plan.logprobs {
                    message.scores.extend(scores(&tokens, model.tokens.as_ref()));
                }
                for part in parts {
                    match part {
                        Part::Text(text) => message.text.push_str(&text),
                        Part::Reasoning(text) => message.reasoning.push_str(&text),
                        Part::Call(call) => message.calls.push(call),
                        // Only streams have them.
                        Part::CallPiece(_) => {}
                    }
                }
            }
            Turn::Finished { sample, finish, spans } => {
                messages[sample].weights = plan.with_weights.then(|| versions.spans(&spans));
                messages[sample].reason = reason(&finish, !messages[sample].calls.is_empty());
            }
            Turn::Done(usage) => break usage,
        }
    };
    let choices: Vec<Value> = messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| {
            let mut fields = Map::new();
            fields.insert("role".to_string(), json!("assistant"));
            let has_calls = !message.calls.is_empty();
            // No text at all beside calls is null, as OpenAI has it.
            let content =
                if has_calls && message.text.is_empty() { Value::Null } else { json!(message.text) };
            fields.insert("content".to_string(), content);
            fields.insert("refusal".to_string(), Value::Null);
            if !message.reasoning.is_empty() {
                fields.insert("reasoning_content".to_string(), json!(message.reasoning));
            }
            if has_calls {
                fields.insert("tool_calls".to_string(), message.calls.iter().map(call_json).collect());
            }
            if !message.served.is_empty() {
                fields.insert("server_tool_calls".to_string(), Value::Array(message.served));
            }
            let logprobs = plan.logprobs.then(|| json!({"content": message.scores, "refusal": null}));
            let mut choice = json!({
                "index": index, "message": fields, "logprobs": logprobs, "finish_reason": message.reason,
            });
            if let Some(weights) = message.weights {
                choice["weights"] = weights;
            }
            choice
        })
        .collect();
    Ok(json_response(&json!({
        "id": plan.id, "object": "chat.completion", "created": plan.created_s, "model": model.name, "choices": choices,
        "usage": with_reasoning(usage, &turns), "system_fingerprint": null,
    })))
}

/// Usage that says how much of the answer was reasoning.
fn with_reasoning(usage: Usage, turns: &Rounds) -> Value {
    let mut value = usage_json(&[usage]);
    value["completion_tokens_details"] = json!({"reasoning_tokens": turns.reasoning_tokens()});
    value
}

fn reason(finish: &Finish, has_calls: bool) -> &'static str {
    match finish {
        Finish::Stop(_) if has_calls => "tool_calls",
        other => finish_reason(other),
    }
}

fn call_json(call: &Call) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// Name and id only come with the first piece.
fn piece_json(piece: CallPiece, index: usize) -> Value {
    match piece.begin {
        Some((id, name)) => json!({
            "index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": piece.arguments},
        }),
        None => json!({"index": index, "function": {"arguments": piece.arguments}}),
    }
}

/// Log probabilities of tokens.
pub(crate) fn scores<'a>(
    tokens: &'a [PieceToken],
    codec: &'a dyn Tokens,
) -> impl Iterator<Item = Value> + 'a {
    let one = |id: u32, logprob: f32| {
        let bytes = codec.bytes(id);
        json!({"token": String::from_utf8_lossy(bytes), "logprob": logprob, "bytes": bytes})
    };
    tokens.iter().filter_map(move |token| {
        let found = token.logprobs.as_ref()?;
        let mut value = one(found.id, found.logprob);
        value["top_logprobs"] = found.top.iter().map(|(id, logprob)| one(*id, *logprob)).collect();
        Some(value)
    })
}

async fn write(
    writer: &EventWriter,
    plan: &Plan,
    mut turns: Rounds,
    versions: &Versions,
) -> Result<(), Stopped> {
    let model = turns.model().clone();
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": plan.id, "object": "chat.completion.chunk", "created": plan.created_s, "model": model.name,
            "choices": choices, "system_fingerprint": null,
        });
        if plan.stream_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        chunk
    };
    let choice = |sample: usize, delta: Value, scores: Option<Value>, reason: Option<&str>| {
        chunk(json!([{"index": sample, "delta": delta, "logprobs": scores, "finish_reason": reason}]), None)
    };
    for sample in 0..plan.samples {
        writer.data(&choice(sample, json!({"role": "assistant", "content": ""}), None, None)).await?;
    }
    let mut calls = vec![0; plan.samples];
    loop {
        let turn = tokio::select! {
            turn = turns.next() => turn?,
            () = writer.gone() => return Err(Stopped::Gone),
        };
        let turn = match turn {
            Round::Turn(turn) => turn,
            Round::Served { call, output } => {
                let delta = json!({"server_tool_calls": [served_json(&call, &output)]});
                writer.data(&choice(0, delta, None, None)).await?;
                continue;
            }
        };
        match turn {
            Turn::Prompt { .. } => {}
            Turn::Parts { sample, parts, tokens } => {
                let scores = plan.logprobs.then(|| {
                    json!({"content": scores(&tokens, model.tokens.as_ref()).collect::<Vec<_>>(), "refusal": null})
                });
                let mut scores = scores.filter(|_| !tokens.is_empty());
                if parts.is_empty() && scores.is_some() {
                    // The text is held back, its tokens are not: they come with an empty piece.
                    writer.data(&choice(sample, json!({"content": ""}), scores.take(), None)).await?;
                }
                for part in parts {
                    let delta = match part {
                        Part::Text(text) => json!({"content": text}),
                        Part::Reasoning(text) => json!({"reasoning_content": text}),
                        Part::Call(call) => {
                            let mut value = call_json(&call);
                            value["index"] = json!(calls[sample]);
                            calls[sample] += 1;
                            json!({"tool_calls": [value]})
                        }
                        Part::CallPiece(piece) => {
                            calls[sample] += usize::from(piece.begin.is_some());
                            // The one that has begun last.
                            json!({"tool_calls": [piece_json(piece, calls[sample] - 1)]})
                        }
                    };
                    writer.data(&choice(sample, delta, scores.take(), None)).await?;
                }
            }
            Turn::Finished { sample, finish, spans } => {
                let reason = reason(&finish, calls[sample] > 0);
                let mut last = choice(sample, json!({}), None, Some(reason));
                if plan.with_weights {
                    last["choices"][0]["weights"] = versions.spans(&spans);
                }
                writer.data(&last).await?;
            }
            Turn::Done(usage) => {
                if plan.stream_usage {
                    writer.data(&chunk(json!([]), Some(with_reasoning(usage, &turns)))).await?;
                }
                writer.done().await?;
                return Ok(());
            }
        }
    }
}

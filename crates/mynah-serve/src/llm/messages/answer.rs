//! Writing an answer of Anthropic's Messages API: whole, or as named events.

use axum::body::Body;
use axum::http::Response;
use mynah_engine::live::{Finish, Request, StopCause, Usage};
use serde_json::{Value, json};

use super::ask::{Plan, conversation, read};
use crate::llm::failure::{Dialect, Outcome};
use crate::llm::input::Input;
use crate::llm::served::Rounds;
use crate::llm::stream::{EventWriter, Gone, Stopped};
use crate::llm::turn::{self, Call, Part, Turn};
use crate::llm::{App, json_response, stream};

/// Answers a request.
pub(crate) async fn answer(app: &App, mut body: Input, client: String) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    let request = app.request(&model, client);
    let tools = app.config.tools.clone();
    let (plan, turns) = app
        .work(move || {
            let (plan, ask) = read(body, request)?;
            Ok((plan, Rounds::start(ask, &model, &tools.0)?))
        })
        .await?;
    if plan.stream {
        return Ok(stream::respond(move |writer| async move {
            if let Err(Stopped::Failed(failure)) = write(&writer, &plan, turns).await {
                // Nobody is left to tell when the client has gone.
                let _ = writer.named("error", &failure.body(Dialect::Anthropic)).await;
            }
        }));
    }
    whole(&plan, turns).await
}

/// How many tokens a request would have.
pub(crate) async fn count_tokens(app: &App, mut body: Input) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    app.work(move || {
        let mut ask = conversation(body, Request::new(Vec::new()), None)?;
        if ask.choice == turn::Choice::None {
            ask.conversation.tools.clear();
        }
        let prompt = turn::prompt(&ask.conversation, &ask.options, &model)?;
        Ok(json_response(&json!({"input_tokens": prompt.ids.len()})))
    })
    .await
}

/// The blocks of an answer so far.
#[derive(Default)]
struct Blocks(Vec<Block>);

enum Block {
    Text(String),
    Thinking(String),
    Call(Call),
}

impl Blocks {
    fn add(&mut self, part: Part) {
        match (part, self.0.last_mut()) {
            (Part::Text(more), Some(Block::Text(text))) => text.push_str(&more),
            (Part::Reasoning(more), Some(Block::Thinking(text))) => text.push_str(&more),
            (Part::Text(text), _) => self.0.push(Block::Text(text)),
            (Part::Reasoning(text), _) => self.0.push(Block::Thinking(text)),
            (Part::Call(call), _) => self.0.push(Block::Call(call)),
            // Nobody asked for them here.
            (Part::CallPiece(_), _) => {}
        }
    }

    fn has_calls(&self) -> bool {
        self.0.iter().any(|block| matches!(block, Block::Call(_)))
    }
}

impl Block {
    fn json(&self) -> Value {
        match self {
            Block::Text(text) => json!({"type": "text", "text": text}),
            // There is no other party whose signature would be checked.
            Block::Thinking(text) => json!({"type": "thinking", "thinking": text, "signature": ""}),
            Block::Call(call) => json!({
                "type": "tool_use", "id": call.id, "name": call.name, "input": arguments(call),
            }),
        }
    }
}

/// Parsers only give calls whose arguments are an object.
fn arguments(call: &Call) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}))
}

/// Reason and stop text, in this API's words.
fn stop(finish: &Finish, has_calls: bool) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop(StopCause::Text(text)) => ("stop_sequence", Some(text)),
        Finish::Stop(_) if has_calls => ("tool_use", None),
        Finish::Length => ("max_tokens", None),
        Finish::Stop(_) | Finish::Cancelled => ("end_turn", None),
    }
}

/// Tokens of the prompt are split into those that were computed and those that were found.
fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens - usage.cached_tokens, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens, "output_tokens": usage.completion_tokens,
    })
}

async fn whole(plan: &Plan, mut turns: Rounds) -> Outcome<Response<Body>> {
    let mut blocks = Blocks::default();
    let mut finish = Finish::Cancelled;
    let mut served = Vec::new();
    let usage_found = loop {
        match turns.next_turn(&mut served).await? {
            Turn::Prompt { .. } => {}
            Turn::Parts { parts, .. } => parts.into_iter().for_each(|part| blocks.add(part)),
            Turn::Finished { finish: found, .. } => finish = found,
            Turn::Done(usage) => break usage,
        }
    };
    let (reason, sequence) = stop(&finish, blocks.has_calls());
    let mut message = json!({
        "id": plan.id, "type": "message", "role": "assistant", "model": turns.model().name,
        "content": blocks.0.iter().map(Block::json).collect::<Vec<_>>(), "stop_reason": reason,
        "stop_sequence": sequence, "usage": usage(&usage_found),
    });
    if !served.is_empty() {
        message["server_tool_calls"] = Value::Array(served);
    }
    Ok(json_response(&message))
}

/// The block that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
}

/// Writes blocks one after the other, as the API wants them.
struct BlockWriter<'a> {
    writer: &'a EventWriter,
    open: Open,
    index: usize,
    has_calls: bool,
}

impl BlockWriter<'_> {
    async fn begin(&self, block: Value) -> Result<(), Gone> {
        let event = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        self.writer.named("content_block_start", &event).await
    }

    async fn delta(&self, delta: Value) -> Result<(), Gone> {
        let event = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        self.writer.named("content_block_delta", &event).await
    }

    async fn end(&mut self) -> Result<(), Gone> {
        let event = json!({"type": "content_block_stop", "index": self.index});
        self.writer.named("content_block_stop", &event).await?;
        self.index += 1;
        self.open = Open::Nothing;
        Ok(())
    }

    async fn change(&mut self, to: Open) -> Result<(), Gone> {
        if self.open == to {
            return Ok(());
        }
        if self.open == Open::Thinking {
            self.delta(json!({"type": "signature_delta", "signature": ""})).await?;
        }
        if self.open != Open::Nothing {
            self.end().await?;
        }
        match to {
            Open::Nothing => {}
            Open::Text => self.begin(json!({"type": "text", "text": ""})).await?,
            Open::Thinking => {
                self.begin(json!({"type": "thinking", "thinking": "", "signature": ""})).await?
            }
        }
        self.open = to;
        Ok(())
    }

    async fn part(&mut self, part: Part) -> Result<(), Gone> {
        match part {
            Part::Text(text) => {
                self.change(Open::Text).await?;
                self.delta(json!({"type": "text_delta", "text": text})).await
            }
            Part::Reasoning(text) => {
                self.change(Open::Thinking).await?;
                self.delta(json!({"type": "thinking_delta", "thinking": text})).await
            }
            Part::Call(call) => {
                self.change(Open::Nothing).await?;
                self.has_calls = true;
                self.begin(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}))
                    .await?;
                self.delta(json!({"type": "input_json_delta", "partial_json": call.arguments})).await?;
                self.end().await
            }
            // Nobody asked for them here.
            Part::CallPiece(_) => Ok(()),
        }
    }
}

async fn write(writer: &EventWriter, plan: &Plan, mut turns: Rounds) -> Result<(), Stopped> {
    let mut blocks = BlockWriter { writer, open: Open::Nothing, index: 0, has_calls: false };
    let mut finish = Finish::Cancelled;
    let mut served = Vec::new();
    loop {
        let turn = tokio::select! {
            turn = turns.next_turn(&mut served) => turn?,
            () = writer.gone() => return Err(Stopped::Gone),
        };
        match turn {
            Turn::Prompt { cached_tokens } => {
                let read =
                    Usage { prompt_tokens: turns.prompt_tokens(), cached_tokens, completion_tokens: 0 };
                let message = json!({
                    "id": plan.id, "type": "message", "role": "assistant", "model": turns.model().name, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage(&read),
                });
                writer.named("message_start", &json!({"type": "message_start", "message": message})).await?;
                writer.named("ping", &json!({"type": "ping"})).await?;
            }
            Turn::Parts { parts, .. } => {
                for part in parts {
                    blocks.part(part).await?;
                }
            }
            Turn::Finished { finish: found, .. } => finish = found,
            Turn::Done(found) => {
                blocks.change(Open::Nothing).await?;
                let (reason, sequence) = stop(&finish, blocks.has_calls);
                let mut delta = json!({
                    "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence},
                    "usage": usage(&found),
                });
                if !served.is_empty() {
                    delta["server_tool_calls"] = Value::Array(served);
                }
                writer.named("message_delta", &delta).await?;
                writer.named("message_stop", &json!({"type": "message_stop"})).await?;
                return Ok(());
            }
        }
    }
}

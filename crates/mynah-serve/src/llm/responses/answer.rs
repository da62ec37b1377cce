//! Writing an answer of the Responses API: whole, or as semantic events.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use mynah_engine::live::{Finish, Usage};
use serde_json::{Value, json};

use super::ask::{self, Plan, read};
use super::assembly::Assembly;
use super::store::Stored;
use crate::llm::failure::{Failure, Outcome};
use crate::llm::generation::now_s;
use crate::llm::input::Input;
use crate::llm::served::Rounds;
use crate::llm::stream::{EventWriter, Stopped};
use crate::llm::turn::{self, Part, Turn};
use crate::llm::{App, chat, json_response, stream};

/// Answers a request.
pub(crate) async fn answer(app: &Arc<App>, mut body: Input, client: String) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    let request = app.request(&model, client);
    let reader = Arc::clone(app);
    let tools = app.config.tools.clone();
    let (plan, turns) = app
        .work(move || {
            let (plan, ask) = read(&reader, body, &model, request)?;
            Ok((plan, Rounds::start(ask, &model, &tools.0).map_err(of_this_api)?))
        })
        .await?;
    let app = Arc::clone(app);
    if plan.stream {
        return Ok(stream::respond(move |writer| async move {
            // How it ended has been told, unless nobody is left to be told.
            let _ = write(&app, Some(writer), plan, turns).await;
        }));
    }
    match write(&app, None, plan, turns).await {
        Ok(response) => Ok(json_response(&response)),
        Err(Stopped::Failed(failure)) => Err(failure),
        Err(Stopped::Gone) => Ok(Response::new(Body::empty())),
    }
}

/// How many tokens a request would have.
pub(crate) async fn count_tokens(app: &Arc<App>, mut body: Input, client: String) -> Outcome<Response<Body>> {
    let model = app.model(&mut body)?;
    let reader = Arc::clone(app);
    app.work(move || {
        if body.text("truncation")?.is_some_and(|kind| kind != "disabled") {
            let message = "truncation can only be disabled here: nothing is ever cut from a conversation";
            return Err(Failure::unsupported("truncation", message));
        }
        let mut ask = ask::conversation(&reader, &mut body, &client)?.ask;
        body.finish()?;
        if ask.choice == turn::Choice::None {
            ask.conversation.tools.clear();
        }
        let prompt = turn::prompt(&ask.conversation, &ask.options, &model).map_err(of_this_api)?;
        Ok(json_response(&json!({"object": "response.input_tokens", "input_tokens": prompt.ids.len()})))
    })
    .await
}

/// What other APIs call messages is called input here.
fn of_this_api(mut failure: Failure) -> Failure {
    if failure.param.as_deref() == Some("messages") {
        failure.param = Some("input".to_string());
    }
    failure
}

/// Where events go: to the client, numbered, or nowhere.
struct Teller {
    writer: Option<EventWriter>,
    number: u64,
    /// Calls that the server has run.
    served: Vec<Value>,
}

impl Teller {
    async fn tell(&mut self, events: Vec<Value>) -> Result<(), Stopped> {
        let Some(writer) = &self.writer else { return Ok(()) };
        for mut event in events {
            event["sequence_number"] = json!(self.number);
            self.number += 1;
            writer.named(event["type"].as_str().unwrap_or_default(), &event).await?;
        }
        Ok(())
    }

    /// The next turn, unless the client goes away before.
    async fn next(&mut self, turns: &mut Rounds) -> Result<Turn, Stopped> {
        match &self.writer {
            None => Ok(turns.next_turn(&mut self.served).await?),
            Some(writer) => tokio::select! {
                turn = turns.next_turn(&mut self.served) => Ok(turn?),
                () = writer.gone() => Err(Stopped::Gone),
            },
        }
    }
}

/// Answers to the end, tells of it on the way, keeps the response if that is wanted, and gives it.
async fn write(
    app: &App,
    writer: Option<EventWriter>,
    plan: Plan,
    mut turns: Rounds,
) -> Result<Value, Stopped> {
    let mut teller = Teller { writer, number: 0, served: Vec::new() };
    let mut assembly = Assembly::new(plan.head.clone());
    teller.tell(assembly.begin()).await?;
    let (finish, usage) = match parts(&mut teller, &mut assembly, &plan, &mut turns).await {
        Ok(end) => end,
        Err(Stopped::Gone) => return Err(Stopped::Gone),
        Err(Stopped::Failed(failure)) => {
            let mut events = assembly.close(false);
            let error = json!({"code": "server_error", "message": failure.message});
            let response = assembly.response("failed", json!({"error": error}));
            events.push(json!({"type": "response.failed", "response": response}));
            teller.tell(events).await?;
            return Err(Stopped::Failed(failure));
        }
    };
    let is_whole = finish != Finish::Length;
    let mut events = assembly.close(is_whole);
    let usage = usage_json(&usage, turns.reasoning_tokens());
    let (status, more) = match is_whole {
        true => ("completed", json!({"usage": usage, "completed_at": now_s()})),
        false => {
            let details = json!({"reason": "max_output_tokens"});
            ("incomplete", json!({"usage": usage, "incomplete_details": details}))
        }
    };
    let mut response = assembly.response(status, more);
    if !teller.served.is_empty() {
        response["server_tool_calls"] = Value::Array(std::mem::take(&mut teller.served));
    }
    // Kept before the client hears of the end: it may ask at once.
    if plan.store {
        let conversation = plan.before.iter().chain(&plan.input).chain(assembly.items()).cloned().collect();
        let stored = Stored { response: response.clone(), input: plan.input, conversation };
        app.store.put(&plan.client, &plan.id, stored);
    }
    events.push(json!({"type": format!("response.{status}"), "response": response}));
    teller.tell(events).await?;
    Ok(response)
}

/// All parts of an answer; how it ended.
async fn parts(
    teller: &mut Teller,
    assembly: &mut Assembly,
    plan: &Plan,
    turns: &mut Rounds,
) -> Result<(Finish, Usage), Stopped> {
    let tokens = Arc::clone(&turns.model().tokens);
    let mut finish = Finish::Cancelled;
    // Scores of tokens whose text is held back.
    let mut scores = Vec::new();
    loop {
        match teller.next(turns).await? {
            Turn::Prompt { .. } => {}
            Turn::Parts { parts, tokens: new, .. } => {
                if plan.logprobs {
                    scores.extend(chat::scores(&new, tokens.as_ref()));
                }
                let last = parts.len().saturating_sub(1);
                for (place, part) in parts.into_iter().enumerate() {
                    // Tokens belong to the kind of text that comes out after them.
                    let own = if place == last { std::mem::take(&mut scores) } else { Vec::new() };
                    let own = if matches!(part, Part::Text(_)) { own } else { Vec::new() };
                    teller.tell(assembly.add(part, own)).await?;
                }
            }
            Turn::Finished { finish: found, .. } => finish = found,
            Turn::Done(usage) => return Ok((finish, usage)),
        }
    }
}

fn usage_json(usage: &Usage, reasoning_tokens: usize) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

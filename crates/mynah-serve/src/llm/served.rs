//! Tools that the server runs itself.
//!
//! A call of one does not reach the client as a call: it is run, the model is told the result, and the answer goes on,
//! so that a client that knows nothing of tools gets the answer to its question. What was run, and what came out, is
//! told beside the answer (`server_tool_calls`). Tools of the client stay the client's: an answer that calls one of
//! them ends there, as always.

use std::fmt;
use std::sync::Arc;

use mynah_chat::{Conversation, Message, RenderOptions, Role, Tool, ToolCall, ToolFormat};
use mynah_engine::calculator;
use mynah_engine::live::{Finish, Request, Usage, WeightsSpan};
use serde_json::{Value, json};

use super::failure::{Failure, Kind, Outcome};
use super::model::ServedModel;
use super::turn::{Ask, Call, Choice, Part, Turn, Turns};

/// A tool that the server runs.
pub trait ServerTool: Send + Sync {
    /// What the model is told of it, in the form of OpenAI's `tools`.
    fn definition(&self) -> Value;

    /// Runs a call; `arguments` is JSON text, written by the model. What goes wrong is told in the text, too: the model
    /// reads it. Called on a thread that may wait; the tool keeps its own limits of time and memory.
    fn run(&self, arguments: &str) -> String;
}

/// The tools of a server.
#[derive(Clone, Default)]
pub struct ServerTools(pub Vec<Arc<dyn ServerTool>>);

impl fmt::Debug for ServerTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|tool| tool.definition())).finish()
    }
}

/// How often the model is asked again within one answer.
const ROUNDS_MAX: usize = 8;
/// The most text of one result that the model is told.
const OUTPUT_BYTES_MAX: usize = 32 << 10;

/// What happens in an answer.
pub(crate) enum Round {
    /// As without tools of the server; calls are the client's.
    Turn(Turn),
    /// A tool of the server was run.
    Served { call: Call, output: String },
}

/// An answer in as many rounds as its calls of the server's tools need.
pub(crate) struct Rounds {
    turns: Turns,
    served: Option<Served>,
    usage: Usage,
    reasoning_tokens: usize,
    /// Which weights wrote the rounds before.
    spans: Vec<WeightsSpan>,
    ready: Vec<Round>,
}

/// What is needed to ask again.
struct Served {
    tools: Vec<(String, Arc<dyn ServerTool>)>,
    conversation: Conversation,
    options: RenderOptions,
    request: Request,
    model: ServedModel,
    rounds: usize,
    /// What this round has said and called so far.
    text: String,
    calls: Vec<Call>,
    has_own_calls: bool,
    is_held: bool,
}

impl Rounds {
    /// Starts an answer; call it on a thread that may wait. The server's tools are offered when the model knows how to
    /// call, and the request neither forbids calls, forces one, wants a format, nor several answers.
    ///
    /// # Errors
    /// As [`Ask::start`].
    pub(crate) fn start(mut ask: Ask, model: &ServedModel, tools: &[Arc<dyn ServerTool>]) -> Outcome<Rounds> {
        // What a model has learned to call is there for it, in a server without tools, too.
        let learned: &[Arc<dyn ServerTool>] = match model.tool_format {
            ToolFormat::Mynah => &[Arc::new(Calculator)],
            _ => &[],
        };
        let tools = || tools.iter().chain(learned);
        let offers = tools().next().is_some()
            && ask.choice == Choice::Auto
            && ask.format.is_none()
            && ask.request.samples == 1
            && model.tool_format != ToolFormat::None;
        let mut served = None;
        if offers {
            let mut offered = Vec::new();
            for tool in tools() {
                let definition = Tool::from_json(&tool.definition())
                    .map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
                let name = definition.name().to_string();
                // A tool of the client's goes before one of the server's that is called the same.
                if !ask.conversation.tools.iter().any(|own| own.name() == name) {
                    ask.conversation.tools.push(definition);
                    offered.push((name, Arc::clone(tool)));
                }
            }
            // A call is known to be the server's when it is whole.
            ask.call_pieces = false;
            served = Some(Served {
                tools: offered,
                conversation: ask.conversation.clone(),
                options: ask.options.clone(),
                request: copy(&ask.request),
                model: model.clone(),
                rounds: 1,
                text: String::new(),
                calls: Vec::new(),
                has_own_calls: false,
                is_held: false,
            });
        }
        let turns = ask.start(model)?;
        Ok(Rounds {
            turns,
            served,
            usage: Usage::default(),
            reasoning_tokens: 0,
            spans: Vec::new(),
            ready: Vec::new(),
        })
    }

    /// Tokens of the first round's prompt.
    pub(crate) fn prompt_tokens(&self) -> usize {
        self.turns.prompt_tokens()
    }

    /// The next turn; what the server ran on the way is added to `served`.
    pub(crate) async fn next_turn(&mut self, served: &mut Vec<Value>) -> Outcome<Turn> {
        loop {
            match self.next().await? {
                Round::Turn(turn) => return Ok(turn),
                Round::Served { call, output } => served.push(served_json(&call, &output)),
            }
        }
    }

    /// Tokens of reasoning so far.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens + self.turns.reasoning_tokens()
    }

    /// The model that answers.
    pub(crate) fn model(&self) -> &ServedModel {
        self.turns.model()
    }

    /// The next that is worth telling.
    pub(crate) async fn next(&mut self) -> Outcome<Round> {
        loop {
            if let Some(round) = self.ready.pop() {
                return Ok(round);
            }
            let turn = self.turns.next().await?;
            let Some(served) = &mut self.served else { return Ok(Round::Turn(turn)) };
            match turn {
                Turn::Prompt { .. } if served.rounds > 1 => {}
                Turn::Prompt { .. } => return Ok(Round::Turn(turn)),
                Turn::Parts { sample, parts, tokens } => {
                    let parts = served.keep(parts);
                    if !parts.is_empty() || !tokens.is_empty() {
                        return Ok(Round::Turn(Turn::Parts { sample, parts, tokens }));
                    }
                }
                Turn::Finished { sample, finish, spans } => {
                    self.spans.extend(spans);
                    let goes_on = !served.calls.is_empty() && !served.has_own_calls;
                    served.is_held = goes_on && matches!(finish, Finish::Stop(_));
                    if !served.is_held {
                        let spans = std::mem::take(&mut self.spans);
                        return Ok(Round::Turn(Turn::Finished { sample, finish, spans }));
                    }
                }
                Turn::Done(usage) => {
                    self.usage.prompt_tokens += usage.prompt_tokens;
                    self.usage.cached_tokens += usage.cached_tokens;
                    self.usage.completion_tokens += usage.completion_tokens;
                    if !served.is_held {
                        return Ok(Round::Turn(Turn::Done(self.usage)));
                    }
                    self.go_on(usage.completion_tokens).await?;
                }
            }
        }
    }

    /// Runs what was called and asks again.
    async fn go_on(&mut self, written: usize) -> Outcome<()> {
        let Some(mut served) = self.served.take() else { return Ok(()) };
        self.reasoning_tokens += self.turns.reasoning_tokens();
        let may_go_on =
            served.rounds < ROUNDS_MAX && served.request.max_tokens.is_none_or(|most| most > written);
        let job = move || {
            let outputs = served.run(may_go_on);
            if let Some(most) = &mut served.request.max_tokens {
                *most = most.saturating_sub(written);
            }
            let turns = may_go_on.then(|| served.ask_again(&outputs)).transpose();
            (served, outputs, turns)
        };
        let done = tokio::task::spawn_blocking(job).await;
        let Ok((mut served, outputs, turns)) = done else {
            // The panic has been printed by its thread; the server goes on.
            return Err(Failure::new(Kind::Internal, "a tool of the server failed"));
        };
        let calls = std::mem::take(&mut served.calls);
        // Taken from the end.
        self.ready.extend(
            calls.into_iter().zip(outputs).map(|(call, output)| Round::Served { call, output }).rev(),
        );
        served.is_held = false;
        match turns? {
            Some(turns) => self.turns = turns,
            None => {
                let finish = Finish::Length;
                let spans = std::mem::take(&mut self.spans);
                let end = [Turn::Done(self.usage), Turn::Finished { sample: 0, finish, spans }];
                self.ready.splice(0..0, end.map(Round::Turn));
            }
        }
        served.rounds += 1;
        self.served = Some(served);
        Ok(())
    }
}

impl Served {
    /// Takes the calls of the server's tools out of what the client is told.
    fn keep(&mut self, parts: Vec<Part>) -> Vec<Part> {
        let mut told = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Call(call) if self.tools.iter().any(|(name, _)| *name == call.name) => {
                    self.calls.push(call)
                }
                part => {
                    if let Part::Text(text) = &part {
                        self.text.push_str(text);
                    }
                    self.has_own_calls |= matches!(part, Part::Call(_));
                    told.push(part);
                }
            }
        }
        told
    }

    /// The results, in the order of the calls.
    fn run(&self, may_go_on: bool) -> Vec<String> {
        let one = |call: &Call| {
            let tool = self.tools.iter().find(|(name, _)| *name == call.name);
            match tool {
                Some((_, tool)) if may_go_on => shorten(tool.run(&call.arguments)),
                _ => "not run: the answer has no room left".to_string(),
            }
        };
        self.calls.iter().map(one).collect()
    }

    /// The conversation with the calls and their results, asked again.
    fn ask_again(&mut self, outputs: &[String]) -> Outcome<Turns> {
        let tool_calls = self.calls.iter().map(|call| ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        });
        let said = Message {
            tool_calls: tool_calls.collect(),
            ..Message::text(Role::Assistant, std::mem::take(&mut self.text))
        };
        self.conversation.messages.push(said);
        for (call, output) in self.calls.iter().zip(outputs) {
            self.conversation.messages.push(Message {
                tool_call_id: Some(call.id.clone()),
                name: Some(call.name.clone()),
                ..Message::text(Role::Tool, output.clone())
            });
        }
        let ask = Ask {
            conversation: self.conversation.clone(),
            options: self.options.clone(),
            choice: Choice::Auto,
            one_call: false,
            call_pieces: false,
            format: None,
            request: copy(&self.request),
        };
        ask.start(&self.model)
    }
}

/// The calculator, for models that have learned to call `python` with an expression: it gives Python's answer.
struct Calculator;

impl ServerTool for Calculator {
    fn definition(&self) -> Value {
        json!({"type": "function", "function": {
            "name": "python", "description": "Computes one expression.",
            "parameters": {
                "type": "object", "required": ["code"], "additionalProperties": false,
                "properties": {"code": {"type": "string"}},
            },
        }})
    }

    fn run(&self, arguments: &str) -> String {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        arguments["code"].as_str().map_or_else(|| "error: no code".to_string(), calculator::answer)
    }
}

/// A result that fits, and says what is missing.
fn shorten(mut output: String) -> String {
    if output.len() > OUTPUT_BYTES_MAX {
        let total = output.len();
        let end = (0..=OUTPUT_BYTES_MAX).rev().find(|&at| output.is_char_boundary(at)).unwrap_or(0);
        output.truncate(end);
        output.push_str(&format!("\n[cut here: {end} of {total} bytes]"));
    }
    output
}

/// A request without prompt and constraint.
fn copy(request: &Request) -> Request {
    Request {
        samples: request.samples,
        max_tokens: request.max_tokens,
        sampling: request.sampling.clone(),
        stop_texts: request.stop_texts.clone(),
        include_stop_text: request.include_stop_text,
        stop_ids: request.stop_ids.clone(),
        ignore_end: request.ignore_end,
        show_special: request.show_special,
        logprobs: request.logprobs,
        prompt_logprobs: request.prompt_logprobs,
        adapter: request.adapter,
        weights: request.weights,
        priority: request.priority,
        client: request.client.clone(),
        deadline: request.deadline,
        ..Request::new(Vec::new())
    }
}

/// A call that the server has run, as clients are told of it.
pub(crate) fn served_json(call: &Call, output: &str) -> Value {
    json!({
        "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments},
        "output": output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_results_say_that_they_are_cut() {
        assert_eq!(shorten("short".to_string()), "short");
        let cut = shorten("ä".repeat(OUTPUT_BYTES_MAX));
        assert!(cut.len() < OUTPUT_BYTES_MAX + 100, "{}", cut.len());
        assert!(cut.ends_with(&format!("[cut here: {OUTPUT_BYTES_MAX} of {} bytes]", 2 * OUTPUT_BYTES_MAX)));
    }
}

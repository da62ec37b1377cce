//! Reading a request of Anthropic's Messages API (version 2023-06-01).

use mynah_chat::{Content, Conversation, Message, Now, RenderOptions, Role, Tool, ToolCall};
use mynah_engine::SamplingOptions;
use mynah_engine::live::Request;
use serde_json::{Map, Value};

use crate::llm::failure::{Failure, Outcome};
use crate::llm::generation::{fresh_id, fresh_seed, now_s};
use crate::llm::input::{Input, object_at, shown};
use crate::llm::sampling;
use crate::llm::turn::{Ask, Choice};

/// Messages of one request.
const MESSAGES_MAX: usize = 100_000;
/// The smallest budget of thinking that the API knows.
const BUDGET_LEAST: u64 = 1_024;

/// A request whose fields have been read.
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) stream: bool,
}

/// Reads all fields; what is unknown or cannot be honoured is refused.
pub(crate) fn read(mut body: Input, mut request: Request) -> Outcome<(Plan, Ask)> {
    let max_tokens =
        body.count("max_tokens", 1, u64::from(u32::MAX))?.ok_or_else(|| body.absent("max_tokens"))?;
    request.max_tokens = Some(max_tokens);
    request.sampling.options = SamplingOptions {
        temperature: body.number("temperature", 0.0, 1.0)?.unwrap_or(1.0),
        top_k: sampling::top_k(&mut body)?,
        top_p: sampling::share(&mut body, "top_p")?.unwrap_or(1.0),
        min_p: 0.0,
        seed: fresh_seed(),
    };
    request.stop_texts = sampling::stops(&mut body, "stop_sequences")?;
    let plan = Plan { id: fresh_id("msg_"), stream: body.flag("stream")?.unwrap_or(false) };
    Ok((plan, conversation(body, request, Some(max_tokens))?))
}

/// What both calls share: messages, system, tools and thinking.
pub(crate) fn conversation(mut body: Input, request: Request, max_tokens: Option<usize>) -> Outcome<Ask> {
    for (field, why) in [
        ("container", "this server runs no code of its own"),
        ("mcp_servers", "this server connects to no others"),
        ("context_management", "nothing is ever cut from a conversation here"),
    ] {
        if body.has(field) {
            return Err(Failure::unsupported(field, format!("{field} is not supported: {why}")));
        }
    }
    let tiers = ["auto", "standard_only"];
    body.word("service_tier", &tiers)?;
    body.note(&["metadata", "cache_control", "inference_geo"]);
    let options = thinking(&mut body, max_tokens)?;
    let mut messages = Vec::new();
    if let Some(text) = system(&mut body)? {
        messages.push(Message::text(Role::System, text));
    }
    let items = body.list("messages")?.ok_or_else(|| body.absent("messages"))?;
    if items.is_empty() || items.len() > MESSAGES_MAX {
        let message = format!("messages has {} entries; it must have 1 to {MESSAGES_MAX}", items.len());
        return Err(Failure::field("messages", message));
    }
    for (index, item) in items.into_iter().enumerate() {
        add_message(&mut messages, object_at(item, &format!("messages.{index}"))?)?;
    }
    let tools = match body.objects("tools")? {
        None => Vec::new(),
        Some(items) => items.into_iter().map(tool).collect::<Outcome<_>>()?,
    };
    let (choice, one_call) = choice(&mut body, &tools)?;
    body.finish()?;
    let conversation = Conversation { messages, tools, documents: Vec::new() };
    Ok(Ask { conversation, options, choice, one_call, call_pieces: false, format: None, request })
}

/// `thinking`: a switch for models that have one.
fn thinking(body: &mut Input, max_tokens: Option<usize>) -> Outcome<RenderOptions> {
    let mut options =
        RenderOptions { now: Some(Now { unix_s: now_s(), utc_offset_s: 0 }), ..RenderOptions::default() };
    let Some(mut thinking) = body.object("thinking")? else {
        options.enable_thinking = Some(false);
        return Ok(options);
    };
    let kind = thinking
        .word("type", &["enabled", "disabled", "adaptive"])?
        .ok_or_else(|| thinking.absent("type"))?;
    options.enable_thinking = Some(kind != "disabled");
    let budget = thinking.count("budget_tokens", BUDGET_LEAST, u64::from(u32::MAX))?;
    if kind == "enabled" {
        let budget = budget.ok_or_else(|| thinking.absent("budget_tokens"))?;
        if max_tokens.is_some_and(|most| budget >= most) {
            let message = format!("thinking.budget_tokens is {budget}; it must be less than max_tokens");
            return Err(Failure::field("thinking.budget_tokens", message));
        }
        // Templates that know a budget tell the model of it.
        options.kwargs.insert("thinking_budget".to_string(), Value::from(budget));
    }
    thinking.note(&["display"]);
    thinking.finish()?;
    Ok(options)
}

fn system(body: &mut Input) -> Outcome<Option<String>> {
    match body.take("system") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Array(blocks)) => {
            let mut texts = Vec::new();
            for (index, block) in blocks.into_iter().enumerate() {
                let mut block = object_at(block, &format!("system.{index}"))?;
                block.word("type", &["text"])?;
                block.note(&["cache_control", "citations"]);
                texts.push(block.text_needed("text")?);
                block.finish()?;
            }
            Ok(Some(texts.join("\n")))
        }
        Some(other) => {
            let message =
                format!("system is {}; it must be a string or a list of text blocks", shown(&other));
            Err(Failure::field("system", message))
        }
    }
}

/// One message of the API can be several of a conversation: results of tools are messages of their own.
fn add_message(messages: &mut Vec<Message>, mut item: Input) -> Outcome<()> {
    let role = match item.word("role", &["user", "assistant", "system"])? {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(_) => Role::System,
        None => return Err(item.absent("role")),
    };
    let name = item.name("content");
    let content = item.take("content").ok_or_else(|| item.absent("content"))?;
    item.finish()?;
    let blocks = match content {
        Value::String(text) => {
            messages.push(Message::text(role, text));
            return Ok(());
        }
        Value::Array(blocks) => blocks,
        other => {
            let message = format!("{name} is {}; it must be a string or a list of blocks", shown(&other));
            return Err(Failure::field(name, message));
        }
    };
    let mut own = Message::text(role, "");
    let (mut texts, mut thoughts) = (Vec::new(), Vec::new());
    for (index, block) in blocks.into_iter().enumerate() {
        let mut block = object_at(block, &format!("{name}.{index}"))?;
        block.note(&["cache_control", "citations"]);
        let kind = block.text_needed("type")?;
        match (kind.as_str(), role) {
            ("text", _) => texts.push(block.text_needed("text")?),
            ("tool_use", Role::Assistant) => {
                let (id, name) = (block.text_needed("id")?, block.text_needed("name")?);
                block.note(&["caller"]);
                let input = block.take("input").unwrap_or(Value::Object(Map::new()));
                own.tool_calls.push(ToolCall { id, name, arguments: input.to_string() });
            }
            ("thinking", Role::Assistant) => {
                thoughts.push(block.text_needed("thinking")?);
                block.note(&["signature"]);
            }
            // Of another provider's model: nobody here can read it.
            ("redacted_thinking", Role::Assistant) => block.note(&["data"]),
            ("tool_result", Role::User) => {
                let id = block.text_needed("tool_use_id")?;
                let is_error = block.flag("is_error")?.unwrap_or(false);
                let text = result_text(&mut block)?;
                let text = if is_error { format!("Error: {text}") } else { text };
                let mut result = Message::text(Role::Tool, text);
                result.name = called(messages, &id);
                result.tool_call_id = Some(id);
                messages.push(result);
            }
            ("image" | "document" | "search_result", _) => {
                let place = block.name("type");
                let message = format!("{place} is '{kind}'; the models here only read text");
                return Err(Failure::unsupported(place, message));
            }
            _ => {
                let place = block.name("type");
                let message =
                    format!("{place} is '{kind}', which is no block of a message of the {}", role.name());
                return Err(Failure::field(place, message));
            }
        }
        block.finish()?;
    }
    own.reasoning_content = (!thoughts.is_empty()).then(|| thoughts.join("\n"));
    let has_text = !texts.is_empty();
    own.content = has_text.then(|| Content::Text(texts.join("\n")));
    // A message of nothing but results has been taken apart already.
    if has_text || !own.tool_calls.is_empty() || own.reasoning_content.is_some() {
        messages.push(own);
    }
    Ok(())
}

/// The function that a call named.
fn called(messages: &[Message], id: &str) -> Option<String> {
    let calls = messages.iter().rev().flat_map(|message| &message.tool_calls);
    calls.into_iter().find(|call| call.id == id).map(|call| call.name.clone())
}

fn result_text(block: &mut Input) -> Outcome<String> {
    let name = block.name("content");
    match block.take("content") {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(items)) => {
            let mut texts = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                let mut item = object_at(item, &format!("{name}.{index}"))?;
                let kind = item.text_needed("type")?;
                if kind != "text" {
                    let place = item.name("type");
                    let message = format!("{place} is '{kind}'; the models here only read text");
                    return Err(Failure::unsupported(place, message));
                }
                item.note(&["cache_control", "citations"]);
                texts.push(item.text_needed("text")?);
                item.finish()?;
            }
            Ok(texts.join("\n"))
        }
        Some(other) => {
            Err(Failure::field(name.clone(), format!("{name} is {}; it must be text", shown(&other))))
        }
    }
}

fn tool(mut item: Input) -> Outcome<Tool> {
    if let Some(kind) = item.text("type")?
        && kind != "custom"
    {
        let place = item.name("type");
        let message = format!("{place} is '{kind}'; only tools of the client's own ('custom') are supported");
        return Err(Failure::unsupported(place, message));
    }
    let name = item.text_needed("name")?;
    let description = item.text("description")?;
    let place = item.name("input_schema");
    let schema = item.take("input_schema").ok_or_else(|| item.absent("input_schema"))?;
    item.note(&[
        "cache_control",
        "strict",
        "eager_input_streaming",
        "input_examples",
        "defer_loading",
        "allowed_callers",
    ]);
    item.finish()?;
    if !schema.is_object() {
        return Err(Failure::field(place.clone(), format!("{place} must be a JSON schema object")));
    }
    let tool = Tool::function(&name, description.as_deref(), schema);
    // Read back, so that what this API's client sends is checked as the other one's is.
    Tool::from_json(tool.definition()).map_err(|error| Failure::field("tools", error.to_string()))
}

fn choice(body: &mut Input, tools: &[Tool]) -> Outcome<(Choice, bool)> {
    let Some(mut field) = body.object("tool_choice")? else { return Ok((Choice::Auto, false)) };
    let kind = field.word("type", &["auto", "any", "tool", "none"])?.ok_or_else(|| field.absent("type"))?;
    let one_call = field.flag("disable_parallel_tool_use")?.unwrap_or(false);
    let choice = match kind {
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Named(field.text_needed("name")?),
        _ => Choice::Auto,
    };
    field.finish()?;
    let bad = |message: String| Err(Failure::field("tool_choice", message));
    match &choice {
        Choice::Required if tools.is_empty() => bad("tool_choice is any, but there are no tools".to_string()),
        Choice::Named(name) if !tools.iter().any(|tool| tool.name() == name) => {
            bad(format!("tool_choice names '{name}', which is not among the tools"))
        }
        // One named tool is called once.
        Choice::Named(_) => Ok((choice, true)),
        _ => Ok((choice, one_call)),
    }
}

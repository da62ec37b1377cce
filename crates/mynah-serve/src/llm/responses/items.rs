//! Items: what goes into a response and what comes out of it are the same things.

use std::sync::Arc;

use mynah_chat::{Content, Message, Part, Role, ToolCall};
use serde_json::{Value, json};

use crate::llm::failure::{Failure, Kind as FailureKind, Outcome};
use crate::llm::generation::fresh_id;
use crate::llm::input::{Input, object_at, shown};

/// Items of one request.
const ITEMS_MAX: usize = 10_000;

/// One item, as clients see it and as conversations are made of it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) json: Value,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Message { role: Role, content: Content },
    Reasoning(String),
    Call(ToolCall),
    Output { call_id: String, text: String },
}

impl Item {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        self.json["id"].as_str().unwrap_or_default()
    }
}

/// `input`: a text or a list of items. `find` knows the items of earlier responses.
pub(super) fn read(body: &mut Input, find: impl Fn(&str) -> Option<Arc<Item>>) -> Outcome<Vec<Arc<Item>>> {
    let items = match body.take("input") {
        None => return Err(body.absent("input")),
        Some(Value::String(text)) => {
            let json = json!({
                "id": fresh_id("msg_"), "type": "message", "role": "user", "status": "completed",
                "content": [{"type": "input_text", "text": text}],
            });
            let kind = Kind::Message { role: Role::User, content: Content::Text(text) };
            return Ok(vec![Arc::new(Item { json, kind })]);
        }
        Some(Value::Array(items)) => items,
        Some(other) => {
            let message = format!("input is {}; it must be a string or a list of items", shown(&other));
            return Err(Failure::field("input", message));
        }
    };
    if items.len() > ITEMS_MAX {
        let message = format!("input has {} items; at most {ITEMS_MAX} work", items.len());
        return Err(Failure::field("input", message));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| one(object_at(item, &format!("input[{index}]"))?, &find))
        .collect()
}

fn one(mut item: Input, find: &impl Fn(&str) -> Option<Arc<Item>>) -> Outcome<Arc<Item>> {
    let place = item.name("type");
    let kind = item.text("type")?;
    let id = item.text("id")?;
    item.word("status", &["in_progress", "completed", "incomplete"])?;
    let read = match kind.as_deref() {
        Some("message") => message(&mut item, id)?,
        // The short form of a message has no type.
        None if item.has("role") => message(&mut item, id)?,
        Some("function_call") => call(&mut item, id)?,
        Some("function_call_output") => output(&mut item, id)?,
        Some("reasoning") => reasoning(&mut item, id)?,
        None | Some("item_reference") => {
            let id = id.ok_or_else(|| item.absent("id"))?;
            item.finish()?;
            return find(&id).ok_or_else(|| {
                let message = format!("no item '{id}' is stored here");
                Failure { param: Some("input".into()), ..Failure::new(FailureKind::NotFound, message) }
            });
        }
        Some(other) => {
            let message = format!(
                "{place} is '{other}', which is not supported here; message, function_call, function_call_output, \
                 reasoning and item_reference are"
            );
            return Err(Failure::unsupported(place, message));
        }
    };
    item.finish()?;
    Ok(Arc::new(read))
}

fn message(item: &mut Input, id: Option<String>) -> Outcome<Item> {
    let role = item.word("role", &["user", "assistant", "system", "developer"])?;
    let role = role.ok_or_else(|| item.absent("role"))?;
    item.word("phase", &["commentary", "final_answer"])?;
    let texts = texts(item, "content", role == "assistant")?;
    let part = if role == "assistant" { "output_text" } else { "input_text" };
    let parts: Vec<Value> = texts
        .iter()
        .map(|text| match part {
            "output_text" => json!({"type": part, "text": text, "annotations": [], "logprobs": []}),
            _ => json!({"type": part, "text": text}),
        })
        .collect();
    let json = json!({
        "id": id.unwrap_or_else(|| fresh_id("msg_")), "type": "message", "role": role, "status": "completed",
        "content": parts,
    });
    let role = match role {
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        _ => Role::User,
    };
    Ok(Item { json, kind: Kind::Message { role, content: content(texts) } })
}

fn content(mut texts: Vec<String>) -> Content {
    match texts.pop() {
        Some(only) if texts.is_empty() => Content::Text(only),
        last => Content::Parts(texts.into_iter().chain(last).map(Part::Text).collect()),
    }
}

/// A text, or parts that are texts.
fn texts(item: &mut Input, field: &str, is_answer: bool) -> Outcome<Vec<String>> {
    let name = item.name(field);
    let parts = match item.take(field) {
        None => return Err(item.absent(field)),
        Some(Value::String(text)) => return Ok(vec![text]),
        Some(Value::Array(parts)) => parts,
        Some(other) => {
            let message = format!("{name} is {}; it must be a string or a list of parts", shown(&other));
            return Err(Failure::field(name, message));
        }
    };
    let mut texts = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        let mut part = object_at(part, &format!("{name}[{index}]"))?;
        let kind = part.text_needed("type")?;
        match kind.as_str() {
            "input_text" => {
                texts.push(part.text_needed("text")?);
                // Where the prompt is cached is decided by what requests share.
                part.note(&["prompt_cache_breakpoint"]);
            }
            "output_text" if is_answer => {
                texts.push(part.text_needed("text")?);
                part.note(&["annotations", "logprobs"]);
            }
            "refusal" if is_answer => texts.push(part.text_needed("refusal")?),
            _ => {
                let place = part.name("type");
                let message = format!("{place} is '{kind}'; the models here only read text");
                return Err(Failure::unsupported(place, message));
            }
        }
        part.finish()?;
    }
    Ok(texts)
}

fn call(item: &mut Input, id: Option<String>) -> Outcome<Item> {
    let call = ToolCall {
        id: item.text_needed("call_id")?,
        name: item.text_needed("name")?,
        arguments: item.text_needed("arguments")?,
    };
    item.note(&["caller", "created_by"]);
    Ok(call_item(call, id.unwrap_or_else(|| fresh_id("fc_"))))
}

/// A finished call.
pub(super) fn call_item(call: ToolCall, id: String) -> Item {
    let json = json!({
        "id": id, "type": "function_call", "status": "completed", "call_id": call.id, "name": call.name,
        "arguments": call.arguments,
    });
    Item { json, kind: Kind::Call(call) }
}

fn output(item: &mut Input, id: Option<String>) -> Outcome<Item> {
    let call_id = item.text_needed("call_id")?;
    let text = texts(item, "output", false)?.join("\n");
    item.note(&["name", "caller", "created_by"]);
    let json = json!({
        "id": id.unwrap_or_else(|| fresh_id("fco_")), "type": "function_call_output", "status": "completed",
        "call_id": call_id, "output": text,
    });
    Ok(Item { json, kind: Kind::Output { call_id, text } })
}

fn reasoning(item: &mut Input, id: Option<String>) -> Outcome<Item> {
    if item.has("encrypted_content") {
        let place = item.name("encrypted_content");
        let message = format!("{place} is not supported: nobody here can read it; give content");
        return Err(Failure::unsupported(place, message));
    }
    let mut read = |field: &str, kind: &'static str| -> Outcome<Vec<String>> {
        let mut texts = Vec::new();
        for mut part in item.objects(field)?.unwrap_or_default() {
            part.word("type", &[kind])?.ok_or_else(|| part.absent("type"))?;
            texts.push(part.text_needed("text")?);
            part.finish()?;
        }
        Ok(texts)
    };
    let summary = read("summary", "summary_text")?;
    let whole = read("content", "reasoning_text")?;
    // The summary stands for what is not there.
    let text = if whole.is_empty() { summary.join("\n") } else { whole.join("\n") };
    Ok(reasoning_item(text, id.unwrap_or_else(|| fresh_id("rs_"))))
}

/// Finished reasoning.
pub(super) fn reasoning_item(text: String, id: String) -> Item {
    let json = json!({
        "id": id, "type": "reasoning", "status": "completed", "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
    });
    Item { json, kind: Kind::Reasoning(text) }
}

/// The messages that items stand for. What an assistant thought, said and called in a row is one message.
pub(super) fn messages<'a>(items: impl Iterator<Item = &'a Arc<Item>>) -> Outcome<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    // The assistant's message that still grows is the last one.
    let mut is_open = false;
    for item in items {
        let last = messages.last_mut().filter(|_| is_open);
        match &item.kind {
            Kind::Reasoning(text) => match last {
                Some(message) if message.content.is_none() && message.tool_calls.is_empty() => {
                    let thought = message.reasoning_content.get_or_insert_default();
                    thought.push_str(text);
                }
                _ => messages.push(Message { reasoning_content: Some(text.clone()), ..said_nothing() }),
            },
            Kind::Message { role: Role::Assistant, content } => match last {
                Some(message) if message.content.is_none() && message.tool_calls.is_empty() => {
                    message.content = Some(content.clone());
                }
                _ => messages.push(Message { content: Some(content.clone()), ..said_nothing() }),
            },
            Kind::Call(call) => match last {
                Some(message) => message.tool_calls.push(call.clone()),
                None => messages.push(Message { tool_calls: vec![call.clone()], ..said_nothing() }),
            },
            Kind::Message { role, content } => {
                messages.push(Message { content: Some(content.clone()), ..Message::text(*role, "") });
            }
            Kind::Output { call_id, text } => {
                let mut calls = messages.iter().rev().flat_map(|message| &message.tool_calls);
                let name = calls.find(|call| call.id == *call_id).map(|call| call.name.clone());
                let Some(name) = name else {
                    let message = format!("input has an output of the call '{call_id}', which nobody made");
                    return Err(Failure::field("input", message));
                };
                let mut message = Message::text(Role::Tool, text.clone());
                (message.tool_call_id, message.name) = (Some(call_id.clone()), Some(name));
                messages.push(message);
            }
        }
        is_open = matches!(
            item.kind,
            Kind::Reasoning(_) | Kind::Call(_) | Kind::Message { role: Role::Assistant, .. }
        );
    }
    Ok(messages)
}

fn said_nothing() -> Message {
    Message { content: None, ..Message::text(Role::Assistant, "") }
}

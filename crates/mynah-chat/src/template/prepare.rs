//! From a conversation to the values that a template sees, with the few changes its [`Capabilities`] ask for.

use serde_json::{Map, Value, json};

use super::probe::{Arguments, Capabilities};
use crate::conversation::{Content, Conversation, Message, Part, Role};
use crate::error::{Error, Result};

/// The mark that transformers puts at the end of a message to be continued; what follows it is cut off.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The messages as the template wants them.
pub(super) fn messages(conversation: &Conversation, capabilities: &Capabilities) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(conversation.messages.len());
    let mut preface: Option<String> = None;
    for message in &conversation.messages {
        let is_instruction = matches!(message.role, Role::System | Role::Developer);
        if is_instruction && !capabilities.system {
            let text = message.plain_text();
            preface = Some(preface.map_or_else(|| text.clone(), |before| format!("{before}\n\n{text}")));
            continue;
        }
        let mut value = message_value(message, conversation, capabilities)?;
        if let (Role::User, Some(text)) = (message.role, preface.take_if(|_| message.role == Role::User)) {
            put_before(&mut value, &text);
        }
        values.push(Value::Object(value));
    }
    match preface {
        Some(_) => Err(Error::conversation(
            "this model has no system role, and the conversation has no user message after its system message to carry it",
        )),
        None => Ok(values),
    }
}

/// Puts instructions before a user's text, with a blank line between.
fn put_before(message: &mut Map<String, Value>, preface: &str) {
    match message.get_mut("content") {
        Some(Value::Array(parts)) => {
            parts.insert(0, json!({ "type": "text", "text": format!("{preface}\n\n") }))
        }
        Some(Value::String(text)) => *text = format!("{preface}\n\n{text}"),
        _ => {
            message.insert("content".to_string(), Value::String(preface.to_string()));
        }
    }
}

fn message_value(
    message: &Message,
    conversation: &Conversation,
    capabilities: &Capabilities,
) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    let role = match message.role {
        Role::Developer if !capabilities.developer => Role::System,
        role => role,
    };
    if let Some(reasoning) = &message.reasoning_content {
        // transformers gives the reasoning under two names, since GPT-OSS templates read `thinking`.
        object.insert("thinking".to_string(), json!(reasoning));
    }
    object.insert("role".to_string(), json!(role.name()));
    object.insert("content".to_string(), content_value(message, capabilities));
    if let Some(reasoning) = &message.reasoning_content {
        object.insert("reasoning_content".to_string(), json!(reasoning));
    }
    if !message.tool_calls.is_empty() {
        let calls: Result<Vec<Value>> =
            message.tool_calls.iter().map(|call| call_value(call, capabilities)).collect();
        object.insert("tool_calls".to_string(), Value::Array(calls?));
    }
    if let Some(id) = &message.tool_call_id {
        object.insert("tool_call_id".to_string(), json!(id_value(id, capabilities)));
    }
    let name = match &message.name {
        Some(name) => Some(name.as_str()),
        None if capabilities.tool_name && message.role == Role::Tool => called_name(message, conversation),
        None => None,
    };
    if let Some(name) = name {
        object.insert("name".to_string(), json!(name));
    }
    Ok(object)
}

/// The name of the function whose call this tool's message answers.
fn called_name<'a>(message: &Message, conversation: &'a Conversation) -> Option<&'a str> {
    let id = message.tool_call_id.as_deref()?;
    let mut calls = conversation.messages.iter().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id == id).map(|call| call.name.as_str())
}

fn content_value(message: &Message, capabilities: &Capabilities) -> Value {
    let wrap = |text: &str| json!([{ "type": "text", "text": text }]);
    match &message.content {
        None if capabilities.null_content => Value::Null,
        None if capabilities.content_text => json!(""),
        None => json!([]),
        Some(Content::Text(text)) if capabilities.content_text => json!(text),
        Some(Content::Text(text)) => wrap(text),
        Some(Content::Parts(parts)) => {
            let has_others = parts.iter().any(|part| matches!(part, Part::Other(_)));
            if capabilities.content_parts || has_others {
                let part_value = |part: &Part| match part {
                    Part::Text(text) => json!({ "type": "text", "text": text }),
                    Part::Other(value) => value.clone(),
                };
                Value::Array(parts.iter().map(part_value).collect())
            } else {
                json!(message.plain_text())
            }
        }
    }
}

fn call_value(call: &crate::ToolCall, capabilities: &Capabilities) -> Result<Value> {
    let arguments = match capabilities.arguments {
        Arguments::Text => json!(call.arguments),
        Arguments::Object => match call.parsed_arguments() {
            Some(value @ Value::Object(_)) => value,
            _ if call.arguments.trim().is_empty() => json!({}),
            _ => {
                return Err(Error::conversation(format!(
                    "the arguments of the tool call '{}' to '{}' are not a JSON object; this model's template needs one",
                    call.id, call.name
                )));
            }
        },
    };
    let mut object = Map::new();
    object.insert("id".to_string(), json!(id_value(&call.id, capabilities)));
    object.insert("type".to_string(), json!("function"));
    object.insert("function".to_string(), json!({ "name": call.name, "arguments": arguments }));
    Ok(Value::Object(object))
}

fn id_value(id: &str, capabilities: &Capabilities) -> String {
    if capabilities.short_call_ids { crate::fixes::mistral_call_id(id) } else { id.to_string() }
}

/// Marks where the last message ends, and gives its text.
///
/// # Errors
/// When there is no last message with text.
pub(super) fn mark_end(messages: &mut [Value]) -> Result<String> {
    let content = messages.last_mut().and_then(|message| message.get_mut("content"));
    let text = match content {
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(parts)) => parts.iter_mut().rev().find_map(|part| match part.get_mut("text") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }),
        _ => None,
    };
    let Some(text) = text else {
        return Err(Error::conversation(
            "the last message has no text to be continued (continue_final_message)",
        ));
    };
    let before = text.clone();
    text.push_str(MARK);
    Ok(before)
}

/// Cuts the prompt where the last message ends.
///
/// # Errors
/// When the template left the message out or rewrote it.
pub(super) fn cut_at_mark(mut prompt: String, last_text: &str) -> Result<String> {
    let at = prompt.rfind(MARK.trim_end()).filter(|_| prompt.contains(last_text.trim()));
    let Some(at) = at else {
        return Err(Error::conversation(
            "the last message cannot be continued: the chat template does not print it as it is (continue_final_message)",
        ));
    };
    // A template that trims its messages has cut the blank at the end of the mark, and would have cut those before it.
    let is_trimmed = !prompt[at..].starts_with(MARK);
    prompt.truncate(at);
    if is_trimmed {
        prompt.truncate(prompt.trim_end().len());
    }
    Ok(prompt)
}

//! The models that this product trains: their tokenizer and their conversations, which are laid out in ids.

use std::collections::VecDeque;

use mynah_chat::{Content, Conversation, RenderOptions, Role, ToolCall};
use mynah_engine::live::Codec;
use mynah_tokenizer::chat::{self, Message, Part};
use mynah_tokenizer::{Special, Tokenizer};

use super::model::{Prompt, Prompter, Tokens};

/// Our tokenizer as the engine wants it.
pub(super) struct OwnTokens {
    tokenizer: Tokenizer,
    end_ids: Vec<u32>,
}

impl OwnTokens {
    pub(super) fn new(tokenizer: Tokenizer) -> OwnTokens {
        let end_ids =
            [Special::AssistantEnd, Special::Bos].map(|special| tokenizer.special(special)).to_vec();
        OwnTokens { tokenizer, end_ids }
    }
}

impl Codec for OwnTokens {
    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.token(id).unwrap_or_default()
    }

    fn is_special(&self, id: u32) -> bool {
        self.tokenizer.is_special(id)
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_ordinary(text)
    }
}

impl Tokens for OwnTokens {
    fn id_of(&self, name: &str) -> Option<u32> {
        match self.tokenizer.encode_with_special(name).as_slice() {
            [id] if self.tokenizer.is_special(*id) => Some(*id),
            _ => None,
        }
    }

    fn prompt_of_text(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let mut ids = vec![self.tokenizer.special(Special::Bos)];
        ids.extend(self.tokenizer.encode_ordinary(text));
        Ok(ids)
    }
}

/// The one tool that our models have learned.
const TOOL: &str = "python";

/// Our conversations: user and assistant take turns, a system message begins the first. What the assistant computes, and
/// what comes out, is part of its turn.
pub(super) struct OwnPrompter(pub(super) Tokenizer);

impl Prompter for OwnPrompter {
    fn prompt(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> std::result::Result<Prompt, String> {
        if let Some(other) = conversation.tools.iter().find(|tool| tool.name() != TOOL) {
            let name = other.name();
            return Err(format!(
                "this model has learned the tool {TOOL} alone; '{name}' cannot be offered to it"
            ));
        }
        let goes_on = options.continue_final_message;
        if (!goes_on && !options.add_generation_prompt) || !options.kwargs.is_empty() {
            return Err("this model has no chat template that could be told how to render".to_string());
        }
        let messages = turns(conversation)?;
        let is_open = conversation.messages.last().is_some_and(|last| last.role == Role::Tool);
        let is_assistants = messages.last().is_some_and(|last| last.role == chat::Role::Assistant);
        if is_assistants && !is_open && !goes_on {
            return Err("the last message is the assistant's; it must be the user's".to_string());
        }
        let conversation = chat::Conversation { messages };
        let laid_out = match is_open || goes_on {
            true => chat::render_to_continue(&self.0, &conversation),
            false => chat::render_for_completion(&self.0, &conversation),
        };
        laid_out.map(|ids| Prompt { ids, in_reasoning: false }).map_err(|error| error.to_string())
    }
}

/// The turns of a conversation: what the assistant said, called, was told and said then is one.
fn turns(conversation: &Conversation) -> std::result::Result<Vec<Message>, String> {
    let mut turns: Vec<Message> = Vec::with_capacity(conversation.messages.len());
    // Calls of the last message that have no result yet.
    let mut calls: VecDeque<&ToolCall> = VecDeque::new();
    let mut was_tool = false;
    for (index, message) in conversation.messages.iter().enumerate() {
        let text = || message.content.as_ref().map(Content::plain_text).unwrap_or_default();
        if message.role != Role::Tool
            && let Some(call) = calls.front()
        {
            return Err(format!("messages[{index}]: the call {} has no result yet", call.id));
        }
        let role = match message.role {
            Role::System | Role::Developer => chat::Role::System,
            Role::User => chat::Role::User,
            Role::Assistant | Role::Tool => chat::Role::Assistant,
        };
        let more = match message.role {
            Role::System | Role::Developer | Role::User => {
                turns.push(Message::text(role, text()));
                Vec::new()
            }
            Role::Assistant => {
                calls.extend(&message.tool_calls);
                Vec::from([Part::Text(text())])
            }
            Role::Tool => {
                let place = match &message.tool_call_id {
                    None => 0,
                    Some(id) => calls.iter().position(|call| call.id == *id).unwrap_or(usize::MAX),
                };
                let Some(call) = calls.remove(place) else {
                    return Err(format!("messages[{index}]: there is no call that this is the result of"));
                };
                Vec::from([Part::Python(code(call, index)?), Part::PythonOutput(text())])
            }
        };
        match turns.last_mut() {
            // An answer goes on after a result.
            Some(Message { role: chat::Role::Assistant, content: chat::Content::Parts(parts) })
                if was_tool || message.role == Role::Tool =>
            {
                parts.extend(more)
            }
            _ if !more.is_empty() => turns.push(Message { role, content: chat::Content::Parts(more) }),
            _ => {}
        }
        was_tool = message.role == Role::Tool;
    }
    match calls.front() {
        Some(call) => Err(format!("the call {} has no result", call.id)),
        None => Ok(turns),
    }
}

/// The code of a call: its only argument.
fn code(call: &ToolCall, index: usize) -> std::result::Result<String, String> {
    let arguments = call.parsed_arguments();
    let only = arguments.as_ref().and_then(|arguments| arguments.as_object()?.values().next()?.as_str());
    match only {
        Some(code) if call.name == TOOL => Ok(code.to_string()),
        Some(_) => Err(format!("messages[{index}]: this model has learned the tool {TOOL} alone")),
        None => Err(format!("messages[{index}]: the call {} has no text of code", call.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(messages: serde_json::Value) -> std::result::Result<Vec<Message>, String> {
        let messages = messages.as_array().unwrap().iter();
        let messages = messages.map(|message| mynah_chat::Message::from_json(message).unwrap()).collect();
        turns(&Conversation { messages, ..Conversation::default() })
    }

    fn called(id: &str, code: &str) -> serde_json::Value {
        let arguments = json!({"code": code}).to_string();
        json!({"id": id, "type": "function", "function": {"name": "python", "arguments": arguments}})
    }

    #[test]
    fn an_answer_with_calls_is_one_turn() {
        let turns = read(json!([
            {"role": "user", "content": "12 * 7?"},
            {"role": "assistant", "content": "It is ", "tool_calls": [called("a", "12*7")]},
            {"role": "tool", "tool_call_id": "a", "content": "84"},
            {"role": "assistant", "content": "84."},
            {"role": "user", "content": "thanks"},
        ]));
        let parts = vec![
            Part::Text("It is ".to_string()),
            Part::Python("12*7".to_string()),
            Part::PythonOutput("84".to_string()),
            Part::Text("84.".to_string()),
        ];
        let expected = vec![
            Message::text(chat::Role::User, "12 * 7?"),
            Message { role: chat::Role::Assistant, content: chat::Content::Parts(parts) },
            Message::text(chat::Role::User, "thanks"),
        ];
        assert_eq!(turns, Ok(expected));
    }

    #[test]
    fn results_and_calls_belong_together() {
        let question = json!({"role": "user", "content": "?"});
        let call = json!({"role": "assistant", "tool_calls": [called("a", "1")]});
        let wrong = [
            (json!([question, {"role": "tool", "tool_call_id": "a", "content": "1"}]), "no call"),
            (json!([question, call, {"role": "tool", "tool_call_id": "b", "content": "1"}]), "no call"),
            (json!([question, call, question]), "no result yet"),
            (json!([question, call]), "no result"),
        ];
        for (messages, expect) in wrong {
            let why = read(messages.clone()).expect_err("a mistake");
            assert!(why.contains(expect), "{messages}: {why}");
        }
    }
}

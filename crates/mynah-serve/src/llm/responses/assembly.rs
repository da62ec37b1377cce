//! Puts an answer together item by item, and says what a stream tells of it.

use std::sync::Arc;

use mynah_chat::{Content, Role, ToolCall};
use serde_json::{Map, Value, json};

use super::items::{Item, Kind, call_item, reasoning_item};
use crate::llm::generation::fresh_id;
use crate::llm::turn::Part;

/// An answer so far.
pub(super) struct Assembly {
    /// The response as it was before anything was answered.
    head: Map<String, Value>,
    done: Vec<Arc<Item>>,
    open: Option<Open>,
}

/// The item that is being written.
struct Open {
    is_reasoning: bool,
    id: String,
    text: String,
    scores: Vec<Value>,
}

impl Open {
    fn part(&self) -> Value {
        match self.is_reasoning {
            true => json!({"type": "reasoning_text", "text": self.text}),
            false => {
                json!({"type": "output_text", "text": self.text, "annotations": [], "logprobs": self.scores})
            }
        }
    }

    fn item(&self, status: &str, content: Value) -> Value {
        match self.is_reasoning {
            true => json!({
                "id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content,
            }),
            false => json!({
                "id": self.id, "type": "message", "role": "assistant", "status": status, "content": content,
            }),
        }
    }
}

impl Assembly {
    pub(super) fn new(head: Map<String, Value>) -> Assembly {
        Assembly { head, done: Vec::new(), open: None }
    }

    /// Items that are complete.
    pub(super) fn items(&self) -> &[Arc<Item>] {
        &self.done
    }

    /// The first two events of every stream.
    pub(super) fn begin(&self) -> Vec<Value> {
        ["response.created", "response.in_progress"]
            .map(|kind| json!({"type": kind, "response": self.head}))
            .to_vec()
    }

    /// Adds a part; gives the events that tell of it.
    pub(super) fn add(&mut self, part: Part, scores: Vec<Value>) -> Vec<Value> {
        match part {
            Part::Text(text) => self.write(text, false, scores),
            Part::Reasoning(text) => self.write(text, true, Vec::new()),
            // Nobody asked for them here.
            Part::CallPiece(_) => Vec::new(),
            Part::Call(call) => {
                let mut events = self.close(true);
                let (index, id) = (self.done.len(), fresh_id("fc_"));
                let call = ToolCall { id: call.id, name: call.name, arguments: call.arguments };
                let item = json!({
                    "id": id, "type": "function_call", "status": "in_progress", "call_id": call.id,
                    "name": call.name, "arguments": "",
                });
                let done = call_item(call.clone(), id.clone());
                events.extend([
                    json!({"type": "response.output_item.added", "output_index": index, "item": item}),
                    json!({
                        "type": "response.function_call_arguments.delta", "item_id": id, "output_index": index,
                        "delta": call.arguments,
                    }),
                    json!({
                        "type": "response.function_call_arguments.done", "item_id": id, "output_index": index,
                        "name": call.name, "arguments": call.arguments,
                    }),
                    json!({"type": "response.output_item.done", "output_index": index, "item": done.json}),
                ]);
                self.done.push(Arc::new(done));
                events
            }
        }
    }

    fn write(&mut self, text: String, is_reasoning: bool, scores: Vec<Value>) -> Vec<Value> {
        let mut events = Vec::new();
        if self.open.as_ref().is_some_and(|open| open.is_reasoning != is_reasoning) {
            events = self.close(true);
        }
        let index = self.done.len();
        let open = self.open.get_or_insert_with(|| {
            let prefix = if is_reasoning { "rs_" } else { "msg_" };
            let open = Open { is_reasoning, id: fresh_id(prefix), text: String::new(), scores: Vec::new() };
            let item = open.item("in_progress", json!([]));
            events.extend([
                json!({"type": "response.output_item.added", "output_index": index, "item": item}),
                json!({
                    "type": "response.content_part.added", "item_id": open.id, "output_index": index,
                    "content_index": 0, "part": open.part(),
                }),
            ]);
            open
        });
        open.text.push_str(&text);
        let mut delta = json!({
            "item_id": open.id, "output_index": index, "content_index": 0, "delta": text,
        });
        if is_reasoning {
            delta["type"] = json!("response.reasoning_text.delta");
        } else {
            delta["type"] = json!("response.output_text.delta");
            delta["logprobs"] = json!(scores);
            open.scores.extend(scores);
        }
        events.push(delta);
        events
    }

    /// Ends the open item, whole or not.
    pub(super) fn close(&mut self, is_whole: bool) -> Vec<Value> {
        let Some(open) = self.open.take() else { return Vec::new() };
        let index = self.done.len();
        let place = |mut event: Value| {
            event["item_id"] = json!(open.id);
            event["output_index"] = json!(index);
            event["content_index"] = json!(0);
            event
        };
        let text_done = match open.is_reasoning {
            true => json!({"type": "response.reasoning_text.done", "text": open.text}),
            false => {
                json!({"type": "response.output_text.done", "text": open.text, "logprobs": open.scores})
            }
        };
        let part_done = json!({"type": "response.content_part.done", "part": open.part()});
        let status = if is_whole { "completed" } else { "incomplete" };
        let json = open.item(status, json!([open.part()]));
        let events = vec![
            place(text_done),
            place(part_done),
            json!({"type": "response.output_item.done", "output_index": index, "item": json}),
        ];
        let kind = match open.is_reasoning {
            true => reasoning_item(open.text, String::new()).kind,
            false => Kind::Message { role: Role::Assistant, content: Content::Text(open.text) },
        };
        self.done.push(Arc::new(Item { json, kind }));
        events
    }

    /// The response as it is now, with this status and these fields besides.
    pub(super) fn response(&self, status: &str, more: Value) -> Value {
        let mut response = self.head.clone();
        response.insert("status".to_string(), json!(status));
        response.insert("output".to_string(), self.done.iter().map(|item| item.json.clone()).collect());
        if let Value::Object(more) = more {
            response.extend(more);
        }
        Value::Object(response)
    }
}

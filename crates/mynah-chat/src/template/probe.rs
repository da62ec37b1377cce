//! Finding out what a template expects, by rendering small conversations and looking for their words.
//!
//! Templates differ in what they accept: arguments as an object or as JSON text, content as text or as parts, system
//! messages or none. Nothing in the files says so, and guessing from the model's name breaks with the next model.

use serde_json::{Value, json};

use super::options::{RenderOptions, TokenTexts};
use super::{Compiled, Now};

/// How a template wants the arguments of earlier tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// As an object (most templates: they print it with `tojson` or walk it).
    Object,
    /// As JSON text.
    Text,
}

/// What a template was found to take. Whatever it does not take is changed before it is rendered, as each field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Prints system messages. Otherwise their text is put before the next user message, so that it is not lost.
    pub system: bool,
    /// Knows the role `developer`. Otherwise it is given as `system`.
    pub developer: bool,
    /// Takes content that is text. Otherwise text is wrapped into a list of one text part.
    pub content_text: bool,
    /// Takes content that is a list of parts. Otherwise text parts are joined with line breaks.
    pub content_parts: bool,
    /// Takes `null` as the content of an assistant's message with tool calls. Otherwise it is given as empty text.
    pub null_content: bool,
    /// Prints the tools. Otherwise the model is not told of them: the caller should say so or refuse.
    pub tools: bool,
    /// Prints the calls of earlier turns.
    pub tool_calls: bool,
    /// Prints what tools returned.
    pub tool_results: bool,
    /// How earlier arguments are given.
    pub arguments: Arguments,
    /// Needs the function's `name` in a tool's message. It is then taken from the call with the message's id.
    pub tool_name: bool,
    /// Takes only call ids of nine letters and digits (Mistral). Others are then replaced, calls and results alike.
    pub short_call_ids: bool,
    /// Prints the reasoning of earlier turns, at least of the last.
    pub reasoning: bool,
    /// Mentions a switch for thinking, `enable_thinking` or `thinking`.
    pub thinking_switch: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            system: true,
            developer: false,
            content_text: true,
            content_parts: false,
            null_content: false,
            tools: false,
            tool_calls: false,
            tool_results: false,
            arguments: Arguments::Object,
            tool_name: false,
            short_call_ids: false,
            reasoning: false,
            thinking_switch: false,
        }
    }
}

const SYSTEM: &str = "SystemNeedle";
const USER: &str = "UserNeedle";
const RESULT: &str = "ResultNeedle";

struct Probe<'a> {
    compiled: &'a Compiled,
    tokens: &'a TokenTexts,
    /// Whether user content has to be wrapped into parts.
    wrap: bool,
}

impl Probe<'_> {
    fn text(&self, text: &str) -> Value {
        if self.wrap { json!([{ "type": "text", "text": text }]) } else { json!(text) }
    }

    fn user(&self) -> Value {
        json!({ "role": "user", "content": self.text(USER) })
    }

    /// The prompt, or nothing when the template fails.
    fn render(&self, messages: Vec<Value>, tools: Vec<Value>) -> Option<String> {
        let options = RenderOptions {
            now: Some(Now { unix_s: 1_700_000_000, utc_offset_s: 0 }),
            ..RenderOptions::default()
        };
        self.compiled.render_values(messages, tools, Vec::new(), self.tokens, &options).ok()
    }

    /// Whether the template renders these and prints the word.
    fn prints(&self, word: &str, messages: Vec<Value>, tools: Vec<Value>) -> bool {
        self.render(messages, tools).is_some_and(|prompt| prompt.contains(word))
    }
}

fn tool() -> Value {
    json!({ "type": "function", "function": { "name": "tool_needle", "description": "A tool.", "parameters": {
        "type": "object", "properties": { "key_needle": { "type": "string", "description": "A text." } },
        "required": ["key_needle"] } } })
}

/// Renders the small conversations.
pub(super) fn probe(compiled: &Compiled, tokens: &TokenTexts) -> Capabilities {
    let mut found = Capabilities::default();
    let mut probe = Probe { compiled, tokens, wrap: false };
    found.content_text = probe.prints(USER, vec![probe.user()], Vec::new());
    probe.wrap = true;
    let parts = probe.render(vec![probe.user()], Vec::new());
    found.content_parts = parts.is_some_and(|prompt| {
        // A template that prints the list itself does not know parts.
        prompt.contains(USER) && !prompt.contains("'type'") && !prompt.contains("\"type\"")
    });
    // A template that takes neither fails on every conversation; rendering will say why.
    found.content_text |= !found.content_parts;
    probe.wrap = !found.content_text;

    let system = |role: &str| vec![json!({ "role": role, "content": probe.text(SYSTEM) }), probe.user()];
    found.system = probe.prints(SYSTEM, system("system"), Vec::new());
    found.developer =
        compiled.source.contains("developer") && probe.prints(SYSTEM, system("developer"), Vec::new());
    found.tools = probe.prints("tool_needle", vec![probe.user()], vec![tool()]);
    found.thinking_switch = compiled.source.contains("enable_thinking")
        || ["thinking is defined", "not thinking", "if thinking", "thinking)"]
            .iter()
            .any(|text| compiled.source.contains(text));
    calls(&probe, &mut found);
    found.reasoning = ["reasoning_content", "thinking"].iter().any(|field| {
        let mut answer = json!({ "role": "assistant", "content": probe.text("said") });
        answer[*field] = json!("ReasonNeedle");
        let with_call = |mut answer: Value| {
            answer["tool_calls"] = call(json!({ "key_needle": "value_needle" }), "call00001");
            answer
        };
        probe.prints("ReasonNeedle", vec![probe.user(), answer.clone()], Vec::new())
            || probe.prints("ReasonNeedle", vec![probe.user(), with_call(answer)], vec![tool()])
    });
    found
}

fn call(arguments: Value, id: &str) -> Value {
    json!([{ "id": id, "type": "function", "function": { "name": "tool_needle", "arguments": arguments } }])
}

/// What the template does with earlier calls and their results.
fn calls(probe: &Probe, found: &mut Capabilities) {
    let turns = |content: Value, arguments: Value, id: &str, with_result: bool, with_name: bool| {
        let mut messages = vec![
            probe.user(),
            json!({ "role": "assistant", "content": content, "tool_calls": call(arguments, id) }),
        ];
        if with_result {
            let mut result = json!({ "role": "tool", "content": probe.text(RESULT), "tool_call_id": id });
            if with_name {
                result["name"] = json!("tool_needle");
            }
            messages.push(result);
        }
        messages
    };
    let object = || json!({ "key_needle": "value_needle" });
    let text = || json!("{\"key_needle\": \"value_needle\"}");
    let empty = || if probe.wrap { json!([]) } else { json!("") };
    let id = "call00001";
    // An object printed as Python would show it, or text escaped a second time, is the wrong form.
    let takes = |arguments: Value, wrong: &str| {
        [empty(), Value::Null].into_iter().any(|content| {
            [true, false].into_iter().any(|with_result| {
                let prompt = probe
                    .render(turns(content.clone(), arguments.clone(), id, with_result, true), vec![tool()]);
                prompt.is_some_and(|prompt| prompt.contains("value_needle") && !prompt.contains(wrong))
            })
        })
    };
    let takes_object = takes(object(), "'key_needle'");
    let takes_text = takes(text(), "\\\"key_needle");
    found.tool_calls = takes_object || takes_text;
    found.arguments = if !takes_object && takes_text { Arguments::Text } else { Arguments::Object };
    let arguments = || if found.arguments == Arguments::Text { text() } else { object() };
    if found.tool_calls {
        let with_null = probe.render(turns(Value::Null, arguments(), id, false, true), vec![tool()]);
        found.null_content =
            with_null.is_some_and(|prompt| prompt.contains("value_needle") && !prompt.contains("None"));
        let with_id = |id: &str| {
            probe.prints("value_needle", turns(empty(), arguments(), id, true, true), vec![tool()])
        };
        found.short_call_ids = with_id(id) && !with_id("call_00000000001");
    }
    let named = probe.render(turns(empty(), arguments(), id, true, true), vec![tool()]);
    let unnamed = probe.render(turns(empty(), arguments(), id, true, false), vec![tool()]);
    found.tool_results = named.as_ref().is_some_and(|prompt| prompt.contains(RESULT));
    // The name matters to a template that prints a tool's message otherwise, and not only "unknown", without it.
    found.tool_name = found.tool_results && unnamed.is_none();
}

//! Reading a chat request.

use mynah_chat::{Content, Conversation, Message, Now, Part, RenderOptions, Tool};
use mynah_engine::live::{ConstraintSource, Request, SAMPLES_MAX};
use serde_json::{Map, Value};

use crate::llm::failure::{Failure, Outcome};
use crate::llm::generation::{fresh_id, now_s};
use crate::llm::input::{Input, shown};
use crate::llm::turn::{Ask, Choice};
use crate::llm::{sampling, stream_usage};

/// Messages of one request.
const MESSAGES_MAX: usize = 10_000;
/// Tools of one request.
const TOOLS_MAX: usize = 1_024;
/// Alternatives a token.
const TOP_LOGPROBS_MAX: u64 = 20;

/// A chat request whose fields have been read.
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) created_s: i64,
    pub(crate) samples: usize,
    pub(crate) logprobs: bool,
    pub(crate) stream: bool,
    pub(crate) stream_usage: bool,
    /// Choices tell which version of the weights wrote which tokens.
    pub(crate) with_weights: bool,
}

/// Reads all fields; what is unknown or cannot be honoured is refused. `call_pieces`: how streams tell of calls when the
/// request does not say.
pub(crate) fn read(mut body: Input, mut request: Request, call_pieces: bool) -> Outcome<(Plan, Ask)> {
    sampling::read(&mut body, &mut request)?;
    let longest = u64::from(u32::MAX);
    let older = body.count("max_tokens", 1, longest)?;
    request.max_tokens = body.count("max_completion_tokens", 1, longest)?.or(older);
    request.samples = body.count("n", 1, SAMPLES_MAX as u64)?.unwrap_or(1);
    let logprobs = body.flag("logprobs")?.unwrap_or(false);
    let top = body.count("top_logprobs", 0, TOP_LOGPROBS_MAX)?;
    if top.is_some() && !logprobs {
        return Err(Failure::field("top_logprobs", "top_logprobs only goes with logprobs: true"));
    }
    request.logprobs = logprobs.then_some(top.unwrap_or(0));
    let stream = body.flag("stream")?.unwrap_or(false);
    let stream_usage = stream_usage(&mut body, stream)?;
    refuse_the_impossible(&mut body)?;
    body.note(&["user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"]);
    let plan = Plan {
        id: fresh_id("chatcmpl-"),
        created_s: now_s(),
        samples: request.samples,
        logprobs,
        stream,
        stream_usage,
        with_weights: body.flag("return_weights")?.unwrap_or(false),
    };
    let options = render_options(&mut body)?;
    let conversation = conversation(&mut body)?;
    let choice = choice_of_tools(&mut body, &conversation.tools)?;
    let call_pieces = match body.word("tool_stream", &["complete", "incremental"])? {
        Some(_) if !stream => {
            return Err(Failure::field("tool_stream", "tool_stream only goes with stream: true"));
        }
        Some(word) => word == "incremental",
        None => stream && call_pieces,
    };
    let one_call = !body.flag("parallel_tool_calls")?.unwrap_or(true);
    let format = constraint_of_format(&mut body)?;
    body.finish()?;
    Ok((plan, Ask { conversation, options, choice, one_call, call_pieces, format, request }))
}

/// Fields that are documented and that no model here can honour. What asks for nothing special is fine.
fn refuse_the_impossible(body: &mut Input) -> Outcome<()> {
    for (field, why) in [
        ("audio", "the models here only write text"),
        (
            "prediction",
            "predicted outputs are not supported; repeated text is guessed from the prompt without it",
        ),
        ("web_search_options", "this server searches nothing"),
        ("functions", "this older form is not supported; use tools"),
        ("function_call", "this older form is not supported; use tool_choice"),
    ] {
        if body.has(field) {
            return Err(Failure::unsupported(field, format!("{field} is not supported: {why}")));
        }
    }
    if body.flag("store")?.unwrap_or(false) {
        return Err(Failure::unsupported("store", "store is not supported: this server keeps no answers"));
    }
    if let Some(modalities) = body.list("modalities")?
        && modalities.iter().any(|modality| modality != "text")
    {
        return Err(Failure::unsupported("modalities", "modalities can only be [\"text\"] here"));
    }
    let tiers = ["auto", "default"];
    if let Some(tier) = body.text("service_tier")?
        && !tiers.contains(&tier.as_str())
    {
        return Err(Failure::unsupported("service_tier", "service_tier can only be auto or default here"));
    }
    if let Some(verbosity) = body.text("verbosity")?
        && verbosity != "medium"
    {
        return Err(Failure::unsupported(
            "verbosity",
            "verbosity can only be medium here: the models have no such setting",
        ));
    }
    Ok(())
}

/// What the template is told besides the messages.
pub(crate) fn render_options(body: &mut Input) -> Outcome<RenderOptions> {
    let mut options =
        RenderOptions { now: Some(Now { unix_s: now_s(), utc_offset_s: 0 }), ..RenderOptions::default() };
    if let Some(Value::Object(more)) = body.take("chat_template_kwargs") {
        options.kwargs = more;
    }
    if let Some(effort) =
        body.word("reasoning_effort", &["none", "minimal", "low", "medium", "high", "xhigh"])?
    {
        options.kwargs.entry("reasoning_effort").or_insert(Value::String(effort.to_string()));
        if effort == "none" {
            options.enable_thinking = Some(false);
        }
    }
    options.add_generation_prompt = body.flag("add_generation_prompt")?.unwrap_or(true);
    options.continue_final_message = body.flag("continue_final_message")?.unwrap_or(false);
    if options.continue_final_message {
        options.add_generation_prompt = false;
    }
    Ok(options)
}

/// Messages and tools.
pub(crate) fn conversation(body: &mut Input) -> Outcome<Conversation> {
    let items = body.list("messages")?.ok_or_else(|| body.absent("messages"))?;
    if items.is_empty() || items.len() > MESSAGES_MAX {
        let message = format!("messages has {} entries; it must have 1 to {MESSAGES_MAX}", items.len());
        return Err(Failure::field("messages", message));
    }
    let messages =
        items.iter().enumerate().map(|(index, item)| message(item, index)).collect::<Outcome<_>>()?;
    let tools = match body.list("tools")? {
        None => Vec::new(),
        Some(items) if items.len() > TOOLS_MAX => {
            return Err(Failure::field("tools", format!("{} tools; at most {TOOLS_MAX} work", items.len())));
        }
        Some(items) => {
            items.iter().enumerate().map(|(index, item)| tool(item, index)).collect::<Outcome<_>>()?
        }
    };
    let documents = body.list("documents")?.unwrap_or_default();
    Ok(Conversation { messages, tools, documents })
}

fn message(item: &Value, index: usize) -> Outcome<Message> {
    let place = format!("messages[{index}]");
    let message = Message::from_json(item)
        .map_err(|error| Failure::field(place.clone(), format!("{place}: {error}")))?;
    if let Some(Content::Parts(parts)) = &message.content {
        for part in parts {
            if let Part::Other(other) = part {
                let kind = other.get("type").and_then(Value::as_str).unwrap_or("unknown");
                let message = format!("{place} has a part of type '{kind}'; the models here only read text");
                return Err(Failure::unsupported(format!("{place}.content"), message));
            }
        }
    }
    Ok(message)
}

fn tool(item: &Value, index: usize) -> Outcome<Tool> {
    let place = format!("tools[{index}]");
    Tool::from_json(item).map_err(|error| Failure::field(place.clone(), format!("{place}: {error}")))
}

/// `tool_choice`, checked against the tools.
pub(crate) fn choice_of_tools(body: &mut Input, tools: &[Tool]) -> Outcome<Choice> {
    let wanted =
        "tool_choice must be none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": …}}";
    let bad = |message: String| Failure::field("tool_choice", message);
    let choice = match body.take("tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            _ => return Err(bad(format!("tool_choice is {word:?}; {wanted}"))),
        },
        Some(Value::Object(fields)) => named(&fields).ok_or_else(|| bad(wanted.to_string()))?,
        Some(other) => return Err(bad(format!("tool_choice is {}; {wanted}", shown(&other)))),
    };
    if let Choice::Named(name) = &choice
        && !tools.iter().any(|tool| tool.name() == name)
    {
        return Err(bad(format!("tool_choice names '{name}', which is not among the tools")));
    }
    if choice == Choice::Required && tools.is_empty() {
        return Err(bad("tool_choice is required, but there are no tools".to_string()));
    }
    Ok(choice)
}

fn named(fields: &Map<String, Value>) -> Option<Choice> {
    let name =
        fields.get("function").and_then(|function| function.get("name")).or_else(|| fields.get("name"));
    let is_function = fields.get("type").is_some_and(|kind| kind == "function");
    name.and_then(Value::as_str).filter(|_| is_function).map(|name| Choice::Named(name.to_string()))
}

/// `response_format`, and the guided decoding of other servers.
fn constraint_of_format(body: &mut Input) -> Outcome<Option<(&'static str, ConstraintSource)>> {
    let mut found = Vec::new();
    if let Some(mut format) = body.object("response_format")? {
        match format.text_needed("type")?.as_str() {
            "text" => {}
            "json_object" => found.push(("response_format", ConstraintSource::JsonObject)),
            "json_schema" => {
                let mut schema = format.object("json_schema")?.ok_or_else(|| format.absent("json_schema"))?;
                schema.note(&["name", "description", "strict"]);
                let value = schema.take("schema").ok_or_else(|| schema.absent("schema"))?;
                schema.finish()?;
                found.push(("response_format", ConstraintSource::JsonSchema(value)));
            }
            other => {
                let message =
                    format!("response_format.type is {other:?}; it must be text, json_object or json_schema");
                return Err(Failure::field("response_format.type", message));
            }
        }
        format.finish()?;
    }
    if let Some(schema) = body.take("guided_json") {
        // Some clients give the schema as text.
        let schema = match schema {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                Failure::field("guided_json", format!("guided_json is not JSON: {error}"))
            })?,
            other => other,
        };
        found.push(("guided_json", ConstraintSource::JsonSchema(schema)));
    }
    if let Some(pattern) = body.text("guided_regex")? {
        found.push(("guided_regex", ConstraintSource::Regex(pattern)));
    }
    if let Some(grammar) = body.text("guided_grammar")? {
        found.push(("guided_grammar", ConstraintSource::Lark(grammar)));
    }
    let choices = sampling::stops(body, "guided_choice")?;
    if !choices.is_empty() {
        found.push(("guided_choice", ConstraintSource::Choice(choices)));
    }
    if let [(first, _), (second, _), ..] = found.as_slice() {
        let message = format!("{first} and {second} exclude each other; give one of them");
        return Err(Failure::field(*second, message));
    }
    Ok(found.pop())
}

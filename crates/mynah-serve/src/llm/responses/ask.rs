//! Reading a request of the Responses API.

use std::sync::Arc;

use mynah_chat::{Conversation, Message, Now, RenderOptions, Role, Tool};
use mynah_engine::live::{ConstraintSource, Request};
use serde_json::{Map, Value, json};

use super::items::{self, Item};
use super::stored::missing;
use crate::llm::failure::{Failure, Outcome};
use crate::llm::generation::{fresh_id, now_s};
use crate::llm::input::{Input, shown};
use crate::llm::model::ServedModel;
use crate::llm::turn::{Ask, Choice};
use crate::llm::{App, sampling};

/// Alternatives a token.
const TOP_LOGPROBS_MAX: u64 = 20;
/// Tools of one request.
const TOOLS_MAX: usize = 1_024;
/// Pairs of `metadata`, and their lengths, as OpenAI has them.
const METADATA_MAX: (usize, usize, usize) = (16, 64, 512);
/// What `include` can ask for here.
const LOGPROBS: &str = "message.output_text.logprobs";

/// A request whose fields have been read.
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) stream: bool,
    pub(super) store: bool,
    pub(super) logprobs: bool,
    /// The response before anything was answered.
    pub(super) head: Map<String, Value>,
    /// The items of the request.
    pub(super) input: Vec<Arc<Item>>,
    /// The items before it.
    pub(super) before: Vec<Arc<Item>>,
}

/// Reads all fields; what is unknown or cannot be honoured is refused.
pub(super) fn read(
    app: &App,
    mut body: Input,
    model: &ServedModel,
    mut request: Request,
) -> Outcome<(Plan, Ask)> {
    let client = request.client.clone();
    sampling::read(&mut body, &mut request)?;
    let (temperature, top_p) = (request.sampling.options.temperature, request.sampling.options.top_p);
    request.max_tokens = body.count("max_output_tokens", 1, u64::from(u32::MAX))?;
    let logprobs = include(&mut body)?;
    let top_logprobs = body.count("top_logprobs", 0, TOP_LOGPROBS_MAX)?.unwrap_or(0);
    if top_logprobs > 0 && !logprobs {
        let message = format!("top_logprobs only goes with include: [\"{LOGPROBS}\"]");
        return Err(Failure::field("top_logprobs", message));
    }
    request.logprobs = logprobs.then_some(top_logprobs);
    let stream = body.flag("stream")?.unwrap_or(false);
    stream_options(&mut body, stream)?;
    let store = body.flag("store")?.unwrap_or(true);
    // Only tools of the provider's own count, and there are none.
    let max_tool_calls = body.count("max_tool_calls", 1, u64::from(u32::MAX))?;
    let metadata = metadata(&mut body)?;
    let echoed: Vec<(&str, Option<String>)> = ["user", "safety_identifier", "prompt_cache_key"]
        .into_iter()
        .map(|field| Ok((field, body.text(field)?)))
        .collect::<Outcome<_>>()?;
    body.note(&["prompt_cache_retention"]);
    refuse_the_impossible(&mut body)?;
    let max_output_tokens = request.max_tokens;
    let mut shared = conversation(app, &mut body, &client)?;
    body.finish()?;
    let id = fresh_id("resp_");
    let mut head = Map::new();
    let fields = json!({
        "id": id, "object": "response", "created_at": now_s(), "status": "in_progress", "background": false,
        "error": null, "incomplete_details": null, "max_output_tokens": max_output_tokens,
        "max_tool_calls": max_tool_calls, "metadata": metadata, "model": model.name, "output": [],
        "service_tier": "default", "store": store, "temperature": temperature, "top_logprobs": top_logprobs,
        "top_p": top_p, "truncation": "disabled", "usage": null,
    });
    if let Value::Object(fields) = fields {
        head.extend(fields);
    }
    head.append(&mut shared.echo);
    head.extend(echoed.into_iter().map(|(field, value)| (field.to_string(), json!(value))));
    let plan = Plan { id, client, stream, store, logprobs, head, input: shared.input, before: shared.before };
    Ok((plan, Ask { request, ..shared.ask }))
}

/// What a response and the count of its tokens have in common.
pub(super) struct Shared {
    /// Without the request to the engine.
    pub(super) ask: Ask,
    echo: Map<String, Value>,
    input: Vec<Arc<Item>>,
    before: Vec<Arc<Item>>,
}

/// Items, instructions, tools, format and reasoning.
pub(super) fn conversation(app: &App, body: &mut Input, client: &str) -> Outcome<Shared> {
    let mut echo = Map::new();
    let previous = body.text("previous_response_id")?;
    let before = match &previous {
        None => Vec::new(),
        Some(id) => {
            let stored = app.store.get(client, id).ok_or_else(|| Failure {
                param: Some("previous_response_id".to_string()),
                ..missing(app, id)
            })?;
            stored.conversation.clone()
        }
    };
    echo.insert("previous_response_id".to_string(), json!(previous));
    let input = items::read(body, |id| app.store.item(client, id))?;
    // Instructions are this request's own: they are no part of what later ones go on from.
    let instructions = body.text("instructions")?;
    let mut messages: Vec<Message> =
        instructions.iter().map(|text| Message::text(Role::System, text.clone())).collect();
    echo.insert("instructions".to_string(), json!(instructions));
    messages.extend(items::messages(before.iter().chain(&input))?);
    if messages.is_empty() {
        return Err(Failure::field("input", "input is empty; the model needs something to answer"));
    }
    let tools = tools(body)?;
    echo.insert("tools".to_string(), tools.iter().map(tool_json).collect());
    let (choice, tools) = choice(body, tools, &mut echo)?;
    let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true);
    echo.insert("parallel_tool_calls".to_string(), json!(parallel));
    let format = format(body, &mut echo)?;
    let options = options(body, &mut echo)?;
    let conversation = Conversation { messages, tools, documents: Vec::new() };
    let request = Request::new(Vec::new());
    let ask = Ask { conversation, options, choice, one_call: !parallel, call_pieces: false, format, request };
    Ok(Shared { ask, echo, input, before })
}

/// Fields that are documented and that no model here can honour. What asks for nothing special is fine.
fn refuse_the_impossible(body: &mut Input) -> Outcome<()> {
    for (field, why) in [
        ("conversation", "this server keeps responses and no conversations; use previous_response_id"),
        ("prompt", "this server keeps no prompts; send the text"),
        ("context_management", "nothing is ever cut from a conversation here"),
        ("moderation", "this server has no moderation model"),
        ("image", "the models here only read text"),
        ("access_programs", "there are none here"),
        ("background_options", "nothing runs in the background here"),
        ("prompt_cache_options", "what requests share is cached by itself, as long as there is room"),
    ] {
        if body.has(field) {
            return Err(Failure::unsupported(field, format!("{field} is not supported: {why}")));
        }
    }
    if body.flag("background")?.unwrap_or(false) {
        let message = "background is not supported: an answer ends when its client goes away";
        return Err(Failure::unsupported("background", message));
    }
    if body.text("truncation")?.is_some_and(|kind| kind != "disabled") {
        let message = "truncation can only be disabled here: nothing is ever cut from a conversation";
        return Err(Failure::unsupported("truncation", message));
    }
    if body.text("service_tier")?.is_some_and(|tier| tier != "auto" && tier != "default") {
        return Err(Failure::unsupported("service_tier", "service_tier can only be auto or default here"));
    }
    Ok(())
}

fn stream_options(body: &mut Input, stream: bool) -> Outcome<()> {
    let Some(mut options) = body.object("stream_options")? else { return Ok(()) };
    if !stream {
        return Err(Failure::field("stream_options", "stream_options only goes with stream: true"));
    }
    if options.flag("include_obfuscation")?.unwrap_or(false) {
        let message = "this server adds no obfuscation";
        return Err(Failure::unsupported("stream_options.include_obfuscation", message));
    }
    options.finish()
}

/// Whether log probabilities are wanted, which is all that can be.
fn include(body: &mut Input) -> Outcome<bool> {
    let mut wanted = false;
    for item in body.list("include")?.unwrap_or_default() {
        let Value::String(name) = &item else {
            return Err(Failure::field(
                "include",
                format!("include has {}; it must hold strings", shown(&item)),
            ));
        };
        wanted |= check_include(name, "include")?;
    }
    Ok(wanted)
}

/// Refuses what cannot be included; true for log probabilities.
pub(super) fn check_include(name: &str, field: &str) -> Outcome<bool> {
    if name == LOGPROBS {
        return Ok(true);
    }
    let short: String = name.chars().take(60).collect();
    let why = match name {
        "reasoning.encrypted_content" => {
            "reasoning stands in `content` of its item and can be sent back as it is"
        }
        _ => "there is no such thing in answers of this server",
    };
    Err(Failure::unsupported(field, format!("include cannot hold '{short}' here: {why}; {LOGPROBS} works")))
}

fn metadata(body: &mut Input) -> Outcome<Value> {
    let value = body.take("metadata").unwrap_or_else(|| json!({}));
    let (pairs, name, text) = METADATA_MAX;
    let fits = value.as_object().is_some_and(|map| {
        let is_short = |(key, value): (&String, &Value)| {
            key.chars().count() <= name && value.as_str().is_some_and(|value| value.chars().count() <= text)
        };
        map.len() <= pairs && map.iter().all(is_short)
    });
    let message = format!(
        "metadata must be an object of at most {pairs} strings of up to {text} characters, names of up to {name}"
    );
    if fits { Ok(value) } else { Err(Failure::field("metadata", message)) }
}

fn tools(body: &mut Input) -> Outcome<Vec<Tool>> {
    let items = body.objects("tools")?.unwrap_or_default();
    if items.len() > TOOLS_MAX {
        return Err(Failure::field("tools", format!("{} tools; at most {TOOLS_MAX} work", items.len())));
    }
    items.into_iter().map(tool).collect()
}

/// A function, flat as this API has it.
fn tool(mut item: Input) -> Outcome<Tool> {
    let (place, whole) = (item.name("type"), item.name("parameters"));
    let kind = item.text_needed("type")?;
    if kind != "function" {
        let message =
            format!("{place} is '{kind}'; only tools of the client's own ('function') are supported");
        return Err(Failure::unsupported(place, message));
    }
    let name = item.text_needed("name")?;
    let description = item.text("description")?;
    let parameters = item.take("parameters").unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let strict = item.flag("strict")?;
    item.finish()?;
    if !parameters.is_object() {
        return Err(Failure::field(whole.clone(), format!("{whole} must be a JSON schema object")));
    }
    let mut definition = Tool::function(&name, description.as_deref(), parameters).definition().clone();
    if let Some(strict) = strict {
        definition["function"]["strict"] = json!(strict);
    }
    // Read back, so that what this API's client sends is checked as the other ones' is.
    Tool::from_json(&definition).map_err(|error| Failure::field(place, error.to_string()))
}

fn tool_json(tool: &Tool) -> Value {
    let function = &tool.definition()["function"];
    json!({
        "type": "function", "name": function["name"], "description": function["description"],
        "parameters": function["parameters"], "strict": function["strict"].as_bool().unwrap_or(false),
    })
}

/// `tool_choice`, and the tools that remain after it.
fn choice(
    body: &mut Input,
    mut tools: Vec<Tool>,
    echo: &mut Map<String, Value>,
) -> Outcome<(Choice, Vec<Tool>)> {
    let wanted = "tool_choice must be none, auto, required, {\"type\": \"function\", \"name\": …} or \
                  {\"type\": \"allowed_tools\", \"mode\": …, \"tools\": […]}";
    let bad = |message: String| Failure::field("tool_choice", message);
    let known = |name: &str, tools: &[Tool]| match tools.iter().any(|tool| tool.name() == name) {
        true => Ok(()),
        false => Err(bad(format!("tool_choice names '{name}', which is not among the tools"))),
    };
    let value = body.take("tool_choice").unwrap_or_else(|| json!("auto"));
    echo.insert("tool_choice".to_string(), value.clone());
    let choice = match value {
        Value::String(word) => {
            by_word(&word).ok_or_else(|| bad(format!("tool_choice is {word:?}; {wanted}")))?
        }
        Value::Object(fields) => {
            let mut fields = Input::of(fields, "tool_choice.");
            let choice = match fields.text_needed("type")?.as_str() {
                "function" => {
                    let name = fields.text_needed("name")?;
                    known(&name, &tools)?;
                    Choice::Named(name)
                }
                "allowed_tools" => {
                    let mode = fields.word("mode", &["auto", "required"])?;
                    let mode = mode.ok_or_else(|| fields.absent("mode"))?;
                    let mut names = Vec::new();
                    for mut item in fields.objects("tools")?.ok_or_else(|| fields.absent("tools"))? {
                        item.word("type", &["function"])?.ok_or_else(|| item.absent("type"))?;
                        let name = item.text_needed("name")?;
                        item.finish()?;
                        known(&name, &tools)?;
                        names.push(name);
                    }
                    tools.retain(|tool| names.iter().any(|name| name == tool.name()));
                    if mode == "auto" { Choice::Auto } else { Choice::Required }
                }
                other => {
                    let message = format!("tool_choice.type is '{other}'; {wanted}");
                    return Err(Failure::unsupported("tool_choice.type", message));
                }
            };
            fields.finish()?;
            choice
        }
        other => return Err(bad(format!("tool_choice is {}; {wanted}", shown(&other)))),
    };
    if choice == Choice::Required && tools.is_empty() {
        return Err(bad("tool_choice is required, but there are no tools".to_string()));
    }
    Ok((choice, tools))
}

fn by_word(word: &str) -> Option<Choice> {
    match word {
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::None),
        "required" => Some(Choice::Required),
        _ => None,
    }
}

/// `text`: what the answer must look like.
fn format(
    body: &mut Input,
    echo: &mut Map<String, Value>,
) -> Outcome<Option<(&'static str, ConstraintSource)>> {
    let (mut shown_format, mut found) = (json!({"type": "text"}), None);
    if let Some(mut text) = body.object("text")? {
        if text.text("verbosity")?.is_some_and(|verbosity| verbosity != "medium") {
            let message = "text.verbosity can only be medium here: the models have no such setting";
            return Err(Failure::unsupported("text.verbosity", message));
        }
        if let Some(mut format) = text.object("format")? {
            match format.text_needed("type")?.as_str() {
                "text" => {}
                "json_object" => {
                    shown_format = json!({"type": "json_object"});
                    found = Some(ConstraintSource::JsonObject);
                }
                "json_schema" => {
                    let name = format.text_needed("name")?;
                    let description = format.text("description")?;
                    // With or without: the answer matches the schema.
                    let strict = format.flag("strict")?.unwrap_or(true);
                    let schema = format.take("schema").ok_or_else(|| format.absent("schema"))?;
                    shown_format = json!({
                        "type": "json_schema", "name": name, "description": description, "strict": strict,
                        "schema": schema,
                    });
                    found = Some(ConstraintSource::JsonSchema(schema));
                }
                other => {
                    let message =
                        format!("text.format.type is {other:?}; it must be text, json_object or json_schema");
                    return Err(Failure::field("text.format.type", message));
                }
            }
            format.finish()?;
        }
        text.finish()?;
    }
    echo.insert("text".to_string(), json!({"format": shown_format, "verbosity": "medium"}));
    Ok(found.map(|source| ("text.format", source)))
}

/// `reasoning`, and what else the template is told.
fn options(body: &mut Input, echo: &mut Map<String, Value>) -> Outcome<RenderOptions> {
    let mut options =
        RenderOptions { now: Some(Now { unix_s: now_s(), utc_offset_s: 0 }), ..RenderOptions::default() };
    if let Some(kwargs) = body.object("chat_template_kwargs")? {
        options.kwargs = kwargs.rest();
    }
    let mut effort = None;
    if let Some(mut reasoning) = body.object("reasoning")? {
        effort = reasoning.word("effort", &["none", "minimal", "low", "medium", "high", "xhigh"])?;
        if let Some(effort) = effort {
            options.kwargs.entry("reasoning_effort").or_insert(json!(effort));
            if effort == "none" {
                options.enable_thinking = Some(false);
            }
        }
        for (field, usual, why) in [
            ("summary", "auto", "reasoning is given whole and not summed up"),
            ("generate_summary", "auto", "reasoning is given whole and not summed up"),
            ("context", "auto", "what is sent back is told to the model as its template has it"),
            ("mode", "standard", "the models here have no other"),
        ] {
            if reasoning.text(field)?.is_some_and(|value| value != usual) {
                let message = format!("reasoning.{field} can only be {usual} here: {why}");
                return Err(Failure::unsupported(format!("reasoning.{field}"), message));
            }
        }
        reasoning.finish()?;
    }
    echo.insert("reasoning".to_string(), json!({"effort": effort, "summary": null}));
    Ok(options)
}

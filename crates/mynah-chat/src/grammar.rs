//! Grammars that force calls: under them a model, with any weights, writes calls that the format's parser reads, with
//! arguments that the tool's schema allows.
//!
//! The text is llguidance's dialect of Lark: rules of literals, regular expressions, `%json` schemas and `<[id]>` for
//! special tokens. A schema that the engine cannot keep is refused when the grammar is compiled, not here.

use serde_json::{Map, Value, json};

use crate::conversation::Tool;
use crate::error::{Error, Result};
use crate::format::ToolFormat;
use crate::parser::{CODE_END, CODE_TOOL};
use crate::thinking::Thinking;

/// Calls in one answer when parallel calls are allowed: weights without sense would otherwise never stop.
const CALLS_MAX: usize = 16;

/// Which calls are forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// At least one call, of any tool.
    Required,
    /// A call of this tool.
    Named(&'a str),
}

/// How to write a grammar.
#[derive(Clone, Copy)]
pub struct GrammarOptions<'a> {
    /// Several calls may follow each other, where the format has a form for that.
    pub parallel: bool,
    /// The model may think before it calls: reasoning up to its closing mark comes first.
    pub reasoning: Option<&'a Thinking>,
    /// The id of a text that is one special token of the model (`<tool_call>`, `[TOOL_CALLS]` …). A mark that is a token
    /// must be forced as that token: spelled in letters it is another text to the model.
    pub token_id: &'a dyn Fn(&str) -> Option<u32>,
}

/// The grammar under which every answer is one or more calls.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a format without calls;
/// [`ErrorKind::Conversation`](crate::ErrorKind::Conversation) when there is no tool, or none of the name.
pub fn grammar(
    format: ToolFormat,
    tools: &[Tool],
    choice: Choice,
    options: &GrammarOptions,
) -> Result<String> {
    let tools: Vec<&Tool> = match choice {
        Choice::Required => tools.iter().collect(),
        Choice::Named(name) => tools.iter().filter(|tool| tool.name() == name).take(1).collect(),
    };
    match (choice, tools.is_empty()) {
        (Choice::Named(name), true) => {
            return Err(Error::conversation(format!(
                "tool_choice names the function '{name}', which is not among the tools"
            )));
        }
        (Choice::Required, true) => {
            return Err(Error::conversation("tool_choice requires a call, but the request has no tools"));
        }
        _ => {}
    }
    let mut writer = Writer { rules: Vec::new(), token_id: options.token_id };
    let calls: Vec<String> = tools.iter().map(|tool| writer.tool(format, tool)).collect::<Result<_>>()?;
    writer.rules.push(format!("call: {}", calls.join("\n    | ")));
    let more = |separator: &str| {
        if options.parallel {
            format!("call ({separator} call){{0,{}}}", CALLS_MAX - 1)
        } else {
            "call".to_string()
        }
    };
    let body = match format {
        ToolFormat::Hermes | ToolFormat::Qwen3Coder | ToolFormat::Glm4 => more("\"\\n\""),
        ToolFormat::Llama3Json => more("\"; \""),
        ToolFormat::Pythonic => format!("\"[\" {} \"]\"", more("\", \"")),
        ToolFormat::MinimaxM2 => {
            let (open, close) = (writer.mark("<minimax:tool_call>"), writer.mark("</minimax:tool_call>"));
            format!("{open} \"\\n\" {} \"\\n\" {close}", more("\"\\n\""))
        }
        ToolFormat::Nemotron => {
            let (open, close) = (writer.mark("<TOOLCALL>"), writer.mark("</TOOLCALL>"));
            format!("{open} \"[\" {} \"]\" {close}", more("\", \""))
        }
        ToolFormat::Mistral if (options.token_id)("[ARGS]").is_some() => more(""),
        ToolFormat::Mistral => format!("{} \"[\" {} \"]\"", writer.mark("[TOOL_CALLS]"), more("\", \"")),
        ToolFormat::KimiK2 => {
            let (open, close) =
                (writer.mark("<|tool_calls_section_begin|>"), writer.mark("<|tool_calls_section_end|>"));
            format!("{open} {} {close}", more(""))
        }
        ToolFormat::DeepseekV3 => {
            let (open, close) = (writer.mark("<｜tool▁calls▁begin｜>"), writer.mark("<｜tool▁calls▁end｜>"));
            format!("{open} {} {close}", more(""))
        }
        ToolFormat::Gemma if writer.gemma_native().is_some() => more(""),
        ToolFormat::Gemma => format!("\"[\" {} \"]\"", more("\", \"")),
        // These stop after each call.
        ToolFormat::GptOss | ToolFormat::Mynah => "call".to_string(),
        ToolFormat::None => return Err(no_calls()),
    };
    let start = match options.reasoning {
        Some(thinking) => format!("{} {body}", writer.reasoning(thinking)),
        None => body,
    };
    let mut text = format!("%llguidance {{}}\nstart: {start}\n");
    for rule in &writer.rules {
        text.push_str(rule);
        text.push('\n');
    }
    Ok(text)
}

fn no_calls() -> Error {
    Error::unsupported(
        "this model has no known form for tool calls, so none can be forced (see --tool-parser)",
    )
}

struct Writer<'a> {
    rules: Vec<String>,
    token_id: &'a dyn Fn(&str) -> Option<u32>,
}

/// A literal of the grammar.
fn literal(text: &str) -> String {
    Value::String(text.to_string()).to_string()
}

impl Writer<'_> {
    /// A mark of the format: its token, or its letters.
    fn mark(&self, text: &str) -> String {
        (self.token_id)(text).map_or_else(|| literal(text), |id| format!("<[{id}]>"))
    }

    /// Adds a rule and gives its name.
    fn rule(&mut self, name: &str, body: &str) -> String {
        let name = format!("{name}_{}", self.rules.len());
        self.rules.push(format!("{name}: {body}"));
        name
    }

    /// A rule for the values of a schema, as JSON in the spacing that models are trained on.
    fn json(&mut self, schema: &Value) -> String {
        let mut schema = schema.clone();
        if let Some(object) = schema.as_object_mut() {
            // Free white space would let weights without sense write blanks for ever.
            let style =
                json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
            object.insert("x-guidance".to_string(), style);
        }
        self.rule("json", &format!("%json {schema}"))
    }

    /// A text up to its closing mark, which it takes with it.
    fn text_until(&mut self, mark: &str) -> String {
        if (self.token_id)(mark).is_some() {
            let text = self.rule("text", "/(?s:.*)/");
            return format!("{text} {}", self.mark(mark));
        }
        let name = format!("text_{}", self.rules.len());
        self.rules.push(format!("{name}[suffix={}]: /(?s:.*)/", literal(mark)));
        name
    }

    fn reasoning(&mut self, thinking: &Thinking) -> String {
        let until = self.text_until(&thinking.close);
        let open = if thinking.is_open { String::new() } else { self.mark(&thinking.open) };
        format!("{open} {until} \"\\n\\n\"")
    }

    /// The mark that begins Gemma's native calls, and its end, if the model has them.
    fn gemma_native(&self) -> Option<(&'static str, &'static str)> {
        let natives = [("<|tool_call>", "<tool_call|>"), ("<start_function_call>", "<end_function_call>")];
        natives.into_iter().find(|(begin, _)| (self.token_id)(begin).is_some())
    }

    /// The form of a call of one tool.
    fn tool(&mut self, format: ToolFormat, tool: &Tool) -> Result<String> {
        let name = tool.name();
        let schema = arguments_schema(tool);
        let wrapped = |writer: &mut Self, key: &str| {
            let arguments = writer.json(&schema);
            format!("{} {arguments} \"}}\"", literal(&format!("{{\"name\": \"{name}\", \"{key}\": ")))
        };
        Ok(match format {
            ToolFormat::Hermes => self.in_tool_call(|writer| wrapped(writer, "arguments")),
            ToolFormat::Llama3Json => wrapped(self, "parameters"),
            ToolFormat::Nemotron => wrapped(self, "arguments"),
            ToolFormat::Mistral if (self.token_id)("[ARGS]").is_some() => {
                let arguments = self.json(&schema);
                format!("{} {} {} {arguments}", self.mark("[TOOL_CALLS]"), literal(name), self.mark("[ARGS]"))
            }
            ToolFormat::Mistral => wrapped(self, "arguments"),
            ToolFormat::Qwen3Coder => match bare_parameters(&schema, false) {
                Some(parameters) => {
                    let head = literal(&format!("<function={name}>\n"));
                    let parts = self.parameters(&parameters, &schema, |writer, key, value| {
                        let until = writer.bare_value(value, "</parameter>", "\n");
                        format!("{} {until} \"\\n\"", literal(&format!("<parameter={key}>\n")))
                    });
                    self.in_tool_call(|_| format!("{head} {parts} \"</function>\""))
                }
                None => self.in_tool_call(|writer| wrapped(writer, "arguments")),
            },
            ToolFormat::MinimaxM2 => {
                let head = literal(&format!("<invoke name=\"{name}\">\n"));
                let parts = match bare_parameters(&schema, false) {
                    Some(parameters) => self.parameters(&parameters, &schema, |writer, key, value| {
                        let until = writer.bare_value(value, "</parameter>", "");
                        format!("{} {until} \"\\n\"", literal(&format!("<parameter name=\"{key}\">")))
                    }),
                    None => format!("{} \"\\n\"", self.json(&schema)),
                };
                format!("{head} {parts} \"</invoke>\"")
            }
            ToolFormat::Glm4 => match bare_parameters(&schema, false) {
                Some(parameters) => {
                    let parts = self.parameters(&parameters, &schema, |writer, key, value| {
                        let until = writer.bare_value(value, "</arg_value>", "");
                        let (open, close) = (writer.mark("<arg_key>"), writer.mark("</arg_key>"));
                        let value_open = writer.mark("<arg_value>");
                        format!("{open} {} {close} \"\\n\" {value_open} {until} \"\\n\"", literal(key))
                    });
                    let (open, close) = (self.mark("<tool_call>"), self.mark("</tool_call>"));
                    format!("{open} {} {parts} {close}", literal(&format!("{name}\n")))
                }
                None => self.in_tool_call(|writer| wrapped(writer, "arguments")),
            },
            ToolFormat::Pythonic => {
                let Some(parameters) = bare_parameters(&schema, true) else {
                    return Err(Error::unsupported(format!(
                        "a call of '{name}' cannot be forced in this model's Python form: its schema is more than an object \
                         with properties"
                    )));
                };
                let arguments = self.python_arguments(&parameters, &schema);
                format!("{} {arguments} \")\"", literal(&format!("{name}(")))
            }
            ToolFormat::KimiK2 => {
                let arguments = self.json(&schema);
                let (begin, middle) =
                    (self.mark("<|tool_call_begin|>"), self.mark("<|tool_call_argument_begin|>"));
                let (head, end) = (literal(&format!("functions.{name}:")), self.mark("<|tool_call_end|>"));
                let number = self.rule("number", "/[0-9]{1,3}/");
                format!("{begin} {head} {number} {middle} {arguments} {end}")
            }
            ToolFormat::DeepseekV3 => {
                let arguments = self.json(&schema);
                let (begin, middle) = (self.mark("<｜tool▁call▁begin｜>"), self.mark("<｜tool▁sep｜>"));
                let end = self.mark("<｜tool▁call▁end｜>");
                format!("{begin} {} {middle} {arguments} {end}", literal(name))
            }
            ToolFormat::Gemma => match self.gemma_native() {
                Some((begin, end)) => {
                    let arguments = self.json(&schema);
                    format!(
                        "{} {} {arguments} {}",
                        self.mark(begin),
                        literal(&format!("call:{name}")),
                        self.mark(end)
                    )
                }
                None => wrapped(self, "parameters"),
            },
            ToolFormat::GptOss => {
                let arguments = self.json(&schema);
                let (channel, constrain) = (self.mark("<|channel|>"), self.mark("<|constrain|>"));
                let head = literal(&format!("commentary to=functions.{name} "));
                format!("{channel} {head} {constrain} \"json\" {} {arguments}", self.mark("<|message|>"))
            }
            ToolFormat::Mynah if name != CODE_TOOL => {
                return Err(Error::unsupported(format!(
                    "a call of '{name}' cannot be forced: this model has learned the tool {CODE_TOOL} alone"
                )));
            }
            ToolFormat::Mynah => {
                let until = self.text_until(CODE_END);
                format!("{} {until}", self.mark("<|python_start|>"))
            }
            ToolFormat::None => return Err(no_calls()),
        })
    }

    fn in_tool_call(&mut self, inside: impl FnOnce(&mut Self) -> String) -> String {
        let inside = inside(self);
        format!("{} \"\\n\" {inside} \"\\n\" {}", self.mark("<tool_call>"), self.mark("</tool_call>"))
    }

    /// The parameters of a call in order: the required ones, the others or not.
    fn parameters(
        &mut self,
        parameters: &[Parameter],
        root: &Value,
        mut write: impl FnMut(&mut Self, &str, &Value) -> String,
    ) -> String {
        let mut parts = Vec::new();
        for parameter in parameters {
            let schema = with_definitions(&parameter.schema, root);
            let part = write(self, &parameter.name, &schema);
            let part = self.rule("parameter", &part);
            parts.push(if parameter.is_required { part } else { format!("({part})?") });
        }
        parts.join(" ")
    }

    /// A value in a format without types, up to and with its closing mark. `before` stands before the mark of a value that
    /// is not free text.
    fn bare_value(&mut self, schema: &Value, mark: &str, before: &str) -> String {
        if is_free_text(schema) {
            return self.text_until(mark);
        }
        let close = match before {
            "" => self.mark(mark),
            before => format!("{} {}", literal(before), self.mark(mark)),
        };
        if let Some(texts) = listed_texts(schema) {
            let choices: Vec<String> = texts.iter().map(|text| literal(text)).collect();
            return format!("({}) {close}", choices.join(" | "));
        }
        format!("{} {close}", self.json(schema))
    }

    /// Arguments between parentheses, with commas between those that are there.
    fn python_arguments(&mut self, parameters: &[Parameter], root: &Value) -> String {
        let mut parts = Vec::new();
        for parameter in parameters {
            let value = match parameter.schema.get("type").and_then(Value::as_str) {
                Some("boolean") if parameter.schema.get("enum").is_none() => {
                    "(\"True\" | \"False\")".to_string()
                }
                Some("null") => "\"None\"".to_string(),
                _ => self.json(&with_definitions(&parameter.schema, root)),
            };
            let body = format!("{} {value}", literal(&format!("{}=", parameter.name)));
            parts.push((self.rule("argument", &body), parameter.is_required));
        }
        // Required ones come first; after any argument each optional one brings its own comma.
        let required: Vec<&str> = parts.iter().filter(|part| part.1).map(|part| part.0.as_str()).collect();
        let optional: Vec<&str> = parts.iter().filter(|part| !part.1).map(|part| part.0.as_str()).collect();
        let rest = |from: usize| {
            optional[from..].iter().map(|name| format!(" (\", \" {name})?")).collect::<String>()
        };
        if !required.is_empty() {
            return format!("{}{}", required.join(" \", \" "), rest(0));
        }
        let choices: Vec<String> =
            optional.iter().enumerate().map(|(at, name)| format!("{name}{}", rest(at + 1))).collect();
        if choices.is_empty() { String::new() } else { format!("({})?", choices.join(" | ")) }
    }
}

struct Parameter {
    name: String,
    schema: Value,
    is_required: bool,
}

/// The schema of a tool's arguments as it is enforced: an object, and no arguments beyond the ones named unless the
/// schema says that others are welcome.
fn arguments_schema(tool: &Tool) -> Value {
    let mut schema = tool.parameters();
    if let Some(object) = schema.as_object_mut() {
        if !["$ref", "anyOf", "oneOf", "allOf", "type"].iter().any(|key| object.contains_key(*key)) {
            object.insert("type".to_string(), json!("object"));
        }
        let is_plain = object.contains_key("properties") && !object.contains_key("patternProperties");
        let has_choices = ["$ref", "anyOf", "oneOf", "allOf"].iter().any(|key| object.contains_key(*key));
        if is_plain && !has_choices && !object.contains_key("additionalProperties") {
            object.insert("additionalProperties".to_string(), json!(false));
        }
    }
    schema
}

/// The parameters of a schema that is nothing but an object with properties, and whose names can stand in a tag or before
/// a `=`; `None` for every other schema, whose calls have to be JSON. `has_types` says that the format tells texts from
/// other values.
fn bare_parameters(schema: &Value, has_types: bool) -> Option<Vec<Parameter>> {
    const KNOWN: [&str; 11] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "description",
        "title",
        "$defs",
        "definitions",
        "$schema",
        "default",
        "examples",
    ];
    let object = schema.as_object()?;
    if !object.keys().all(|key| KNOWN.contains(&key.as_str())) {
        return None;
    }
    let no_properties = Map::new();
    let properties = match object.get("properties") {
        Some(properties) => properties.as_object()?,
        None => &no_properties,
    };
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_word =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !properties.keys().all(|name| is_word(name))
        || !required.iter().all(|name| properties.contains_key(*name))
    {
        return None;
    }
    let parameter = |(name, schema): (&String, &Value)| {
        // A text with rules cannot be told from its closing mark; JSON can.
        let is_ruled =
            !has_types && !is_free_text(schema) && listed_texts(schema).is_none() && may_be_text(schema);
        let is_required = required.contains(&name.as_str());
        (!is_ruled && schema.is_object()).then(|| Parameter {
            name: name.clone(),
            schema: schema.clone(),
            is_required,
        })
    };
    properties.iter().map(parameter).collect()
}

/// Any text is a value, or any text and null: a bare `null` then reads as null, which fits as well.
fn is_free_text(schema: &Value) -> bool {
    let is_text = match schema.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => {
            kinds.iter().all(|kind| kind == "string" || kind == "null")
                && kinds.iter().any(|kind| kind == "string")
        }
        _ => false,
    };
    let rules = [
        "enum",
        "const",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "$ref",
    ];
    is_text && !rules.iter().any(|rule| schema.get(rule).is_some())
}

/// The values of an enumeration of texts.
fn listed_texts(schema: &Value) -> Option<Vec<&str>> {
    let values = match (schema.get("enum"), schema.get("const")) {
        (Some(values), None) => values.as_array()?.iter().collect(),
        (None, Some(value)) => vec![value],
        _ => return None,
    };
    values
        .into_iter()
        .map(|value| value.as_str().filter(|text| !text.contains('<') && text.trim() == *text))
        .collect()
}

/// Whether a text may be among the values: such a value, written as JSON, would be read back with its quotes.
fn may_be_text(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "string",
        _ => true,
    }
}

/// A part of a schema with the definitions that its references need.
fn with_definitions(schema: &Value, root: &Value) -> Value {
    let mut schema = schema.clone();
    for key in ["$defs", "definitions"] {
        if let (Some(object), Some(definitions)) = (schema.as_object_mut(), root.get(key)) {
            object.insert(key.to_string(), definitions.clone());
        }
    }
    schema
}

//! Conversations: messages, tool calls and tools, in the shape of OpenAI's chat API but of no API in particular.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What a chat template is rendered from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The turns, oldest first.
    pub messages: Vec<Message>,
    /// The functions that the model may call; empty for none.
    pub tools: Vec<Tool>,
    /// Documents for templates with retrieval (`documents` in transformers), each an object; usually empty.
    pub documents: Vec<Value>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in the name newer OpenAI clients use. Rendered as `system` unless the template knows `developer`.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// What a tool returned.
    Tool,
}

impl Role {
    /// As templates and the wire have it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    /// The role of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Conversation`](crate::ErrorKind::Conversation) for any other name.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                return Err(Error::conversation(format!(
                    "unknown role '{other}'; expected system, developer, user, assistant or tool"
                )));
            }
        })
    }
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; `None` where an assistant only calls tools.
    pub content: Option<Content>,
    /// What an assistant thought before it spoke.
    pub reasoning_content: Option<String>,
    /// The calls an assistant made, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's message: the call it answers.
    pub tool_call_id: Option<String>,
    /// The speaker's name, or of a tool's message the function's.
    pub name: Option<String>,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(Content::Text(text.into())),
            reasoning_content: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }

    /// Reads a message from the JSON of OpenAI's chat API (`reasoning` and `thinking` are read as
    /// `reasoning_content`, as transformers does). `null` is the same as leaving the field out.
    ///
    /// # Errors
    /// [`ErrorKind::Conversation`](crate::ErrorKind::Conversation), naming the field.
    pub fn from_json(value: &Value) -> Result<Self> {
        let Some(object) = value.as_object() else {
            return Err(Error::conversation("a message must be an object"));
        };
        let Some(role) = object.get("role").and_then(Value::as_str) else {
            return Err(Error::conversation("a message needs a 'role' that is a string"));
        };
        let content = match object.get("content") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(Content::Text(text.clone())),
            Some(Value::Array(parts)) => {
                Some(Content::Parts(parts.iter().map(Part::from_json).collect::<Result<_>>()?))
            }
            Some(_) => return Err(Error::conversation("'content' must be a string or a list of parts")),
        };
        let tool_calls = match object.get("tool_calls") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(calls)) => calls.iter().map(ToolCall::from_json).collect::<Result<_>>()?,
            Some(_) => return Err(Error::conversation("'tool_calls' must be a list")),
        };
        let text_field = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::conversation(format!("'{name}' of a message must be a string"))),
        };
        let mut reasoning_content = None;
        for name in ["reasoning_content", "thinking", "reasoning"] {
            if reasoning_content.is_none() {
                reasoning_content = text_field(name)?;
            }
        }
        Ok(Self {
            role: Role::from_name(role)?,
            content,
            reasoning_content,
            tool_calls,
            tool_call_id: text_field("tool_call_id")?,
            name: text_field("name")?,
        })
    }

    /// All text of the message, parts joined by line breaks; empty when there is none.
    pub fn plain_text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(content) => content.plain_text(),
        }
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// A list of parts.
    Parts(Vec<Part>),
}

impl Content {
    /// All text, parts joined by line breaks.
    pub fn plain_text(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.as_text()).collect();
                texts.join("\n")
            }
        }
    }
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// `{"type":"text","text":…}`
    Text(String),
    /// Anything else (an image, sound, a file), given to the template as it is. Whether the model can take it is for
    /// the caller to check.
    Other(Value),
}

impl Part {
    fn from_json(value: &Value) -> Result<Self> {
        if let Value::String(text) = value {
            return Ok(Part::Text(text.clone()));
        }
        match value.get("type").and_then(Value::as_str) {
            Some("text" | "input_text" | "output_text" | "refusal") => {
                match value.get("text").or_else(|| value.get("refusal")) {
                    Some(Value::String(text)) => Ok(Part::Text(text.clone())),
                    _ => Err(Error::conversation("a text part needs a 'text' that is a string")),
                }
            }
            Some(_) => Ok(Part::Other(value.clone())),
            None => Err(Error::conversation("a content part must be an object with a 'type'")),
        }
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Part::Text(text) => Some(text),
            Part::Other(_) => None,
        }
    }
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The name by which its result refers to it.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments: JSON text, kept as it was written.
    pub arguments: String,
}

impl ToolCall {
    /// Reads a call from the JSON of OpenAI's API. Arguments that are an object instead of text are taken, too.
    ///
    /// # Errors
    /// [`ErrorKind::Conversation`](crate::ErrorKind::Conversation), naming the field.
    pub fn from_json(value: &Value) -> Result<Self> {
        let function = value.get("function").unwrap_or(value);
        let Some(name) = function.get("name").and_then(Value::as_str) else {
            return Err(Error::conversation("a tool call needs a 'function' with a 'name'"));
        };
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => "{}".to_string(),
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            Some(_) => {
                return Err(Error::conversation(format!("the arguments of '{name}' must be JSON text")));
            }
        };
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
        Ok(Self { id, name: name.to_string(), arguments })
    }

    /// The arguments as a value; `None` when they are not JSON.
    pub fn parsed_arguments(&self) -> Option<Value> {
        serde_json::from_str(&self.arguments).ok()
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    definition: Value,
}

impl Tool {
    /// A tool by its parts; `parameters` is the JSON schema of the arguments object.
    pub fn function(name: &str, description: Option<&str>, parameters: Value) -> Self {
        let mut function = Map::new();
        function.insert("name".to_string(), json!(name));
        if let Some(description) = description {
            function.insert("description".to_string(), json!(description));
        }
        function.insert("parameters".to_string(), parameters);
        Self { definition: json!({ "type": "function", "function": function }) }
    }

    /// Reads `{"type":"function","function":{"name":…,"description":…,"parameters":{…}}}`. The object is kept whole
    /// and in its order: templates print it.
    ///
    /// # Errors
    /// [`ErrorKind::Conversation`](crate::ErrorKind::Conversation) for another type of tool, a missing or wrong name
    /// (letters, digits, `_`, `-`, `.`, at most 256), or parameters that are not an object.
    pub fn from_json(value: &Value) -> Result<Self> {
        match value.get("type").and_then(Value::as_str) {
            Some("function") => {}
            Some(other) => {
                return Err(Error::conversation(format!(
                    "tools of type '{other}' are not supported, only 'function'"
                )));
            }
            None => return Err(Error::conversation("a tool must be an object with \"type\": \"function\"")),
        }
        let Some(name) = value.pointer("/function/name").and_then(Value::as_str) else {
            return Err(Error::conversation("a tool needs a 'function' with a 'name'"));
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 256 || !name.chars().all(is_name) {
            return Err(Error::conversation(format!(
                "the tool name '{name}' may have 1 to 256 letters, digits, '_', '-' and '.' only"
            )));
        }
        match value.pointer("/function/parameters") {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => {
                return Err(Error::conversation(format!(
                    "the parameters of '{name}' must be a JSON schema object"
                )));
            }
        }
        Ok(Self { definition: value.clone() })
    }

    /// The whole definition, as given.
    pub fn definition(&self) -> &Value {
        &self.definition
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        self.definition.pointer("/function/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// What it does, if said.
    pub fn description(&self) -> Option<&str> {
        self.definition.pointer("/function/description").and_then(Value::as_str)
    }

    /// The schema of its arguments; one that allows any object when none was given.
    pub fn parameters(&self) -> Value {
        match self.definition.pointer("/function/parameters") {
            Some(schema @ Value::Object(map)) if !map.is_empty() => schema.clone(),
            _ => json!({ "type": "object", "properties": {} }),
        }
    }

    /// The schema of one argument, if the tool names it.
    pub fn parameter(&self, name: &str) -> Option<&Value> {
        self.definition.pointer("/function/parameters")?.get("properties")?.get(name)
    }
}

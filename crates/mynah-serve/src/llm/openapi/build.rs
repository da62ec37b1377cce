//! Small words to write schemas with. Every field of a request may be null, which is the same as leaving it out.

use serde_json::{Map, Value, json};

/// A field: its name and its schema.
pub(super) type Field = (&'static str, Value);

/// An object of exactly these fields.
pub(super) fn object(needed: &[&str], fields: Vec<Field>) -> Value {
    let properties: Map<String, Value> =
        fields.into_iter().map(|(name, schema)| (name.to_string(), schema)).collect();
    json!({"type": "object", "properties": properties, "required": needed, "additionalProperties": false})
}

/// An object of an answer: these fields are there, others may be.
pub(super) fn answer(fields: Vec<Field>) -> Value {
    let needed: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let mut schema = object(&needed, fields);
    schema["additionalProperties"] = json!(true);
    schema
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        schema["type"] = json!([kind, "null"]);
        if let Some(Value::Array(words)) = schema.get_mut("enum") {
            words.push(Value::Null);
        }
        return schema;
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("anyOf") {
        kinds.push(json!({"type": "null"}));
    }
    schema
}

fn about(mut schema: Value, text: &str) -> Value {
    schema["description"] = json!(text);
    schema
}

pub(super) fn text(what: &str) -> Value {
    about(json!({"type": ["string", "null"]}), what)
}

pub(super) fn flag(what: &str) -> Value {
    about(json!({"type": ["boolean", "null"]}), what)
}

pub(super) fn number(least: f64, most: f64, what: &str) -> Value {
    about(json!({"type": ["number", "null"], "minimum": least, "maximum": most}), what)
}

/// A probability above 0.
pub(super) fn share(what: &str) -> Value {
    about(json!({"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1}), what)
}

pub(super) fn count(least: u64, most: u64, what: &str) -> Value {
    about(json!({"type": ["integer", "null"], "minimum": least, "maximum": most}), what)
}

pub(super) fn integer(least: i64, most: i64, what: &str) -> Value {
    about(json!({"type": ["integer", "null"], "minimum": least, "maximum": most}), what)
}

pub(super) fn words(words: &[&str], what: &str) -> Value {
    let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    all.push(Value::Null);
    about(json!({"type": ["string", "null"], "enum": all}), what)
}

pub(super) fn list(items: Value, what: &str) -> Value {
    about(json!({"type": ["array", "null"], "items": items}), what)
}

pub(super) fn one_of(kinds: Vec<Value>, what: &str) -> Value {
    about(or_null(json!({"anyOf": kinds})), what)
}

/// An object whose fields mean something to somebody else: a schema, a template, a client.
pub(super) fn free(what: &str) -> Value {
    about(json!({"type": ["object", "null"]}), what)
}

/// Whatever it is, it changes nothing in the answer.
pub(super) fn noted(what: &str) -> Value {
    json!({"description": what})
}

/// A string, not null.
pub(super) fn string() -> Value {
    json!({"type": "string"})
}

/// This very string.
pub(super) fn is(word: &str) -> Value {
    json!({"type": "string", "const": word})
}

/// The largest count of tokens that a field takes.
pub(super) const TOKENS_MAX: u64 = u32::MAX as u64;

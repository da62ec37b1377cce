//! Types for arguments that a format writes as bare text.
//!
//! In the XML-like formats `<parameter=count>3</parameter>` says neither text nor number; only the tool's schema does. A
//! value becomes what the schema allows and the text can be; where the schema allows a text, it stays a text.

use serde_json::Value;

/// References are followed so far; a schema may refer to itself.
const REFERENCES_MAX: usize = 16;

/// The JSON text of an argument written as bare text. `schema` is that of the argument, `root` the one its references
/// are in.
pub(crate) fn typed(text: &str, schema: Option<&Value>, root: &Value) -> String {
    let Some(schema) = schema else { return quoted(text) };
    let trimmed = text.trim();
    let mut allowed = Allowed::default();
    allowed.add(schema, root, REFERENCES_MAX);
    if let Some(values) = &allowed.values {
        // Of an enumeration the value itself is known: "3" is the text if that is listed, else the number if that is.
        if values.iter().any(|value| value.as_str() == Some(text)) {
            return quoted(text);
        }
        if let Some(value) = values.iter().find(|value| value.as_str() == Some(trimmed)) {
            return value.to_string();
        }
        if let Ok(value) = serde_json::from_str::<Value>(trimmed)
            && values.contains(&value)
        {
            return trimmed.to_string();
        }
    }
    // Of "text or null" a bare null is the null: the model has no other way to write it.
    if allowed.null && trimmed == "null" {
        return "null".to_string();
    }
    if allowed.null && !allowed.string && trimmed == "None" {
        return "null".to_string();
    }
    if allowed.string {
        return quoted(text);
    }
    let value = serde_json::from_str::<Value>(trimmed).ok();
    let fits = match &value {
        Some(Value::Number(number)) => allowed.number || (allowed.integer && is_integer(number)),
        Some(Value::Bool(_)) => allowed.boolean,
        Some(Value::Array(_)) => allowed.array || allowed.anything,
        Some(Value::Object(_)) => allowed.object || allowed.anything,
        _ => false,
    };
    if fits {
        return trimmed.to_string();
    }
    if allowed.boolean && (trimmed.eq_ignore_ascii_case("true") || trimmed.eq_ignore_ascii_case("false")) {
        // Python's spelling.
        return trimmed.to_ascii_lowercase();
    }
    if (allowed.array || allowed.object)
        && let Some(json) = crate::parser::python_value(trimmed)
        && ((allowed.array && json.starts_with('[')) || (allowed.object && json.starts_with('{')))
    {
        return json;
    }
    // GLM writes lists as JSON inside a JSON text, without the quotes around: every quote has a backslash.
    if (allowed.array || allowed.object)
        && let Ok(json) = serde_json::from_str::<String>(&format!("\"{trimmed}\""))
        && match serde_json::from_str::<Value>(&json) {
            Ok(Value::Array(_)) => allowed.array,
            Ok(Value::Object(_)) => allowed.object,
            _ => false,
        }
    {
        return json;
    }
    quoted(text)
}

/// 3.0 is an integer in JSON Schema.
fn is_integer(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    Value::String(text.to_string()).to_string()
}

/// The kinds of values that a schema allows.
#[derive(Debug, Default)]
struct Allowed {
    string: bool,
    number: bool,
    integer: bool,
    boolean: bool,
    array: bool,
    object: bool,
    null: bool,
    /// The schema says nothing of the type: a text unless it is clearly a list or an object.
    anything: bool,
    /// The values of `enum` or `const`.
    values: Option<Vec<Value>>,
}

impl Allowed {
    fn add(&mut self, schema: &Value, root: &Value, references: usize) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            match target {
                Some(target) if references > 0 => self.add(target, root, references - 1),
                _ => self.anything = true,
            }
            return;
        }
        let mut says_something = false;
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            self.values.get_or_insert_default().extend(values.iter().cloned());
            values.iter().for_each(|value| self.add_kind(kind(value)));
            says_something = true;
        }
        if let Some(value) = schema.get("const") {
            self.values.get_or_insert_default().push(value.clone());
            self.add_kind(kind(value));
            says_something = true;
        }
        if !says_something {
            match schema.get("type") {
                Some(Value::String(name)) => {
                    self.add_kind(name);
                    says_something = true;
                }
                Some(Value::Array(names)) => {
                    names.iter().filter_map(Value::as_str).for_each(|name| self.add_kind(name));
                    says_something = true;
                }
                _ => {}
            }
        }
        if !says_something {
            for key in ["anyOf", "oneOf", "allOf"] {
                for choice in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                    self.add(choice, root, references.saturating_sub(1));
                    says_something = true;
                    if references == 0 {
                        break;
                    }
                }
            }
        }
        if !says_something {
            let hints = [
                ("properties", "object"),
                ("additionalProperties", "object"),
                ("items", "array"),
                ("pattern", "string"),
            ];
            for (key, kind) in hints {
                if schema.get(key).is_some() {
                    self.add_kind(kind);
                    says_something = true;
                }
            }
        }
        self.anything |= !says_something;
    }

    fn add_kind(&mut self, kind: &str) {
        match kind {
            "string" => self.string = true,
            "number" => self.number = true,
            "integer" => self.integer = true,
            "boolean" => self.boolean = true,
            "array" => self.array = true,
            "object" => self.object = true,
            "null" => self.null = true,
            // Types that tools give although JSON Schema has none such.
            "int" => self.integer = true,
            "float" | "double" => self.number = true,
            "bool" => self.boolean = true,
            "dict" => self.object = true,
            "list" | "tuple" => self.array = true,
            "str" | "text" => self.string = true,
            _ => self.anything = true,
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, schema: Value, expect: &str) {
        assert_eq!(typed(text, Some(&schema), &json!({ "$defs": { "n": { "type": "integer" } } })), expect);
    }

    #[test]
    fn what_may_be_text_stays_text() {
        for text in ["3", "null", "true", "{\"a\": 1}", "Artist - Song.mp3", " padded ", "None", ""] {
            check(text, json!({ "type": "string" }), &quoted(text));
            check(text, json!({ "type": ["string", "integer"] }), &quoted(text));
        }
        check("Artist - Song.mp3", json!({ "type": "integer" }), "\"Artist - Song.mp3\"");
        check("3 apples", json!({ "type": "number" }), "\"3 apples\"");
        check("maybe", json!({ "type": "boolean" }), "\"maybe\"");
        check("3", json!({}), "\"3\"");
        assert_eq!(typed("3", None, &Value::Null), "\"3\"");
    }

    #[test]
    fn other_types_are_read_as_what_they_are() {
        check("3", json!({ "type": "integer" }), "3");
        check(" 3\n", json!({ "type": "integer" }), "3");
        check("3.0", json!({ "type": "integer" }), "3.0");
        check("3.5", json!({ "type": "integer" }), "\"3.5\"");
        check("12345678901234567890123", json!({ "type": "number" }), "12345678901234567890123");
        check("True", json!({ "type": "boolean" }), "true");
        check("null", json!({ "type": ["string", "null"] }), "null");
        check("None", json!({ "type": ["integer", "null"] }), "null");
        check("[1, 2]", json!({ "type": "array" }), "[1, 2]");
        check("{'a': True}", json!({ "type": "object" }), "{\"a\": true}");
        check("{\"a\": 1}", json!({}), "{\"a\": 1}");
        check("[\\\"a\\\"]", json!({ "type": "array" }), "[\"a\"]");
        check("[\\\"a\\\"]", json!({ "type": "string" }), &quoted("[\\\"a\\\"]"));
        check("3", json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/n" }] }), "3");
        check("2", json!({ "enum": [1, 2] }), "2");
        check("2", json!({ "enum": ["1", "2"] }), "\"2\"");
        check("\nred\n", json!({ "enum": ["red"] }), "\"red\"");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let root =
            json!({ "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] } } });
        assert_eq!(typed("3", Some(&json!({ "$ref": "#/$defs/a" })), &root), "\"3\"");
    }
}

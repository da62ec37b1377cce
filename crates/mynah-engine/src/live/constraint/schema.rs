//! What is done to a JSON schema before it is compiled: bounds, and `oneOf` where it cannot differ from `anyOf`.

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

/// What a model may put between the parts of JSON: nothing, a space, or a line break with its indent. Without a
/// bound a model in a loop writes blanks until its tokens are used up.
const JSON_WHITESPACE: &str = r" |\n[ \t]{0,64}";
/// The deepest nesting of a schema.
const DEPTH_MAX: usize = 100;
/// The longest chain of references that is followed.
const REFERENCES_MAX: usize = 16;

/// A schema as a part of a grammar, for `%json` in a Lark grammar: with bounded white space, and with `anyOf` for every
/// `oneOf` whose alternatives exclude each other by a property that is a different constant in each.
///
/// # Errors
/// [`ErrorKind::Constraint`] when it is no schema, is nested too deeply, or carries options of the compiler.
pub fn bounded_schema(schema: &Value) -> Result<Value> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Constraint, message));
    let mut bounded = match schema {
        Value::Bool(true) => json!({}),
        Value::Bool(false) => return refuse("the JSON schema allows nothing (false)".to_string()),
        Value::Object(_) => schema.clone(),
        _ => return refuse("the JSON schema must be an object".to_string()),
    };
    if depth(&bounded, DEPTH_MAX) > DEPTH_MAX {
        return refuse(format!("the JSON schema is nested deeper than {DEPTH_MAX}"));
    }
    open_one_of(&mut bounded, schema);
    if let Some(map) = bounded.as_object_mut() {
        if map.contains_key("x-guidance") {
            return refuse("the JSON schema's keyword \"x-guidance\" is not supported".to_string());
        }
        map.insert("x-guidance".into(), json!({"whitespace_pattern": JSON_WHITESPACE}));
    }
    Ok(bounded)
}

/// How deep a value is nested, looking no further than `limit`.
fn depth(value: &Value, limit: usize) -> usize {
    if limit == 0 {
        return 1;
    }
    let below = match value {
        Value::Array(items) => items.iter().map(|item| depth(item, limit - 1)).max(),
        Value::Object(map) => map.values().map(|item| depth(item, limit - 1)).max(),
        _ => None,
    };
    1 + below.unwrap_or(0)
}

/// Replaces `oneOf` by `anyOf` in a schema and all schemas in it where both mean the same.
fn open_one_of(schema: &mut Value, root: &Value) {
    let Some(map) = schema.as_object_mut() else { return };
    let is_open = map.get("oneOf").and_then(Value::as_array).is_some_and(|all| are_exclusive(all, root));
    if is_open
        && !map.contains_key("anyOf")
        && let Some(alternatives) = map.remove("oneOf")
    {
        map.insert("anyOf".into(), alternatives);
    }
    for (keyword, value) in map.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| open_one_of(schema, root));
            }
            ("items" | "prefixItems" | "anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| open_one_of(schema, root));
            }
            ("items" | "additionalItems" | "additionalProperties", schema) => open_one_of(schema, root),
            _ => {}
        }
    }
}

/// Whether all alternatives are objects that require one property with different constants.
fn are_exclusive(alternatives: &[Value], root: &Value) -> bool {
    let objects: Option<Vec<&Map<String, Value>>> =
        alternatives.iter().map(|alternative| resolve(alternative, root)?.as_object()).collect();
    let Some((first, objects)) = objects.as_ref().and_then(|objects| Some((objects.first()?, objects)))
    else {
        return false;
    };
    let names = first.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    names.into_iter().any(|name| {
        let mut taken = Vec::new();
        objects.iter().all(|object| {
            let Some(constants) = constants(object, name, root) else { return false };
            let is_new = constants.iter().all(|constant| !taken.contains(constant));
            taken.extend(constants);
            is_new
        })
    })
}

/// The texts that a required property of an object schema may have, when they are listed.
fn constants<'a>(object: &'a Map<String, Value>, name: &str, root: &'a Value) -> Option<Vec<&'a str>> {
    let is_object = object.get("type").and_then(Value::as_str) == Some("object");
    let required = object.get("required").and_then(Value::as_array)?;
    if !is_object || !required.iter().any(|other| other.as_str() == Some(name)) {
        return None;
    }
    let property = resolve(object.get("properties")?.get(name)?, root)?;
    match (property.get("const"), property.get("enum")) {
        (Some(constant), _) => Some(vec![constant.as_str()?]),
        (None, Some(constants)) => constants.as_array()?.iter().map(Value::as_str).collect(),
        (None, None) => None,
    }
}

/// Follows references within the document.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = schema.get("$ref") else { return Some(schema) };
        schema = root.pointer(reference.as_str()?.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, is_open: bool) {
        let bounded = bounded_schema(&schema).unwrap();
        assert_eq!(!bounded.to_string().contains("oneOf"), is_open, "{schema}");
    }

    #[test]
    fn one_of_is_opened_only_where_the_alternatives_exclude_each_other() {
        let object =
            |kind: Value| json!({"type": "object", "properties": {"kind": kind}, "required": ["kind"]});
        let (a, b) = (object(json!({"const": "a"})), object(json!({"const": "b"})));
        check(json!({"oneOf": [a, b]}), true);
        check(json!({"oneOf": [a, object(json!({"enum": ["b", "c"]}))]}), true);
        check(json!({"oneOf": [a, a]}), false);
        check(json!({"oneOf": [a, object(json!({"enum": ["b", "a"]}))]}), false);
        check(json!({"oneOf": [a, object(json!({"type": "string"}))]}), false);
        check(json!({"oneOf": [a, {"type": "object", "properties": {"kind": {"const": "b"}}}]}), false);
        check(json!({"oneOf": [a, {"type": "null"}]}), false);
        check(json!({"oneOf": []}), false);
        check(json!({"properties": {"p": {"items": {"oneOf": [a, b]}}}}), true);
        check(
            json!({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {"a": a, "b": b}}),
            true,
        );
        check(json!({"oneOf": [{"$ref": "#/$defs/x"}, b], "$defs": {"x": {"$ref": "#/$defs/x"}}}), false);
        // A property that is called so, and a constant that looks so, are left alone.
        check(json!({"properties": {"oneOf": {"type": "null"}}}), false);
        check(json!({"const": {"oneOf": [a, b]}}), false);
    }
}

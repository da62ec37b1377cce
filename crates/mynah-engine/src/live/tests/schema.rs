//! A small JSON schema validator of our own, to judge what constraints let through. It panics for a keyword that
//! it does not know, so that nothing goes unchecked.

use serde_json::{Map, Value};

/// Whether a value is valid; the root is for references.
pub fn is_valid(value: &Value, schema: &Value, root: &Value) -> bool {
    let schema = match schema {
        Value::Bool(allows) => return *allows,
        Value::Object(schema) => schema,
        _ => panic!("no schema: {schema}"),
    };
    schema.iter().all(|(keyword, rule)| holds(keyword, rule, value, schema, root))
}

fn holds(keyword: &str, rule: &Value, value: &Value, schema: &Map<String, Value>, root: &Value) -> bool {
    let valid = |schema: &Value| is_valid(value, schema, root);
    let list = || rule.as_array().unwrap();
    let count = || rule.as_u64().unwrap() as usize;
    let number = |holds: &dyn Fn(f64, f64) -> bool| {
        value.as_f64().is_none_or(|value| holds(value, rule.as_f64().unwrap()))
    };
    let text_len = value.as_str().map(|text| text.chars().count());
    let items = value.as_array();
    let object = value.as_object();
    match keyword {
        "$schema" | "title" | "description" | "$defs" | "definitions" | "default" => true,
        "type" => match rule {
            Value::Array(types) => types.iter().any(|name| has_type(value, name.as_str().unwrap())),
            _ => has_type(value, rule.as_str().unwrap()),
        },
        "enum" => list().contains(value),
        "const" => rule == value,
        "anyOf" => list().iter().any(valid),
        "allOf" => list().iter().all(valid),
        "oneOf" => list().iter().filter(|schema| valid(schema)).count() == 1,
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            valid(root.pointer(pointer).unwrap())
        }
        "minimum" => number(&|value, bound| value >= bound),
        "maximum" => number(&|value, bound| value <= bound),
        "exclusiveMinimum" => number(&|value, bound| value > bound),
        "exclusiveMaximum" => number(&|value, bound| value < bound),
        "multipleOf" => number(&|value, factor| ((value / factor).round() * factor - value).abs() < 1e-9),
        "minLength" => text_len.is_none_or(|len| len >= count()),
        "maxLength" => text_len.is_none_or(|len| len <= count()),
        "pattern" => value.as_str().is_none_or(|text| matches_pattern(text, rule.as_str().unwrap())),
        "format" => value.as_str().is_none_or(|text| has_format(text, rule.as_str().unwrap())),
        "minItems" => items.is_none_or(|items| items.len() >= count()),
        "maxItems" => items.is_none_or(|items| items.len() <= count()),
        "prefixItems" => items
            .is_none_or(|items| items.iter().zip(list()).all(|(item, schema)| is_valid(item, schema, root))),
        "items" => {
            let first = schema.get("prefixItems").map_or(0, |prefix| prefix.as_array().unwrap().len());
            items.is_none_or(|items| items.iter().skip(first).all(|item| is_valid(item, rule, root)))
        }
        "properties" => object.is_none_or(|object| {
            let known = rule.as_object().unwrap();
            object
                .iter()
                .all(|(name, item)| known.get(name).is_none_or(|schema| is_valid(item, schema, root)))
        }),
        "required" => {
            object.is_none_or(|object| list().iter().all(|name| object.contains_key(name.as_str().unwrap())))
        }
        "additionalProperties" => object.is_none_or(|object| {
            let known = schema.get("properties").and_then(Value::as_object);
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            let is_known = |name: &str| {
                known.is_some_and(|known| known.contains_key(name))
                    || patterns.is_some_and(|all| all.keys().any(|pattern| matches_pattern(name, pattern)))
            };
            object.iter().filter(|(name, _)| !is_known(name)).all(|(_, item)| is_valid(item, rule, root))
        }),
        "patternProperties" => object.is_none_or(|object| {
            rule.as_object().unwrap().iter().all(|(pattern, schema)| {
                let of_pattern = object.iter().filter(|(name, _)| matches_pattern(name, pattern));
                of_pattern.into_iter().all(|(_, item)| is_valid(item, schema, root))
            })
        }),
        "minProperties" => object.is_none_or(|object| object.len() >= count()),
        "maxProperties" => object.is_none_or(|object| object.len() <= count()),
        _ => panic!("keyword {keyword:?} is not known to the tests"),
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|value| value.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("type {name:?} is not known to the tests"),
    }
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The patterns of the schemas, by hand.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    match pattern {
        "^[A-Z]{3}-[0-9]{4}$" => text.split_once('-').is_some_and(|(letters, number)| {
            letters.len() == 3 && letters.bytes().all(|b| b.is_ascii_uppercase()) && digits(number, 4)
        }),
        "^(foo|bar)+$" => {
            !text.is_empty() && text.replace("foo", "\0").replace("bar", "\0").bytes().all(|byte| byte == 0)
        }
        "^x-" => text.starts_with("x-"),
        "^[a-z]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()),
        "[0-9]" => text.bytes().any(|byte| byte.is_ascii_digit()),
        _ => panic!("pattern {pattern:?} is not known to the tests"),
    }
}

fn has_format(text: &str, format: &str) -> bool {
    let parts = |separator| text.split(separator).collect::<Vec<&str>>();
    match format {
        "date" => {
            let parts = parts('-');
            parts.len() == 3 && digits(parts[0], 4) && digits(parts[1], 2) && digits(parts[2], 2)
        }
        "time" => digits(&text[..2], 2) && text.as_bytes()[2] == b':' && text.len() >= 9,
        "date-time" => has_format(&text[..10], "date") && has_format(&text[11..], "time"),
        "uuid" => {
            let lens: Vec<usize> = parts('-').iter().map(|part| part.len()).collect();
            lens == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
        "hostname" => {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        }
        _ => panic!("format {format:?} is not known to the tests"),
    }
}

#[test]
fn the_validator_can_say_no() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 3}},
        "required": ["a"],
        "additionalProperties": false
    });
    let check = |text: &str| is_valid(&serde_json::from_str(text).unwrap(), &schema, &schema);
    assert!(check(r#"{"a": 3}"#));
    for wrong in [r#"{}"#, r#"{"a": 2}"#, r#"{"a": 3.5}"#, r#"{"a": 3, "b": 1}"#, "[]"] {
        assert!(!check(wrong), "{wrong}");
    }
}

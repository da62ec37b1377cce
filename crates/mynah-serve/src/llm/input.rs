//! The fields of a request: each is read once, by name; what nobody has read is refused.
//!
//! A field that is `null` is the same as one that is absent, as OpenAI's own server has it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::failure::{Failure, Kind, Outcome};

/// A JSON object whose fields are taken one by one.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    fields: Map<String, Value>,
    taken: BTreeSet<String>,
    /// How the place of a field begins, for messages: `messages[2].`.
    path: String,
}

/// How deep values may nest; deeper ones are an attack on whoever walks them.
const DEPTH_MAX: usize = 64;

impl Input {
    /// The body of a request.
    pub(crate) fn parse(body: &[u8]) -> Outcome<Input> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Failure::new(Kind::Invalid, format!("the body is not valid JSON: {error}")))?;
        if depth(&value) > DEPTH_MAX {
            return Err(Failure::new(
                Kind::Invalid,
                format!("the body nests deeper than {DEPTH_MAX} levels"),
            ));
        }
        match value {
            Value::Object(fields) => Ok(Input::of(fields, "")),
            other => Err(Failure::new(
                Kind::Invalid,
                format!("the body must be a JSON object, not {}", kind(&other)),
            )),
        }
    }

    /// An object inside another; `path` is how its fields are called, with the dot at its end.
    pub(crate) fn of(fields: Map<String, Value>, path: impl Into<String>) -> Input {
        Input { fields, taken: BTreeSet::new(), path: path.into() }
    }

    /// The whole name of a field.
    pub(crate) fn name(&self, field: &str) -> String {
        format!("{}{field}", self.path)
    }

    /// Any value; nothing when it is absent or null.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        #[cfg(test)]
        record(&self.name(field));
        self.taken.insert(field.to_string());
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    fn wrong(&self, field: &str, value: &Value, wanted: &str) -> Failure {
        let name = self.name(field);
        let message = format!("{name} is {}; it must be {wanted}", shown(value));
        Failure { code: Some("invalid_type"), ..Failure::field(name, message) }
    }

    pub(crate) fn text(&mut self, field: &str) -> Outcome<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, &other, "a string")),
        }
    }

    pub(crate) fn text_needed(&mut self, field: &str) -> Outcome<String> {
        self.text(field)?.ok_or_else(|| self.absent(field))
    }

    /// The failure of a field that must be there.
    pub(crate) fn absent(&self, field: &str) -> Failure {
        let name = self.name(field);
        let message = format!("{name} is missing; it is required");
        Failure { code: Some("missing_required_parameter"), ..Failure::field(name, message) }
    }

    pub(crate) fn flag(&mut self, field: &str) -> Outcome<Option<bool>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(field, &other, "true or false")),
        }
    }

    /// A number within these bounds.
    pub(crate) fn number(&mut self, field: &str, least: f64, most: f64) -> Outcome<Option<f64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let Some(number) = value.as_f64() else { return Err(self.wrong(field, &value, "a number")) };
        if !(least..=most).contains(&number) {
            return Err(self.outside(field, &value, &format!("{least} to {most}")));
        }
        Ok(Some(number))
    }

    /// A whole number within these bounds.
    pub(crate) fn count(&mut self, field: &str, least: u64, most: u64) -> Outcome<Option<usize>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            // Some clients write 16.0.
            value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n)).map(|n| n as u64)
        });
        match whole {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number as usize)),
            Some(_) => Err(self.outside(field, &value, &format!("{least} to {most}"))),
            None if value.is_number() => {
                Err(self.outside(field, &value, "a whole number that is not negative"))
            }
            None => Err(self.wrong(field, &value, "a whole number")),
        }
    }

    /// Any whole number, negative ones too.
    pub(crate) fn integer(&mut self, field: &str) -> Outcome<Option<i64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| self.wrong(field, &value, "a whole number of 64 bits"))
    }

    fn outside(&self, field: &str, value: &Value, range: &str) -> Failure {
        let name = self.name(field);
        let message = format!("{name} is {}; it must be {range}", shown(value));
        Failure::field(name, message)
    }

    pub(crate) fn list(&mut self, field: &str) -> Outcome<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(field, &other, "a list")),
        }
    }

    pub(crate) fn object(&mut self, field: &str) -> Outcome<Option<Input>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Input::of(fields, format!("{}.", self.name(field))))),
            Some(other) => Err(self.wrong(field, &other, "an object")),
        }
    }

    /// Objects in a list.
    pub(crate) fn objects(&mut self, field: &str) -> Outcome<Option<Vec<Input>>> {
        let Some(items) = self.list(field)? else { return Ok(None) };
        let name = self.name(field);
        items
            .into_iter()
            .enumerate()
            .map(|(index, item)| object_at(item, &format!("{name}[{index}]")))
            .collect::<Outcome<_>>()
            .map(Some)
    }

    /// One of these words.
    pub(crate) fn word(&mut self, field: &str, words: &[&'static str]) -> Outcome<Option<&'static str>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Some(word)),
            None => Err(self.outside(field, &Value::String(text), &format!("one of {}", words.join(", ")))),
        }
    }

    /// Fields that say something about the request and change nothing in the answer.
    pub(crate) fn note(&mut self, fields: &[&str]) {
        for field in fields {
            self.take(field);
        }
    }

    /// All fields that nobody has read, for objects whose fields mean something to somebody else.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.fields
    }

    /// Refuses what nobody has read: a field that would be ignored is a promise that is not kept.
    pub(crate) fn finish(self) -> Outcome<()> {
        match self.fields.into_iter().find(|(field, value)| !value.is_null() && !self.taken.contains(field)) {
            None => Ok(()),
            Some((field, _)) => {
                let name = format!("{}{field}", self.path);
                let message = format!("{name} is not a field that this server knows");
                Err(Failure { code: Some("unknown_parameter"), ..Failure::field(name, message) })
            }
        }
    }
}

/// An object that is called `name`.
pub(crate) fn object_at(value: Value, name: &str) -> Outcome<Input> {
    match value {
        Value::Object(fields) => Ok(Input::of(fields, format!("{name}."))),
        other => {
            let message = format!("{name} is {}; it must be an object", shown(&other));
            Err(Failure { code: Some("invalid_type"), ..Failure::field(name, message) })
        }
    }
}

/// A value in a message: whole when it is short.
pub(crate) fn shown(value: &Value) -> String {
    const CHARS_MAX: usize = 40;
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_string(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(CHARS_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Without recursion: the value comes from outside (serde_json itself stops at 128).
fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(value, 1)];
    while let Some((value, level)) = open.pop() {
        deepest = deepest.max(level);
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
std::thread_local! {
    static TAKEN: std::cell::RefCell<BTreeSet<String>> = const { std::cell::RefCell::new(BTreeSet::new()) };
}

/// Numbers of list entries are left out: `messages[2].role` and `messages.2.role` are `messages[].role`.
#[cfg(test)]
fn record(name: &str) {
    let mut whole = String::new();
    for part in name.split(['.', '[']) {
        let number = part.trim_end_matches(']');
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            whole.push_str("[]");
        } else {
            whole.push_str(if whole.is_empty() { "" } else { "." });
            whole.push_str(part);
        }
    }
    TAKEN.with_borrow_mut(|taken| taken.insert(whole));
}

/// The names of all fields that a job takes on this thread.
#[cfg(test)]
pub(crate) fn recorded(job: impl FnOnce()) -> BTreeSet<String> {
    TAKEN.with_borrow_mut(BTreeSet::clear);
    job();
    TAKEN.with_borrow_mut(std::mem::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        Input::parse(text.as_bytes()).expect("an object")
    }

    #[test]
    fn null_is_absent_and_the_unread_is_refused() {
        let mut body = input(r#"{"a": null, "b": 3, "c": "x", "d": null}"#);
        assert_eq!(body.number("a", 0.0, 1.0).expect("null"), None);
        assert_eq!(body.count("b", 0, 9).expect("3"), Some(3));
        let error = body.finish().expect_err("c");
        assert_eq!((error.code, error.param.as_deref()), (Some("unknown_parameter"), Some("c")));
    }

    #[test]
    fn wrong_types_and_ranges_name_the_field() {
        let mut body = input(r#"{"a": "1", "b": 2.5, "c": [1], "d": {"e": 7}, "f": 16.0, "g": -1}"#);
        assert!(
            body.number("a", 0.0, 1.0).expect_err("text").message.contains("a is \"1\"; it must be a number")
        );
        assert!(body.count("b", 0, 9).expect_err("2.5").message.contains("whole number"));
        assert!(body.objects("c").expect_err("1").message.contains("c[0] is 1"));
        let mut inner = body.object("d").expect("an object").expect("there");
        assert!(inner.text("e").expect_err("7").message.contains("d.e is 7"));
        assert_eq!(body.count("f", 0, 20).expect("16.0"), Some(16));
        assert!(body.count("g", 0, 20).is_err());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "{", "3", "{\"a\": 1e999}", "\u{0}"] {
            assert!(Input::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(Input::parse(deep.as_bytes()).expect_err("deep").message.contains("deeper"));
        assert!(Input::parse(&[b'{', 0xff, b'}']).is_err());
    }
}

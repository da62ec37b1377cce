//! The fields of a request, wherever they came from: path, query string or JSON body.
//!
//! The rules are those of protocol buffers in JSON, which MLflow's clients write: a 64-bit integer may be
//! a number or a string of digits, a float may be `"NaN"`, `"Infinity"` or `"-Infinity"`, `null` is an absent
//! field, and a field nobody knows is ignored, so that newer clients keep working.

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use crate::answer::{ApiError, Code};

/// How much of a wrong value an error message repeats.
const VALUE_CHARS_SHOWN: usize = 60;

/// Fields by name. Readers name the field in the error when it is missing or of the wrong type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of a JSON body. An empty body has none.
    pub(crate) fn from_json(body: &[u8]) -> Result<Fields, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Fields::default());
        }
        if let Err(error) = std::str::from_utf8(body) {
            return Err(ApiError::new(
                Code::BadRequest,
                format!("the body is not UTF-8: byte {} begins no character", error.valid_up_to()),
            ));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields { map }),
            Ok(other) => Err(ApiError::new(
                Code::BadRequest,
                format!("the body is {}; send a JSON object", kind_of(&other)),
            )),
            Err(error) => Err(ApiError::new(Code::BadRequest, format!("the body is not JSON: {error}"))),
        }
    }

    /// Adds the fields of a query string; a name that comes twice is a list.
    pub(crate) fn add_query(&mut self, query: &str) -> Result<(), ApiError> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            match self.map.get_mut(&name) {
                None => {
                    self.map.insert(name, Value::String(value));
                }
                Some(Value::Array(values)) => values.push(Value::String(value)),
                Some(first) => {
                    let first_value = first.take();
                    *first = Value::Array(vec![first_value, Value::String(value)]);
                }
            }
        }
        Ok(())
    }

    /// Sets a field that came from the path, which counts before any other place.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.map.insert(name.to_string(), Value::String(value.to_string()));
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A string that may be absent.
    pub(crate) fn string_if(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, other, "a string")),
        }
    }

    /// A string that must be there, be it empty.
    pub(crate) fn string(&self, name: &str) -> Result<&str, ApiError> {
        self.string_if(name)?.ok_or_else(|| missing(name))
    }

    /// A string that must be there and not be empty.
    pub(crate) fn filled(&self, name: &str) -> Result<&str, ApiError> {
        let text = self.string(name)?;
        if text.is_empty() { Err(missing(name)) } else { Ok(text) }
    }

    /// A string where absent and empty mean the same.
    pub(crate) fn filled_if(&self, name: &str) -> Result<Option<&str>, ApiError> {
        Ok(self.string_if(name)?.filter(|text| !text.is_empty()))
    }

    /// A 64-bit integer that may be absent.
    pub(crate) fn integer_if(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.parse::<i64>().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, value, "a 64-bit integer"))
    }

    /// A 64-bit integer that must be there.
    pub(crate) fn integer(&self, name: &str) -> Result<i64, ApiError> {
        self.integer_if(name)?.ok_or_else(|| missing(name))
    }

    /// A count with its default and its largest value.
    pub(crate) fn count(&self, name: &str, default: usize, most: usize) -> Result<usize, ApiError> {
        match self.integer_if(name)? {
            None => Ok(default),
            Some(number) => match usize::try_from(number) {
                Ok(count) if (1..=most).contains(&count) => Ok(count),
                _ => Err(ApiError::invalid(format!(
                    "Invalid value {number} for parameter '{name}': use 1 to {most}"
                ))),
            },
        }
    }

    /// A 64-bit float, special values included, that must be there.
    pub(crate) fn float(&self, name: &str) -> Result<f64, ApiError> {
        let value = self.get(name).ok_or_else(|| missing(name))?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                digits if digits.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) => {
                    digits.parse().ok()
                }
                _ => None,
            },
            _ => None,
        };
        number.ok_or_else(|| wrong(name, value, "a number"))
    }

    /// A truth value that may be absent.
    pub(crate) fn boolean_if(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(wrong(name, other, "true or false")),
        }
    }

    /// A list of strings; absent is empty, and one string (from a query) is a list of one.
    pub(crate) fn strings(&self, name: &str) -> Result<Vec<&str>, ApiError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().ok_or_else(|| wrong(name, value, "a string")))
                .collect(),
            Some(other) => Err(wrong(name, other, "a list of strings")),
        }
    }

    /// An object that may be absent.
    pub(crate) fn object_if(&self, name: &str) -> Result<Option<Fields>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map: map.clone() })),
            Some(other) => Err(wrong(name, other, "an object")),
        }
    }

    /// A list of objects; absent is empty.
    pub(crate) fn objects(&mut self, name: &str) -> Result<Vec<Fields>, ApiError> {
        match self.map.get_mut(name).map(Value::take) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::Object(map) => Ok(Fields { map }),
                    other => Err(wrong(name, &other, "an object")),
                })
                .collect(),
            Some(other) => Err(wrong(name, &other, "a list of objects")),
        }
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::invalid(format!("Missing value for required parameter '{name}'"))
}

fn wrong(name: &str, value: &Value, wanted: &str) -> ApiError {
    let mut shown: String = value.to_string().chars().take(VALUE_CHARS_SHOWN + 1).collect();
    if shown.chars().count() > VALUE_CHARS_SHOWN {
        shown.pop();
        shown.push('…');
    }
    ApiError::invalid(format!("Invalid value {shown} for parameter '{name}': {wanted} is needed"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// `3.0` as 3: some clients write every number as a float. Beyond 2^53 a float is no exact integer.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // In range and without a fraction, so the conversion is exact.
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().map(|text| text.into_owned()).map_err(|_| {
        ApiError::new(Code::BadRequest, "the query string is not UTF-8 once its percent signs are decoded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::from_json(json.as_bytes()).expect("test input is a JSON object")
    }

    #[test]
    fn integers_come_as_numbers_or_digits() {
        let cases = [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("-7", Some(-7)),
            ("7.0", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("\"9223372036854775807\"", Some(i64::MAX)),
            ("7.5", None),
            ("1e300", None),
            ("9223372036854775808", None),
            ("\"7x\"", None),
            ("true", None),
            ("[7]", None),
        ];
        for (text, expect) in cases {
            let found = fields(&format!("{{\"n\":{text}}}")).integer("n").ok();
            assert_eq!(found, expect, "{text}");
        }
    }

    #[test]
    fn floats_keep_every_bit_and_special_values() {
        let cases = [
            ("0.1", 0.1f64),
            ("2.2250738585072014e-308", 2.2250738585072014e-308),
            ("5e-324", 5e-324),
            ("\"Infinity\"", f64::INFINITY),
            ("\"-Infinity\"", f64::NEG_INFINITY),
            ("\"NaN\"", f64::NAN),
            ("\"1.5\"", 1.5),
        ];
        for (text, expect) in cases {
            let found = fields(&format!("{{\"x\":{text}}}")).float("x").expect(text);
            assert_eq!(found.to_bits(), expect.to_bits(), "{text}");
        }
        for text in ["\"inf\"", "\"nan\"", "\"\"", "\"one\"", "true", "{}"] {
            assert!(fields(&format!("{{\"x\":{text}}}")).float("x").is_err(), "{text}");
        }
    }

    #[test]
    fn null_is_absent_and_unknown_fields_are_nobodys() {
        let fields = fields("{\"a\":null,\"new_in_a_later_client\":{\"x\":[1]}}");
        assert!(!fields.has("a"));
        assert_eq!(fields.string_if("a").expect("absent is fine"), None);
        let message = format!("{:?}", fields.string("a").expect_err("a is needed"));
        assert!(message.contains("'a'"), "{message}");
    }

    #[test]
    fn queries_decode_and_repeat() {
        let mut fields = Fields::default();
        fields.add_query("a=x%20y+z&b=1&b=2&c&d=%C3%BC").expect("a fair query");
        assert_eq!(fields.string("a").expect("a"), "x y z");
        assert_eq!(fields.strings("b").expect("b"), ["1", "2"]);
        assert_eq!(fields.strings("a").expect("a"), ["x y z"]);
        assert_eq!(fields.string("c").expect("c"), "");
        assert_eq!(fields.string("d").expect("d"), "ü");
        assert!(fields.add_query("e=%FF").is_err());
    }

    #[test]
    fn bodies_that_are_no_object_are_refused() {
        for body in [&b"[1]"[..], b"\"x\"", b"{", b"{\"a\":\"\xff\"}", b"{\"a\":1}x"] {
            assert!(Fields::from_json(body).is_err(), "{body:?}");
        }
        assert!(Fields::from_json(b" \n").is_ok());
    }

    #[test]
    fn a_long_wrong_value_is_cut() {
        let long = format!("{{\"n\":\"{}\"}}", "x".repeat(5000));
        let message = format!("{:?}", fields(&long).integer("n").expect_err("not a number"));
        assert!(message.len() < 300, "{message}");
    }
}

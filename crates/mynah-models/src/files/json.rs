//! Settings from a JSON file, read one by one with errors that name file and key.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// No configuration or index comes near this; a longer file is refused before it is read.
const BYTES_MAX: u64 = 64 << 20;
/// Larger than any length in a model that a machine could hold; products of two still fit in 64 bits.
const LENGTH_MAX: u64 = 1 << 28;

/// A JSON object and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Json {
    path: PathBuf,
    /// The keys that lead to this object, for messages.
    at: String,
    values: Map<String, Value>,
}

impl Json {
    /// Reads a file that holds an object. Python's `NaN` and `Infinity` become the strings of that name.
    ///
    /// # Errors
    /// When it cannot be read or is no JSON object.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let values = serde_json::from_str(&quote_non_numbers(&text))
            .map_err(|e| Error::format(path, format!("not a JSON object: {e}")))?;
        Ok(Self::new(path, values))
    }

    /// Reads a file that holds a list of objects.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub(crate) fn read_list(path: &Path) -> Result<Vec<Self>> {
        let text = read_text(path)?;
        let list: Vec<Map<String, Value>> = serde_json::from_str(&quote_non_numbers(&text))
            .map_err(|e| Error::format(path, format!("not a list of JSON objects: {e}")))?;
        Ok(list.into_iter().map(|values| Self::new(path, values)).collect())
    }

    /// Values that came from elsewhere.
    pub(crate) fn new(path: &Path, values: Map<String, Value>) -> Self {
        Self { path: path.to_path_buf(), at: String::new(), values }
    }

    /// The same with values for keys that are not there.
    pub(crate) fn or(mut self, defaults: &[(&str, Value)]) -> Self {
        for (key, value) in defaults {
            self.values.entry(*key).or_insert_with(|| value.clone());
        }
        self
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key; null is no value.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key has a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Whether a key is there and null.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(Value::is_null)
    }

    /// All keys and values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }

    /// The object under a key.
    ///
    /// # Errors
    /// When it is missing or no object.
    pub(crate) fn object(&self, key: &str) -> Result<Self> {
        self.object_if(key)?.ok_or_else(|| self.missing(key))
    }

    /// The object under a key, if there is one.
    pub(crate) fn object_if(&self, key: &str) -> Result<Option<Self>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self {
                path: self.path.clone(),
                at: format!("{}{key}.", self.at),
                values: values.clone(),
            })),
            Some(other) => Err(self.wrong(key, other, "an object")),
        }
    }

    /// A length: at least 1.
    pub(crate) fn len(&self, key: &str) -> Result<usize> {
        self.len_if(key)?.ok_or_else(|| self.missing(key))
    }

    /// A length, if there is one.
    pub(crate) fn len_if(&self, key: &str) -> Result<Option<usize>> {
        match self.count_if(key)? {
            Some(0) => Err(self.wrong(key, &Value::from(0), "at least 1")),
            count => Ok(count),
        }
    }

    /// A count, if there is one; 0 is one.
    pub(crate) fn count_if(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        // Some converters write whole numbers as floats.
        let whole = value.as_u64().or_else(|| {
            value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..1e9).contains(f)).map(|f| f as u64)
        });
        match whole {
            Some(n) if n <= LENGTH_MAX => Ok(Some(n as usize)),
            _ => Err(self.wrong(key, value, &format!("a whole number from 0 to {LENGTH_MAX}"))),
        }
    }

    /// A finite number.
    pub(crate) fn number(&self, key: &str) -> Result<f64> {
        self.number_if(key)?.ok_or_else(|| self.missing(key))
    }

    /// A finite number, if there is one.
    pub(crate) fn number_if(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number.is_finite() && number.abs() < 1e30 => Ok(Some(number)),
            _ => Err(self.wrong(key, value, "a finite number")),
        }
    }

    /// A number above 0, or what stands in for it.
    pub(crate) fn positive_or(&self, key: &str, default: f64) -> Result<f64> {
        let number = self.number_if(key)?.unwrap_or(default);
        if number > 0.0 { Ok(number) } else { Err(self.wrong(key, &Value::from(number), "a number above 0")) }
    }

    /// A number above 0, if there is one.
    pub(crate) fn positive_if(&self, key: &str) -> Result<Option<f64>> {
        if self.has(key) { self.positive_or(key, 1.0).map(Some) } else { Ok(None) }
    }

    /// True or false, or what stands in for it.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    /// A string, if there is one.
    pub(crate) fn text_if(&self, key: &str) -> Result<Option<&str>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a string")),
        }
    }

    /// A list of finite numbers, if there is one.
    pub(crate) fn numbers_if(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|list| list.iter().map(|n| n.as_f64().filter(|n| n.is_finite())).collect());
        numbers.map(Some).ok_or_else(|| self.wrong(key, value, "a list of finite numbers"))
    }

    /// A list of strings, if there is one.
    pub(crate) fn texts_if(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|list| list.iter().map(|text| text.as_str().map(str::to_string)).collect());
        texts.map(Some).ok_or_else(|| self.wrong(key, value, "a list of strings"))
    }

    /// An error about a value.
    pub(crate) fn wrong(&self, key: &str, found: &Value, expected: &str) -> Error {
        let mut found = found.to_string();
        if found.len() > 80 {
            let end = (0..=80).rev().find(|&at| found.is_char_boundary(at)).unwrap_or(0);
            found.truncate(end);
            found.push('…');
        }
        Error::config(format!("{}: {}{key} is {found}; it must be {expected}", self.path.display(), self.at))
    }

    /// An error about a value that is sound but not supported.
    pub(crate) fn unsupported(&self, key: &str, supported: &str) -> Error {
        let found = self.values.get(key).cloned().unwrap_or(Value::Null);
        Error::unsupported(format!(
            "{}: {}{key} = {found} is not supported; supported: {supported}",
            self.path.display(),
            self.at
        ))
    }

    /// An error about a missing key.
    pub(crate) fn missing(&self, key: &str) -> Error {
        Error::config(format!("{}: {}{key} is missing", self.path.display(), self.at))
    }
}

fn read_text(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path).map_err(|e| Error::io(path, "open", e))?.len();
    if length > BYTES_MAX {
        return Err(Error::format(path, format!("{length} bytes are too many for a configuration")));
    }
    std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))
}

/// Python writes NaN and ±Infinity, which JSON does not know; outside of strings they get quotes.
fn quote_non_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(first) = rest.chars().next() {
        if !in_string
            && let Some(word) = ["-Infinity", "Infinity", "NaN"].iter().find(|w| rest.starts_with(**w))
        {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = first.len_utf8();
        match first {
            '"' => in_string = !in_string,
            '\\' if in_string => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_words_get_quotes() {
        assert_eq!(
            quote_non_numbers(r#"{"a": [0.0, Infinity], "NaN\"NaN": NaN}"#),
            r#"{"a": [0.0, "Infinity"], "NaN\"NaN": "NaN"}"#
        );
        assert_eq!(quote_non_numbers("{\"é\\"), "{\"é\\");
    }

    #[test]
    fn values_are_bounded() {
        let values =
            serde_json::json!({"n": -1, "big": 1u64 << 40, "zero": 0, "x": "NaN", "none": null, "f": 4.0});
        let json = Json::new(Path::new("config.json"), values.as_object().cloned().unwrap_or_default());
        let check = |result: Result<usize>, expect: &str| {
            assert!(result.unwrap_err().to_string().contains(expect));
        };
        check(json.len("n"), "config.json: n is -1");
        check(json.len("big"), "big is 1099511627776");
        check(json.len("zero"), "zero is 0; it must be at least 1");
        check(json.len("none"), "none is missing");
        assert!(json.number("x").unwrap_err().to_string().contains("x is \"NaN\""));
        assert_eq!(json.len("f").unwrap(), 4);
    }
}

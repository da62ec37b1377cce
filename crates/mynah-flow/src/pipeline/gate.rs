//! Gates: conditions over JSON files, such as `eval.json:validation_bpb <= 1.6 and eval.json:ok = true`.
//!
//! ```text
//! gate    = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" gate ")" | operand OP operand
//! OP      = "<=" "<" ">=" ">" "=" "==" "!="
//! operand = NUMBER | "text" | true | false | FILE:KEY.KEY.2.KEY
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::path::{FlowPath, clip};

const GATE_BYTES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 32;

/// A condition over values in JSON files.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    text: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Operand, Comparison, Operand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    /// A file and the keys that lead to the value.
    At(FlowPath, Vec<String>),
}

impl Gate {
    /// A gate from its text.
    ///
    /// # Errors
    /// `Pipeline`, with what was expected where.
    pub fn parse(text: &str) -> Result<Gate> {
        if text.len() > GATE_BYTES_MAX {
            return Err(Error::pipeline(format!("a gate has at most {GATE_BYTES_MAX} bytes")));
        }
        let mut parser = Parser { tokens: tokens(text)?, at: 0, text };
        let condition = parser.any(0)?;
        match parser.peek() {
            None => Ok(Gate { text: text.to_string(), condition }),
            Some(_) => Err(parser.expected("'and', 'or' or the end")),
        }
    }

    /// The files it looks at.
    pub fn files(&self) -> Vec<&FlowPath> {
        let mut files = Vec::new();
        self.condition.files(&mut files);
        files
    }

    /// Whether it holds, given the files' contents; the text says which values decided.
    ///
    /// # Errors
    /// `Gate` when a value is missing or two values cannot be compared.
    pub fn holds(&self, files: &BTreeMap<FlowPath, Value>) -> Result<(bool, String)> {
        let mut seen = Vec::new();
        let holds = self.condition.holds(files, &mut seen)?;
        Ok((holds, seen.join(", ")))
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    fn files<'a>(&'a self, files: &mut Vec<&'a FlowPath>) {
        match self {
            Condition::Any(parts) | Condition::All(parts) => parts.iter().for_each(|part| part.files(files)),
            Condition::Not(part) => part.files(files),
            Condition::Compare(left, _, right) => {
                for operand in [left, right] {
                    if let Operand::At(file, _) = operand
                        && !files.contains(&file)
                    {
                        files.push(file);
                    }
                }
            }
        }
    }

    fn holds(&self, files: &BTreeMap<FlowPath, Value>, seen: &mut Vec<String>) -> Result<bool> {
        // No short cut: a value that is missing is told whatever the others say.
        match self {
            Condition::Any(parts) => {
                parts.iter().try_fold(false, |holds, part| Ok(part.holds(files, seen)? || holds))
            }
            Condition::All(parts) => {
                parts.iter().try_fold(true, |holds, part| Ok(part.holds(files, seen)? && holds))
            }
            Condition::Not(part) => Ok(!part.holds(files, seen)?),
            Condition::Compare(left, comparison, right) => {
                let (left, right) = (left.value(files, seen)?, right.value(files, seen)?);
                compare(left, *comparison, right)
            }
        }
    }
}

impl Operand {
    fn value<'a>(
        &'a self,
        files: &'a BTreeMap<FlowPath, Value>,
        seen: &mut Vec<String>,
    ) -> Result<&'a Value> {
        let (file, keys) = match self {
            Operand::Literal(value) => return Ok(value),
            Operand::At(file, keys) => (file, keys),
        };
        let missing = |what: String| Error::new(ErrorKind::Gate, what);
        let mut value = files.get(file).ok_or_else(|| missing(format!("there is no file {file}")))?;
        for (depth, key) in keys.iter().enumerate() {
            let next = match value {
                Value::Object(fields) => fields.get(key),
                Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            value = next
                .ok_or_else(|| missing(format!("{file} has no value at {:?}", keys[..=depth].join("."))))?;
        }
        seen.push(format!("{file}:{} is {}", keys.join("."), clip(&value.to_string())));
        Ok(value)
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> Result<bool> {
    use std::cmp::Ordering;
    let order = match (left, right) {
        // NaN has no order: no comparison with it holds but `!=`.
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().and_then(|a| a.partial_cmp(&b.as_f64()?)),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b))
            if matches!(comparison, Comparison::Equal | Comparison::NotEqual) =>
        {
            Some(a.cmp(b))
        }
        _ => {
            let message =
                format!("{} and {} cannot be compared", clip(&left.to_string()), clip(&right.to_string()));
            return Err(Error::new(ErrorKind::Gate, message));
        }
    };
    Ok(match comparison {
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Compare(Comparison),
    Text(String),
    Word(String),
}

/// Tokens with the byte each begins at.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        const SIGNS: [(&str, Comparison); 7] = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("!=", Comparison::NotEqual),
            ("==", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
            ("=", Comparison::Equal),
        ];
        let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (token, len) = match (first, sign) {
            (_, Some((sign, comparison))) => (Token::Compare(*comparison), sign.len()),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            ('"' | '\'', _) => {
                let end = rest[1..].find(first).ok_or_else(|| {
                    Error::pipeline(format!("the gate {:?}: the text at {at} does not end", clip(text)))
                })?;
                (Token::Text(rest[1..=end].to_string()), end + 2)
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "()<>=!\"'".contains(c);
                let len = rest.find(ends).unwrap_or(rest.len());
                if len == 0 {
                    return Err(Error::pipeline(format!(
                        "the gate {:?}: {first:?} at {at} means nothing",
                        clip(text)
                    )));
                }
                (Token::Word(rest[..len].to_string()), len)
            }
        };
        tokens.push((at, token));
        rest = &rest[len..];
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    at: usize,
    text: &'a str,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn expected(&self, what: &str) -> Error {
        let place = match self.tokens.get(self.at) {
            Some((at, _)) => format!("at {:?}", clip(&self.text[*at..])),
            None => "at the end".to_string(),
        };
        Error::pipeline(format!("the gate {:?}: expected {what} {place}", clip(self.text)))
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Condition> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Condition::Any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Condition> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(Condition::All(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Condition> {
        if depth > DEPTH_MAX {
            return Err(self.expected("fewer parentheses"));
        }
        if self.word("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.any(depth + 1)?;
            if self.peek() != Some(&Token::Close) {
                return Err(self.expected("')'"));
            }
            self.at += 1;
            return Ok(inner);
        }
        let left = self.operand()?;
        let Some(Token::Compare(comparison)) = self.peek().cloned() else {
            return Err(self.expected("a comparison (<= < >= > = !=)"));
        };
        self.at += 1;
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand> {
        const WANTED: &str = "a number, \"text\", true, false or FILE:KEY";
        let operand = match self.peek() {
            Some(Token::Text(text)) => Operand::Literal(Value::String(text.clone())),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Operand::Literal(Value::Bool(true)),
                "false" => Operand::Literal(Value::Bool(false)),
                "and" | "or" | "not" => return Err(self.expected(WANTED)),
                word => match (word.rsplit_once(':'), word.parse::<f64>()) {
                    (Some((file, keys)), _) => {
                        let keys: Vec<String> = keys.split('.').map(str::to_string).collect();
                        if keys.iter().any(String::is_empty) {
                            return Err(self.expected("keys separated by '.' after FILE:"));
                        }
                        Operand::At(FlowPath::parse(file)?, keys)
                    }
                    (None, Ok(number)) if number.is_finite() => match word.parse::<i64>() {
                        Ok(whole) => Operand::Literal(whole.into()),
                        Err(_) => Operand::Literal(number.into()),
                    },
                    _ => return Err(self.expected(WANTED)),
                },
            },
            _ => return Err(self.expected(WANTED)),
        };
        self.at += 1;
        Ok(operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(gate: &str, expect: bool) {
        let file = FlowPath::parse("run/eval.json").unwrap();
        let value = json!({"bpb": 1.5, "big": 9007199254740993i64, "tasks": [{"name": "arc", "ok": true}], "none": null});
        let gate = Gate::parse(gate).unwrap();
        assert_eq!(gate.holds(&BTreeMap::from([(file, value)])).unwrap().0, expect, "{gate}");
    }

    #[test]
    fn conditions() {
        check("run/eval.json:bpb <= 1.6", true);
        check("run/eval.json:bpb<1.5", false);
        check("1.5 == run/eval.json:bpb", true);
        check("run/eval.json:tasks.0.name = \"arc\" and run/eval.json:tasks.0.ok = true", true);
        check("run/eval.json:bpb > 2 or run/eval.json:bpb > 1", true);
        check("not (run/eval.json:bpb > 2 or run/eval.json:bpb > 1)", false);
        check("run/eval.json:bpb > 2 and run/eval.json:bpb > 1 or 1 = 1", true);
        check("run/eval.json:big = 9007199254740993", true);
        check("run/eval.json:big = 9007199254740992", false);
        check("run/eval.json:bpb >= -3e-2", true);
    }

    #[test]
    fn what_is_no_gate_says_what_was_expected() {
        for (gate, says) in [
            ("", "expected a number"),
            ("eval.json:bpb", "expected a comparison"),
            ("eval.json:bpb <= ", "expected a number"),
            ("eval.json:bpb <= 1 2", "'and', 'or' or the end"),
            ("(1 = 1", "expected ')'"),
            ("../eval.json:x = 1", "leaves the folder"),
            ("eval.json:a..b = 1", "separated by '.'"),
            ("\"open = 1", "does not end"),
            ("1 ! 2", "means nothing"),
            ("nan = 1", "expected a number"),
        ] {
            let error = Gate::parse(gate).unwrap_err();
            assert!(error.to_string().contains(says), "{gate}: {error}");
        }
        assert!(Gate::parse(&"(".repeat(1_000)).unwrap_err().to_string().contains("fewer parentheses"));
        assert!(Gate::parse(&"not ".repeat(1_000)).is_err());
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_an_error() {
        let file = FlowPath::parse("e.json").unwrap();
        let files = BTreeMap::from([(file, json!({"a": {"b": "text"}}))]);
        for (gate, says) in [
            ("e.json:a.c = 1", "e.json has no value at \"a.c\""),
            ("e.json:a.b = 1", "cannot be compared"),
            ("x.json:a = 1", "there is no file x.json"),
            ("1 = 1 or e.json:c = 1", "no value at \"c\""),
        ] {
            let error = Gate::parse(gate).unwrap().holds(&files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Gate);
            assert!(error.to_string().contains(says), "{gate}: {error}");
        }
    }
}

//! Text to clauses.

use crate::error::{Error, Result};
use crate::validate::clip;

/// A filter longer than this is refused.
const FILTER_BYTES_MAX: usize = 20_000;
/// Comparisons in one filter, and values in one list.
const CLAUSES_MAX: usize = 100;
const LIST_MAX: usize = 1_000;

/// What is compared: `metrics.loss`, or `run_id` without an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `metrics`, `params`, `tags`, `attributes`, … as written; nothing: an attribute.
    pub entity: Option<String>,
    /// Without its quotes.
    pub key: String,
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `LIKE`, upper and lower case are different
    Like,
    /// `ILIKE`, upper and lower case are the same
    ILike,
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

impl Operator {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Greater => ">",
            Operator::GreaterEqual => ">=",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Like => "LIKE",
            Operator::ILike => "ILIKE",
            Operator::In => "IN",
            Operator::NotIn => "NOT IN",
            Operator::IsNull => "IS NULL",
            Operator::IsNotNull => "IS NOT NULL",
        }
    }
}

/// What it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Was quoted.
    Text(String),
    /// Was not.
    Number(f64),
    /// A list of quoted texts.
    List(Vec<String>),
    /// `IS NULL` needs none.
    Nothing,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// Left.
    pub field: Field,
    /// Middle.
    pub operator: Operator,
    /// Right.
    pub value: Value,
}

/// Smallest or largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `ASC`, and without a word
    Ascending,
    /// `DESC`
    Descending,
}

/// The comparisons of a filter; an empty filter has none.
pub fn filter(text: &str) -> Result<Vec<Clause>> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the filter has {} bytes, {FILTER_BYTES_MAX} at most",
            text.len()
        )));
    }
    if text.contains('\0') {
        return Err(Error::invalid("the filter holds a NUL character, which no text in the store does"));
    }
    let mut scanner = Scanner { text, at: 0 };
    let mut clauses = Vec::new();
    scanner.skip_space();
    while !scanner.is_done() {
        if !clauses.is_empty() {
            scanner.keyword("AND").then_some(()).ok_or_else(|| scanner.expected("AND"))?;
            scanner.skip_space();
        }
        clauses.push(scanner.clause()?);
        if clauses.len() > CLAUSES_MAX {
            return Err(Error::invalid(format!("the filter has more than {CLAUSES_MAX} comparisons")));
        }
        scanner.skip_space();
    }
    Ok(clauses)
}

/// One order: a field and perhaps `ASC` or `DESC`.
pub fn order(text: &str) -> Result<(Field, Direction)> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_space();
    let field = scanner.field()?;
    scanner.skip_space();
    let direction = if scanner.keyword("DESC") {
        Direction::Descending
    } else {
        // Nothing means the same.
        scanner.keyword("ASC");
        Direction::Ascending
    };
    scanner.skip_space();
    if scanner.is_done() { Ok((field, direction)) } else { Err(scanner.expected("ASC or DESC and no more")) }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, what: &str) -> Error {
        let found = if self.is_done() { "its end".to_string() } else { format!("'{}'", clip(self.rest())) };
        Error::invalid(format!("'{}' is not a filter: expected {what}, found {found}", clip(self.text)))
    }

    /// Takes a word in any case, if it stands here and ends here.
    fn keyword(&mut self, word: &str) -> bool {
        let rest = self.rest().as_bytes();
        let here = rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word.as_bytes());
        let ends = rest.get(word.len()).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
        if here && ends {
            self.at += word.len();
        }
        here && ends
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let here = self.rest().starts_with(symbol);
        if here {
            self.at += symbol.len();
        }
        here
    }

    fn clause(&mut self) -> Result<Clause> {
        let field = self.field()?;
        self.skip_space();
        let operator = self.operator()?;
        self.skip_space();
        let value = match operator {
            Operator::IsNull | Operator::IsNotNull => Value::Nothing,
            Operator::In | Operator::NotIn => Value::List(self.list()?),
            _ => self.value()?,
        };
        Ok(Clause { field, operator, value })
    }

    fn field(&mut self) -> Result<Field> {
        let first = self.word(|c| c.is_alphanumeric() || c == '_')?;
        if !self.symbol(".") {
            return Ok(Field { entity: None, key: first });
        }
        let key = self.word(|c| c.is_alphanumeric() || "_./-:".contains(c))?;
        Ok(Field { entity: Some(first), key })
    }

    /// A quoted or a bare word.
    fn word(&mut self, is_bare: impl Fn(char) -> bool) -> Result<String> {
        match self.peek() {
            Some(quote @ ('`' | '"')) => self.quoted(quote),
            _ => {
                let rest = self.rest();
                let length = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
                if length == 0 {
                    return Err(self.expected("a name such as metrics.loss"));
                }
                let word = rest[..length].to_string();
                self.at += length;
                Ok(word)
            }
        }
    }

    /// What stands between two quotes; a quote inside is doubled.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                out.push(c);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                out.push(quote);
            } else {
                self.at += at + 1;
                return Ok(out);
            }
        }
        Err(self.expected(&format!("a closing {quote}")))
    }

    fn operator(&mut self) -> Result<Operator> {
        // Longer ones first.
        for (symbol, operator) in [
            ("!=", Operator::NotEqual),
            (">=", Operator::GreaterEqual),
            ("<=", Operator::LessEqual),
            ("=", Operator::Equal),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ] {
            if self.symbol(symbol) {
                return Ok(operator);
            }
        }
        for (word, operator) in [("LIKE", Operator::Like), ("ILIKE", Operator::ILike), ("IN", Operator::In)] {
            if self.keyword(word) {
                return Ok(operator);
            }
        }
        if self.keyword("NOT") {
            self.skip_space();
            return self.keyword("IN").then_some(Operator::NotIn).ok_or_else(|| self.expected("IN"));
        }
        if self.keyword("IS") {
            self.skip_space();
            let not = self.keyword("NOT");
            self.skip_space();
            let operator = if not { Operator::IsNotNull } else { Operator::IsNull };
            return self.keyword("NULL").then_some(operator).ok_or_else(|| self.expected("NULL"));
        }
        Err(self.expected("one of = != > >= < <= LIKE ILIKE IN"))
    }

    fn value(&mut self) -> Result<Value> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => Ok(Value::Text(self.quoted(quote)?)),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Result<Value> {
        let rest = self.rest();
        let length =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let number = &rest[..length];
        // Rust also reads "inf" and "nan"; here a number has digits.
        let digits =
            number.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match number.parse::<f64>() {
            Ok(value) if digits => {
                self.at += length;
                Ok(Value::Number(value))
            }
            _ => Err(self.expected("a number or a quoted text")),
        }
    }

    fn list(&mut self) -> Result<Vec<String>> {
        if !self.symbol("(") {
            return Err(self.expected("a list such as ('a', 'b')"));
        }
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if !items.is_empty() && self.symbol(")") {
                return Ok(items);
            }
            match self.peek() {
                Some(quote @ ('\'' | '"')) => items.push(self.quoted(quote)?),
                _ => return Err(self.expected("a quoted text")),
            }
            if items.len() > LIST_MAX {
                return Err(Error::invalid(format!("a list in the filter has more than {LIST_MAX} values")));
            }
            self.skip_space();
            if !self.symbol(",") && self.peek() != Some(')') {
                return Err(self.expected("',' or ')'"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let clauses = filter(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shown: Vec<String> = clauses
            .iter()
            .map(|clause| {
                let entity = clause.field.entity.as_deref().unwrap_or("-");
                format!("{entity}|{}|{}|{:?}", clause.field.key, clause.operator.as_str(), clause.value)
            })
            .collect();
        assert_eq!(shown.join(" & "), expect, "{text}");
    }

    #[test]
    fn comparisons() {
        check("", "");
        check("  ", "");
        check("metrics.loss < 0.5", "metrics|loss|<|Number(0.5)");
        check("metrics.loss>=-1e-3", "metrics|loss|>=|Number(-0.001)");
        check("params.lr='0.1'", "params|lr|=|Text(\"0.1\")");
        check("params.\"a b\" != \"it's\"", "params|a b|!=|Text(\"it's\")");
        check("tags.`mlflow.note` ILIKE '%x%'", "tags|mlflow.note|ILIKE|Text(\"%x%\")");
        check("tags.a.b/c = 'it''s'", "tags|a.b/c|=|Text(\"it's\")");
        check("run_id IN ('a', \"b\",)", "-|run_id|IN|List([\"a\", \"b\"])");
        check("attributes.`Run name` not  in ('a')", "attributes|Run name|NOT IN|List([\"a\"])");
        check(
            "tags.t is null and params.p IS NOT NULL",
            "tags|t|IS NULL|Nothing & params|p|IS NOT NULL|Nothing",
        );
        check("a = 'AND' And b = 'x'", "-|a|=|Text(\"AND\") & -|b|=|Text(\"x\")");
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        for bad in [
            "loss",
            "metrics.loss",
            "metrics.loss <",
            "metrics.loss < abc",
            "metrics. < 1",
            "< 1",
            "a = 'x",
            "a = 'x' b = 'y'",
            "a = 'x' OR b = 'y'",
            "a == 'x'",
            "a <> 'x'",
            "a IN ()",
            "a IN 'x'",
            "a IN (1)",
            "a NOT LIKE 'x'",
            "a IS",
            "a = 'x' AND",
            "a = 'x';",
            "a = 'x' -- c",
            "metrics.a < inf",
            "metrics.a < nan",
            "a IN ('x'",
            "(a = 'x')",
            "a = 'x') ",
            "`a = 'x'",
            "metrics.x < 1e",
            "metrics.x < 1.2.3",
        ] {
            assert!(filter(bad).is_err(), "{bad}");
        }
        assert!(filter(&"a".repeat(FILTER_BYTES_MAX + 1)).is_err());
        let many = vec!["a = 'x'"; CLAUSES_MAX + 1].join(" AND ");
        assert!(filter(&many).is_err());
    }

    #[test]
    fn orders() {
        let shown = |text| {
            let (field, direction) = order(text).unwrap();
            (field.entity.unwrap_or_default(), field.key, direction)
        };
        let owned = |entity: &str, key: &str, direction| (entity.to_string(), key.to_string(), direction);
        assert_eq!(shown("metrics.loss"), owned("metrics", "loss", Direction::Ascending));
        assert_eq!(shown("metrics.`a b` DESC"), owned("metrics", "a b", Direction::Descending));
        assert_eq!(shown(" start_time asc "), owned("", "start_time", Direction::Ascending));
        for bad in ["", "metrics.", "a DESC b", "a DOWN", "a, b", "a; DROP TABLE runs"] {
            assert!(order(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let mut rng = mynah_base::Rng::new(7);
        let pieces = [
            "metrics.", "a", "`", "'", "\"", " ", "AND", "<", "=", "IN", "(", ")", ",", "1.5", "é", "\0",
            "NOT", "IS", "NULL",
        ];
        for _ in 0..20_000 {
            let text: String = (0..rng.index(12)).map(|_| *rng.choose::<&str>(&pieces)).collect();
            let _ = filter(&text);
            let _ = order(&text);
        }
    }
}

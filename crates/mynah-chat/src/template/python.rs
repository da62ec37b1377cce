//! What transformers adds to Jinja, and where Python's Jinja differs from ours: `tojson` as `json.dumps`,
//! `raise_exception`, `strftime_now`, and a few methods of strings and dicts.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::options::Now;

/// Deeper values than this are refused by `tojson`; JSON readers stop at 128 as well.
const JSON_DEPTH_MAX: usize = 128;

/// Adds the functions, filters and methods to an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("trim", trim);
    environment.add_filter("int", to_int);
    environment.add_filter("float", to_float);
    environment.add_function("raise_exception", raise_exception);
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
    environment.set_unknown_method_callback(methods);
}

/// A JSON value as the template sees it.
pub(super) fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// In Python a text is a sequence, and so is a dict (it has `__len__` and `__getitem__`).
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// In Python a text is iterable; so is Jinja's undefined value.
fn is_iterable(value: &Value) -> bool {
    value.is_undefined()
        || matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// `trim` turns its value into text first, as Jinja does.
fn trim(value: &Value, chars: Option<String>) -> String {
    let text = value.to_string();
    match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_string(),
        None => text.trim_matches(is_python_space).to_string(),
    }
}

/// Jinja's `int`: what is no number becomes the default.
fn to_int(value: &Value, default: Option<Value>) -> Value {
    let text = value.to_string();
    let text = text.trim();
    let number = match value.kind() {
        ValueKind::Bool => Some(i64::from(value.is_true())),
        ValueKind::Number | ValueKind::String => {
            // The cast saturates, as no template counts that far.
            text.parse::<i64>()
                .ok()
                .or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n as i64))
        }
        _ => None,
    };
    number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0))
}

/// Jinja's `float`, likewise.
fn to_float(value: &Value, default: Option<Value>) -> Value {
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number | ValueKind::String => value.to_string().trim().parse::<f64>().ok(),
        _ => None,
    };
    number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
}

/// `str.isspace` of Python: Unicode white space and the four separators of ASCII.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn methods(state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let (Some(text), [] | [_]) = (value.as_str(), arguments) {
        let ends = match method {
            "strip" => Some((true, true)),
            "lstrip" => Some((true, false)),
            "rstrip" => Some((false, true)),
            _ => None,
        };
        if let Some((left, right)) = ends {
            let chars = arguments.first().and_then(|chars| chars.as_str());
            let is_cut = |c: char| chars.map_or_else(|| is_python_space(c), |chars| chars.contains(c));
            let text = if left { text.trim_start_matches(is_cut) } else { text };
            return Ok(Value::from(if right { text.trim_end_matches(is_cut) } else { text }));
        }
        if let ("removeprefix" | "removesuffix", Some(cut)) =
            (method, arguments.first().and_then(|cut| cut.as_str()))
        {
            let rest = if method == "removeprefix" { text.strip_prefix(cut) } else { text.strip_suffix(cut) };
            return Ok(Value::from(rest.unwrap_or(text)));
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn to_json(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let option = |name: &str, at: usize| -> Result<Option<Value>, Error> {
        let value = kwargs.get::<Option<Value>>(name)?.or_else(|| positional.get(at).cloned());
        Ok(value.filter(|value| !value.is_none() && !value.is_undefined()))
    };
    let indent = match option("indent", 1)? {
        None => None,
        Some(value) => match (value.as_str(), i64::try_from(value.clone())) {
            (Some(text), _) => Some(text.to_string()),
            (None, Ok(count)) => Some(" ".repeat(usize::try_from(count.clamp(0, 64)).unwrap_or(0))),
            (None, Err(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "tojson: indent must be a number or text",
                ));
            }
        },
    };
    let (item_separator, key_separator) = match option("separators", 2)? {
        Some(pair) => {
            let pair: Vec<Value> = pair.try_iter()?.collect();
            match pair.as_slice() {
                [item, key] => (item.to_string(), key.to_string()),
                _ => {
                    return Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators must be a pair"));
                }
            }
        }
        None if indent.is_some() => (",".to_string(), ": ".to_string()),
        None => (", ".to_string(), ": ".to_string()),
    };
    let is_true = |name, at| Ok::<_, Error>(option(name, at)?.is_some_and(|value| value.is_true()));
    let style = Style {
        indent,
        item_separator,
        key_separator,
        ascii: is_true("ensure_ascii", 0)?,
        sorted: is_true("sort_keys", 3)?,
    };
    kwargs.assert_all_used()?;
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    Ok(out)
}

/// How `tojson` writes.
struct Style {
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    ascii: bool,
    sorted: bool,
}

impl Style {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > JSON_DEPTH_MAX {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the value is nested too deeply"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => out.push_str(&float_repr(f64::try_from(value.clone())?)),
            ValueKind::String => self.write_text(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_list(out, ('[', ']'), &items, depth, |out, item| {
                    self.write(out, item, depth + 1)
                })?;
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    pairs.push((key_text(&key)?, item));
                }
                if self.sorted {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.write_list(out, ('{', '}'), &pairs, depth, |out, (key, item)| {
                    self.write_text(out, key);
                    out.push_str(&self.key_separator);
                    self.write(out, item, depth + 1)
                })?;
            }
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson: a value of kind {kind} is not JSON serializable"),
                ));
            }
        }
        Ok(())
    }

    fn write_list<T>(
        &self,
        out: &mut String,
        (open, close): (char, char),
        items: &[T],
        depth: usize,
        mut write: impl FnMut(&mut String, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.item_separator);
            }
            line(out, depth + 1);
            write(out, item)?;
        }
        if !items.is_empty() {
            line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn write_text(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// Keys that are not text become text as `json.dumps` writes them.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_string()),
        ValueKind::None => Ok("null".to_string()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_string()),
        ValueKind::Number if key.is_integer() => Ok(key.to_string()),
        ValueKind::Number => Ok(float_repr(f64::try_from(key.clone())?)),
        kind => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: keys must be text, not {kind}")))
        }
    }
}

/// `repr(float)` of Python: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16.
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, power) = exponent.strip_prefix('-').map_or(('+', exponent), |power| ('-', power));
        return format!("{digits}e{sign}{power:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// `strftime_now(format)` for this moment.
pub(super) fn strftime_function(now: Now) -> Value {
    Value::from_function(move |format: String| strftime(now, &format))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `datetime.strftime` in the C locale.
fn strftime(now: Now, format: &str) -> Result<String, Error> {
    let seconds = now.unix_s.saturating_add(i64::from(now.utc_offset_s));
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let day_of_year = days - days_from_civil(year, 1, 1) + 1;
    let hour_of_12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut code = chars.next();
        // `%-d` is glibc's way to leave out the padding.
        let padded = code != Some('-');
        if !padded {
            code = chars.next();
        }
        let number =
            |value: i64, width: usize| if padded { format!("{value:0width$}") } else { value.to_string() };
        let text = match code {
            Some('Y') => year.to_string(),
            Some('y') => number(year.rem_euclid(100), 2),
            Some('m') => number(month, 2),
            Some('d') => number(day, 2),
            Some('e') => format!("{day:>2}"),
            Some('B') => month_name.to_string(),
            Some('b' | 'h') => month_name[..3].to_string(),
            Some('A') => DAYS[weekday].to_string(),
            Some('a') => DAYS[weekday][..3].to_string(),
            Some('H') => number(hour, 2),
            Some('I') => number(hour_of_12, 2),
            Some('M') => number(minute, 2),
            Some('S') => number(second, 2),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_string(),
            Some('j') => number(day_of_year, 3),
            Some('w') => ((weekday + 4) % 7).to_string(),
            Some('u') => ((weekday + 3) % 7 + 1).to_string(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T' | 'X') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('D' | 'x') => format!("{month:02}/{day:02}/{:02}", year.rem_euclid(100)),
            Some('f') => "000000".to_string(),
            Some('s') => now.unix_s.to_string(),
            // The clock of `datetime.now()` has no zone.
            Some('Z' | 'z') => String::new(),
            Some('%') => "%".to_string(),
            Some('n') => "\n".to_string(),
            Some('t') => "\t".to_string(),
            other => {
                let code = other.map(String::from).unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: '%{code}' is not known"),
                ));
            }
        };
        out.push_str(&text);
    }
    Ok(out)
}

/// Year, month and day of a day counted from 1970-01-01 in the proleptic Gregorian calendar (Hinnant,
/// "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        // repr() of CPython 3.11.
        for (value, expect) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (1e100, "1e+100"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(float_repr(value), expect);
        }
    }

    #[test]
    fn dates_are_written_as_python_does() {
        // datetime(2024, 2, 29, 0, 5, 9).strftime(…)
        let now = Now { unix_s: 1_709_165_109 - 3_600, utc_offset_s: 3_600 };
        let format = "%Y-%m-%d %d %b %Y|%A %a %B|%H:%M:%S %I %p|%j %w %u %-d %-m %y %F %T%%";
        let expect = "2024-02-29 29 Feb 2024|Thursday Thu February|00:05:09 12 AM|060 4 4 29 2 24 2024-02-29 00:05:09%";
        assert_eq!(strftime(now, format).unwrap(), expect);
        let before = Now { unix_s: -1, utc_offset_s: 0 };
        assert_eq!(strftime(before, "%F %T %a").unwrap(), "1969-12-31 23:59:59 Wed");
        assert!(strftime(now, "%Q").is_err());
    }
}

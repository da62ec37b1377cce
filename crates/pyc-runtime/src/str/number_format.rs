//! The format mini-language: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.

use num_bigint::BigInt;
use num_traits::{Signed as _, ToPrimitive as _};

use super::Str;
use crate::numbers::{ComplexData, float_repr};
use crate::object::Value;
use crate::vm::{PyResult, Vm};

/// A parsed specification.
#[derive(Clone, Debug)]
pub struct Spec {
    fill: u32,
    align: Option<char>,
    sign: char,
    no_negative_zero: bool,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Parses a specification for a type (its name goes into messages).
pub fn parse_spec(vm: &Vm, spec: &Str, type_name: &str) -> PyResult<Spec> {
    let points = spec.to_points();
    let char_at = |i: usize| points.get(i).and_then(|p| char::from_u32(*p));
    let is_align = |c: Option<char>| matches!(c, Some('<' | '>' | '=' | '^'));
    let mut s = Spec {
        fill: 32,
        align: None,
        sign: '-',
        no_negative_zero: false,
        alternate: false,
        width: 0,
        grouping: None,
        precision: None,
        kind: None,
    };
    let mut i = 0;
    let mut fill_given = false;
    if points.len() >= 2 && is_align(char_at(1)) {
        s.fill = points[0];
        s.align = char_at(1);
        fill_given = true;
        i = 2;
    } else if is_align(char_at(0)) {
        s.align = char_at(0);
        i = 1;
    }
    if let Some(c @ ('+' | '-' | ' ')) = char_at(i) {
        s.sign = c;
        i += 1;
    }
    if char_at(i) == Some('z') {
        s.no_negative_zero = true;
        i += 1;
    }
    if char_at(i) == Some('#') {
        s.alternate = true;
        i += 1;
    }
    if !fill_given && char_at(i) == Some('0') {
        s.fill = 48;
        if s.align.is_none() {
            s.align = Some('=');
        }
        i += 1;
    }
    let number = |i: &mut usize| -> PyResult<Option<usize>> {
        let start = *i;
        let mut n = 0usize;
        while let Some(d) = char_at(*i).and_then(|c| c.to_digit(10)) {
            n = n.saturating_mul(10).saturating_add(d as usize);
            *i += 1;
        }
        if n > i32::MAX as usize {
            return Err(vm.value_error("Too many decimal digits in format string"));
        }
        Ok((*i > start).then_some(n))
    };
    s.width = number(&mut i)?.unwrap_or(0);
    if let Some(c @ (',' | '_')) = char_at(i) {
        s.grouping = Some(c);
        i += 1;
        if let Some(other @ (',' | '_')) = char_at(i) {
            return Err(vm.value_error(if other == c {
                format!("Cannot specify '{c}' with '{c}'.")
            } else {
                "Cannot specify both ',' and '_'.".into()
            }));
        }
    }
    if char_at(i) == Some('.') {
        i += 1;
        s.precision = number(&mut i)?;
        if s.precision.is_none() {
            return Err(vm.value_error("Format specifier missing precision"));
        }
    }
    if i < points.len() {
        if points.len() - i > 1 {
            return Err(vm.value_error(format!(
                "Invalid format specifier '{}' for object of type '{type_name}'",
                spec.to_lossy()
            )));
        }
        s.kind = char_at(i);
    }
    vm.check_alloc(s.width.max(s.precision.unwrap_or(0)), 1)?;
    Ok(s)
}

fn unknown(vm: &Vm, kind: char, type_name: &str) -> crate::vm::Raised {
    vm.value_error(format!("Unknown format code '{kind}' for object of type '{type_name}'"))
}

fn padded(vm: &Vm, spec: &Spec, body: &[u32], prefix: usize, default: char) -> Value {
    let missing = spec.width.saturating_sub(body.len());
    let (before, after) = match spec.align.unwrap_or(default) {
        '<' => (0, missing),
        '^' => (missing / 2, missing - missing / 2),
        '=' => {
            let mut out = body[..prefix].to_vec();
            out.resize(prefix + missing, spec.fill);
            out.extend_from_slice(&body[prefix..]);
            return vm.new_str(Str::from_points(out));
        }
        _ => (missing, 0),
    };
    let mut out = vec![spec.fill; before];
    out.extend_from_slice(body);
    out.resize(out.len() + after, spec.fill);
    vm.new_str(Str::from_points(out))
}

/// `str.__format__`
pub fn format_str_value(vm: &Vm, value: &Value, spec: &Value) -> PyResult {
    let (Some(text), Some(spec)) = (value.get::<Str>(), spec.get::<Str>()) else {
        return Err(vm.type_error("__format__() argument must be str"));
    };
    if spec.is_empty() {
        return vm.to_str(value);
    }
    let name = vm.type_name(value);
    let s = parse_spec(vm, spec, &name)?;
    if let Some(kind) = s.kind.filter(|k| *k != 's') {
        return Err(unknown(vm, kind, &name));
    }
    if s.sign != '-' {
        return Err(vm.value_error(if s.sign == ' ' {
            "Space not allowed in string format specifier"
        } else {
            "Sign not allowed in string format specifier"
        }));
    }
    if s.no_negative_zero {
        return Err(vm.value_error("Negative zero coercion (z) not allowed in string format specifier"));
    }
    if s.alternate {
        return Err(vm.value_error("Alternate form (#) not allowed in string format specifier"));
    }
    if let Some(g) = s.grouping {
        return Err(vm.value_error(format!("Cannot specify '{g}' with 's'.")));
    }
    if s.align == Some('=') {
        if s.fill != 48 {
            return Err(vm.value_error("'=' alignment not allowed in string format specifier"));
        }
        let mut s = s.clone();
        s.align = Some('<');
        let mut points = text.to_points();
        points.truncate(s.precision.unwrap_or(usize::MAX));
        return Ok(padded(vm, &s, &points, 0, '<'));
    }
    let mut points = text.to_points();
    points.truncate(s.precision.unwrap_or(usize::MAX));
    Ok(padded(vm, &s, &points, 0, '<'))
}

/// Inserts separators into the digits before the point.
fn group(digits: &str, separator: char, every: usize, width: usize) -> String {
    let mut digits: Vec<char> = digits.chars().collect();
    // With zero padding the separators go through the zeros.
    loop {
        let length = digits.len() + (digits.len().max(1) - 1) / every;
        if length >= width {
            break;
        }
        digits.insert(0, '0');
    }
    let mut out = String::new();
    for (at, c) in digits.iter().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(every) {
            out.push(separator);
        }
        out.push(*c);
    }
    out
}

fn finish_number(
    vm: &Vm,
    s: &Spec,
    negative: bool,
    prefix: &str,
    whole: &str,
    rest: &str,
    every: usize,
) -> Value {
    let sign = if negative {
        "-"
    } else {
        match s.sign {
            '+' => "+",
            ' ' => " ",
            _ => "",
        }
    };
    let lead = sign.len() + prefix.len();
    let zero_fill = s.fill == 48 && s.align == Some('=');
    let whole = match s.grouping {
        Some(separator) if whole.starts_with(|c: char| c.is_ascii_hexdigit()) => group(
            whole,
            separator,
            every,
            if zero_fill { s.width.saturating_sub(lead + rest.len()) } else { 0 },
        ),
        _ => whole.to_string(),
    };
    let body: Vec<u32> = format!("{sign}{prefix}{whole}{rest}").chars().map(u32::from).collect();
    padded(vm, s, &body, lead, '>')
}

/// `int.__format__`
pub fn format_int_value(vm: &Vm, value: &Value, spec: &Value) -> PyResult {
    let Some(text) = spec.get::<Str>() else {
        return Err(vm.type_error("__format__() argument must be str"));
    };
    if text.is_empty() {
        return vm.to_str(value);
    }
    let name = vm.type_name(value);
    let s = parse_spec(vm, text, &name)?;
    let n = vm.big_int(value).unwrap_or_default();
    format_int(vm, &n, &s, &name)
}

fn format_int(vm: &Vm, n: &BigInt, s: &Spec, name: &str) -> PyResult {
    let kind = s.kind.unwrap_or('d');
    if matches!(kind, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') {
        let f = vm.to_f64(&vm.big(n.clone()))?;
        return format_float(vm, f, s, name);
    }
    if !matches!(kind, 'b' | 'c' | 'd' | 'o' | 'x' | 'X' | 'n') {
        return Err(unknown(vm, kind, name));
    }
    if s.precision.is_some() {
        return Err(vm.value_error("Precision not allowed in integer format specifier"));
    }
    if s.no_negative_zero {
        return Err(vm.value_error(
            "Negative zero coercion (z) not allowed in format specifier with integer format code 'd'",
        ));
    }
    if s.grouping == Some(',') && !matches!(kind, 'd') {
        return Err(vm.value_error(format!("Cannot specify ',' with '{kind}'.")));
    }
    if kind == 'c' {
        if s.sign != '-' {
            return Err(vm.value_error("Sign not allowed with integer format specifier 'c'"));
        }
        if s.alternate {
            return Err(vm.value_error("Alternate form (#) not allowed with integer format specifier 'c'"));
        }
        return match n.to_u32().filter(|c| *c < 0x11_0000) {
            Some(c) => Ok(padded(vm, s, &[c], 0, '<')),
            None => Err(vm.overflow_error("%c arg not in range(0x110000)")),
        };
    }
    let magnitude = n.abs();
    let (digits, prefix) = match kind {
        'b' => (magnitude.to_str_radix(2), "0b"),
        'o' => (magnitude.to_str_radix(8), "0o"),
        'x' => (magnitude.to_str_radix(16), "0x"),
        'X' => (magnitude.to_str_radix(16).to_uppercase(), "0X"),
        _ => (vm.str_text(&vm.big(magnitude))?, ""),
    };
    let every = if prefix.is_empty() { 3 } else { 4 };
    Ok(finish_number(vm, s, n.is_negative(), if s.alternate { prefix } else { "" }, &digits, "", every))
}

/// `float.__format__`
pub fn format_float_value(vm: &Vm, value: &Value, spec: &Value) -> PyResult {
    let Some(text) = spec.get::<Str>() else {
        return Err(vm.type_error("__format__() argument must be str"));
    };
    if text.is_empty() {
        return vm.to_str(value);
    }
    let name = vm.type_name(value);
    let s = parse_spec(vm, text, &name)?;
    format_float(vm, value.get::<f64>().copied().unwrap_or(0.0), &s, &name)
}

fn format_float(vm: &Vm, f: f64, s: &Spec, name: &str) -> PyResult {
    if let Some(kind) = s.kind
        && !matches!(kind, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%')
    {
        return Err(unknown(vm, kind, name));
    }
    let text = float_digits(f.abs(), s.kind, s.precision, s.alternate);
    let zero = text.bytes().all(|b| !b.is_ascii_digit() || b == b'0') && f.is_finite();
    let negative = f.is_sign_negative() && !f.is_nan() && !(s.no_negative_zero && zero);
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = if f.is_finite() { text.split_at(split) } else { (text.as_str(), "") };
    Ok(finish_number(vm, s, negative, "", whole, rest, 3))
}

/// Digits of a float that is not negative, for a format code.
pub fn float_digits(f: f64, kind: Option<char>, precision: Option<usize>, alternate: bool) -> String {
    let upper = kind.is_some_and(char::is_uppercase);
    let case = |text: String| if upper { text.to_uppercase() } else { text };
    if !f.is_finite() {
        let text = if f.is_nan() { "nan" } else { "inf" };
        let percent = if kind == Some('%') { "%" } else { "" };
        return case(format!("{text}{percent}"));
    }
    let point = |text: String| if alternate && !text.contains('.') { format!("{text}.") } else { text };
    match kind {
        Some('f' | 'F') => case(point(format!("{f:.*}", precision.unwrap_or(6)))),
        Some('%') => format!("{}%", point(format!("{:.*}", precision.unwrap_or(6), f * 100.0))),
        Some('e' | 'E') => case(exponent(f, precision.unwrap_or(6), alternate)),
        Some(_) => case(general(f, precision.unwrap_or(6).max(1), alternate, false)),
        None => match precision {
            None => float_repr(f),
            Some(p) => general(f, p.max(1), alternate, true),
        },
    }
}

fn exponent(f: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{f:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let n: i32 = exponent.parse().unwrap_or(0);
    let sign = if n < 0 { '-' } else { '+' };
    let dot = if alternate && !mantissa.contains('.') { "." } else { "" };
    format!("{mantissa}{dot}e{sign}{:02}", n.abs())
}

/// `g`: significant digits; `keep_point` for the empty code, which shows at least one decimal.
fn general(f: f64, precision: usize, alternate: bool, keep_point: bool) -> String {
    let scientific = format!("{f:.*e}", precision - 1);
    let (mantissa, exp) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    let limit = if keep_point { precision as i32 - 1 } else { precision as i32 };
    let trim = |text: &str| {
        if alternate || !text.contains('.') {
            text.to_string()
        } else {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }
    };
    if exp < -4 || exp >= limit.max(if keep_point { 1 } else { 0 }) && !(keep_point && exp < limit) {
        let sign = if exp < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exp.abs());
    }
    let decimals = (precision as i32 - 1 - exp).max(0) as usize;
    let text = trim(&format!("{f:.decimals$}"));
    if keep_point && !text.contains('.') {
        return format!("{text}.0");
    }
    if alternate && !text.contains('.') { format!("{text}.") } else { text }
}

/// `complex.__format__`
pub fn format_complex_value(vm: &Vm, value: &Value, spec: &Value) -> PyResult {
    let Some(text) = spec.get::<Str>() else {
        return Err(vm.type_error("__format__() argument must be str"));
    };
    if text.is_empty() {
        return vm.to_str(value);
    }
    let s = parse_spec(vm, text, "complex")?;
    if s.align == Some('=') {
        return Err(vm.value_error(if s.fill == 48 {
            "Zero padding is not allowed in complex format specifier"
        } else {
            "'=' alignment flag is not allowed in complex format specifier"
        }));
    }
    if let Some(kind) = s.kind
        && !matches!(kind, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n')
    {
        return Err(unknown(vm, kind, "complex"));
    }
    let (re, im) = value.get::<ComplexData>().map_or((0.0, 0.0), |c| (c.re, c.im));
    let digits = |f: f64| {
        let text = float_digits(f.abs(), s.kind, s.precision, s.alternate);
        if s.kind.is_none() { text.strip_suffix(".0").map_or(text.clone(), str::to_string) } else { text }
    };
    let sign = |f: f64, plus: &'static str| if f.is_sign_negative() && !f.is_nan() { "-" } else { plus };
    let lead = match s.sign {
        '+' => "+",
        ' ' => " ",
        _ => "",
    };
    let text = if s.kind.is_none() && re == 0.0 && re.is_sign_positive() {
        format!("{}{}j", sign(im, lead), digits(im))
    } else {
        let body = format!("{}{}{}{}j", sign(re, lead), digits(re), sign(im, "+"), digits(im));
        if s.kind.is_none() { format!("({body})") } else { body }
    };
    let points: Vec<u32> = text.chars().map(u32::from).collect();
    Ok(padded(vm, &s, &points, 0, '>'))
}

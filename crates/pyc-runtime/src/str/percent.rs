//! `template % values`, for strings; bytes use it through Latin-1.

use num_traits::Signed as _;

use super::Str;
use super::number_format::float_digits;
use crate::containers::TupleData;
use crate::object::{Kind, Value};
use crate::vm::{PyResult, Vm};

/// `template % values`
pub fn format(vm: &Vm, template: &Value, values: &Value) -> PyResult {
    let Some(text) = template.get::<Str>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let points = run(vm, &text.to_points(), values, false)?;
    Ok(vm.new_str(Str::from_points(points)))
}

/// The formatted code points; `bytes`: `%s` and `%b` take bytes.
pub fn run(vm: &Vm, text: &[u32], values: &Value, bytes: bool) -> PyResult<Vec<u32>> {
    let items = values.get::<TupleData>().map(|t| t.items().to_vec());
    let mapping =
        items.is_none() && values.kind() != Kind::Str && vm.special(values, &vm.names.__getitem__).is_some();
    let single = [values.clone()];
    let list: &[Value] = items.as_deref().unwrap_or(&single);
    let mut next = 0;
    let mut used_mapping = false;
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        if text[i] != 37 {
            out.push(text[i]);
            i += 1;
            continue;
        }
        i += 1;
        let mut current = None;
        if text.get(i) == Some(&40) {
            let start = i + 1;
            let mut depth = 1;
            i += 1;
            while i < text.len() && depth > 0 {
                match text[i] {
                    40 => depth += 1,
                    41 => depth -= 1,
                    _ => {}
                }
                i += 1;
            }
            if depth > 0 {
                return Err(vm.value_error("incomplete format key"));
            }
            if !mapping {
                return Err(vm.type_error("format requires a mapping"));
            }
            let key = vm.new_str(Str::from_points(text[start..i - 1].to_vec()));
            let key = if bytes { vm.bytes(&vm.encode(&key, "latin-1", "strict")?) } else { key };
            current = Some(vm.get_item(values, &key)?);
            used_mapping = true;
        }
        let (mut left, mut plus, mut space, mut alternate, mut zero) = (false, false, false, false, false);
        while let Some(c) = text.get(i).and_then(|c| char::from_u32(*c)) {
            match c {
                '-' => left = true,
                '+' => plus = true,
                ' ' => space = true,
                '#' => alternate = true,
                '0' => zero = true,
                _ => break,
            }
            i += 1;
        }
        let mut take = || -> PyResult {
            match list.get(next) {
                Some(value) if !used_mapping => {
                    next += 1;
                    Ok(value.clone())
                }
                _ => Err(vm.type_error("not enough arguments for format string")),
            }
        };
        let number = |i: &mut usize, take: &mut dyn FnMut() -> PyResult| -> PyResult<Option<i64>> {
            if text.get(*i) == Some(&42) {
                *i += 1;
                let value = take()?;
                if !vm.is_int(&value) {
                    return Err(vm.type_error("* wants int"));
                }
                return vm.index(&value).map(Some);
            }
            let mut n: Option<i64> = None;
            while let Some(d) = text.get(*i).and_then(|c| char::from_u32(*c)).and_then(|c| c.to_digit(10)) {
                n = Some(n.unwrap_or(0).saturating_mul(10).saturating_add(i64::from(d)));
                *i += 1;
            }
            Ok(n)
        };
        let mut width = number(&mut i, &mut take)?.unwrap_or(0);
        if width < 0 {
            left = true;
            width = -width;
        }
        let mut precision = None;
        if text.get(i) == Some(&46) {
            i += 1;
            precision = Some(number(&mut i, &mut take)?.unwrap_or(0).max(0) as usize);
        }
        vm.check_alloc((width as usize).max(precision.unwrap_or(0)), 4)?;
        if precision.is_some_and(|p| p > i32::MAX as usize) || width > i64::from(i32::MAX) {
            return Err(vm.value_error("precision too big"));
        }
        while matches!(text.get(i), Some(104 | 108 | 76)) {
            i += 1;
        }
        let Some(kind) = text.get(i).and_then(|c| char::from_u32(*c)) else {
            return Err(vm.value_error("incomplete format"));
        };
        i += 1;
        if kind == '%' {
            out.push(37);
            continue;
        }
        let value = match current {
            Some(value) => value,
            None => take()?,
        };
        let sign = |negative: bool| {
            if negative {
                "-"
            } else if plus {
                "+"
            } else if space {
                " "
            } else {
                ""
            }
        };
        let (lead, body): (String, Vec<u32>) = match kind {
            's' | 'r' | 'a' | 'b' => {
                let shown = match kind {
                    's' | 'b' if bytes => {
                        let raw = match vm.call_special(&value, &vm.names.__bytes__, &[])? {
                            Some(made) => vm.bytes_of(&made)?,
                            None if matches!(value.kind(), Kind::Bytes | Kind::ByteArray)
                                || value.get::<crate::bytes::MemoryData>().is_some() =>
                            {
                                vm.bytes_of(&value)?
                            }
                            None => {
                                return Err(vm.type_error(format!(
                                    "%b requires a bytes-like object, or an object that implements __bytes__, not '{}'",
                                    vm.type_name(&value)
                                )));
                            }
                        };
                        vm.new_str(Str::from_latin(raw))
                    }
                    's' => vm.to_str(&value)?,
                    'r' if !bytes => vm.repr(&value)?,
                    'b' => return Err(bad_code(vm, kind, i)),
                    _ => vm.ascii(&value)?,
                };
                let mut points = shown.get::<Str>().map(Str::to_points).unwrap_or_default();
                points.truncate(precision.unwrap_or(usize::MAX));
                zero = false;
                (String::new(), points)
            }
            'c' => {
                let point = match value.get::<Str>() {
                    Some(s) if s.len() == 1 && !bytes => s.at(0),
                    _ if bytes
                        && matches!(value.kind(), Kind::Bytes | Kind::ByteArray)
                        && vm.bytes_of(&value)?.len() == 1 =>
                    {
                        u32::from(vm.bytes_of(&value)?[0])
                    }
                    _ => match vm.as_i64(&value) {
                        Some(n) if (0..if bytes { 256 } else { 0x11_0000 }).contains(&n) => n as u32,
                        Some(_) => {
                            return Err(vm.overflow_error(if bytes {
                                "%c arg not in range(256)"
                            } else {
                                "%c arg not in range(0x110000)"
                            }));
                        }
                        None => {
                            return Err(vm.type_error(if bytes {
                                "%c requires an integer in range(256) or a single byte"
                            } else {
                                "%c requires int or char"
                            }));
                        }
                    },
                };
                zero = false;
                (String::new(), vec![point])
            }
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
                let n = if let Some(f) = value.get::<f64>() {
                    if !matches!(kind, 'd' | 'i' | 'u') {
                        return Err(
                            vm.type_error(format!("%{kind} format: an integer is required, not float"))
                        );
                    }
                    crate::numbers_to_int(vm, *f)?
                } else if vm.is_int(&value) {
                    value.clone()
                } else {
                    match vm.call_special(&value, &vm.names.__index__, &[])? {
                        Some(n) => n,
                        None => match if matches!(kind, 'd' | 'i' | 'u') {
                            vm.call_special(&value, &vm.names.__int__, &[])?
                        } else {
                            None
                        } {
                            Some(n) => n,
                            None => {
                                let what = if matches!(kind, 'd' | 'i' | 'u') {
                                    "a real number"
                                } else {
                                    "an integer"
                                };
                                return Err(vm.type_error(format!(
                                    "%{kind} format: {what} is required, not {}",
                                    vm.type_name(&value)
                                )));
                            }
                        },
                    }
                };
                let n = vm.big_int(&n).unwrap_or_default();
                let magnitude = n.abs();
                let (mut digits, prefix) = match kind {
                    'o' => (magnitude.to_str_radix(8), "0o"),
                    'x' => (magnitude.to_str_radix(16), "0x"),
                    'X' => (magnitude.to_str_radix(16).to_uppercase(), "0X"),
                    _ => (vm.str_text(&vm.big(magnitude))?, ""),
                };
                if let Some(p) = precision {
                    while digits.len() < p {
                        digits.insert(0, '0');
                    }
                }
                let lead = format!("{}{}", sign(n.is_negative()), if alternate { prefix } else { "" });
                (lead, digits.chars().map(u32::from).collect())
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let f = match vm.to_f64(&value) {
                    Ok(f) => f,
                    Err(e) if vm.is_exception(&e, &vm.exc.type_error) => {
                        return Err(if bytes {
                            vm.type_error(format!("float argument required, not {}", vm.type_name(&value)))
                        } else {
                            e
                        });
                    }
                    Err(e) => return Err(e),
                };
                if !f.is_finite() {
                    zero = false;
                }
                let digits = float_digits(f.abs(), Some(kind), Some(precision.unwrap_or(6)), alternate);
                (
                    sign(f.is_sign_negative() && !f.is_nan()).to_string(),
                    digits.chars().map(u32::from).collect(),
                )
            }
            _ => return Err(bad_code(vm, kind, i)),
        };
        let length = lead.len() + body.len();
        let missing = (width as usize).saturating_sub(length);
        let lead: Vec<u32> = lead.chars().map(u32::from).collect();
        if left {
            out.extend(lead);
            out.extend(body);
            out.resize(out.len() + missing, 32);
        } else if zero {
            out.extend(lead);
            out.resize(out.len() + missing, 48);
            out.extend(body);
        } else {
            out.resize(out.len() + missing, 32);
            out.extend(lead);
            out.extend(body);
        }
    }
    if !used_mapping && next < list.len() && !(mapping && items.is_none()) {
        return Err(vm.type_error(if bytes {
            "not all arguments converted during bytes formatting"
        } else {
            "not all arguments converted during string formatting"
        }));
    }
    Ok(out)
}

fn bad_code(vm: &Vm, kind: char, i: usize) -> crate::vm::Raised {
    vm.value_error(format!("unsupported format character '{kind}' ({:#x}) at index {}", kind as u32, i - 1))
}

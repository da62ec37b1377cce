//! `str.format`, and `format()`.

use super::Str;
use crate::object::{Kind, Value};
use crate::vm::{Args, PyResult, Vm};

impl Vm {
    /// `format(value, spec)`
    ///
    /// # Errors
    /// What `__format__` raises.
    pub fn format(&self, value: &Value, spec: &Value) -> PyResult {
        if spec.get::<Str>().is_some_and(Str::is_empty) {
            if value.kind() == Kind::Str && value.is_exact() {
                return Ok(value.clone());
            }
            if value.as_small().is_some() {
                return self.to_str(value);
            }
        }
        let Some(result) = self.call_special(value, &self.names.__format__, std::slice::from_ref(spec))?
        else {
            return Err(self.type_error(format!("Type {} doesn't define __format__", self.type_name(value))));
        };
        if result.kind() != Kind::Str {
            return Err(
                self.type_error(format!("__format__ must return a str, not {}", self.type_name(&result)))
            );
        }
        Ok(result)
    }
}

enum Fields<'a> {
    Args { positional: &'a [Value], args: Args<'a> },
    Mapping(&'a Value),
}

struct Formatter<'a> {
    vm: &'a Vm,
    fields: Fields<'a>,
    /// Next automatic number; -1 once fields were numbered by hand.
    automatic: i64,
}

/// `template.format(...)`
pub fn format_method(vm: &Vm, args: Args) -> PyResult {
    let positional = &args.positional()[1..];
    let mut formatter = Formatter { vm, fields: Fields::Args { positional, args }, automatic: 0 };
    let Some(template) = args.all[0].get::<Str>() else { return Err(vm.type_error("format requires a str")) };
    let points = formatter.run(&template.to_points(), 2)?;
    Ok(vm.new_str(Str::from_points(points)))
}

/// `template.format_map(mapping)`
pub fn format_map(vm: &Vm, template: &Value, mapping: &Value) -> PyResult {
    let mut formatter = Formatter { vm, fields: Fields::Mapping(mapping), automatic: 0 };
    let Some(template) = template.get::<Str>() else { return Err(vm.type_error("format requires a str")) };
    let points = formatter.run(&template.to_points(), 2)?;
    Ok(vm.new_str(Str::from_points(points)))
}

const OPEN: u32 = '{' as u32;
const CLOSE: u32 = '}' as u32;

impl Formatter<'_> {
    fn run(&mut self, text: &[u32], depth: u32) -> PyResult<Vec<u32>> {
        let vm = self.vm;
        if depth == 0 {
            return Err(vm.value_error("Max string recursion exceeded"));
        }
        let mut out = Vec::with_capacity(text.len());
        let mut i = 0;
        while i < text.len() {
            match text[i] {
                OPEN if text.get(i + 1) == Some(&OPEN) => {
                    out.push(OPEN);
                    i += 2;
                }
                CLOSE if text.get(i + 1) == Some(&CLOSE) => {
                    out.push(CLOSE);
                    i += 2;
                }
                CLOSE => return Err(vm.value_error("Single '}' encountered in format string")),
                OPEN => {
                    let start = i + 1;
                    if start >= text.len() {
                        return Err(vm.value_error("Single '{' encountered in format string"));
                    }
                    let mut level = 1;
                    let mut bracket = false;
                    i = start;
                    while i < text.len() {
                        match text[i] {
                            91 if level == 1 => bracket = true,
                            93 => bracket = false,
                            OPEN if !bracket => level += 1,
                            CLOSE if !bracket => {
                                level -= 1;
                                if level == 0 {
                                    break;
                                }
                            }
                            _ => {}
                        }
                        i += 1;
                    }
                    if i >= text.len() {
                        return Err(vm.value_error("expected '}' before end of string"));
                    }
                    let result = self.field(&text[start..i], depth)?;
                    if let Some(s) = result.get::<Str>() {
                        vm.check_alloc(out.len() + s.len(), 4)?;
                        out.extend(s.points());
                    }
                    i += 1;
                }
                c => {
                    out.push(c);
                    i += 1;
                }
            }
        }
        Ok(out)
    }

    fn field(&mut self, text: &[u32], depth: u32) -> PyResult {
        let vm = self.vm;
        // The name ends at `!` or `:` outside brackets.
        let mut end = text.len();
        let mut bracket = false;
        for (at, c) in text.iter().enumerate() {
            match char::from_u32(*c) {
                Some('[') => bracket = true,
                Some(']') => bracket = false,
                Some('{') if !bracket => return Err(vm.value_error("unexpected '{' in field name")),
                Some('!' | ':') if !bracket => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let name: String = Str::from_points(text[..end].to_vec()).to_lossy();
        let mut rest = &text[end..];
        let mut conversion = None;
        if rest.first() == Some(&33) {
            let Some(c) = rest.get(1) else {
                return Err(vm.value_error("end of string while looking for conversion specifier"));
            };
            conversion = char::from_u32(*c);
            rest = &rest[2..];
            if !rest.is_empty() && rest[0] != 58 {
                return Err(vm.value_error("expected ':' after conversion specifier"));
            }
        }
        let spec = if rest.is_empty() { Vec::new() } else { rest[1..].to_vec() };
        let value = self.lookup(&name)?;
        let value = match conversion {
            None => value,
            Some('r') => vm.repr(&value)?,
            Some('s') => vm.to_str(&value)?,
            Some('a') => vm.ascii(&value)?,
            Some(c) => return Err(vm.value_error(format!("Unknown conversion specifier {c}"))),
        };
        let spec =
            if spec.contains(&OPEN) || spec.contains(&CLOSE) { self.run(&spec, depth - 1)? } else { spec };
        vm.format(&value, &vm.new_str(Str::from_points(spec)))
    }

    fn lookup(&mut self, name: &str) -> PyResult {
        let vm = self.vm;
        let split = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(split);
        let number: Option<usize> = if first.bytes().all(|b| b.is_ascii_digit()) && !first.is_empty() {
            first.parse().ok()
        } else {
            None
        };
        let mut value = if first.is_empty() || number.is_some() {
            let at = match number {
                Some(n) => {
                    if self.automatic > 0 {
                        return Err(vm.value_error(
                            "cannot switch from automatic field numbering to manual field specification",
                        ));
                    }
                    self.automatic = -1;
                    n
                }
                None => {
                    if self.automatic < 0 {
                        return Err(vm.value_error(
                            "cannot switch from manual field specification to automatic field numbering",
                        ));
                    }
                    self.automatic += 1;
                    self.automatic as usize - 1
                }
            };
            match &self.fields {
                Fields::Args { positional, .. } => match positional.get(at) {
                    Some(value) => value.clone(),
                    None => {
                        return Err(vm.index_error(format!(
                            "Replacement index {at} out of range for positional args tuple"
                        )));
                    }
                },
                Fields::Mapping(mapping) => {
                    if number.is_none() {
                        return Err(vm.value_error("Format string contains positional fields"));
                    }
                    vm.get_item(mapping, &Value::from_len(at))?
                }
            }
        } else {
            match &self.fields {
                Fields::Args { args, .. } => match args.keywords().find(|(n, _)| &*vm.text(n) == first) {
                    Some((_, value)) => value.clone(),
                    None => return Err(vm.key_error(&vm.str(first))),
                },
                Fields::Mapping(mapping) => vm.get_item(mapping, &vm.str(first))?,
            }
        };
        while !rest.is_empty() {
            if let Some(attribute) = rest.strip_prefix('.') {
                let end = attribute.find(['.', '[']).unwrap_or(attribute.len());
                if end == 0 {
                    return Err(vm.value_error("Empty attribute in format string"));
                }
                value = vm.get_attr_str(&value, &attribute[..end])?;
                rest = &attribute[end..];
            } else if let Some(item) = rest.strip_prefix('[') {
                let Some(end) = item.find(']') else {
                    return Err(vm.value_error("Missing ']' in format string"));
                };
                let key = &item[..end];
                if key.is_empty() {
                    return Err(vm.value_error("Empty attribute in format string"));
                }
                let key = match key.parse::<i64>() {
                    Ok(n) if key.bytes().all(|b| b.is_ascii_digit()) => vm.int(n),
                    _ => vm.str(key),
                };
                value = vm.get_item(&value, &key)?;
                rest = &item[end + 1..];
                if !rest.is_empty() && !rest.starts_with(['.', '[']) {
                    return Err(vm.value_error("Only '.' or '[' may follow ']' in format field specifier"));
                }
            }
        }
        Ok(value)
    }
}

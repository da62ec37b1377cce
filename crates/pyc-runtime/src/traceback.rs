//! Traceback objects and the text that an uncaught exception leaves on stderr.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::containers::{ListData, TupleData};
use crate::exceptions::ExceptionData;
use crate::frame::{FrameData, line_of};
use crate::function::CodeData;
use crate::object::{Payload, Value, new_object};
use crate::str::Str;
use crate::types::Type;
use crate::vm::{PyResult, Raised, Vm};

/// One level of a traceback.
pub struct TracebackData {
    /// Code object.
    pub code: Value,
    /// Its globals.
    pub globals: Value,
    /// The op.
    pub pc: u32,
    /// The level further in.
    pub next: RefCell<Value>,
    /// The frame object, made when asked for.
    pub frame: RefCell<Value>,
}
impl Payload for TracebackData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.code);
        visit(&self.globals);
        visit(&self.next.borrow());
        visit(&self.frame.borrow());
    }
    fn clear(&self) {
        drop((self.next.replace(Value::NONE), self.frame.replace(Value::NONE)));
    }
}

/// Knows where a module's source is.
struct SourceLoader {
    name: Value,
    path: Value,
}
impl Payload for SourceLoader {}

fn loader(value: &Value) -> &SourceLoader {
    value.get::<SourceLoader>().expect("the descriptor checked the type")
}

impl Vm {
    /// Adds the frame that an exception passes through to its traceback.
    #[cold]
    pub fn add_traceback(&self, exception: &Value, code: &Value, globals: &Value, pc: u32, frame: Value) {
        let Some(data) = exception.get::<ExceptionData>() else { return };
        let next = data.traceback.borrow().clone();
        let entry = new_object(
            &self.types.traceback,
            TracebackData {
                code: code.clone(),
                globals: globals.clone(),
                pc,
                next: RefCell::new(next),
                frame: RefCell::new(frame),
            },
        );
        drop(data.traceback.replace(entry));
    }

    /// The text that CPython writes for an uncaught exception.
    pub fn format_exception(&self, exception: &Value) -> String {
        let mut out = String::new();
        self.format_chain(exception, &mut out, "", 0, &mut Vec::new());
        out
    }

    fn format_chain(
        &self,
        exception: &Value,
        out: &mut String,
        margin: &str,
        depth: usize,
        seen: &mut Vec<u64>,
    ) {
        if depth > 200 || seen.contains(&exception.bits()) {
            return;
        }
        seen.push(exception.bits());
        if let Some(data) = exception.get::<ExceptionData>() {
            let cause = data.cause.borrow().clone();
            let context = data.context.borrow().clone();
            let bar = if margin.is_empty() { "" } else { margin };
            if !cause.is_none() {
                if !seen.contains(&cause.bits()) {
                    self.format_chain(&cause, out, margin, depth + 1, seen);
                    let _ = write!(
                        out,
                        "{bar}\n{bar}The above exception was the direct cause of the following exception:\n{bar}\n"
                    );
                }
            } else if !context.is_none() && !data.suppress.get() && !seen.contains(&context.bits()) {
                self.format_chain(&context, out, margin, depth + 1, seen);
                let _ = write!(
                    out,
                    "{bar}\n{bar}During handling of the above exception, another exception occurred:\n{bar}\n"
                );
            }
        }
        self.format_one(exception, out, margin, depth, seen);
    }

    fn format_one(
        &self,
        exception: &Value,
        out: &mut String,
        margin: &str,
        depth: usize,
        seen: &mut Vec<u64>,
    ) {
        let group = self.is_a(exception, &self.exc.base_exception_group);
        let margin: String = if group && margin.is_empty() { "  | ".into() } else { margin.into() };
        let mut body = String::new();
        let traceback =
            exception.get::<ExceptionData>().map(|d| d.traceback.borrow().clone()).unwrap_or(Value::NONE);
        if !traceback.is_none() {
            let head = if group {
                "Exception Group Traceback (most recent call last):\n"
            } else {
                "Traceback (most recent call last):\n"
            };
            if group && margin == "  | " {
                let _ = write!(out, "  + {head}");
            } else {
                body.push_str(head);
            }
            self.format_entries(&traceback, &mut body);
        }
        body.push_str(&self.format_final(exception));
        for line in body.lines() {
            let _ = writeln!(out, "{}", format!("{margin}{line}").trim_end_matches(' '));
        }
        if group {
            let members = self
                .get_attr_str(exception, "exceptions")
                .ok()
                .and_then(|e| self.to_vec(&e).ok())
                .unwrap_or_default();
            let indent = &margin[..margin.len() - 2];
            for (at, member) in members.iter().enumerate() {
                let label = format!("---------------- {} ----------------", at + 1);
                let open = if at == 0 { "+-" } else { "  " };
                let _ = writeln!(out, "{indent}{open}+{label}");
                self.format_chain(member, out, &format!("{indent}  | "), depth + 1, seen);
            }
            let _ = writeln!(out, "{indent}  +------------------------------------");
        }
    }

    fn format_entries(&self, traceback: &Value, out: &mut String) {
        let mut at = traceback.clone();
        let mut last: Option<(String, u32, String)> = None;
        let mut repeated = 0;
        while let Some(entry) = at.get::<TracebackData>() {
            let Some(code) = entry.code.get::<CodeData>() else { break };
            let position = code.ir.positions.get(entry.pc as usize).copied().unwrap_or_default();
            let line = line_of(&entry.code, entry.pc);
            let key = (code.ir.filename.to_string(), line, code.ir.name.to_string());
            if last.as_ref() == Some(&key) {
                repeated += 1;
            } else {
                repeat_note(out, repeated);
                repeated = 0;
                last = Some(key);
            }
            if repeated < 3 {
                let _ = writeln!(out, "  File \"{}\", line {line}, in {}", code.ir.filename, code.ir.name);
                if let Some(text) = self.source_line(&code.ir.filename, line) {
                    let shown = text.trim();
                    if !shown.is_empty() {
                        let _ = writeln!(out, "    {shown}");
                        if let Some(carets) = carets(&text, position, &code.ir.ops[entry.pc as usize]) {
                            let _ = writeln!(out, "    {carets}");
                        }
                    }
                }
            }
            let next = entry.next.borrow().clone();
            at = next;
        }
        repeat_note(out, repeated);
    }

    /// The last lines: type, message and notes; the source for syntax errors.
    pub fn format_final(&self, exception: &Value) -> String {
        let ty = self.type_of(exception);
        let class = self.class_of(exception);
        let module = class.own(&self.names.__module__).or_else(|| self.lookup(ty, &self.names.__module__));
        let name = match module {
            Some(m)
                if m.kind() == crate::object::Kind::Str
                    && !matches!(&*self.text(&m), "builtins" | "__main__")
                    && class.is_heap() =>
            {
                format!("{}.{}", self.text(&m), class.qualname.borrow())
            }
            _ => class.qualname.borrow().to_string(),
        };
        let mut out = String::new();
        if self.is_a(exception, &self.exc.syntax_error) {
            self.format_syntax(exception, &name, &mut out);
        } else {
            let text = match self.to_str(exception) {
                Ok(text) => text.get::<Str>().map(Str::to_lossy).unwrap_or_default(),
                Err(_) => "<exception str() failed>".into(),
            };
            out = if text.is_empty() { format!("{name}\n") } else { format!("{name}: {text}\n") };
            if let Some(hint) = crate::suggest::hint(self, exception) {
                out.pop();
                let _ = writeln!(out, "{hint}");
            }
        }
        if let Ok(Some(notes)) = self.find_attr(exception, &self.names.__notes__) {
            let notes = notes
                .get::<ListData>()
                .map(|l| l.borrow().clone())
                .or_else(|| notes.get::<TupleData>().map(|t| t.items().to_vec()));
            for note in notes.unwrap_or_default() {
                let text = self.str_text(&note).unwrap_or_default();
                for line in text.split('\n') {
                    let _ = writeln!(out, "{line}");
                }
            }
        }
        out
    }

    fn format_syntax(&self, exception: &Value, name: &str, out: &mut String) {
        let n = &self.names;
        let get = |name: &Value| self.find_attr(exception, name).ok().flatten().unwrap_or(Value::NONE);
        let text = |v: &Value| v.get::<Str>().map(Str::to_lossy);
        let (file, line, source) = (text(&get(&n.filename)), get(&n.lineno).as_small(), text(&get(&n.text)));
        if let Some(line) = line {
            let _ = writeln!(out, "  File \"{}\", line {line}", file.as_deref().unwrap_or("<string>"));
            if let Some(source) = source {
                let source = source.trim_end_matches('\n');
                let shown = source.trim_start();
                let _ = writeln!(out, "    {shown}");
                let removed = source.chars().count() - shown.chars().count();
                if let Some(offset) = get(&n.offset).as_small() {
                    let start = (offset - 1 - removed as i64).max(0) as usize;
                    let end_line = get(&n.end_lineno).as_small().unwrap_or(line);
                    let end = match get(&n.end_offset).as_small() {
                        Some(end) if end_line == line && end > offset => {
                            (end - 1 - removed as i64).max(start as i64 + 1) as usize
                        }
                        Some(_) if end_line > line => shown.chars().count().max(start + 1),
                        _ => start + 1,
                    };
                    let blank: String =
                        shown.chars().take(start).map(|c| if c.is_whitespace() { c } else { ' ' }).collect();
                    let pad = " ".repeat(start.saturating_sub(blank.chars().count()));
                    let _ = writeln!(out, "    {blank}{pad}{}", "^".repeat(end - start));
                }
            }
        }
        let message = text(&get(&n.msg)).unwrap_or_else(|| "<no detail available>".into());
        let _ = writeln!(out, "{name}: {message}");
    }

    /// A line of a source file that the host can show.
    pub fn source_line(&self, filename: &str, line: u32) -> Option<String> {
        let lines =
            self.state("sources", || RefCell::new(std::collections::HashMap::<String, Vec<String>>::new()));
        if !lines.borrow().contains_key(filename) {
            let text = self.host.source_text(filename)?;
            self.remember_source(filename, &text);
        }
        let lines = lines.borrow();
        lines.get(filename)?.get((line as usize).checked_sub(1)?).cloned()
    }

    /// Keeps a source's lines for tracebacks.
    pub fn remember_source(&self, filename: &str, text: &str) {
        let lines =
            self.state("sources", || RefCell::new(std::collections::HashMap::<String, Vec<String>>::new()));
        lines.borrow_mut().insert(filename.to_string(), text.lines().map(str::to_string).collect());
    }

    /// `__loader__` of the main module: `traceback` and `linecache` get the source's lines from it, so that they
    /// need not read the file.
    pub fn source_loader(&self, name: &str, filename: &str) -> Value {
        let ty = self.state("source_loader", || {
            let module = "_frozen_importlib_external";
            let ty = self.new_type::<SourceLoader>(module, "SourceFileLoader", None, 0);
            self.add_getset(&ty, "name", |_, this| Ok(loader(this).name.clone()), None);
            self.add_getset(&ty, "path", |_, this| Ok(loader(this).path.clone()), None);
            self.add_methods(
                &ty,
                &[
                    ("get_filename", "name?", |_, args| Ok(loader(&args[0]).path.clone())),
                    ("get_source", "fullname", |vm, args| {
                        let path = vm.str_text(&loader(&args[0]).path)?;
                        Ok(vm.remembered_source(&path).map_or(Value::NONE, |text| vm.str(&text)))
                    }),
                ],
            );
            self.type_changed(&ty);
            ty
        });
        new_object(&ty, SourceLoader { name: self.str(name), path: self.str(filename) })
    }

    /// The text that [`Vm::remember_source`] keeps.
    fn remembered_source(&self, filename: &str) -> Option<String> {
        let lines =
            self.state("sources", || RefCell::new(std::collections::HashMap::<String, Vec<String>>::new()));
        let mut text = lines.borrow().get(filename)?.join("\n");
        text.push('\n');
        Some(text)
    }

    /// Reports an exception that nobody can catch, as CPython writes it.
    pub fn unraisable(&self, error: Raised, prefix: &str, object: Option<&Value>) {
        if self.terminating.get() {
            return;
        }
        let sys = self.sys.borrow().clone();
        let hook = self.dict_get_name(&sys, &self.intern("unraisablehook"));
        if let Some(hook) = hook.filter(|h| !h.is_none() && h.kind() != crate::object::Kind::Native) {
            let report = new_object(&self.types.namespace, crate::registry::Plain);
            let traceback = self.get_attr(&error.0, &self.names.__traceback__).unwrap_or(Value::NONE);
            let message = prefix.trim_end_matches([':', ' ']);
            let message = if message == "Exception ignored in" { Value::NONE } else { self.str(message) };
            for (key, value) in [
                ("exc_type", self.type_of(&error.0).clone()),
                ("exc_value", error.0.clone()),
                ("exc_traceback", traceback),
                ("err_msg", message),
                ("object", object.cloned().unwrap_or(Value::NONE)),
            ] {
                self.set_attr_raw(&report, &self.intern(key), value);
            }
            if self.call_pos(&hook, &[report]).is_ok() {
                return;
            }
        }
        let what = object.and_then(|o| self.repr_text(o).ok()).unwrap_or_default();
        let text = format!("{prefix}{what}\n{}", self.format_exception(&error.0));
        self.write_stderr(&text);
    }

    /// Writes text to `sys.stderr`, or to the process's when that fails.
    pub fn write_stderr(&self, text: &str) {
        let sys = self.sys.borrow().clone();
        if let Some(stream) = self.dict_get_name(&sys, &self.names.stderr)
            && !stream.is_none()
        {
            let value = self.str(text);
            if self.call_method(&stream, &self.names.write, &[value]).is_ok() {
                return;
            }
        }
        let _ = self.host.write(2, text.as_bytes());
    }
}

fn repeat_note(out: &mut String, repeated: usize) {
    if repeated > 2 {
        let more = repeated - 2;
        let plural = if more == 1 { "" } else { "s" };
        let _ = writeln!(out, "  [Previous line repeated {more} more time{plural}]");
    }
}

/// The line of carets under an expression; nothing when it would underline the whole line.
fn carets(text: &str, p: pyc_ir::Position, op: &pyc_ir::Op) -> Option<String> {
    use pyc_ir::Op;
    if p.line == 0 {
        return None;
    }
    let trimmed = text.trim_end();
    let lead = trimmed.len() - trimmed.trim_start().len();
    let start = (p.column as usize).max(lead);
    let end = if p.end_line > p.line { trimmed.len() } else { (p.end_column as usize).min(trimmed.len()) };
    if start >= end || !text.is_char_boundary(start) || !text.is_char_boundary(end) {
        return None;
    }
    let width = |s: &str| s.chars().count();
    let segment = &text[start..end];
    let mut marks: Vec<char> = vec!['^'; width(segment)];
    if p.end_line == p.line {
        let anchor = match op {
            Op::Add { .. }
            | Op::Sub { .. }
            | Op::Mul { .. }
            | Op::AddInt { .. }
            | Op::SubInt { .. }
            | Op::Binary { .. } => operator(segment),
            Op::Index { .. } => subscript(segment),
            _ => None,
        };
        if let Some((from, to)) = anchor {
            marks =
                segment.char_indices().map(|(i, _)| if i >= from && i < to { '^' } else { '~' }).collect();
            let line: String = std::iter::repeat_n(' ', width(&text[lead..start])).chain(marks).collect();
            return Some(line);
        }
    }
    if start == lead && end == trimmed.len() {
        return None;
    }
    Some(std::iter::repeat_n(' ', width(&text[lead..start])).chain(marks).collect())
}

/// Where the outermost binary operator of an expression is.
fn operator(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut found) = (0, 0u8, None);
    let mut rank = 0;
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        if quote != 0 {
            if b == b'\\' {
                i += 1;
            } else if b == quote {
                quote = 0;
            }
            i += 1;
            continue;
        }
        match b {
            b'\'' | b'"' => quote = b,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ if depth == 0 => {
                let two = bytes.get(i + 1) == Some(&b);
                let length = if two && matches!(b, b'*' | b'/' | b'<' | b'>') { 2 } else { 1 };
                let this = match (b, length) {
                    (b'|', _) => 7,
                    (b'^', _) => 6,
                    (b'&', _) => 5,
                    (b'<' | b'>', 2) => 4,
                    (b'+' | b'-', _) => 3,
                    (b'*', 2) => 1,
                    (b'*' | b'/' | b'%' | b'@', _) => 2,
                    _ => 0,
                };
                let before = text[..i].trim_end().as_bytes().last();
                let binary = before.is_some_and(|c| {
                    c.is_ascii_alphanumeric()
                        || matches!(c, b')' | b']' | b'}' | b'_' | b'\'' | b'"')
                        || *c >= 128
                });
                if this > 0 && binary && (this > rank || this == rank && this != 1) {
                    rank = this;
                    found = Some((i, i + length));
                }
                if this > 0 {
                    i += length - 1;
                }
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Where the last subscript of an expression is.
fn subscript(text: &str) -> Option<(usize, usize)> {
    if !text.ends_with(']') {
        return None;
    }
    let mut depth = 0;
    for (i, b) in text.bytes().enumerate().rev() {
        match b {
            b']' => depth += 1,
            b'[' => {
                depth -= 1;
                if depth == 0 {
                    return Some((i, text.len()));
                }
            }
            _ => {}
        }
    }
    None
}

fn own(value: &Value) -> &TracebackData {
    value.get::<TracebackData>().expect("the descriptor checked the type")
}

fn frame(vm: &Vm, this: &Value) -> PyResult {
    let data = own(this);
    let held = data.frame.borrow().clone();
    if !held.is_none() {
        return Ok(held);
    }
    let made = new_object(
        &vm.types.frame,
        FrameData {
            code: data.code.clone(),
            globals: data.globals.clone(),
            builtins: vm.builtins.clone(),
            line: std::cell::Cell::new(line_of(&data.code, data.pc)),
            depth: std::cell::Cell::new(None),
            locals: RefCell::new(Value::NONE),
            back: RefCell::new(Value::NONE),
            trace: RefCell::new(Value::NONE),
        },
    );
    drop(data.frame.replace(made.clone()));
    Ok(made)
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_getset(&t.traceback, "tb_frame", frame, None);
    vm.add_getset(
        &t.traceback,
        "tb_next",
        |_, this| Ok(own(this).next.borrow().clone()),
        Some(|_, this, value| {
            drop(own(this).next.replace(value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.traceback,
        "tb_lineno",
        |_, this| Ok(Value::from_len(line_of(&own(this).code, own(this).pc) as usize)),
        None,
    );
    vm.add_getset(&t.traceback, "tb_lasti", |_, this| Ok(Value::from_len(own(this).pc as usize * 2)), None);
    let _ = Type::name;
}

//! `TextIOWrapper` and `IncrementalNewlineDecoder`: text over bytes.
//!
//! UTF-8, ASCII and Latin-1 are decoded here, chunk by chunk; any other encoding goes through the codec's own
//! incremental decoder.

use std::cell::{Cell, RefCell};

use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

use super::{BUFFER_BYTES, Types, unsupported};
use crate::support::size_argument;

/// The `newline` argument: what ends a line, and whether it is translated.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Ends {
    /// None: any end is read as `\n`.
    #[default]
    Translate,
    /// `""`: any end ends a line and is kept.
    Keep,
    Lf,
    Cr,
    CrLf,
}

impl Ends {
    pub(super) fn parse(vm: &Vm, newline: &Value) -> PyResult<Ends> {
        if newline.is_none() {
            return Ok(Ends::Translate);
        }
        let Some(text) = newline.get::<Str>() else {
            return Err(vm.type_error(format!("newline must be str or None, not {}", vm.type_name(newline))));
        };
        Ok(match text.to_lossy().as_str() {
            "" => Ends::Keep,
            "\n" => Ends::Lf,
            "\r" => Ends::Cr,
            "\r\n" => Ends::CrLf,
            _ => return Err(vm.value_error(format!("illegal newline value: {}", vm.repr_text(newline)?))),
        })
    }
}

/// All line ends as `\n`.
pub(super) fn universal(points: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(points.len());
    for (at, c) in points.iter().enumerate() {
        match c {
            13 => out.push(10),
            10 if at > 0 && points[at - 1] == 13 => {}
            c => out.push(*c),
        }
    }
    out
}

/// The length of the first line with its end; nothing when no end is there.
pub(super) fn line_length(points: &[u32], ends: Ends) -> Option<usize> {
    match ends {
        Ends::Translate | Ends::Lf => points.iter().position(|c| *c == 10).map(|n| n + 1),
        Ends::Cr => points.iter().position(|c| *c == 13).map(|n| n + 1),
        Ends::CrLf => points.windows(2).position(|w| w == [13, 10]).map(|n| n + 2),
        Ends::Keep => {
            let at = points.iter().position(|c| matches!(c, 10 | 13))?;
            match (points[at], points.get(at + 1)) {
                (13, Some(10)) => Some(at + 2),
                _ => Some(at + 1),
            }
        }
    }
}

/// A text stream.
pub(crate) struct Wrapper {
    buffer: RefCell<Value>,
    encoding: RefCell<String>,
    errors: RefCell<String>,
    ends: Cell<Ends>,
    line_buffering: Cell<bool>,
    write_through: Cell<bool>,
    /// Decoded and not yet given out, from `at` on.
    ahead: RefCell<Vec<u32>>,
    at: Cell<usize>,
    /// Bytes of an unfinished character, or a `\r` whose `\n` may follow.
    rest: RefCell<Vec<u8>>,
    held_cr: Cell<bool>,
    /// For `tell`: where the last chunk began in the stream, and its bytes.
    chunk_start: Cell<i64>,
    chunk: RefCell<Vec<u8>>,
    at_end: Cell<bool>,
    pending: RefCell<Vec<u8>>,
    decoder: RefCell<Value>,
    seen: Cell<u8>,
    started: Cell<bool>,
}
impl Payload for Wrapper {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.buffer.borrow());
        visit(&self.decoder.borrow());
    }
    fn clear(&self) {
        drop(self.buffer.replace(Value::NONE));
        drop(self.decoder.replace(Value::NONE));
    }
}

fn own(value: &Value) -> &Wrapper {
    value.get::<Wrapper>().expect("the descriptor checked the type")
}

/// Whether characters of the encoding are decoded here.
fn is_native(encoding: &str) -> bool {
    matches!(
        encoding.to_ascii_lowercase().replace('_', "-").as_str(),
        "utf-8" | "utf8" | "ascii" | "us-ascii" | "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1"
    )
}

/// How many bytes at the end begin a character that is not finished.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let b = bytes[bytes.len() - back];
        if b & 0xc0 == 0x80 {
            continue;
        }
        let need = match b {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if need > back { back } else { 0 };
    }
    0
}

impl Wrapper {
    fn buffer(&self, vm: &Vm) -> PyResult {
        let buffer = self.buffer.borrow().clone();
        if buffer.is_unbound() {
            return Err(vm.value_error("I/O operation on uninitialized object"));
        }
        if buffer.is_none() {
            return Err(vm.value_error("underlying buffer has been detached"));
        }
        Ok(buffer)
    }

    fn check_open(&self, vm: &Vm) -> PyResult {
        let buffer = self.buffer(vm)?;
        if super::base::is_closed(vm, &buffer)? { Err(super::base::closed_error(vm)) } else { Ok(buffer) }
    }

    fn forget(&self) {
        self.ahead.take();
        self.at.set(0);
        self.rest.take();
        self.held_cr.set(false);
        self.chunk.take();
        self.at_end.set(false);
        drop(self.decoder.replace(Value::NONE));
    }

    fn decode(&self, vm: &Vm, bytes: Vec<u8>, last: bool) -> PyResult<Vec<u32>> {
        let (encoding, errors) = (self.encoding.borrow().clone(), self.errors.borrow().clone());
        if is_native(&encoding) {
            let mut all = self.rest.take();
            all.extend(bytes);
            let keep =
                if last || !encoding.to_ascii_lowercase().starts_with("utf") { 0 } else { unfinished(&all) };
            let rest = all.split_off(all.len() - keep);
            self.rest.replace(rest);
            let text = vm.decode(&all, &encoding, &errors)?;
            return Ok(text.get::<Str>().map(Str::to_points).unwrap_or_default());
        }
        if self.decoder.borrow().is_none() {
            let codecs = vm.import("codecs")?;
            let make = vm.call_method_str(&codecs, "getincrementaldecoder", &[vm.str(&encoding)])?;
            let made = vm.call_pos(&make, &[vm.str(&errors)])?;
            drop(self.decoder.replace(made));
        }
        let decoder = self.decoder.borrow().clone();
        let text = vm.call_method_str(&decoder, "decode", &[vm.bytes(&bytes), Value::from_bool(last)])?;
        match text.get::<Str>() {
            Some(text) => Ok(text.to_points()),
            None => Err(vm
                .type_error(format!("decoder should return a string result, not '{}'", vm.type_name(&text)))),
        }
    }

    /// Translates line ends across chunks.
    fn newlines(&self, mut points: Vec<u32>, last: bool) -> Vec<u32> {
        if !matches!(self.ends.get(), Ends::Translate | Ends::Keep) {
            return points;
        }
        if self.held_cr.replace(false) {
            points.insert(0, 13);
        }
        if !last && points.last() == Some(&13) {
            points.pop();
            self.held_cr.set(true);
        }
        let mut seen = self.seen.get();
        let mut i = 0;
        while i < points.len() {
            match (points[i], points.get(i + 1)) {
                (13, Some(10)) => {
                    seen |= 4;
                    i += 1;
                }
                (13, _) => seen |= 1,
                (10, _) => seen |= 2,
                _ => {}
            }
            i += 1;
        }
        self.seen.set(seen);
        if self.ends.get() == Ends::Translate && points.contains(&13) { universal(&points) } else { points }
    }

    /// Reads and decodes more; false at the end.
    fn fill(&self, vm: &Vm, size: Option<usize>) -> PyResult<bool> {
        if self.at_end.get() {
            return Ok(false);
        }
        let buffer = self.buffer(vm)?;
        let kept = self.rest.borrow().len() as i64 + i64::from(self.held_cr.get());
        let bytes = match size {
            None => vm.call_method(&buffer, &vm.names.read, &[])?,
            Some(n) => match vm.find_attr(&buffer, &vm.intern("read1"))? {
                Some(read1) => vm.call_pos(&read1, &[Value::from_len(n)])?,
                None => vm.call_method(&buffer, &vm.names.read, &[Value::from_len(n)])?,
            },
        };
        if !vm.is_bytes_like(&bytes) {
            return Err(vm.type_error(format!(
                "underlying read1() should have returned a bytes-like object, not '{}'",
                vm.type_name(&bytes)
            )));
        }
        let bytes = vm.bytes_of(&bytes)?;
        let last = bytes.is_empty() || size.is_none();
        let start = match vm.call_method_str(&buffer, "tell", &[]) {
            Ok(at) => vm.index(&at)? - bytes.len() as i64 - kept,
            Err(_) => -1,
        };
        let mut chunk = self.rest.borrow().clone();
        if self.held_cr.get() {
            chunk.push(13);
        }
        chunk.extend(&bytes);
        let left = self.ahead.borrow().len() - self.at.get();
        if left == 0 {
            self.chunk_start.set(start);
            self.chunk.replace(chunk);
        } else {
            self.chunk.borrow_mut().extend(&bytes);
        }
        if last && bytes.is_empty() {
            self.at_end.set(true);
        }
        let points = self.decode(vm, bytes, last)?;
        let points = self.newlines(points, last);
        let more = !points.is_empty() || !last;
        let mut ahead = self.ahead.borrow_mut();
        if left == 0 {
            self.at.set(0);
            *ahead = points;
        } else {
            ahead.extend(points);
        }
        Ok(more && !(last && ahead.is_empty()))
    }

    fn take(&self, vm: &Vm, count: usize) -> Value {
        let ahead = self.ahead.borrow();
        let from = self.at.get();
        let to = from.saturating_add(count).min(ahead.len());
        self.at.set(to);
        vm.new_str(Str::from_points(ahead[from..to].to_vec()))
    }

    fn read_line(&self, vm: &Vm, limit: usize) -> PyResult {
        self.flush(vm)?;
        loop {
            let (found, have) = {
                let ahead = self.ahead.borrow();
                let rest = &ahead[self.at.get()..];
                (line_length(rest, self.ends.get()), rest.len())
            };
            if let Some(n) = found {
                return Ok(self.take(vm, n.min(limit)));
            }
            if have >= limit {
                return Ok(self.take(vm, limit));
            }
            if !self.fill(vm, Some(BUFFER_BYTES))? {
                return Ok(self.take(vm, usize::MAX));
            }
            vm.check_memory(have as u64 * 4)?;
        }
    }

    fn read(&self, vm: &Vm, size: Option<usize>) -> PyResult {
        self.flush(vm)?;
        match size {
            None => {
                self.fill(vm, None)?;
                let text = self.take(vm, usize::MAX);
                self.at_end.set(false);
                Ok(text)
            }
            Some(size) => {
                while self.ahead.borrow().len() - self.at.get() < size && self.fill(vm, Some(BUFFER_BYTES))? {
                }
                Ok(self.take(vm, size))
            }
        }
    }

    /// Hands what was written to the buffer below.
    fn flush(&self, vm: &Vm) -> PyResult<()> {
        let bytes = self.pending.take();
        if !bytes.is_empty() {
            let buffer = self.buffer(vm)?;
            vm.call_method(&buffer, &vm.names.write, &[vm.bytes(&bytes)])?;
        }
        Ok(())
    }

    fn write(&self, vm: &Vm, value: &Value) -> PyResult {
        let buffer = self.check_open(vm)?;
        let Some(text) = value.get::<Str>() else {
            return Err(vm.type_error(format!("write() argument must be str, not {}", vm.type_name(value))));
        };
        let has_end = text.points().any(|c| c == 10);
        let translated = match self.ends.get() {
            Ends::Cr | Ends::CrLf if has_end => {
                let end: &[u32] = if self.ends.get() == Ends::Cr { &[13] } else { &[13, 10] };
                let points =
                    text.points().flat_map(|c| if c == 10 { end.to_vec() } else { vec![c] }).collect();
                vm.new_str(Str::from_points(points))
            }
            _ => value.clone(),
        };
        let (encoding, errors) = (self.encoding.borrow().clone(), self.errors.borrow().clone());
        let name = if self.started.replace(true) {
            // A mark of the byte order is written once.
            match encoding.to_ascii_lowercase().replace('_', "-").as_str() {
                "utf-16" => "utf-16-le".to_string(),
                "utf-32" => "utf-32-le".to_string(),
                "utf-8-sig" => "utf-8".to_string(),
                _ => encoding,
            }
        } else {
            encoding
        };
        let bytes = crate::codecs_module::encode_any(vm, &translated, &name, &errors)?;
        vm.check_memory(bytes.len() as u64)?;
        self.pending.borrow_mut().extend(bytes);
        if self.at.get() < self.ahead.borrow().len() || !self.chunk.borrow().is_empty() {
            self.forget();
        }
        let full = self.pending.borrow().len() >= BUFFER_BYTES;
        let line = self.line_buffering.get() && has_end;
        if full || line || self.write_through.get() {
            self.flush(vm)?;
        }
        if line {
            vm.call_method(&buffer, &vm.names.flush, &[])?;
        }
        Ok(Value::from_len(text.len()))
    }

    /// Where the next character stands in the stream of bytes.
    fn tell(&self, vm: &Vm) -> PyResult<i64> {
        self.flush(vm)?;
        let buffer = self.buffer(vm)?;
        vm.call_method(&buffer, &vm.names.flush, &[])?;
        let end = vm.index(&vm.call_method_str(&buffer, "tell", &[])?)?;
        if self.at.get() == self.ahead.borrow().len() && self.rest.borrow().is_empty() && !self.held_cr.get()
        {
            return Ok(end);
        }
        let encoding = self.encoding.borrow().to_ascii_lowercase().replace('_', "-");
        if !is_native(&encoding) || self.chunk_start.get() < 0 {
            return Err(vm.raise(
                &vm.exc.os_error,
                &format!("tell() in the middle of text is not supported for the encoding '{encoding}'"),
            ));
        }
        let wide = encoding.starts_with("utf");
        let chunk = self.chunk.borrow();
        let mut chars = 0;
        let mut i = 0;
        while chars < self.at.get() && i < chunk.len() {
            let b = chunk[i];
            i += 1;
            if b == 13 && self.ends.get() == Ends::Translate && chunk.get(i) == Some(&10) {
                i += 1;
            }
            while wide && b >= 0xc0 && chunk.get(i).is_some_and(|c| c & 0xc0 == 0x80) {
                i += 1;
            }
            chars += 1;
        }
        Ok(self.chunk_start.get() + i as i64)
    }
}

fn new_wrapper(_: &Vm, args: Args) -> PyResult {
    Ok(new_object(
        &args.all[0],
        Wrapper {
            buffer: RefCell::new(Value::UNBOUND),
            encoding: RefCell::default(),
            errors: RefCell::default(),
            ends: Cell::default(),
            line_buffering: Cell::new(false),
            write_through: Cell::new(false),
            ahead: RefCell::default(),
            at: Cell::new(0),
            rest: RefCell::default(),
            held_cr: Cell::new(false),
            chunk_start: Cell::new(-1),
            chunk: RefCell::default(),
            at_end: Cell::new(false),
            pending: RefCell::default(),
            decoder: RefCell::new(Value::NONE),
            seen: Cell::new(0),
            started: Cell::new(false),
        },
    ))
}

fn text_argument(vm: &Vm, value: Option<&Value>, what: &str, default: &str) -> PyResult<String> {
    match value.filter(|v| !v.is_none()) {
        None => Ok(default.to_string()),
        Some(v) => match v.get::<Str>() {
            Some(s) => Ok(s.to_lossy()),
            None => Err(vm.type_error(format!(
                "TextIOWrapper() argument '{what}' must be str or None, not {}",
                vm.type_name(v)
            ))),
        },
    }
}

fn init_wrapper(vm: &Vm, args: Args) -> PyResult {
    let w = own(&args[0]);
    let mut encoding = text_argument(vm, args.opt(2), "encoding", "utf-8")?;
    if encoding == "locale" {
        encoding = "utf-8".to_string();
    }
    let errors = text_argument(vm, args.opt(3), "errors", "strict")?;
    if !is_native(&encoding) {
        crate::codecs_module::lookup(vm, &encoding)?;
    }
    w.ends.set(match args.opt(4) {
        Some(newline) => Ends::parse(vm, newline)?,
        None => Ends::Translate,
    });
    w.line_buffering.set(args.opt(5).map_or(Ok(false), |v| vm.truth(v))?);
    w.write_through.set(args.opt(6).map_or(Ok(false), |v| vm.truth(v))?);
    w.encoding.replace(encoding);
    w.errors.replace(errors);
    w.forget();
    w.pending.take();
    let at = vm.call_method_str(&args[1], "seekable", &[])?;
    let at = if vm.truth(&at)? { vm.call_method_str(&args[1], "tell", &[]).ok() } else { None };
    w.started.set(at.is_some_and(|at| vm.index(&at).is_ok_and(|n| n > 0)));
    drop(w.buffer.replace(args[1].clone()));
    Ok(Value::NONE)
}

fn reconfigure(vm: &Vm, args: Args) -> PyResult {
    let w = own(&args[0]);
    let given = |at: usize| args.opt(at).filter(|v| !v.is_none());
    if (given(1).is_some() || args.opt(3).is_some()) && !w.chunk.borrow().is_empty() {
        return Err(unsupported(
            vm,
            "It is not possible to set the encoding or newline of stream after the first read",
        ));
    }
    vm.call_method(&args[0], &vm.names.flush, &[])?;
    if given(1).is_some() || given(2).is_some() {
        let old = w.encoding.borrow().clone();
        let encoding = text_argument(vm, given(1), "encoding", &old)?;
        if !is_native(&encoding) {
            crate::codecs_module::lookup(vm, &encoding)?;
        }
        let default = if given(1).is_some() { "strict".to_string() } else { w.errors.borrow().clone() };
        let errors = text_argument(vm, given(2), "errors", &default)?;
        w.encoding.replace(encoding);
        w.errors.replace(errors);
    }
    if let Some(newline) = args.opt(3) {
        w.ends.set(Ends::parse(vm, newline)?);
    }
    if let Some(value) = given(4) {
        w.line_buffering.set(vm.truth(value)?);
    }
    if let Some(value) = given(5) {
        w.write_through.set(vm.truth(value)?);
    }
    Ok(Value::NONE)
}

fn seek(vm: &Vm, args: Args) -> PyResult {
    let w = own(&args[0]);
    let buffer = w.check_open(vm)?;
    super::base::check_can(vm, &buffer, "seekable")?;
    let (offset, whence) = (vm.index(&args[1])?, args.opt(2).map_or(Ok(0), |v| vm.index(v))?);
    let (offset, whence) = match whence {
        0 if offset < 0 => return Err(vm.value_error(format!("negative seek position {offset}"))),
        1 if offset != 0 => return Err(unsupported(vm, "can't do nonzero cur-relative seeks")),
        2 if offset != 0 => return Err(unsupported(vm, "can't do nonzero end-relative seeks")),
        0 | 2 => (offset, whence),
        1 => (w.tell(vm)?, 0),
        other => return Err(vm.value_error(format!("invalid whence ({other}, should be 0, 1 or 2)"))),
    };
    vm.call_method(&args[0], &vm.names.flush, &[])?;
    w.forget();
    w.started.set(offset != 0 || whence != 0);
    vm.call_method_str(&buffer, "seek", &[vm.int(offset), Value::from_i32(whence as i32)])
}

fn close(vm: &Vm, args: Args) -> PyResult {
    let w = own(&args[0]);
    let buffer = w.buffer.borrow().clone();
    if !buffer.is_object() || super::base::is_closed(vm, &buffer)? {
        return Ok(Value::NONE);
    }
    let flushed = vm.call_method(&args[0], &vm.names.flush, &[]);
    let closed = vm.call_method(&buffer, &vm.names.close, &[]);
    flushed?;
    closed
}

fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let w = own(value);
    let line = if value.is_exact() {
        w.check_open(vm)?;
        w.read_line(vm, usize::MAX)?
    } else {
        vm.call_method(value, &vm.names.readline, &[])?
    };
    Ok(if vm.len(&line)? == 0 { None } else { Some(line) })
}

fn check_readable(vm: &Vm, this: &Value) -> PyResult<()> {
    let buffer = own(this).check_open(vm)?;
    match vm.find_attr(&buffer, &vm.intern("readable"))? {
        Some(can) if !vm.truth(&vm.call_pos(&can, &[])?)? => Err(unsupported(vm, "not readable")),
        _ => Ok(()),
    }
}

const METHODS: &[pyc_runtime::Method] = &[
    ("__new__", "...", new_wrapper),
    ("__init__", "buffer encoding? errors? newline? line_buffering? write_through?", init_wrapper),
    ("reconfigure", "* encoding? errors? newline? line_buffering? write_through?", reconfigure),
    ("read", "size? /", |vm, args| {
        check_readable(vm, &args[0])?;
        own(&args[0]).read(vm, size_argument(vm, args.opt(1))?)
    }),
    ("readline", "size? /", |vm, args| {
        check_readable(vm, &args[0])?;
        let limit = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
        own(&args[0]).read_line(vm, limit)
    }),
    ("write", "s /", |vm, args| {
        let buffer = own(&args[0]).check_open(vm)?;
        match vm.find_attr(&buffer, &vm.intern("writable"))? {
            Some(can) if !vm.truth(&vm.call_pos(&can, &[])?)? => return Err(unsupported(vm, "not writable")),
            _ => {}
        }
        own(&args[0]).write(vm, &args[1])
    }),
    ("flush", "", |vm, args| {
        let buffer = own(&args[0]).check_open(vm)?;
        own(&args[0]).flush(vm)?;
        vm.call_method(&buffer, &vm.names.flush, &[])
    }),
    ("seek", "cookie whence? /", seek),
    ("tell", "", |vm, args| {
        let buffer = own(&args[0]).check_open(vm)?;
        super::base::check_can(vm, &buffer, "seekable")?;
        Ok(vm.int(own(&args[0]).tell(vm)?))
    }),
    ("truncate", "pos? /", |vm, args| {
        let buffer = own(&args[0]).check_open(vm)?;
        vm.call_method(&args[0], &vm.names.flush, &[])?;
        let size = match args.opt(1) {
            Some(size) => size.clone(),
            None => vm.int(own(&args[0]).tell(vm)?),
        };
        vm.call_method_str(&buffer, "truncate", &[size])
    }),
    ("close", "", close),
    ("detach", "", |vm, args| {
        vm.call_method(&args[0], &vm.names.flush, &[])?;
        let buffer = own(&args[0]).buffer(vm)?;
        drop(own(&args[0]).buffer.replace(Value::NONE));
        Ok(buffer)
    }),
    ("fileno", "", |vm, args| vm.call_method(&own(&args[0]).buffer(vm)?, &vm.names.fileno, &[])),
    ("isatty", "", |vm, args| vm.call_method_str(&own(&args[0]).buffer(vm)?, "isatty", &[])),
    ("readable", "", |vm, args| vm.call_method_str(&own(&args[0]).buffer(vm)?, "readable", &[])),
    ("writable", "", |vm, args| vm.call_method_str(&own(&args[0]).buffer(vm)?, "writable", &[])),
    ("seekable", "", |vm, args| vm.call_method_str(&own(&args[0]).buffer(vm)?, "seekable", &[])),
    ("__repr__", "", |vm, args| {
        let w = own(&args[0]);
        let mut text = "<_io.TextIOWrapper".to_string();
        let buffer = w.buffer.borrow().clone();
        if buffer.is_object()
            && let Some(name) = vm.find_attr(&buffer, &vm.names.name)?
        {
            text.push_str(&format!(" name={}", vm.repr_text(&name)?));
        }
        if let Some(mode) = vm.own_attr(&args[0], &vm.intern("mode")) {
            text.push_str(&format!(" mode={}", vm.repr_text(&mode)?));
        }
        Ok(vm.str(&format!("{text} encoding='{}'>", w.encoding.borrow())))
    }),
];

/// `IncrementalNewlineDecoder`
pub(crate) struct Newlines {
    decoder: RefCell<Value>,
    translate: Cell<bool>,
    held: Cell<bool>,
    seen: Cell<u8>,
}
impl Payload for Newlines {}

fn seen_value(vm: &Vm, seen: u8) -> Value {
    let parts: Vec<Value> = [(1, "\r"), (2, "\n"), (4, "\r\n")]
        .iter()
        .filter(|(bit, _)| seen & bit != 0)
        .map(|(_, text)| vm.str(text))
        .collect();
    match parts.len() {
        0 => Value::NONE,
        1 => parts[0].clone(),
        _ => vm.tuple(parts),
    }
}

fn newline_decode(vm: &Vm, args: Args) -> PyResult {
    let n = args[0].get::<Newlines>().expect("the descriptor checked the type");
    let last = args.opt(2).map_or(Ok(false), |v| vm.truth(v))?;
    let decoder = n.decoder.borrow().clone();
    let text = if decoder.is_none() {
        args[1].clone()
    } else {
        vm.call_method_str(&decoder, "decode", &[args[1].clone(), Value::from_bool(last)])?
    };
    let mut points = vm.expect_str(&text, "decoder result")?.to_points();
    if n.held.get() && (!points.is_empty() || last) {
        points.insert(0, 13);
        n.held.set(false);
    }
    if !last && points.last() == Some(&13) {
        points.pop();
        n.held.set(true);
    }
    for (at, c) in points.iter().enumerate() {
        let bit = match (c, points.get(at + 1)) {
            (13, Some(10)) => 4,
            (13, _) => 1,
            (10, _) if at == 0 || points[at - 1] != 13 => 2,
            _ => 0,
        };
        n.seen.set(n.seen.get() | bit);
    }
    let points = if n.translate.get() { universal(&points) } else { points };
    Ok(vm.new_str(Str::from_points(points)))
}

pub(super) fn init(vm: &Vm, t: &Types) {
    let ty = &t.wrapper;
    vm.add_methods(ty, METHODS);
    iterator_methods(vm, ty, next);
    vm.add_getset(ty, "buffer", |vm, this| own(this).buffer(vm), None);
    vm.add_getset(ty, "encoding", |vm, this| Ok(vm.str(&own(this).encoding.borrow())), None);
    vm.add_getset(ty, "errors", |vm, this| Ok(vm.str(&own(this).errors.borrow())), None);
    vm.add_getset(ty, "newlines", |vm, this| Ok(seen_value(vm, own(this).seen.get())), None);
    vm.add_getset(ty, "line_buffering", |_, t| Ok(Value::from_bool(own(t).line_buffering.get())), None);
    vm.add_getset(ty, "write_through", |_, t| Ok(Value::from_bool(own(t).write_through.get())), None);
    vm.add_getset(ty, "name", |vm, this| vm.get_attr(&own(this).buffer(vm)?, &vm.names.name), None);
    vm.add_getset(
        ty,
        "closed",
        |vm, this| {
            let buffer = own(this).buffer.borrow().clone();
            if buffer.is_object() { vm.get_attr_str(&buffer, "closed") } else { Ok(Value::FALSE) }
        },
        None,
    );
    vm.type_changed(ty);
    vm.add_methods(
        &t.newline,
        &[
            ("__new__", "...", |_, args| {
                Ok(new_object(
                    &args.all[0],
                    Newlines {
                        decoder: RefCell::new(Value::NONE),
                        translate: Cell::new(false),
                        held: Cell::new(false),
                        seen: Cell::new(0),
                    },
                ))
            }),
            ("__init__", "decoder translate errors?", |vm, args| {
                let n = args[0].get::<Newlines>().expect("the descriptor checked the type");
                drop(n.decoder.replace(args[1].clone()));
                n.translate.set(vm.truth(&args[2])?);
                Ok(Value::NONE)
            }),
            ("decode", "input final?", newline_decode),
            ("reset", "", |vm, args| {
                let n = args[0].get::<Newlines>().expect("the descriptor checked the type");
                n.held.set(false);
                n.seen.set(0);
                let decoder = n.decoder.borrow().clone();
                if !decoder.is_none() {
                    vm.call_method_str(&decoder, "reset", &[])?;
                }
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_getset(
        &t.newline,
        "newlines",
        |vm, this| Ok(seen_value(vm, this.get::<Newlines>().map_or(0, |n| n.seen.get()))),
        None,
    );
    vm.type_changed(&t.newline);
}

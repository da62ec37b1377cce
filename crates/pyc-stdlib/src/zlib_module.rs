//! `zlib`: deflate streams, on a published crate.

use std::cell::{Cell, RefCell};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, Payload, PyResult, Raised, Value, Vm, new_object};

struct Packer {
    stream: RefCell<Compress>,
    done: Cell<bool>,
}
impl Payload for Packer {}

struct Unpacker {
    stream: RefCell<Decompress>,
    end: Cell<bool>,
    unused: RefCell<Vec<u8>>,
    tail: RefCell<Vec<u8>>,
}
impl Payload for Unpacker {}

fn error_type(vm: &Vm) -> Value {
    crate::support::error_type(vm, "zlib_error", "zlib", "error", &vm.exc.exception)
}

fn error(vm: &Vm, text: &str) -> Raised {
    vm.raise(&error_type(vm), text)
}

/// `wbits`: whether the stream has zlib's header; gzip's is refused, the library's gzip writes its own.
fn with_header(vm: &Vm, bits: i64) -> PyResult<bool> {
    match bits {
        0 | 8..=15 => Ok(true),
        -15..=-8 => Ok(false),
        24..=47 => Err(vm.raise(
            &vm.exc.not_implemented_error,
            &format!("zlib: wbits={bits} (gzip headers) is not supported"),
        )),
        _ => Err(vm.value_error("Invalid initialization option")),
    }
}

fn number(vm: &Vm, value: Option<&Value>, default: i64) -> PyResult<i64> {
    value.map_or(Ok(default), |v| vm.index(v))
}

fn pack(vm: &Vm, stream: &mut Compress, bytes: &[u8], flush: FlushCompress) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    loop {
        out.reserve(rest.len().max(4096));
        let before = stream.total_in();
        let room = out.len();
        let status = stream.compress_vec(rest, &mut out, flush).map_err(|e| error(vm, &e.to_string()))?;
        rest = &rest[(stream.total_in() - before) as usize..];
        let filled = out.len() == out.capacity();
        let stopped = out.len() == room && before == stream.total_in();
        match status {
            Status::StreamEnd => return Ok(out),
            _ if rest.is_empty() && !filled && flush == FlushCompress::None => return Ok(out),
            _ if rest.is_empty() && (!filled || stopped) && flush != FlushCompress::Finish => return Ok(out),
            _ => {}
        }
    }
}

/// Unpacks until the end, the limit, or the input is used up; gives the output and the unused input.
fn unpack(vm: &Vm, stream: &mut Decompress, bytes: &[u8], limit: usize) -> PyResult<(Vec<u8>, usize, bool)> {
    let mut out: Vec<u8> = Vec::new();
    let mut used = 0;
    loop {
        let more = (bytes.len() - used).saturating_mul(2).clamp(4096, 1 << 20).min(limit - out.len());
        if more == 0 {
            return Ok((out, used, false));
        }
        vm.check_memory((out.len() + more) as u64)?;
        let mut part = Vec::with_capacity(more);
        let before = stream.total_in();
        let status = stream
            .decompress_vec(&bytes[used..], &mut part, FlushDecompress::None)
            .map_err(|_| error(vm, "Error -3 while decompressing data: invalid data"))?;
        let took = (stream.total_in() - before) as usize;
        used += took;
        let made = part.len();
        part.truncate(limit - out.len());
        out.extend(part);
        if status == Status::StreamEnd {
            return Ok((out, used, true));
        }
        if took == 0 && made == 0 {
            return Ok((out, used, false));
        }
    }
}

fn compress(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let level = number(vm, args.opt(1), -1)?;
    let header = with_header(vm, number(vm, args.opt(2), 15)?)?;
    let mut stream = Compress::new(compression(vm, level)?, header);
    Ok(vm.bytes(&pack(vm, &mut stream, &bytes, FlushCompress::Finish)?))
}

fn compression(vm: &Vm, level: i64) -> PyResult<Compression> {
    match level {
        -1 => Ok(Compression::new(6)),
        0..=9 => Ok(Compression::new(level as u32)),
        _ => Err(error(vm, "Bad compression level")),
    }
}

fn decompress(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let header = with_header(vm, number(vm, args.opt(1), 15)?)?;
    let (out, _, end) = unpack(vm, &mut Decompress::new(header), &bytes, usize::MAX)?;
    if !end {
        return Err(error(vm, "Error -5 while decompressing data: incomplete or truncated stream"));
    }
    Ok(vm.bytes(&out))
}

fn packer_type(vm: &Vm) -> Value {
    (*vm.state("zlib_compress", || {
        let ty = vm.new_type::<Packer>("zlib", "Compress", None, flag::NO_NEW);
        vm.add_methods(
            &ty,
            &[
                ("compress", "data /", |vm, args| {
                    let p = args[0].get::<Packer>().expect("the descriptor checked the type");
                    let bytes = vm.bytes_of(&args[1])?;
                    if p.done.get() {
                        return Err(error(vm, "Error -2 while compressing data: inconsistent stream state"));
                    }
                    Ok(vm.bytes(&pack(vm, &mut p.stream.borrow_mut(), &bytes, FlushCompress::None)?))
                }),
                ("flush", "mode? /", |vm, args| {
                    let p = args[0].get::<Packer>().expect("the descriptor checked the type");
                    let flush = match number(vm, args.opt(1), 4)? {
                        0 => return Ok(vm.bytes(b"")),
                        1 => FlushCompress::Partial,
                        2 => FlushCompress::Sync,
                        3 => FlushCompress::Full,
                        4 => FlushCompress::Finish,
                        _ => return Err(error(vm, "Error -2 while flushing: inconsistent stream state")),
                    };
                    if p.done.get() {
                        return Err(error(
                            vm,
                            "Error -2 while finishing compression: inconsistent stream state",
                        ));
                    }
                    p.done.set(flush == FlushCompress::Finish);
                    Ok(vm.bytes(&pack(vm, &mut p.stream.borrow_mut(), &[], flush)?))
                }),
            ],
        );
        ty
    }))
    .clone()
}

fn unpack_more(vm: &Vm, args: Args) -> PyResult {
    let u = args[0].get::<Unpacker>().expect("the descriptor checked the type");
    let bytes = vm.bytes_of(&args[1])?;
    let limit = match number(vm, args.opt(2), 0)? {
        0 => usize::MAX,
        n if n > 0 => n as usize,
        _ => return Err(vm.value_error("max_length must be non-negative")),
    };
    if u.end.get() {
        u.unused.borrow_mut().extend(bytes);
        return Ok(vm.bytes(b""));
    }
    let (out, used, end) = unpack(vm, &mut u.stream.borrow_mut(), &bytes, limit)?;
    u.end.set(end);
    let rest = bytes[used..].to_vec();
    if end {
        u.unused.borrow_mut().extend(rest);
        u.tail.take();
    } else {
        u.tail.replace(rest);
    }
    Ok(vm.bytes(&out))
}

fn unpacker_type(vm: &Vm) -> Value {
    (*vm.state("zlib_decompress", || {
        let ty = vm.new_type::<Unpacker>("zlib", "Decompress", None, flag::NO_NEW);
        vm.add_methods(
            &ty,
            &[
                ("decompress", "data / max_length?", unpack_more),
                ("flush", "length? /", |vm, args| {
                    let u = args[0].get::<Unpacker>().expect("the descriptor checked the type");
                    let rest = u.tail.take();
                    unpack_more(vm, Args::pos(&[args[0].clone(), vm.bytes(&rest)]))
                }),
            ],
        );
        vm.add_getset(
            &ty,
            "eof",
            |_, t| Ok(Value::from_bool(t.get::<Unpacker>().is_some_and(|u| u.end.get()))),
            None,
        );
        vm.add_getset(
            &ty,
            "unused_data",
            |vm, t| Ok(t.get::<Unpacker>().map_or(Value::NONE, |u| vm.bytes(&u.unused.borrow()))),
            None,
        );
        vm.add_getset(
            &ty,
            "unconsumed_tail",
            |vm, t| Ok(t.get::<Unpacker>().map_or(Value::NONE, |u| vm.bytes(&u.tail.borrow()))),
            None,
        );
        ty
    }))
    .clone()
}

fn adler32(vm: &Vm, args: Args) -> PyResult {
    let start = number(vm, args.opt(1), 1)? as u32;
    let (mut a, mut b) = (start & 0xffff, start >> 16);
    for byte in vm.bytes_of(&args[0])? {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    Ok(vm.int(i64::from(b << 16 | a)))
}

const FUNCTIONS: &[Method] = &[
    ("compress", "data / level? wbits?", compress),
    ("decompress", "data / wbits? bufsize?", decompress),
    ("compressobj", "level? method? wbits? memLevel? strategy? zdict?", |vm, args| {
        if args.opt(5).is_some() {
            return Err(
                vm.raise(&vm.exc.not_implemented_error, "zlib: preset dictionaries are not supported")
            );
        }
        let header = with_header(vm, number(vm, args.opt(2), 15)?)?;
        let stream = Compress::new(compression(vm, number(vm, args.opt(0), -1)?)?, header);
        Ok(new_object(&packer_type(vm), Packer { stream: RefCell::new(stream), done: Cell::new(false) }))
    }),
    ("decompressobj", "wbits? zdict?", |vm, args| {
        if args.opt(1).is_some() {
            return Err(
                vm.raise(&vm.exc.not_implemented_error, "zlib: preset dictionaries are not supported")
            );
        }
        let header = with_header(vm, number(vm, args.opt(0), 15)?)?;
        Ok(new_object(
            &unpacker_type(vm),
            Unpacker {
                stream: RefCell::new(Decompress::new(header)),
                end: Cell::new(false),
                unused: RefCell::default(),
                tail: RefCell::default(),
            },
        ))
    }),
    ("crc32", "data value? /", crate::binascii_module::crc32_function),
    ("adler32", "data value? /", adler32),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("zlib", FUNCTIONS);
    vm.module_set(&module, "error", error_type(vm));
    for (name, value) in [
        ("DEFLATED", 8),
        ("MAX_WBITS", 15),
        ("DEF_MEM_LEVEL", 8),
        ("DEF_BUF_SIZE", 16384),
        ("Z_DEFAULT_COMPRESSION", -1),
        ("Z_BEST_COMPRESSION", 9),
        ("Z_BEST_SPEED", 1),
        ("Z_NO_COMPRESSION", 0),
        ("Z_DEFAULT_STRATEGY", 0),
        ("Z_NO_FLUSH", 0),
        ("Z_PARTIAL_FLUSH", 1),
        ("Z_SYNC_FLUSH", 2),
        ("Z_FULL_FLUSH", 3),
        ("Z_FINISH", 4),
    ] {
        vm.module_set(&module, name, Value::from_i32(value));
    }
    vm.module_set(&module, "ZLIB_VERSION", vm.str("1.3.1"));
    vm.module_set(&module, "ZLIB_RUNTIME_VERSION", vm.str("1.3.1"));
    Ok(module)
}

//! `binascii` and the checksums of `zlib`.

use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Raised, Value, Vm};

fn error_type(vm: &Vm, name: &str) -> Value {
    let (key, base) = match name {
        "Error" => ("binascii_error", &vm.exc.value_error),
        _ => ("binascii_incomplete", &vm.exc.exception),
    };
    crate::support::error_type(vm, key, "binascii", name, base)
}

fn error(vm: &Vm, text: &str) -> Raised {
    vm.raise(&error_type(vm, "Error"), text)
}

/// The bytes of an argument that may also be ASCII text.
fn ascii_or_bytes(vm: &Vm, value: &Value) -> PyResult<Vec<u8>> {
    match value.get::<Str>() {
        Some(s) => match s.as_ascii() {
            Some(ascii) => Ok(ascii.as_bytes().to_vec()),
            None => Err(vm.value_error("string argument should contain only ASCII characters")),
        },
        None if vm.is_bytes_like(value) => vm.bytes_of(value),
        None => Err(vm.type_error(format!(
            "argument should be bytes, buffer or ASCII string, not '{}'",
            vm.type_name(value)
        ))),
    }
}

fn unhex(vm: &Vm, args: Args) -> PyResult {
    let text = ascii_or_bytes(vm, &args[0])?;
    if !text.len().is_multiple_of(2) {
        return Err(error(vm, "Odd-length string"));
    }
    let digit = |b: u8| char::from(b).to_digit(16);
    let mut out = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        match (digit(pair[0]), digit(pair[1])) {
            (Some(a), Some(b)) => out.push((a * 16 + b) as u8),
            _ => return Err(error(vm, "Non-hexadecimal digit found")),
        }
    }
    Ok(vm.bytes(&out))
}

fn hex(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes(&vm.bytes_of(&args[0])?);
    let rest: Vec<Value> = args.all[1..].iter().filter(|v| !v.is_unbound()).cloned().collect();
    let text = vm.call_method_str(&bytes, "hex", &rest)?;
    Ok(vm.bytes(vm.text(&text).as_bytes()))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let newline = args.opt(1).map_or(Ok(true), |v| vm.truth(v))?;
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4 + 1);
    for part in bytes.chunks(3) {
        let n = part.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - part.len()));
        for k in 0..4 {
            out.push(if k <= part.len() { BASE64[(n >> (18 - 6 * k) & 63) as usize] } else { b'=' });
        }
    }
    if newline {
        out.push(b'\n');
    }
    Ok(vm.bytes(&out))
}

fn from_base64(vm: &Vm, args: Args) -> PyResult {
    let text = ascii_or_bytes(vm, &args[0])?;
    let strict = args.opt(1).map_or(Ok(false), |v| vm.truth(v))?;
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut quad, mut pads) = (0u32, 0usize, 0usize);
    let mut complete = false;
    if strict && text.first() == Some(&b'=') {
        return Err(error(vm, "Leading padding not allowed"));
    }
    for (at, c) in text.iter().enumerate() {
        if *c == b'=' {
            pads += 1;
            if quad >= 2 && quad + pads >= 4 {
                complete = true;
                if strict && at + 1 < text.len() {
                    return Err(error(vm, "Excess data after padding"));
                }
                break;
            }
            if strict && quad < 2 {
                return Err(error(vm, "Discontinuous padding not allowed"));
            }
            continue;
        }
        let Some(value) = BASE64.iter().position(|b| b == c) else {
            if strict {
                return Err(error(vm, "Only base64 data is allowed"));
            }
            continue;
        };
        if strict && pads > 0 {
            return Err(error(vm, "Discontinuous padding not allowed"));
        }
        pads = 0;
        bits = bits << 6 | value as u32;
        quad += 1;
        match quad {
            2 => out.push((bits >> 4) as u8),
            3 => out.push((bits >> 2) as u8),
            4 => {
                out.push(bits as u8);
                (bits, quad) = (0, 0);
            }
            _ => {}
        }
    }
    if quad != 0 && !complete {
        if quad == 1 {
            let n = out.len() / 3 * 4 + 1;
            return Err(error(
                vm,
                &format!(
                    "Invalid base64-encoded string: number of data characters ({n}) cannot be 1 more than a multiple of 4"
                ),
            ));
        }
        return Err(error(vm, "Incorrect padding"));
    }
    Ok(vm.bytes(&out))
}

pub(crate) fn crc32(bytes: &[u8], start: u32) -> u32 {
    let mut crc = !start;
    for b in bytes {
        crc ^= u32::from(*b);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

pub(crate) fn crc32_function(vm: &Vm, args: Args) -> PyResult {
    let start = match args.opt(1) {
        Some(v) => vm.index(v)? as u32,
        None => 0,
    };
    Ok(vm.uint(u64::from(crc32(&vm.bytes_of(&args[0])?, start))))
}

fn crc_hqx(vm: &Vm, args: Args) -> PyResult {
    let mut crc = vm.index(&args[1])? as u16;
    for b in vm.bytes_of(&args[0])? {
        crc ^= u16::from(b) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
        }
    }
    Ok(Value::from_i32(i32::from(crc)))
}

fn to_quoted(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let flag = |at: usize, default: bool| args.opt(at).map_or(Ok(default), |v| vm.truth(v));
    let (tabs, is_text, header) = (flag(1, false)?, flag(2, true)?, flag(3, false)?);
    let mut out: Vec<u8> = Vec::new();
    let mut width = 0;
    let end = |at: usize| bytes.get(at) == Some(&b'\n') || bytes[at..].starts_with(b"\r\n");
    let mut i = 0;
    while i < bytes.len() {
        let c = bytes[i];
        let last = i + 1 == bytes.len();
        if is_text && end(i) {
            let n = if c == b'\n' { 1 } else { 2 };
            out.extend(&bytes[i..i + n]);
            width = 0;
            i += n;
            continue;
        }
        let blank = c == b' ' || c == b'\t';
        let lone_dot = c == b'.' && width == 0 && (last || matches!(bytes[i + 1], b'\n' | b'\r' | 0));
        let quote = c > 126
            || c == b'='
            || header && c == b'_'
            || lone_dot
            || (matches!(c, b'\r' | b'\n') && !is_text)
            || blank && (last || tabs && !header || is_text && end(i + 1))
            || c < 33 && !blank && !matches!(c, b'\r' | b'\n');
        let shown: Vec<u8> = if header && c == b' ' && !last {
            vec![b'_']
        } else if quote {
            format!("={c:02X}").into_bytes()
        } else {
            vec![c]
        };
        let room = if last || is_text && end(i + 1) { 76 } else { 75 };
        if !header && width + shown.len() > room {
            out.extend(b"=\n");
            width = 0;
        }
        width += shown.len();
        out.extend(shown);
        i += 1;
    }
    Ok(vm.bytes(&out))
}

fn from_quoted(vm: &Vm, args: Args) -> PyResult {
    let bytes = ascii_or_bytes(vm, &args[0])?;
    let header = args.opt(1).map_or(Ok(false), |v| vm.truth(v))?;
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match bytes[i] {
            b'=' => match (bytes.get(i + 1), hex(i + 1), hex(i + 2)) {
                (None, ..) => i += 1,
                (Some(b'\n' | b'\r'), ..) => {
                    i += 1;
                    while i < bytes.len() && bytes[i] != b'\n' {
                        i += 1;
                    }
                    i += 1;
                }
                (Some(b'='), ..) => {
                    out.push(b'=');
                    i += 2;
                }
                (_, Some(a), Some(b)) => {
                    out.push((a * 16 + b) as u8);
                    i += 3;
                }
                _ => {
                    out.push(b'=');
                    i += 1;
                }
            },
            b'_' if header => {
                out.push(b' ');
                i += 1;
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    Ok(vm.bytes(&out))
}

const FUNCTIONS: &[Method] = &[
    ("hexlify", "data sep? bytes_per_sep?", hex),
    ("b2a_hex", "data sep? bytes_per_sep?", hex),
    ("unhexlify", "hexstr /", unhex),
    ("a2b_hex", "hexstr /", unhex),
    ("b2a_base64", "data / * newline?", to_base64),
    ("a2b_base64", "data / * strict_mode?", from_base64),
    ("b2a_qp", "data quotetabs? istext? header?", to_quoted),
    ("a2b_qp", "data header?", from_quoted),
    ("crc32", "data crc? /", crc32_function),
    ("crc_hqx", "data crc /", crc_hqx),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("binascii", FUNCTIONS);
    vm.module_set(&module, "Error", error_type(vm, "Error"));
    vm.module_set(&module, "Incomplete", error_type(vm, "Incomplete"));
    Ok(module)
}

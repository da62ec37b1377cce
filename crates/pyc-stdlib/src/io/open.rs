//! `open` and its kin.

use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

use super::{BUFFER_BYTES, types};

fn open(vm: &Vm, args: Args) -> PyResult {
    let mode = match args.opt(1) {
        Some(mode) => match mode.get::<Str>() {
            Some(s) => s.to_lossy(),
            None => {
                return Err(
                    vm.type_error(format!("open() argument 'mode' must be str, not {}", vm.type_name(mode)))
                );
            }
        },
        None => "r".to_string(),
    };
    let repeated = mode.chars().enumerate().any(|(i, c)| mode.chars().take(i).any(|d| d == c));
    if repeated || mode.chars().any(|c| !"rwxab+t".contains(c)) {
        return Err(vm.value_error(format!("invalid mode: '{mode}'")));
    }
    let (binary, text) = (mode.contains('b'), mode.contains('t'));
    if binary && text {
        return Err(vm.value_error("can't have text and binary mode at once"));
    }
    if mode.chars().filter(|c| "rwxa".contains(*c)).count() != 1 {
        return Err(vm.value_error("must have exactly one of create/read/write/append mode"));
    }
    let given = |at: usize| args.opt(at).filter(|v| !v.is_none());
    for (at, what) in [(3, "an encoding"), (4, "an errors"), (5, "a newline")] {
        if binary && given(at).is_some() {
            return Err(vm.value_error(format!("binary mode doesn't take {what} argument")));
        }
    }
    let mut buffering = args.opt(2).map_or(Ok(-1), |v| vm.index(v))?;
    let t = types(vm);
    let raw_mode: String = mode.chars().filter(|c| *c != 't' && *c != 'b').collect();
    let close_handle = args.opt(6).cloned().unwrap_or(Value::TRUE);
    let opener = args.opt(7).cloned().unwrap_or(Value::NONE);
    let raw = vm.call_pos(&t.file, &[args[0].clone(), vm.str(&raw_mode), close_handle, opener])?;
    let finish = || -> PyResult {
        let terminal = vm.call_method_str(&raw, "isatty", &[])?;
        let terminal = vm.truth(&terminal)?;
        let by_line = buffering == 1 && !binary || buffering < 0 && terminal;
        if buffering < 0 || buffering == 1 {
            buffering = BUFFER_BYTES as i64;
        }
        if buffering == 0 {
            return if binary {
                Ok(raw.clone())
            } else {
                Err(vm.value_error("can't have unbuffered text I/O"))
            };
        }
        let size = vm.int(buffering);
        let kind = if mode.contains('+') {
            &t.random
        } else if mode.contains('r') {
            &t.reader
        } else {
            &t.writer
        };
        let buffer = vm.call_pos(kind, &[raw.clone(), size])?;
        if binary {
            return Ok(buffer);
        }
        let arg = |at: usize| args.opt(at).cloned().unwrap_or(Value::NONE);
        let wrapper =
            vm.call_pos(&t.wrapper, &[buffer, arg(3), arg(4), arg(5), Value::from_bool(by_line)])?;
        vm.set_attr_raw(&wrapper, &vm.intern("mode"), vm.str(&mode));
        Ok(wrapper)
    };
    let mut finish = finish;
    finish().inspect_err(|_| {
        let _ = vm.call_method(&raw, &vm.names.close, &[]);
    })
}

pub(super) const FUNCTIONS: &[Method] = &[
    ("open", "file mode? buffering? encoding? errors? newline? closefd? opener?", open),
    ("open_code", "path", |vm, args| open(vm, Args::pos(&[args[0].clone(), vm.str("rb")]))),
    ("text_encoding", "encoding stacklevel? /", |vm, args| {
        Ok(if args[0].is_none() { vm.str("utf-8") } else { args[0].clone() })
    }),
];

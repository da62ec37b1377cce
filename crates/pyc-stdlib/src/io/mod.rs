//! `_io`: files, buffers and text over the host's handles.
//!
//! The abstract classes have no payload of their own, so that classes of programs can inherit from several; whether
//! one is closed is an attribute, as in CPython. The concrete ones keep their state in Rust and reach each other's
//! fast path when they are not subclassed.

mod base;
mod buffered;
mod bytes_io;
mod file;
mod open;
mod string_io;
mod text;

use std::rc::Rc;

use pyc_runtime::registry::Plain;
use pyc_runtime::types::flag;
use pyc_runtime::{PyResult, Raised, Value, Vm};

pub(crate) use file::whence;

/// Bytes read or collected at once.
pub(crate) const BUFFER_BYTES: usize = 8192;

/// The types of the module.
pub(crate) struct Types {
    pub base: Value,
    pub raw: Value,
    pub buffered: Value,
    pub text: Value,
    pub file: Value,
    pub bytes_io: Value,
    pub string_io: Value,
    pub reader: Value,
    pub writer: Value,
    pub random: Value,
    pub wrapper: Value,
    pub newline: Value,
    pub unsupported: Value,
}

/// The types, made on first use.
pub(crate) fn types(vm: &Vm) -> Rc<Types> {
    vm.state("io_types", || {
        let plain = |name: &str, base: Option<&Value>| {
            vm.new_type::<Plain>("_io", name, base, flag::BASE | flag::ATTRS | flag::WEAK)
        };
        let base = plain("_IOBase", None);
        let (raw, buffered, text) = (
            plain("_RawIOBase", Some(&base)),
            plain("_BufferedIOBase", Some(&base)),
            plain("_TextIOBase", Some(&base)),
        );
        let flags = flag::BASE | flag::ATTRS | flag::WEAK;
        let namespace = vm.dict();
        vm.dict_set_str(&namespace, "__module__", vm.str("io"));
        let bases = vm.tuple(vec![vm.exc.os_error.clone(), vm.exc.value_error.clone()]);
        let unsupported = vm.call_pos(&vm.types.type_, &[vm.str("UnsupportedOperation"), bases, namespace]);
        let types = Types {
            file: vm.new_type::<file::File>("_io", "FileIO", Some(&raw), flags),
            bytes_io: vm.new_type::<bytes_io::BytesIo>("_io", "BytesIO", Some(&buffered), flags),
            string_io: vm.new_type::<string_io::StringIo>("_io", "StringIO", Some(&text), flags),
            reader: vm.new_type::<buffered::Buffered>("_io", "BufferedReader", Some(&buffered), flags),
            writer: vm.new_type::<buffered::Buffered>("_io", "BufferedWriter", Some(&buffered), flags),
            random: vm.new_type::<buffered::Buffered>("_io", "BufferedRandom", Some(&buffered), flags),
            wrapper: vm.new_type::<text::Wrapper>("_io", "TextIOWrapper", Some(&text), flags),
            newline: vm.new_type::<text::Newlines>("_io", "IncrementalNewlineDecoder", None, flag::BASE),
            unsupported: unsupported.unwrap_or_else(|_| vm.exc.os_error.clone()),
            base,
            raw,
            buffered,
            text,
        };
        base::init(vm, &types);
        file::init(vm, &types.file);
        bytes_io::init(vm, &types.bytes_io);
        string_io::init(vm, &types.string_io);
        buffered::init(vm, &types);
        text::init(vm, &types);
        for ty in [&types.base, &types.raw, &types.buffered, &types.text] {
            vm.type_changed(ty);
        }
        types
    })
}

/// `io.UnsupportedOperation`
pub(crate) fn unsupported(vm: &Vm, what: &str) -> Raised {
    vm.raise(&types(vm).unsupported, what)
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_io", open::FUNCTIONS);
    let t = types(vm);
    for (name, ty) in [
        ("_IOBase", &t.base),
        ("_RawIOBase", &t.raw),
        ("_BufferedIOBase", &t.buffered),
        ("_TextIOBase", &t.text),
        ("FileIO", &t.file),
        ("BytesIO", &t.bytes_io),
        ("StringIO", &t.string_io),
        ("BufferedReader", &t.reader),
        ("BufferedWriter", &t.writer),
        ("BufferedRandom", &t.random),
        ("TextIOWrapper", &t.wrapper),
        ("IncrementalNewlineDecoder", &t.newline),
        ("UnsupportedOperation", &t.unsupported),
        ("BlockingIOError", &vm.os_error_type(11)),
    ] {
        vm.module_set(&module, name, ty.clone());
    }
    let pair = buffered::pair_type(vm, &t)?;
    vm.module_set(&module, "BufferedRWPair", pair);
    vm.module_set(&module, "DEFAULT_BUFFER_SIZE", Value::from_len(BUFFER_BYTES));
    Ok(module)
}

/// `open`, also a builtin.
pub(crate) fn install_open(vm: &Vm) {
    let owner = vm.intern("_io");
    let (name, params, function) = open::FUNCTIONS[0];
    vm.set_builtin(name, vm.native_function(&owner, name, params, function));
}

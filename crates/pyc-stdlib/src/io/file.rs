//! `FileIO`: a handle of the host.

use std::cell::{Cell, RefCell};
use std::io::SeekFrom;

use pyc_runtime::host::OpenFlags;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Payload, PyResult, Raised, Value, Vm, new_object};

use super::base::closed_error;
use super::unsupported;
use crate::support::{buffer_len, fill_buffer, path_text, size_argument};

/// A file.
pub(crate) struct File {
    handle: Cell<i32>,
    readable: Cell<bool>,
    writable: Cell<bool>,
    mode: RefCell<&'static str>,
    close_handle: Cell<bool>,
}
impl Payload for File {}

pub(super) fn own(value: &Value) -> &File {
    value.get::<File>().expect("the descriptor checked the type")
}

impl File {
    fn open(&self, vm: &Vm) -> PyResult<i32> {
        match self.handle.get() {
            h if h < 0 => Err(closed_error(vm)),
            h => Ok(h),
        }
    }

    fn for_reading(&self, vm: &Vm) -> PyResult<i32> {
        let handle = self.open(vm)?;
        if self.readable.get() { Ok(handle) } else { Err(unsupported(vm, "File not open for reading")) }
    }

    fn for_writing(&self, vm: &Vm) -> PyResult<i32> {
        let handle = self.open(vm)?;
        if self.writable.get() { Ok(handle) } else { Err(unsupported(vm, "File not open for writing")) }
    }

    /// At most `limit` bytes.
    pub(super) fn read(&self, vm: &Vm, limit: usize) -> PyResult<Vec<u8>> {
        let handle = self.for_reading(vm)?;
        crate::net_module::readable(vm, handle)?;
        vm.host.read(handle, limit).map_err(|e| vm.host_error(e, None))
    }

    /// Everything up to the end.
    pub(super) fn read_all(&self, vm: &Vm) -> PyResult<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let part = self.read(vm, 1 << 20)?;
            if part.is_empty() {
                return Ok(all);
            }
            vm.check_memory((all.len() + part.len()) as u64)?;
            all.extend(part);
        }
    }

    /// How many of the bytes were taken.
    pub(super) fn write(&self, vm: &Vm, bytes: &[u8]) -> PyResult<usize> {
        let handle = self.for_writing(vm)?;
        if matches!(handle, 1 | 2) {
            vm.check_output(bytes.len())?;
        }
        vm.host.write(handle, bytes).map_err(|e| vm.host_error(e, None))
    }

    /// Moves to a place and gives it.
    pub(super) fn seek(&self, vm: &Vm, to: SeekFrom) -> PyResult<u64> {
        let handle = self.open(vm)?;
        vm.host.seek(handle, to).map_err(|e| vm.host_error(e, None))
    }
}

/// `offset` and `whence` as a place.
pub(crate) fn whence(vm: &Vm, offset: i64, whence: i64) -> PyResult<SeekFrom> {
    match whence {
        0 => match u64::try_from(offset) {
            Ok(at) => Ok(SeekFrom::Start(at)),
            Err(_) => Err(vm.os_error(&vm.exc.os_error, 22, "Invalid argument", None)),
        },
        1 => Ok(SeekFrom::Current(offset)),
        2 => Ok(SeekFrom::End(offset)),
        other => Err(vm.value_error(format!("invalid whence ({other}, should be 0, 1 or 2)"))),
    }
}

fn bad_mode(vm: &Vm) -> Raised {
    vm.value_error("Must have exactly one of create/read/write/append mode and at most one plus")
}

fn init_file(vm: &Vm, args: Args) -> PyResult {
    let f = own(&args[0]);
    let file = &args[1];
    let mode = match args.opt(2) {
        Some(mode) => vm.expect_str(mode, "FileIO() argument 'mode'")?.to_lossy(),
        None => "r".to_string(),
    };
    let close_handle = args.opt(3).map_or(Ok(true), |v| vm.truth(v))?;
    let opener = args.opt(4).filter(|o| !o.is_none());
    let (mut flags, mut kinds, mut plus) = (OpenFlags::default(), 0, 0);
    for c in mode.chars() {
        match c {
            'r' => kinds += 1,
            'w' => {
                kinds += 1;
                (flags.write, flags.create, flags.truncate) = (true, true, true);
            }
            'a' => {
                kinds += 1;
                (flags.append, flags.create) = (true, true);
            }
            'x' => {
                kinds += 1;
                (flags.write, flags.create_new) = (true, true);
            }
            '+' => plus += 1,
            'b' => {}
            _ => return Err(vm.value_error(format!("invalid mode: {mode}"))),
        }
    }
    if kinds != 1 || plus > 1 {
        return Err(bad_mode(vm));
    }
    let reading = mode.contains('r');
    f.readable.set(reading || plus == 1);
    f.writable.set(!reading || plus == 1);
    flags.read = f.readable.get();
    if reading && plus == 1 {
        flags.write = true;
    }
    *f.mode.borrow_mut() = match (mode.contains('x'), mode.contains('a'), plus == 1, reading) {
        (true, _, true, _) => "xb+",
        (true, ..) => "xb",
        (_, true, true, _) => "ab+",
        (_, true, ..) => "ab",
        (_, _, true, _) => "rb+",
        (_, _, _, true) => "rb",
        _ => "wb",
    };
    f.close_handle.set(close_handle);
    if vm.is_int(file) {
        let handle = vm.index(file)?;
        if handle < 0 {
            return Err(vm.value_error("negative file descriptor"));
        }
        if !(0..3).contains(&handle) {
            vm.host.stat_handle(handle as i32).map_err(|e| vm.host_error(e, None))?;
        }
        f.handle.set(handle as i32);
    } else {
        if !close_handle {
            return Err(vm.value_error("Cannot use closefd=False with file name"));
        }
        match opener {
            None => {
                let path = path_text(vm, file)?;
                let handle = vm.host.open(&path, flags).map_err(|e| vm.host_error(e, Some(&path)))?;
                f.handle.set(handle);
            }
            Some(opener) => {
                let bits = crate::posix_module::open_bits(flags);
                let handle = vm.call_pos(opener, &[file.clone(), Value::from_i32(bits)])?;
                if !vm.is_int(&handle) {
                    return Err(vm.type_error("expected integer from opener"));
                }
                let handle = vm.index(&handle)?;
                if handle < 0 {
                    return Err(vm.value_error(format!("opener returned {handle}")));
                }
                f.handle.set(handle as i32);
            }
        }
    }
    vm.set_attr_raw(&args[0], &vm.names.name, file.clone());
    if flags.append {
        f.seek(vm, SeekFrom::End(0)).ok();
    }
    Ok(Value::NONE)
}

fn close(vm: &Vm, args: Args) -> PyResult {
    let f = own(&args[0]);
    let handle = f.handle.replace(-1);
    let base = vm.get_attr_str(&super::types(vm).raw, "close")?;
    let closed = vm.call_pos(&base, std::slice::from_ref(&args[0]));
    if handle >= 0 && f.close_handle.get() {
        vm.host.close(handle).map_err(|e| vm.host_error(e, None))?;
    }
    // The base's flush sees a closed file; nothing is lost, as nothing is buffered here.
    vm.catch(closed, &vm.exc.value_error)?;
    Ok(Value::NONE)
}

pub(super) fn init(vm: &Vm, ty: &Value) {
    vm.add_methods(
        ty,
        &[
            ("__new__", "...", |_, args| {
                Ok(new_object(
                    &args.all[0],
                    File {
                        handle: Cell::new(-1),
                        readable: Cell::new(false),
                        writable: Cell::new(false),
                        mode: RefCell::new("rb"),
                        close_handle: Cell::new(true),
                    },
                ))
            }),
            ("__init__", "file mode? closefd? opener?", init_file),
            ("read", "size? /", |vm, args| {
                let f = own(&args[0]);
                let bytes = match size_argument(vm, args.opt(1))? {
                    Some(size) => f.read(vm, size)?,
                    None => f.read_all(vm)?,
                };
                Ok(vm.bytes(&bytes))
            }),
            ("readall", "", |vm, args| Ok(vm.bytes(&own(&args[0]).read_all(vm)?))),
            ("readinto", "buffer /", |vm, args| {
                let size = buffer_len(vm, &args[1])?;
                let bytes = own(&args[0]).read(vm, size)?;
                Ok(Value::from_len(fill_buffer(vm, &args[1], &bytes)?))
            }),
            ("write", "b /", |vm, args| {
                own(&args[0]).for_writing(vm)?;
                if args[1].get::<Str>().is_some() {
                    return Err(vm.type_error("a bytes-like object is required, not 'str'"));
                }
                let bytes = vm.bytes_of(&args[1])?;
                Ok(Value::from_len(own(&args[0]).write(vm, &bytes)?))
            }),
            ("seek", "offset whence? /", |vm, args| {
                let f = own(&args[0]);
                f.open(vm)?;
                let to = whence(vm, vm.index(&args[1])?, args.opt(2).map_or(Ok(0), |w| vm.index(w))?)?;
                Ok(vm.uint(f.seek(vm, to)?))
            }),
            ("tell", "", |vm, args| Ok(vm.uint(own(&args[0]).seek(vm, SeekFrom::Current(0))?))),
            ("truncate", "size? /", |vm, args| {
                let f = own(&args[0]);
                let handle = f.for_writing(vm)?;
                let size = match args.opt(1).filter(|s| !s.is_none()) {
                    Some(size) => u64::try_from(vm.index(size)?).unwrap_or(0),
                    None => f.seek(vm, SeekFrom::Current(0))?,
                };
                vm.host.truncate(handle, size).map_err(|e| vm.host_error(e, None))?;
                Ok(vm.uint(size))
            }),
            ("close", "", close),
            ("fileno", "", |vm, args| Ok(Value::from_i32(own(&args[0]).open(vm)?))),
            ("isatty", "", |vm, args| Ok(Value::from_bool(vm.host.is_terminal(own(&args[0]).open(vm)?)))),
            ("readable", "", |vm, args| {
                own(&args[0]).open(vm)?;
                Ok(Value::from_bool(own(&args[0]).readable.get()))
            }),
            ("writable", "", |vm, args| {
                own(&args[0]).open(vm)?;
                Ok(Value::from_bool(own(&args[0]).writable.get()))
            }),
            ("seekable", "", |vm, args| {
                let f = own(&args[0]);
                f.open(vm)?;
                Ok(Value::from_bool(f.seek(vm, SeekFrom::Current(0)).is_ok()))
            }),
            ("__repr__", "", |vm, args| {
                let f = own(&args[0]);
                if f.handle.get() < 0 {
                    return Ok(vm.str("<_io.FileIO [closed]>"));
                }
                let name = vm.own_attr(&args[0], &vm.names.name).unwrap_or(Value::NONE);
                Ok(vm.str(&format!(
                    "<_io.FileIO name={} mode='{}' closefd={}>",
                    vm.repr_text(&name)?,
                    f.mode.borrow(),
                    if f.close_handle.get() { "True" } else { "False" }
                )))
            }),
        ],
    );
    vm.add_getset(ty, "closed", |_, this| Ok(Value::from_bool(own(this).handle.get() < 0)), None);
    vm.add_getset(ty, "mode", |vm, this| Ok(vm.str(*own(this).mode.borrow())), None);
    vm.add_getset(ty, "closefd", |_, this| Ok(Value::from_bool(own(this).close_handle.get())), None);
    vm.add_getset(ty, "_blksize", |_, _| Ok(Value::from_len(super::BUFFER_BYTES)), None);
    vm.type_changed(ty);
}

//! `posix`: the parts of `os` that reach the host.

use std::cell::RefCell;

use pyc_runtime::host::{FileStat, HostError, OpenFlags};
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, Payload, PyResult, Raised, Value, Vm, new_object};

use crate::support::{fspath, path_text, struct_make, struct_type};

const READ_WRITE: i32 = 2;
const WRITE: i32 = 1;
const CREATE: i32 = 0o100;
const EXCLUSIVE: i32 = 0o200;
const TRUNCATE: i32 = 0o1000;
const APPEND: i32 = 0o2000;
const CLOSE_ON_EXEC: i32 = 0o2000000;

const CONSTANTS: &[(&str, i32)] = &[
    ("F_OK", 0),
    ("R_OK", 4),
    ("W_OK", 2),
    ("X_OK", 1),
    ("O_RDONLY", 0),
    ("O_WRONLY", WRITE),
    ("O_RDWR", READ_WRITE),
    ("O_CREAT", CREATE),
    ("O_EXCL", EXCLUSIVE),
    ("O_TRUNC", TRUNCATE),
    ("O_APPEND", APPEND),
    ("O_CLOEXEC", CLOSE_ON_EXEC),
    ("O_NOFOLLOW", 0o400000),
    ("O_DIRECTORY", 0o200000),
    ("O_NONBLOCK", 0o4000),
    ("SEEK_SET", 0),
    ("SEEK_CUR", 1),
    ("SEEK_END", 2),
    ("EX_OK", 0),
    ("EX_USAGE", 64),
    ("WNOHANG", 1),
    ("P_WAIT", 0),
    ("P_NOWAIT", 1),
];

/// The bits of `os.open` for these flags.
pub(crate) fn open_bits(flags: OpenFlags) -> i32 {
    let mut bits = CLOSE_ON_EXEC;
    let writes = flags.write || flags.append;
    bits |= if writes && flags.read { READ_WRITE } else { i32::from(writes) };
    for (set, bit) in [
        (flags.create || flags.create_new, CREATE),
        (flags.create_new, EXCLUSIVE),
        (flags.truncate, TRUNCATE),
        (flags.append, APPEND),
    ] {
        bits |= if set { bit } else { 0 };
    }
    bits
}

fn failed(vm: &Vm, error: HostError, path: &Value) -> Raised {
    let raised = vm.host_error(error, Some(""));
    vm.set_attr_raw(&raised.0, &vm.names.filename, path.clone());
    let _ = vm.set_attr(&raised.0, &vm.names.filename, path.clone());
    raised
}

/// Runs an operation on a path.
fn on_path<T>(vm: &Vm, path: &Value, f: impl FnOnce(&str) -> Result<T, HostError>) -> PyResult<T> {
    let text = path_text(vm, path)?;
    let shown = fspath(vm, path)?;
    f(&text).map_err(|e| failed(vm, e, &shown))
}

fn handle(vm: &Vm, value: &Value) -> PyResult<i32> {
    i32::try_from(vm.index(value)?).map_err(|_| vm.overflow_error("fd is greater than maximum"))
}

fn stat_type(vm: &Vm) -> PyResult {
    if let Some(ty) = vm.state("stat_result", || RefCell::new(None::<Value>)).borrow().clone() {
        return Ok(ty);
    }
    let fields = [
        "st_mode",
        "st_ino",
        "st_dev",
        "st_nlink",
        "st_uid",
        "st_gid",
        "st_size",
        "_integer_atime",
        "_integer_mtime",
        "_integer_ctime",
        "st_atime",
        "st_mtime",
        "st_ctime",
        "st_atime_ns",
        "st_mtime_ns",
        "st_ctime_ns",
        "st_blksize",
        "st_blocks",
        "st_rdev",
    ];
    let ty = struct_type(vm, "os", "stat_result", &fields, 10)?;
    vm.state("stat_result", || RefCell::new(None::<Value>)).replace(Some(ty.clone()));
    Ok(ty)
}

fn stat_result(vm: &Vm, s: &FileStat) -> PyResult {
    let seconds = |ns: i64| vm.int(ns.div_euclid(1_000_000_000));
    let float = |ns: i64| vm.float(ns as f64 / 1e9);
    let values = vec![
        vm.int(i64::from(s.mode)),
        vm.uint(s.inode),
        vm.uint(s.device),
        vm.uint(s.links),
        vm.int(i64::from(s.user)),
        vm.int(i64::from(s.group)),
        vm.uint(s.size_bytes),
        seconds(s.accessed_ns),
        seconds(s.modified_ns),
        seconds(s.changed_ns),
        float(s.accessed_ns),
        float(s.modified_ns),
        float(s.changed_ns),
        vm.int(s.accessed_ns),
        vm.int(s.modified_ns),
        vm.int(s.changed_ns),
        Value::from_i32(4096),
        vm.uint(s.size_bytes.div_ceil(512)),
        Value::from_i32(0),
    ];
    struct_make(vm, &stat_type(vm)?, values)
}

fn no_folder_handle(vm: &Vm, value: Option<&Value>) -> PyResult<()> {
    match value {
        Some(v) if !v.is_none() => {
            Err(vm.raise(&vm.exc.not_implemented_error, "dir_fd unavailable on this platform"))
        }
        _ => Ok(()),
    }
}

fn stat(vm: &Vm, args: Args) -> PyResult {
    no_folder_handle(vm, args.opt(1))?;
    let follow = args.opt(2).map_or(Ok(true), |v| vm.truth(v))?;
    if vm.is_int(&args[0]) {
        let s = vm.host.stat_handle(handle(vm, &args[0])?).map_err(|e| vm.host_error(e, None))?;
        return stat_result(vm, &s);
    }
    stat_result(vm, &on_path(vm, &args[0], |p| vm.host.stat(p, follow))?)
}

fn folder_argument(vm: &Vm, value: Option<&Value>) -> PyResult {
    Ok(match value.filter(|v| !v.is_none()) {
        Some(path) => fspath(vm, path)?,
        None => vm.str("."),
    })
}

fn name_value(vm: &Vm, like: &Value, name: &str) -> Value {
    if like.get::<Str>().is_some() { vm.str(name) } else { vm.bytes(name.as_bytes()) }
}

/// `DirEntry`
struct Entry {
    name: String,
    path: String,
    is_folder: bool,
    bytes: bool,
}
impl Payload for Entry {}

fn entry(value: &Value) -> &Entry {
    value.get::<Entry>().expect("the descriptor checked the type")
}

fn entry_mode(vm: &Vm, args: Args) -> PyResult<Option<u32>> {
    let follow = args.opt(1).map_or(Ok(true), |v| vm.truth(v))?;
    match vm.host.stat(&entry(&args[0]).path, follow) {
        Ok(s) => Ok(Some(s.mode & 0o170000)),
        Err(HostError::Io(_)) => Ok(None),
        Err(denied) => Err(vm.host_error(denied, Some(&entry(&args[0]).path))),
    }
}

/// `scandir`'s iterator.
struct Scan {
    entries: RefCell<std::vec::IntoIter<Value>>,
}
impl Payload for Scan {}

fn scan_next(_: &Vm, value: &Value) -> PyResult<Option<Value>> {
    Ok(value.get::<Scan>().and_then(|s| s.entries.borrow_mut().next()))
}

fn entry_type(vm: &Vm) -> Value {
    (*vm.state("os_direntry", || {
        let ty = vm.new_type::<Entry>("posix", "DirEntry", None, flag::NO_NEW);
        vm.add_getset(&ty, "name", |vm, t| Ok(entry_text(vm, entry(t), &entry(t).name)), None);
        vm.add_getset(&ty, "path", |vm, t| Ok(entry_text(vm, entry(t), &entry(t).path)), None);
        vm.add_methods(
            &ty,
            &[
                ("__fspath__", "", |vm, a| Ok(entry_text(vm, entry(&a[0]), &entry(&a[0]).path))),
                ("__repr__", "", |vm, a| {
                    Ok(vm.str(&format!("<DirEntry {}>", vm.repr_text(&vm.str(&entry(&a[0]).name))?)))
                }),
                ("is_dir", "* follow_symlinks?", |vm, a| {
                    Ok(Value::from_bool(entry(&a[0]).is_folder || entry_mode(vm, a)? == Some(0o040000)))
                }),
                ("is_file", "* follow_symlinks?", |vm, a| {
                    Ok(Value::from_bool(entry_mode(vm, a)? == Some(0o100000)))
                }),
                ("is_symlink", "", |vm, a| {
                    let all = [a[0].clone(), Value::FALSE];
                    Ok(Value::from_bool(entry_mode(vm, Args::pos(&all))? == Some(0o120000)))
                }),
                ("is_junction", "", |_, _| Ok(Value::FALSE)),
                ("stat", "* follow_symlinks?", |vm, a| {
                    let follow = a.opt(1).map_or(Ok(true), |v| vm.truth(v))?;
                    let path = &entry(&a[0]).path;
                    let s = vm.host.stat(path, follow).map_err(|e| vm.host_error(e, Some(path)))?;
                    stat_result(vm, &s)
                }),
                ("inode", "", |vm, a| {
                    let path = &entry(&a[0]).path;
                    let s = vm.host.stat(path, false).map_err(|e| vm.host_error(e, Some(path)))?;
                    Ok(vm.uint(s.inode))
                }),
            ],
        );
        ty
    }))
    .clone()
}

fn entry_text(vm: &Vm, e: &Entry, text: &str) -> Value {
    if e.bytes { vm.bytes(text.as_bytes()) } else { vm.str(text) }
}

fn scandir(vm: &Vm, args: Args) -> PyResult {
    let folder = folder_argument(vm, args.opt(0))?;
    let base = path_text(vm, &folder)?;
    let listed = on_path(vm, &folder, |p| vm.host.list(p))?;
    let ty = entry_type(vm);
    let bytes = folder.get::<Str>().is_none();
    let entries: Vec<Value> = listed
        .into_iter()
        .map(|(name, is_folder)| {
            let path = if base.ends_with('/') { format!("{base}{name}") } else { format!("{base}/{name}") };
            new_object(&ty, Entry { name, path, is_folder, bytes })
        })
        .collect();
    let ty = vm.state("os_scandir", || {
        let ty = vm.new_type::<Scan>("posix", "ScandirIterator", None, flag::NO_NEW);
        pyc_runtime::iterators::iterator_methods(vm, &ty, scan_next);
        vm.add_methods(
            &ty,
            &[
                ("close", "", |_, _| Ok(Value::NONE)),
                ("__enter__", "", |_, args| Ok(args[0].clone())),
                ("__exit__", "...", |_, _| Ok(Value::NONE)),
            ],
        );
        ty
    });
    Ok(new_object(&ty, Scan { entries: RefCell::new(entries.into_iter()) }))
}

fn open(vm: &Vm, args: Args) -> PyResult {
    no_folder_handle(vm, args.opt(3))?;
    let bits = vm.index(&args[1])? as i32;
    let access = bits & 3;
    let flags = OpenFlags {
        read: access != WRITE,
        write: access != 0,
        append: bits & APPEND != 0,
        create: bits & CREATE != 0 && bits & EXCLUSIVE == 0,
        create_new: bits & CREATE != 0 && bits & EXCLUSIVE != 0,
        truncate: bits & TRUNCATE != 0,
    };
    Ok(Value::from_i32(on_path(vm, &args[0], |p| vm.host.open(p, flags))?))
}

fn rename(vm: &Vm, args: Args) -> PyResult {
    let (from, to) = (path_text(vm, &args[0])?, path_text(vm, &args[1])?);
    vm.host.rename(&from, &to).map_err(|e| {
        let raised = failed(vm, e, &args[0]);
        let _ = vm.set_attr(&raised.0, &vm.intern("filename2"), args[1].clone());
        raised
    })?;
    Ok(Value::NONE)
}

fn access(vm: &Vm, args: Args) -> PyResult {
    let path = path_text(vm, &args[0])?;
    let wanted = vm.index(&args[1])?;
    Ok(Value::from_bool(match vm.host.stat(&path, true) {
        Ok(s) => wanted & 1 == 0 || s.mode & 0o111 != 0,
        Err(_) => false,
    }))
}

/// Operations that no capability grants yet.
fn refuse(vm: &Vm, what: &str) -> PyResult {
    Err(vm.raise(
        &vm.exc.not_implemented_error,
        &format!("os.{what} is not supported: there is no capability for it"),
    ))
}

const FUNCTIONS: &[Method] = &[
    ("stat", "path * dir_fd? follow_symlinks?", stat),
    ("lstat", "path * dir_fd?", |vm, args| {
        stat(vm, Args::pos(&[args[0].clone(), Value::NONE, Value::FALSE]))
    }),
    ("fstat", "fd", |vm, args| {
        let s = vm.host.stat_handle(handle(vm, &args[0])?).map_err(|e| vm.host_error(e, None))?;
        stat_result(vm, &s)
    }),
    ("access", "path mode * dir_fd? effective_ids? follow_symlinks?", access),
    ("listdir", "path?", |vm, args| {
        let folder = folder_argument(vm, args.opt(0))?;
        let names = on_path(vm, &folder, |p| vm.host.list(p))?;
        Ok(vm.list(names.iter().map(|(n, _)| name_value(vm, &folder, n)).collect()))
    }),
    ("scandir", "path?", scandir),
    ("mkdir", "path mode? * dir_fd?", |vm, args| {
        no_folder_handle(vm, args.opt(2))?;
        on_path(vm, &args[0], |p| vm.host.make_folder(p)).map(|()| Value::NONE)
    }),
    ("rmdir", "path * dir_fd?", |vm, args| {
        no_folder_handle(vm, args.opt(1))?;
        on_path(vm, &args[0], |p| vm.host.remove_folder(p)).map(|()| Value::NONE)
    }),
    ("unlink", "path * dir_fd?", |vm, args| {
        no_folder_handle(vm, args.opt(1))?;
        on_path(vm, &args[0], |p| vm.host.remove_file(p)).map(|()| Value::NONE)
    }),
    ("remove", "path * dir_fd?", |vm, args| {
        no_folder_handle(vm, args.opt(1))?;
        on_path(vm, &args[0], |p| vm.host.remove_file(p)).map(|()| Value::NONE)
    }),
    ("rename", "src dst * src_dir_fd? dst_dir_fd?", rename),
    ("replace", "src dst * src_dir_fd? dst_dir_fd?", rename),
    ("readlink", "path * dir_fd?", |vm, args| {
        let link = on_path(vm, &args[0], |p| vm.host.read_link(p))?;
        Ok(name_value(vm, &fspath(vm, &args[0])?, &link))
    }),
    ("getcwd", "", |vm, _| Ok(vm.str(&vm.host.current_folder().map_err(|e| vm.host_error(e, None))?))),
    ("getcwdb", "", |vm, _| {
        Ok(vm.bytes(vm.host.current_folder().map_err(|e| vm.host_error(e, None))?.as_bytes()))
    }),
    ("open", "path flags mode? * dir_fd?", open),
    ("close", "fd", |vm, args| {
        vm.host.close(handle(vm, &args[0])?).map_err(|e| vm.host_error(e, None))?;
        Ok(Value::NONE)
    }),
    ("read", "fd length /", |vm, args| {
        let limit = usize::try_from(vm.index(&args[1])?).unwrap_or(0);
        let from = handle(vm, &args[0])?;
        crate::net_module::readable(vm, from)?;
        let bytes = vm.host.read(from, limit).map_err(|e| vm.host_error(e, None))?;
        Ok(vm.bytes(&bytes))
    }),
    ("write", "fd data /", |vm, args| {
        let (fd, bytes) = (handle(vm, &args[0])?, vm.bytes_of(&args[1])?);
        if matches!(fd, 1 | 2) {
            vm.check_output(bytes.len())?;
        }
        Ok(Value::from_len(vm.host.write(fd, &bytes).map_err(|e| vm.host_error(e, None))?))
    }),
    ("lseek", "fd position whence /", |vm, args| {
        let to = crate::io::whence(vm, vm.index(&args[1])?, vm.index(&args[2])?)?;
        Ok(vm.uint(vm.host.seek(handle(vm, &args[0])?, to).map_err(|e| vm.host_error(e, None))?))
    }),
    ("ftruncate", "fd length /", |vm, args| {
        let size = u64::try_from(vm.index(&args[1])?).unwrap_or(0);
        vm.host.truncate(handle(vm, &args[0])?, size).map_err(|e| vm.host_error(e, None))?;
        Ok(Value::NONE)
    }),
    ("isatty", "fd /", |vm, args| Ok(Value::from_bool(vm.host.is_terminal(handle(vm, &args[0])?)))),
    ("fspath", "path", |vm, args| fspath(vm, &args[0])),
    ("urandom", "size /", |vm, args| {
        let n = vm.index(&args[0])?;
        let n = usize::try_from(n).map_err(|_| vm.value_error("negative argument not allowed"))?;
        vm.check_alloc(n, 1)?;
        let mut all = Vec::new();
        while all.len() < n {
            let part = vm.host.random((n - all.len()).min(1 << 20)).map_err(|e| vm.host_error(e, None))?;
            all.extend(part);
        }
        Ok(vm.bytes(&all))
    }),
    // A program knows no number of its own process, and is the only user that it can see.
    ("getpid", "", |_, _| Ok(Value::from_i32(1))),
    ("cpu_count", "", |_, _| Ok(Value::from_i32(1))),
    ("strerror", "code /", |vm, args| {
        let code = vm.index(&args[0])? as i32;
        let text = std::io::Error::from_raw_os_error(code).to_string();
        Ok(vm.str(text.split(" (os error").next().unwrap_or(&text)))
    }),
    ("get_terminal_size", "fd? /", |vm, _| {
        Err(vm.os_error(&vm.exc.os_error, 25, "Inappropriate ioctl for device", None))
    }),
    // A child process inherits its standard streams, nothing else.
    ("get_inheritable", "fd /", |_, _| Ok(Value::FALSE)),
    ("set_inheritable", "fd inheritable /", |_, _| Ok(Value::NONE)),
    ("register_at_fork", "* before? after_in_child? after_in_parent?", |_, _| Ok(Value::NONE)),
    ("_exit", "status", |vm, args| {
        let made = vm.call_pos(&vm.exc.system_exit, &[args[0].clone()])?;
        Err(Raised(made))
    }),
    ("putenv", "name value /", |_, _| Ok(Value::NONE)),
    ("unsetenv", "name /", |_, _| Ok(Value::NONE)),
    ("system", "command", |vm, _| refuse(vm, "system")),
    ("fork", "", |vm, _| refuse(vm, "fork")),
    ("getppid", "", |_, _| Ok(Value::from_i32(0))),
    ("getuid", "", |_, _| Ok(Value::from_i32(0))),
    ("geteuid", "", |_, _| Ok(Value::from_i32(0))),
    ("getgid", "", |_, _| Ok(Value::from_i32(0))),
    ("getegid", "", |_, _| Ok(Value::from_i32(0))),
    ("umask", "mask /", |_, _| Ok(Value::from_i32(0o022))),
    ("WIFSTOPPED", "status", |vm, args| Ok(Value::from_bool(vm.index(&args[0])? & 0xff == 0x7f))),
    ("WSTOPSIG", "status", |vm, args| Ok(vm.int(vm.index(&args[0])? >> 8 & 0xff))),
    ("WIFEXITED", "status", |vm, args| Ok(Value::from_bool(vm.index(&args[0])? & 0x7f == 0))),
    ("WEXITSTATUS", "status", |vm, args| Ok(vm.int(vm.index(&args[0])? >> 8 & 0xff))),
    ("WIFSIGNALED", "status", |vm, args| {
        let low = vm.index(&args[0])? & 0x7f;
        Ok(Value::from_bool(low != 0 && low != 0x7f))
    }),
    ("WTERMSIG", "status", |vm, args| Ok(vm.int(vm.index(&args[0])? & 0x7f))),
    ("execv", "path argv /", |vm, _| refuse(vm, "execv")),
    ("chmod", "...", |vm, _| refuse(vm, "chmod")),
    ("utime", "...", |vm, _| refuse(vm, "utime")),
    ("symlink", "...", |vm, _| refuse(vm, "symlink")),
    ("link", "...", |vm, _| refuse(vm, "link")),
    ("chdir", "path", |vm, _| refuse(vm, "chdir")),
    ("_path_normpath", "path", |vm, args| {
        let bytes = args[0].get::<Str>().is_none();
        let path = path_text(vm, &args[0])?;
        let text = normal_path(&path);
        Ok(if bytes { vm.bytes(text.as_bytes()) } else { vm.str(&text) })
    }),
];

/// `posixpath.normpath`
fn normal_path(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let start = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if !parts.is_empty() && parts.last() != Some(&"..") => {
                parts.pop();
            }
            ".." if !start.is_empty() => {}
            part => parts.push(part),
        }
    }
    let text = format!("{start}{}", parts.join("/"));
    if text.is_empty() { ".".into() } else { text }
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let all = [FUNCTIONS, crate::process_module::FUNCTIONS].concat();
    let module = vm.native_module_object("posix", &all);
    for (name, value) in CONSTANTS {
        vm.module_set(&module, name, Value::from_i32(*value));
    }
    vm.module_set(&module, "error", vm.exc.os_error.clone());
    vm.module_set(&module, "stat_result", stat_type(vm)?);
    vm.module_set(&module, "DirEntry", entry_type(vm));
    let size = struct_type(vm, "os", "terminal_size", &["columns", "lines"], 2)?;
    vm.module_set(&module, "terminal_size", size);
    let names = ["sysname", "nodename", "release", "version", "machine"];
    let uname = struct_type(vm, "posix", "uname_result", &names, 5)?;
    vm.module_set(&module, "uname_result", uname);
    let environ = vm.dict();
    for (name, value) in vm.host.environment() {
        vm.dict_set(&environ, vm.bytes(name.as_bytes()), vm.bytes(value.as_bytes()))?;
    }
    vm.module_set(&module, "environ", environ);
    vm.module_set(&module, "_have_functions", vm.list(vec![]));
    Ok(module)
}

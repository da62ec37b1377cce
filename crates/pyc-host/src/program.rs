//! Programs appended to an executable, and running the one that this process is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use pyc_runtime::Vm;
use pyc_runtime::vm::CompileFn;

use crate::error::Error;
use crate::host::{Modules, ProgramHost};
use crate::manifest::Manifest;
use crate::pack::Pack;
use crate::start::{STACK_BYTES, finish, on_stack, prepare, run_main};

/// Ends the file: the pack's length, then this.
const TRAILER: &[u8; 8] = b"mynahPYX";
const TRAILER_BYTES: u64 = 16;

/// The executable with the pack behind it.
pub fn attach(stub: &[u8], pack: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(stub.len() + pack.len() + TRAILER_BYTES as usize);
    bytes.extend_from_slice(stub);
    bytes.extend_from_slice(pack);
    bytes.extend_from_slice(&(pack.len() as u64).to_le_bytes());
    bytes.extend_from_slice(TRAILER);
    bytes
}

/// The pack behind an executable, and how long the executable before it is.
///
/// # Errors
/// When the file cannot be read or carries no program.
pub fn find(path: &Path) -> Result<(Pack, u64), Error> {
    let fail = |what: String| Error::new(format!("'{}' {what}", path.display()));
    let file = File::open(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let size = file.metadata().map_err(|e| fail(format!("cannot be read: {e}")))?.len();
    let mut trailer = [0; TRAILER_BYTES as usize];
    let none = || fail("carries no Python program; `mynah py build` makes such files".into());
    let at = size.checked_sub(TRAILER_BYTES).ok_or_else(none)?;
    file.read_exact_at(&mut trailer, at).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let (length, magic) = trailer.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    if magic != TRAILER {
        return Err(none());
    }
    let start = at.checked_sub(length).ok_or_else(|| fail("carries a program that is cut off".into()))?;
    Ok((Pack::from_file(file, start, length)?, start))
}

/// Runs the program that is appended to this process's executable, and ends the process with its exit code.
///
/// # Errors
/// When there is none, or it is damaged.
pub fn run_self(compiler: Option<CompileFn>) -> Result<std::convert::Infallible, Error> {
    // The system's own name for it: the file may have been renamed, or reached through a link.
    let system = Path::new("/proc/self/exe");
    let path = if system.exists() {
        system.to_path_buf()
    } else {
        std::env::current_exe().map_err(|e| Error::new(format!("cannot find this program's file: {e}")))?
    };
    let (pack, _) = find(&path)?;
    let manifest = Manifest::parse(pack.manifest())?;
    let capabilities = manifest.capabilities()?;
    let arguments: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    on_stack(move || {
        let pack: Arc<Pack> = Arc::new(pack);
        let host = ProgramHost::new(capabilities, Vec::new(), pack.clone() as Arc<dyn Modules>);
        let vm = prepare(Box::new(host), manifest.limits(), STACK_BYTES - (4 << 20), compiler);
        let entered = vm.enter();
        let exit = execute(&vm, &pack, &manifest, &arguments)?;
        drop(entered);
        vm.leave();
        // Nothing is left to do that the end of the process does not do quicker.
        std::process::exit(i32::from(exit))
    })?
}

/// Runs a pack as [`run_self`] does, and gives exit code, stdout and stderr; for tests and comparisons.
///
/// # Errors
/// When the pack is damaged.
pub fn run_pack(pack: Pack, compiler: Option<CompileFn>) -> Result<(u8, String, String), Error> {
    let manifest = Manifest::parse(pack.manifest())?;
    let capabilities = manifest.capabilities()?;
    on_stack(move || {
        let pack: Arc<Pack> = Arc::new(pack);
        let mut host = ProgramHost::new(capabilities, Vec::new(), pack.clone() as Arc<dyn Modules>);
        let sinks = host.capture();
        let vm = prepare(Box::new(host), manifest.limits(), STACK_BYTES - (4 << 20), compiler);
        let exit = {
            let _entered = vm.enter();
            execute(&vm, &pack, &manifest, std::slice::from_ref(&manifest.filename))?
        };
        let [out, errors] = sinks.map(|sink| String::from_utf8_lossy(&sink.take()).into_owned());
        Ok((exit, out, errors))
    })?
}

/// Runs the main module to its end; the exit code.
fn execute(vm: &Vm, pack: &Pack, manifest: &Manifest, arguments: &[String]) -> Result<u8, Error> {
    let main = pack.entry("__main__").ok_or_else(|| Error::new("the packed program has no main module"))?;
    let code = pack.code(main)?;
    if let Some((of, section)) = pack.machine(main)? {
        vm.load_machine_code(&code, of, &section).map_err(|e| Error::new(e.to_string()))?;
    }
    let result = vm.import("sys").and_then(|_| {
        pyc_stdlib::set_arguments(vm, arguments, &[]);
        run_main(vm, &code, &manifest.filename)
    });
    Ok(finish(vm, result))
}

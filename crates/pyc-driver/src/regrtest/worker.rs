//! The process in which one module's tests run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyc_host::{Capabilities, Error, Modules, ProgramHost, STACK_BYTES, finish, on_stack, prepare};
use pyc_runtime::host::{Limits, ModuleBody, ModuleSource};

use crate::compile::compile;
use crate::library::Library;

/// What runs the tests and reports.
const RUNNER: &str = include_str!("runner.py");
const RUNNER_NAME: &str = "<regrtest>";

/// Modules that tests import beside the library: stand-ins for the C modules in which CPython tests its C interface.
const STAND_INS: &[(&str, &str)] = &[
    ("_testinternalcapi", include_str!("testinternalcapi.py")),
    ("_testlimitedcapi", include_str!("testlimitedcapi.py")),
];

/// The library, and the package `test` of a CPython.
struct WithTests {
    tests: PathBuf,
}

impl Modules for WithTests {
    fn find(&self, name: &str) -> Option<ModuleSource> {
        if name == "test" {
            let file = self.tests.join("__init__.py");
            return Some(ModuleSource {
                body: ModuleBody::Text(std::fs::read_to_string(&file).ok()?),
                filename: file.display().to_string(),
                package: Some(self.tests.display().to_string()),
            });
        }
        if let Some((_, text)) = STAND_INS.iter().find(|(own, _)| *own == name) {
            return Some(ModuleSource {
                body: ModuleBody::Text((*text).to_string()),
                filename: format!("<library>/{name}.py"),
                package: None,
            });
        }
        Library.find(name)
    }

    fn text(&self, filename: &str) -> Option<String> {
        Library.text(filename)
    }
}

/// Runs the tests of a module in this process: the module, the folder of tests, the file that names the tests to leave
/// out (in a folder that may be written), and the memory in bytes. Gives the exit code.
///
/// # Errors
/// When arguments are missing, or the interpreter fails inside.
pub fn run_worker(arguments: &[String]) -> Result<u8, Error> {
    let [module, tests, done, memory] = arguments else {
        return Err(Error::new("a regrtest worker takes four arguments"));
    };
    let folder = Path::new(done).parent().map_or_else(String::new, |p| p.display().to_string());
    let mut capabilities = Capabilities::default();
    capabilities.grant(&format!("fs.read={tests},fs.write={folder},clock,random"))?;
    let mut limits = Limits::default();
    limits.memory_bytes = memory.parse().ok();
    let modules = Arc::new(WithTests { tests: PathBuf::from(tests) });
    let argv: Vec<String> = [RUNNER_NAME, module, done].iter().map(ToString::to_string).collect();
    on_stack(move || {
        let host = ProgramHost::new(capabilities, Vec::new(), modules);
        let vm = prepare(Box::new(host), limits, STACK_BYTES - (4 << 20), Some(compile));
        let _entered = vm.enter();
        let result = vm.import("sys").map(drop).and_then(|()| {
            pyc_stdlib::set_arguments(&vm, &argv, &[]);
            crate::run::run_text(&vm, RUNNER, RUNNER_NAME)
        });
        finish(&vm, result)
    })
}

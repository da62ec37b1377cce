//! One test file, and one instance for each of its tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyc_front::Mode;
use pyc_host::{Error, Modules, ProgramHost, STACK_BYTES, on_stack, prepare};
use pyc_ir::Code;
use pyc_runtime::host::{Limits, ModuleBody, ModuleSource};
use pyc_runtime::module::ModuleData;
use pyc_runtime::{PyResult, Raised, Value, Vm};

use super::TestOptions;
use super::report::{Outcome, Report};
use crate::compile::{compile, lower};
use crate::library::Library;
use crate::read_source;

const RUNNER: &str = include_str!("runner.py");
const PYTEST: &str = include_str!("pytest.py");
const RUNNER_FILE: &str = "<test runner>";

/// The library and `pytest`.
struct TestModules;

impl Modules for TestModules {
    fn find(&self, name: &str) -> Option<ModuleSource> {
        if name == "pytest" {
            let (body, filename) = (ModuleBody::Text(PYTEST.into()), "<pytest>".to_string());
            return Some(ModuleSource { body, filename, package: None });
        }
        Library.find(name)
    }

    fn text(&self, filename: &str) -> Option<String> {
        Library.text(filename)
    }
}

/// A module to load: name, file, original text, code.
#[derive(Clone)]
struct Loaded {
    name: String,
    file: String,
    text: Arc<str>,
    code: Arc<Code>,
}

/// A test file, compiled, with the `conftest.py` files above it.
pub(super) struct TestFile {
    file: String,
    /// The outermost conftest first, the test file last.
    modules: Vec<Loaded>,
    runner: Arc<Code>,
    search: Vec<PathBuf>,
    options: TestOptions,
}

impl TestFile {
    /// Compiles a file.
    pub(super) fn load(path: &Path, options: &TestOptions) -> Result<TestFile, Box<Report>> {
        let failed = |message: String| {
            Box::new(Report {
                file: path.display().to_string(),
                test: String::new(),
                outcome: Outcome::Error,
                seconds: 0.0,
                message,
                traceback: String::new(),
                output: String::new(),
            })
        };
        let path = path.canonicalize().map_err(|e| failed(format!("cannot be read: {e}")))?;
        let mut modules = Vec::new();
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        // As far up as packages and conftest files go, and not beyond the folder that the command was started in.
        let start = std::env::current_dir().and_then(|c| c.canonicalize()).unwrap_or_default();
        let above = folder.ancestors().take_while(|f| *f == folder || f.starts_with(&start));
        let mut folders: Vec<PathBuf> = above.map(Path::to_path_buf).collect();
        folders.reverse();
        for (at, folder) in folders.iter().enumerate() {
            let file = folder.join("conftest.py");
            if file.is_file() {
                modules.push(load(&file, format!("conftest_{at}")).map_err(|e| failed(e.to_string()))?);
            }
        }
        let name = path.file_stem().map_or("test".into(), |s| s.to_string_lossy().into_owned());
        modules.push(load(&path, name).map_err(|e| failed(e.to_string()))?);
        let runner = lower(RUNNER, RUNNER_FILE, Mode::Module).map_err(|e| failed(e.to_string()))?;
        let mut search = vec![folder];
        if !search.contains(&start) {
            search.push(start);
        }
        let mut options = options.clone();
        // Tests read their data beside them.
        options.capabilities.read.extend(search.iter().cloned());
        // unittest takes the time of every test.
        options.capabilities.clock = true;
        Ok(TestFile { file: path.display().to_string(), modules, runner, search, options })
    }

    /// Names of the tests.
    pub(super) fn collect(&self) -> Result<Vec<String>, Box<Report>> {
        let answer = self.instance(None, |vm, collected| {
            vm.to_vec(&collected[1])?.iter().map(|name| vm.str_text(name)).collect::<PyResult<Vec<String>>>()
        });
        match answer {
            Ok((Ok(names), _)) => Ok(names),
            Ok((Err(report), output)) => Err(Box::new(Report { output, ..*report })),
            Err(error) => Err(Box::new(self.report(Outcome::Error, error.to_string()))),
        }
    }

    /// Runs one test.
    pub(super) fn run(&self, name: &str) -> Result<Report, Error> {
        let folder =
            tempfile::tempdir().map_err(|e| Error::new(format!("cannot make a temporary folder: {e}")))?;
        let path = folder.path().display().to_string();
        let wanted = name.to_string();
        let (answer, output) = self.instance(Some(folder.path()), move |vm, collected| {
            let [collected, _, run] = collected else { return Err(vm.type_error("the runner is damaged")) };
            let told = vm.call_pos(run, &[collected.clone(), vm.str(&wanted), vm.str(&path)])?;
            let told = vm.to_vec(&told)?;
            let [outcome, message, error] = &told[..] else {
                return Err(vm.type_error("the runner is damaged"));
            };
            let traceback =
                if error.is_none() { String::new() } else { own_part(&vm.format_exception(error)) };
            Ok((vm.str_text(outcome)?, vm.str_text(message)?, traceback))
        })?;
        let mut report = match answer {
            Ok((outcome, message, traceback)) => {
                Report { traceback, ..self.report(Outcome::from_word(&outcome), message) }
            }
            Err(report) => *report,
        };
        report.test = name.to_string();
        report.output = output;
        Ok(report)
    }

    fn report(&self, outcome: Outcome, message: String) -> Report {
        Report {
            file: self.file.clone(),
            test: String::new(),
            outcome,
            seconds: 0.0,
            message,
            traceback: String::new(),
            output: String::new(),
        }
    }

    /// Makes an instance with the runner and the modules, and gives `body` the collected module, its tests' names and
    /// the runner's `run`. Gives what `body` gives, or a report of what went wrong in the instance, and what was written.
    fn instance<T: Send + 'static>(
        &self,
        folder: Option<&Path>,
        body: impl FnOnce(&Vm, &[Value]) -> PyResult<T> + Send + 'static,
    ) -> Result<(Result<T, Box<Report>>, String), Error> {
        let (modules, runner, search) = (self.modules.clone(), self.runner.clone(), self.search.clone());
        let mut capabilities = self.options.capabilities.clone();
        capabilities.write.extend(folder.and_then(|f| f.canonicalize().ok()));
        let mut limits = Limits::default();
        limits.time = self.options.time;
        limits.memory_bytes = self.options.memory_bytes;
        limits.steps = self.options.steps;
        let blank = self.report(Outcome::Error, String::new());
        on_stack(move || {
            let mut host = ProgramHost::new(capabilities, search.clone(), Arc::new(TestModules));
            let sinks = host.capture();
            let vm = prepare(Box::new(host), limits, STACK_BYTES - (4 << 20), Some(compile));
            let entered = vm.enter();
            let path: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
            let answer = start(&vm, &modules, &runner, &path).and_then(|found| body(&vm, &found));
            let answer = answer.map_err(|error| failure(&vm, &error, blank));
            pyc_stdlib::flush_standard(&vm);
            drop(entered);
            drop(vm);
            let written: Vec<u8> = sinks.iter().flat_map(|s| s.take()).collect();
            (answer, String::from_utf8_lossy(&written).into_owned())
        })
    }
}

/// Compiles a module of tests, with asserts that show their values.
fn load(path: &Path, name: String) -> Result<Loaded, Error> {
    let text = read_source(path)?;
    let file = path.display().to_string();
    let shown = pyc_front::show_asserts(&text, &file).map_err(|e| Error::new(e.to_string()))?;
    let code = lower(&shown, &file, Mode::Module).map_err(|e| Error::new(e.to_string()))?;
    Ok(Loaded { name, file, text: text.into(), code })
}

fn run_module(vm: &Vm, name: &str, file: &str, code: &Arc<Code>) -> PyResult {
    let module = vm.new_module(name);
    vm.module_set(&module, "__file__", vm.str(file));
    vm.module_set(&module, "__builtins__", vm.loaded_module("builtins").unwrap_or(Value::NONE));
    vm.dict_set(&vm.modules, vm.intern(name), module.clone())?;
    let globals = module.get::<ModuleData>().map_or(Value::NONE, |d| d.dict.clone());
    let code = vm.code(code.clone());
    (vm.engine().run)(vm, &code, &globals, &globals, &[])?;
    Ok(module)
}

fn start(vm: &Vm, modules: &[Loaded], runner: &Arc<Code>, path: &[String]) -> PyResult<Vec<Value>> {
    vm.import("sys")?;
    let file = modules.last().map_or("", |m| m.file.as_str());
    pyc_stdlib::set_arguments(vm, &[file.to_string()], path);
    let runner = run_module(vm, "__runner__", RUNNER_FILE, runner)?;
    vm.set_builtin("_show_", vm.get_attr_str(&runner, "_show_")?);
    let mut loaded = Vec::new();
    for module in modules {
        vm.remember_source(&module.file, &module.text);
        loaded.push(run_module(vm, &module.name, &module.file, &module.code)?);
    }
    let Some(test) = loaded.pop() else { return Ok(Vec::new()) };
    let collected = vm.call_pos(&vm.get_attr_str(&runner, "collect")?, &[test, vm.list(loaded)])?;
    let mut found = vm.to_vec(&collected)?;
    found.push(vm.get_attr_str(&runner, "run")?);
    Ok(found)
}

fn failure(vm: &Vm, error: &Raised, blank: Report) -> Box<Report> {
    if let Some(limit) = vm.limits.hit.borrow().clone() {
        return Box::new(Report { outcome: Outcome::Limit, message: limit, ..blank });
    }
    let text = vm.format_exception(&error.0);
    let message = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default().to_string();
    // `pytest.skip(…, allow_module_level=True)`.
    let skipped = &*vm.type_name(&error.0) == "_Skipped";
    let outcome = if skipped { Outcome::Skipped } else { Outcome::Error };
    let traceback = if skipped { String::new() } else { own_part(&text) };
    Box::new(Report { outcome, message, traceback, ..blank })
}

/// A traceback without the runner's frames.
fn own_part(text: &str) -> String {
    let mut out = String::new();
    let mut hidden = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with("  File ") {
            hidden = line.contains(RUNNER_FILE) || line.contains("\"<pytest>\"");
        } else if !line.starts_with("   ") {
            hidden = false;
        }
        if !hidden {
            out.push_str(line);
        }
    }
    out
}

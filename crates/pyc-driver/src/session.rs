//! An interactive session: statements run one after the other in one instance.

use std::path::PathBuf;
use std::sync::Arc;

use pyc_front::{Mode, SyntaxError};
use pyc_host::{ProgramHost, STACK_BYTES, main_module, prepare};
use pyc_runtime::module::ModuleData;
use pyc_runtime::{PyResult, Value, Vm};

use crate::compile::{compile, lower, syntax_error};
use crate::library::Library;
use crate::run::Options;

/// What became of the lines so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// They are the beginning of a statement.
    More,
    /// They were run, or are wrong and were shown to be.
    Done,
    /// The program ended the session with this code.
    Exit(u8),
}

/// A session; it must be used where there is a stack of [`pyc_host::STACK_BYTES`], see [`pyc_host::on_stack`].
pub struct Session {
    vm: Vm,
    globals: Value,
    pending: String,
}

const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

impl Session {
    /// A session with these capabilities and limits.
    pub fn new(options: Options) -> Session {
        let host = ProgramHost::new(options.capabilities, vec![PathBuf::from(".")], Arc::new(Library));
        let vm = prepare(Box::new(host), options.limits, STACK_BYTES - (4 << 20), Some(compile));
        crate::tier::install(&vm, options.tier);
        let mut session = Session { vm, globals: Value::NONE, pending: String::new() };
        let vm = &session.vm;
        let _entered = vm.enter();
        let start = || -> PyResult {
            vm.import("sys")?;
            pyc_stdlib::set_arguments(vm, &[String::new()], &[".".to_string()]);
            let module = main_module(vm, "<string>")?;
            Ok(module.get::<ModuleData>().map_or(Value::NONE, |d| d.dict.clone()))
        };
        match start() {
            Ok(globals) => session.globals = globals,
            Err(error) => vm.write_stderr(&vm.format_exception(&error.0)),
        }
        drop(_entered);
        session
    }

    /// Adds a line; runs what is complete.
    pub fn push(&mut self, line: &str) -> Pushed {
        if self.pending.is_empty() && line.trim().is_empty() {
            return Pushed::Done;
        }
        self.pending.push_str(line);
        self.pending.push('\n');
        let vm = &self.vm;
        let _entered = vm.enter();
        let code = match lower(&self.pending, "<stdin>", Mode::Interactive) {
            Ok(code) => {
                // A compound statement goes on until an empty line.
                if is_block(&self.pending) && !line.trim().is_empty() {
                    return Pushed::More;
                }
                code
            }
            Err(error) => {
                if !line.trim().is_empty() && is_beginning(&self.pending, &error)
                    || line.trim().is_empty() && is_open(&error.message)
                {
                    return Pushed::More;
                }
                vm.remember_source("<stdin>", &self.pending);
                self.pending.clear();
                let raised = syntax_error(vm, &error);
                vm.write_stderr(&vm.format_exception(&raised.0));
                pyc_stdlib::flush_standard(vm);
                return Pushed::Done;
            }
        };
        vm.remember_source("<stdin>", &self.pending);
        self.pending.clear();
        let code = vm.code(code);
        let result = (vm.engine().run)(vm, &code, &self.globals, &self.globals, &[]);
        let limit = vm.limits.hit.borrow().is_some();
        let ending = match result {
            Ok(_) => Pushed::Done,
            Err(error) if limit || vm.is_exception(&error, &vm.exc.system_exit) => {
                return Pushed::Exit(pyc_host::finish(vm, Err(error)));
            }
            Err(error) => {
                let text = vm.format_exception(&error.0);
                vm.write_stderr(&text);
                Pushed::Done
            }
        };
        pyc_stdlib::flush_standard(vm);
        ending
    }

    /// Forgets the beginning of a statement.
    pub fn reset(&mut self) {
        self.pending.clear();
    }

    /// Ends the session as the end of a program does.
    pub fn end(self) -> u8 {
        let _entered = self.vm.enter();
        pyc_host::finish(&self.vm, Ok(()))
    }

    /// Where the last word of a line begins, and what it could be: names, or attributes of a dotted name. Nothing is
    /// called to find out.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.'))
            .last()
            .map_or(line.len(), |(at, _)| at);
        let word = &line[start..];
        let vm = &self.vm;
        let _entered = vm.enter();
        let keys = |dict: &Value| -> Vec<String> {
            let keys = vm.to_vec(dict).unwrap_or_default();
            keys.iter().filter_map(|k| vm.str_text(k).ok()).collect()
        };
        let (at, prefix, mut names) = match word.rsplit_once('.') {
            Some((owner, prefix)) => {
                let names = self.attributes(owner).unwrap_or_default();
                (start + owner.len() + 1, prefix, names)
            }
            None => {
                let mut names = keys(&self.globals);
                names.extend(keys(&vm.builtins));
                names.extend(KEYWORDS.iter().map(|k| k.to_string()));
                (start, word, names)
            }
        };
        names.retain(|n| n.starts_with(prefix) && (prefix.starts_with('_') || !n.starts_with('_')));
        names.sort();
        names.dedup();
        (at, names)
    }

    fn attributes(&self, owner: &str) -> Option<Vec<String>> {
        let vm = &self.vm;
        let mut parts = owner.split('.');
        let first = vm.intern(parts.next()?);
        let mut value =
            vm.dict_get_name(&self.globals, &first).or_else(|| vm.dict_get_name(&vm.builtins, &first))?;
        for part in parts {
            value = vm.get_attr_str(&value, part).ok()?;
        }
        let names = vm.call_pos(&vm.get_builtin("dir"), &[value]).ok()?;
        Some(vm.to_vec(&names).ok()?.iter().filter_map(|n| vm.str_text(n).ok()).collect())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _entered = self.vm.enter();
        self.globals = Value::NONE;
    }
}

/// Whether a complete text is a statement with a block, which more lines may belong to.
fn is_block(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest = lines.next().is_some();
    let word = first.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let opens = matches!(
        word,
        "if" | "for" | "while" | "def" | "class" | "try" | "with" | "async" | "match" | "type"
    ) && first.trim_end().ends_with(':');
    let one_line = matches!(word, "if" | "for" | "while" | "def" | "class" | "with" | "async" | "try")
        && first.contains(':')
        && !rest;
    opens || first.starts_with('@') || one_line
}

/// Whether a wrong text may become right by more lines of any kind.
fn is_open(message: &str) -> bool {
    message.contains("was never closed") || message.contains("unterminated triple-quoted")
}

/// Whether a wrong text may become right by more lines: it is open, or it is a block that is wrong at its end.
fn is_beginning(text: &str, error: &SyntaxError) -> bool {
    let at_end = error.line as usize >= text.lines().count();
    is_open(&error.message) || at_end && is_block(text) || text.trim_end_matches('\n').ends_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use pyc_host::{Capabilities, on_stack};

    /// What each line led to: m(ore), d(one) or an exit code.
    fn check(lines: &[&str], expect: &str) {
        let lines: Vec<String> = lines.iter().map(|l| l.to_string()).collect();
        let told = on_stack(move || {
            let mut session =
                Session::new(Options { capabilities: Capabilities::default(), ..Options::default() });
            let told: Vec<String> = lines
                .iter()
                .map(|line| match session.push(line) {
                    Pushed::More => "m".to_string(),
                    Pushed::Done => "d".to_string(),
                    Pushed::Exit(code) => code.to_string(),
                })
                .collect();
            told.concat()
        });
        assert_eq!(told.unwrap(), expect);
    }

    #[test]
    fn lines_are_gathered_into_statements() {
        check(&["x = 1", "x"], "dd");
        check(&["def f():", "    return 1", "", "f()"], "mmdd");
        check(&["if 1: y = 2", "", "y"], "mdd");
        check(&["a = [1,", "2]", "a"], "mdd");
        check(&["s = '''a", "", "b'''"], "mmd");
        check(&["try:", "    1/0", "except ZeroDivisionError:", "    pass", "", "1 +", "1"], "mmmmddd");
        check(&["@staticmethod", "def g():", "    pass", ""], "mmmd");
        check(&["1/0", "import sys", "sys.exit(3)"], "dd3");
    }

    #[test]
    fn names_and_attributes_are_completed() {
        let told = on_stack(|| {
            let mut session = Session::new(Options::default());
            session.push("import math");
            session.push("value_of_mine = 1");
            (session.complete("print(val"), session.complete("x = math.flo"), session.complete("nothing.x"))
        });
        let (names, attributes, nothing) = told.unwrap();
        assert_eq!(names, (6, vec!["value_of_mine".to_string()]));
        assert_eq!(attributes, (9, vec!["floor".to_string()]));
        assert!(nothing.1.is_empty());
    }
}

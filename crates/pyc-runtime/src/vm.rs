//! One Python instance: its types, names, modules, limits, and the seams to the interpreter and the host.

#![allow(clippy::type_complexity, reason = "function pointers that cross crates are spelled out")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::exceptions::Exceptions;
use crate::frame::FrameRecord;
use crate::function::FunctionData;
use crate::host::{Host, Limits};
use crate::names::Names;
use crate::object::{Unowned, Value};
use crate::registry::Types;
use crate::str::Str;

/// An exception on its way up.
pub struct Raised(pub Value);

impl std::fmt::Debug for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Raised({:?})", self.0)
    }
}

/// What everything that can raise gives.
pub type PyResult<T = Value> = Result<T, Raised>;

/// Entries of the method cache, powers of two: at first, and once so many lookups have missed.
pub(crate) const METHOD_CACHE: (usize, usize) = (256, 4096);

/// One remembered lookup; an empty value: there is no such attribute.
#[derive(Clone, Copy)]
pub struct CacheEntry {
    pub(crate) version: u32,
    pub(crate) name: u64,
    pub(crate) value: Unowned,
}

impl CacheEntry {
    /// Nothing: no type has this version.
    pub(crate) const EMPTY: CacheEntry = CacheEntry { version: 0, name: 0, value: Unowned::UNBOUND };
}

/// What the interpreter gives the runtime.
#[derive(Clone, Copy)]
pub struct Engine {
    /// Runs a Python function with `this`, if any, before the arguments.
    pub call: fn(&Vm, data: &FunctionData, this: Option<&Value>, args: Args) -> PyResult,
    /// Resumes a generator with a value or an exception; `None` when it returned (the value is in `Raised` form
    /// of StopIteration only at the caller's side).
    pub resume: fn(&Vm, generator: &Value, sent: Result<Value, Raised>) -> PyResult<Resumed>,
    /// Runs one op of a machine frame and gives the next op's place.
    pub step: fn(&Vm, frame: &StepFrame, pc: u32) -> PyResult<u32>,
    /// Calls what stands in a window: callee, self or nothing (when the flag says so), arguments. They may be moved.
    pub call_window: fn(&Vm, window: crate::registers::Window, count: usize, method: bool) -> PyResult,
    /// As `call_window`; the last arguments have names.
    pub call_names:
        fn(&Vm, window: crate::registers::Window, count: usize, method: bool, names: &[Value]) -> PyResult,
    /// Runs code in a namespace: module and class bodies, `exec`, `eval`.
    pub run: fn(&Vm, code: &Value, globals: &Value, locals: &Value, closure: &[Value]) -> PyResult,
}

/// What one op is run with.
pub struct StepFrame<'a> {
    /// The code object.
    pub code: &'a Value,
    /// Its globals.
    pub globals: &'a Value,
    /// Its builtins.
    pub builtins: &'a Value,
    /// Where the registers are that the op names.
    pub window: crate::registers::Window,
}

/// How a generator's step ended.
pub enum Resumed {
    /// It yielded.
    Yielded(Value),
    /// It returned.
    Returned(Value),
}

/// Compiles source text: what the driver gives the runtime.
pub type CompileFn = fn(&Vm, source: &str, filename: &str, mode: &str, flags: u32) -> PyResult;

/// Arguments of a call: all values, positional first; `names` are the names of the last ones.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    /// Positional values, then keyword values.
    pub all: &'a [Value],
    /// Names (strings) of the last values.
    pub names: &'a [Value],
}

impl<'a> Args<'a> {
    /// Positional arguments only.
    #[inline]
    pub fn pos(all: &'a [Value]) -> Args<'a> {
        Args { all, names: &[] }
    }
    /// The positional ones.
    #[inline]
    pub fn positional(&self) -> &'a [Value] {
        &self.all[..self.all.len() - self.names.len()]
    }
    /// The named ones.
    pub fn keywords(&self) -> impl Iterator<Item = (&'a Value, &'a Value)> {
        self.names.iter().zip(&self.all[self.all.len() - self.names.len()..])
    }
    /// The argument at a place, when given and not empty.
    #[inline]
    pub fn opt(&self, index: usize) -> Option<&'a Value> {
        self.all.get(index).filter(|v| !v.is_unbound())
    }
    /// The argument at a place; only for those that the parameters promise.
    #[inline]
    pub fn at(&self, index: usize) -> &'a Value {
        &self.all[index]
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = Value;
    fn index(&self, index: usize) -> &Value {
        &self.all[index]
    }
}

/// One isolated Python.
pub struct Vm {
    /// Builtin types.
    pub types: Types,
    /// Interned names that the runtime uses.
    pub names: Names,
    /// Exception types.
    pub exc: Exceptions,
    pub(crate) chars: Vec<Value>,
    pub(crate) interned: RefCell<crate::dict::Dict>,
    pub(crate) method_cache: RefCell<Vec<CacheEntry>>,
    /// Lookups that [`Vm::method_cache`] did not know.
    pub(crate) method_misses: Cell<u32>,
    /// The namespace of `builtins`.
    pub builtins: Value,
    /// `sys.modules`
    pub modules: Value,
    /// The namespace of `sys`.
    pub sys: RefCell<Value>,
    /// The exception being handled (None: none).
    pub handled: RefCell<Value>,
    /// Registers of running frames.
    pub stack: crate::registers::Stack,
    /// The op that the innermost frame is running.
    pub pc: Cell<u32>,
    /// Machine code's part.
    pub native: crate::native::NativeState,
    /// Running Python frames; machine frames as of [`Vm::sync_frames`].
    pub frames: RefCell<Vec<FrameRecord>>,
    /// `sys.setrecursionlimit`
    pub recursion_limit: Cell<usize>,
    /// Set when a limit was hit: no handler catches what is under way.
    pub terminating: Cell<bool>,
    /// Steps until limits are looked at again.
    pub countdown: Cell<i64>,
    /// Limits and what they count.
    pub limits: Limits,
    /// What the program may do outside.
    pub host: Box<dyn Host>,
    pub(crate) engine: Cell<Option<Engine>>,
    pub(crate) compiler: Cell<Option<CompileFn>>,
    pub(crate) native_modules: RefCell<HashMap<&'static str, fn(&Vm) -> PyResult>>,
    pub(crate) weak: RefCell<HashMap<u64, Vec<Value>>>,
    pub(crate) repr_guard: RefCell<Vec<u64>>,
    pub(crate) state: RefCell<HashMap<&'static str, Rc<dyn std::any::Any>>>,
    pub(crate) stack_base: Cell<usize>,
    /// `sys.set_int_max_str_digits`; 0: unbounded.
    pub int_digits_max: Cell<usize>,
    /// Native stack that Python code may use, in bytes.
    pub stack_bytes: Cell<usize>,
    /// Called for errors that cannot be raised (`__del__`).
    pub async_hooks: RefCell<(Value, Value)>,
}

thread_local! {
    static CURRENT: Cell<*const Vm> = const { Cell::new(std::ptr::null()) };
}

/// Makes a VM the one that finalizers of this thread run in, for as long as the guard lives.
pub struct Entered<'a> {
    before: *const Vm,
    _vm: std::marker::PhantomData<&'a Vm>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.with(|c| c.set(self.before));
    }
}

#[allow(unsafe_code)]
fn with_current(f: impl FnOnce(&Vm)) {
    let vm = CURRENT.with(Cell::get);
    if !vm.is_null() {
        // SAFETY: set by `enter`, whose guard borrows the VM's lifetime on the stack below us and resets it.
        f(unsafe { &*vm });
    }
}

/// Runs `__del__` of an object that is going away.
pub(crate) fn finalize(value: &Value) {
    with_current(|vm| {
        if vm.terminating.get() {
            return;
        }
        if let Some(method) = vm.special(value, &vm.names.__del__) {
            let handled = vm.handled.replace(Value::NONE);
            if let Err(error) = vm.call_with_self(&method, value, &[]) {
                vm.unraisable(error, "Exception ignored in: ", Some(&method));
            }
            drop(vm.handled.replace(handled));
        }
    });
}

/// Empties weak references to an object that is going away and calls their callbacks.
pub(crate) fn clear_weak_references(value: &Value) {
    with_current(|vm| crate::weakref::clear(vm, value));
}

impl Vm {
    /// Makes this VM the current one of the thread.
    pub fn enter(&self) -> Entered<'_> {
        let here = 0u8;
        if self.stack_base.get() == 0 {
            let base = std::ptr::from_ref(&here) as usize;
            self.stack_base.set(base);
            self.native.stack_limit.set(base.saturating_sub(self.stack_bytes.get()));
        }
        Entered {
            before: CURRENT.with(|c| c.replace(std::ptr::from_ref(self))),
            _vm: std::marker::PhantomData,
        }
    }

    /// Connects the interpreter.
    pub fn set_engine(&self, engine: Engine) {
        self.engine.set(Some(engine));
    }

    /// The interpreter.
    pub fn engine(&self) -> Engine {
        self.engine.get().expect("an engine is connected before anything runs")
    }

    /// Connects the compiler for `compile`, `exec`, `eval` and imports.
    pub fn set_compiler(&self, compiler: CompileFn) {
        self.compiler.set(Some(compiler));
    }

    /// Compiles a text to a code object.
    ///
    /// # Errors
    /// SyntaxError.
    pub fn compile(&self, source: &str, filename: &str, mode: &str, flags: u32) -> PyResult {
        match self.compiler.get() {
            Some(compile) => compile(self, source, filename, mode, flags),
            None => Err(self.raise(&self.exc.runtime_error, "this program was built without the compiler")),
        }
    }

    /// Makes a native module known: `init` gives the module object.
    pub fn register_module(&self, name: &'static str, init: fn(&Vm) -> PyResult) {
        self.native_modules.borrow_mut().insert(name, init);
    }

    /// The native module's initializer.
    pub fn native_module(&self, name: &str) -> Option<fn(&Vm) -> PyResult> {
        self.native_modules.borrow().get(name).copied()
    }

    /// Names of all native modules.
    pub fn native_module_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.native_modules.borrow().keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// State that a native module keeps with this instance, made on first use.
    pub fn state<T: std::any::Any>(&self, key: &'static str, make: impl FnOnce() -> T) -> Rc<T> {
        if let Some(found) = self.state.borrow().get(key).cloned()
            && let Ok(found) = found.downcast::<T>()
        {
            return found;
        }
        let made = Rc::new(make());
        self.state.borrow_mut().insert(key, made.clone());
        made
    }

    /// Counts a step; now and then looks at the limits.
    ///
    /// # Errors
    /// When a limit is hit; nothing catches that.
    #[inline(always)]
    pub fn tick(&self) -> PyResult<()> {
        let left = self.countdown.get() - 1;
        self.countdown.set(left);
        if left <= 0 { self.check_limits() } else { Ok(()) }
    }

    /// Whether the native stack has room for another level.
    ///
    /// # Errors
    /// RecursionError.
    #[inline]
    pub fn check_stack(&self) -> PyResult<()> {
        let here = 0u8;
        let used = self.stack_base.get().wrapping_sub(std::ptr::from_ref(&here) as usize);
        // Above the base (another thread's stack, or the caller of `enter`) counts as empty.
        if used > self.stack_bytes.get() && used < usize::MAX / 2 {
            return Err(self.raise(&self.exc.recursion_error, "maximum recursion depth exceeded"));
        }
        Ok(())
    }

    /// Remembers that an object's repr is being made; false when it already was.
    pub fn repr_enter(&self, value: &Value) -> bool {
        let mut guard = self.repr_guard.borrow_mut();
        if guard.contains(&value.bits()) {
            return false;
        }
        guard.push(value.bits());
        true
    }

    /// Ends `repr_enter`.
    pub fn repr_leave(&self) {
        self.repr_guard.borrow_mut().pop();
    }

    /// The text of a string argument.
    ///
    /// # Errors
    /// TypeError when it is no string.
    pub fn expect_str<'a>(&self, value: &'a Value, what: &str) -> PyResult<&'a Str> {
        value
            .get::<Str>()
            .ok_or_else(|| self.type_error(format!("{what} must be str, not {}", self.type_name(value))))
    }
}

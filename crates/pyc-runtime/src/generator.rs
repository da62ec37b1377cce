//! Generators, coroutines and asynchronous generators: frames on the heap.

use std::cell::{Cell, RefCell};

use crate::args::Method;
use crate::object::{Payload, Value, new_object};
use crate::vm::{Args, PyResult, Raised, Resumed, Vm};

/// A suspended frame.
pub struct GeneratorFrame {
    /// Its registers.
    pub registers: Box<[Value]>,
    /// The op to go on with (the one after the yield); 0 before the start.
    pub pc: u32,
    /// Where the sent value goes.
    pub sent_register: u16,
    /// It has started.
    pub started: bool,
    /// Register of the iterator that `yield from` or `await` is waiting for.
    pub delegate: u16,
    /// The function that it came from.
    pub function: Value,
    /// Globals and builtins.
    pub globals: Value,
    /// Builtins.
    pub builtins: Value,
    /// The exception that was being handled inside when it was suspended.
    pub handled: Value,
}

/// What kind of generator it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeneratorKind {
    /// `def` with `yield`.
    Generator,
    /// `async def`.
    Coroutine,
    /// `async def` with `yield`.
    Async,
}

/// The payload of all three.
pub struct GeneratorData {
    /// The frame; nothing once it has ended.
    pub frame: RefCell<Option<Box<GeneratorFrame>>>,
    /// It is running.
    pub running: Cell<bool>,
    /// Kind.
    pub kind: GeneratorKind,
    /// Code object.
    pub code: Value,
    /// `__name__`
    pub name: RefCell<Value>,
    /// `__qualname__`
    pub qualname: RefCell<Value>,
    /// The hook for the first step of an asynchronous generator has run.
    hooked: Cell<bool>,
    /// What the event loop wants to do when it goes away unfinished.
    finalizer: RefCell<Value>,
    /// An asynchronous generator's step is under way, or it was closed.
    pub async_running: Cell<bool>,
    closed: Cell<bool>,
}
impl Payload for GeneratorData {
    const KIND: crate::object::Kind = crate::object::Kind::Generator;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.code);
        if let Some(frame) = &*self.frame.borrow() {
            frame.registers.iter().for_each(&mut *visit);
            visit(&frame.function);
            visit(&frame.globals);
            visit(&frame.handled);
        }
        visit(&self.finalizer.borrow());
    }
    fn clear(&self) {
        if let Ok(mut frame) = self.frame.try_borrow_mut() {
            let old = frame.take();
            drop(frame);
            drop(old);
        }
    }
}

/// `coroutine.__await__()`
pub struct AwaitData(Value);
impl Payload for AwaitData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.0);
    }
}

/// The awaitable of one step of an asynchronous generator.
pub struct AsendData {
    generator: Value,
    /// What to send or throw at first.
    first: RefCell<Option<Result<Value, Value>>>,
    /// 0 fresh, 1 under way, 2 done.
    state: Cell<u8>,
    /// `aclose()`: GeneratorExit and StopAsyncIteration end it.
    closing: bool,
}
impl Payload for AsendData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.generator);
        if let Some(Ok(v) | Err(v)) = &*self.first.borrow() {
            visit(v);
        }
    }
}

/// A value that an asynchronous generator yields, to tell it from what it awaits.
pub struct AsyncYield(pub Value);
impl Payload for AsyncYield {}

impl Vm {
    /// A generator object around a fresh frame.
    pub fn generator(
        &self,
        kind: GeneratorKind,
        code: Value,
        name: Value,
        qualname: Value,
        frame: GeneratorFrame,
    ) -> Value {
        let t = &self.types;
        let ty = match kind {
            GeneratorKind::Generator => &t.generator,
            GeneratorKind::Coroutine => &t.coroutine,
            GeneratorKind::Async => &t.async_generator,
        };
        new_object(
            ty,
            GeneratorData {
                frame: RefCell::new(Some(Box::new(frame))),
                running: Cell::new(false),
                kind,
                code,
                name: RefCell::new(name),
                qualname: RefCell::new(qualname),
                hooked: Cell::new(false),
                finalizer: RefCell::new(Value::NONE),
                async_running: Cell::new(false),
                closed: Cell::new(false),
            },
        )
    }

    /// The wrapper for `yield` in an asynchronous generator.
    pub fn async_yield(&self, value: Value) -> Value {
        let ty = self.state("async_yield", || {
            self.new_type::<AsyncYield>("builtins", "async_generator_wrapped_value", None, 0)
        });
        new_object(&ty, AsyncYield(value))
    }

    /// Resumes: what it yields, or nothing with the result when it returned.
    ///
    /// # Errors
    /// What it raises.
    pub fn generator_step(&self, generator: &Value, sent: Result<Value, Raised>) -> PyResult<Resumed> {
        let data = own(generator);
        if data.running.get() {
            let what = match data.kind {
                GeneratorKind::Generator => "generator",
                GeneratorKind::Coroutine => "coroutine",
                GeneratorKind::Async => "async generator",
            };
            return Err(self.value_error(format!("{what} already executing")));
        }
        let started = (*data.frame.borrow()).as_ref().map(|frame| frame.started);
        match (started, &sent) {
            (None, Err(_)) => {}
            (None, Ok(_)) if data.kind == GeneratorKind::Coroutine => {
                return Err(self.runtime_error("cannot reuse already awaited coroutine"));
            }
            (None, Ok(_)) => return Ok(Resumed::Returned(Value::NONE)),
            (Some(false), Ok(value)) if !value.is_none() => {
                let what = match data.kind {
                    GeneratorKind::Generator => "generator",
                    GeneratorKind::Coroutine => "coroutine",
                    GeneratorKind::Async => "async generator",
                };
                return Err(self.type_error(format!("can't send non-None value to a just-started {what}")));
            }
            _ => {}
        }
        if started.is_none() {
            return match sent {
                Err(_) if data.kind == GeneratorKind::Coroutine => {
                    Err(self.runtime_error("cannot reuse already awaited coroutine"))
                }
                Err(error) => Err(error),
                Ok(_) => Ok(Resumed::Returned(Value::NONE)),
            };
        }
        self.check_stack()?;
        let result = (self.engine().resume)(self, generator, sent);
        match result {
            Err(error) => {
                let stop = self.is_exception(&error, &self.exc.stop_iteration);
                let stop_async = data.kind == GeneratorKind::Async
                    && self.is_exception(&error, &self.exc.stop_async_iteration);
                if (stop || stop_async) && !self.terminating.get() {
                    let what = match data.kind {
                        GeneratorKind::Generator => "generator",
                        GeneratorKind::Coroutine => "coroutine",
                        GeneratorKind::Async => "async generator",
                    };
                    let name = if stop { "StopIteration" } else { "StopAsyncIteration" };
                    let raised = self.runtime_error(format!("{what} raised {name}"));
                    if let Some(d) = raised.0.get::<crate::exceptions::ExceptionData>() {
                        drop(d.cause.replace(error.0.clone()));
                        drop(d.context.replace(error.0));
                        d.suppress.set(true);
                    }
                    return Err(raised);
                }
                Err(error)
            }
            ok => ok,
        }
    }

    /// `send`, as StopIteration protocol.
    ///
    /// # Errors
    /// StopIteration at the end, and what it raises.
    pub fn generator_send(&self, generator: &Value, sent: Result<Value, Raised>) -> PyResult {
        match self.generator_step(generator, sent)? {
            Resumed::Yielded(value) => Ok(value),
            Resumed::Returned(value) => Err(self.stop_iteration(value)),
        }
    }

    /// The iterator that a suspended generator delegates to.
    pub fn delegate_of(&self, generator: &Value) -> Option<Value> {
        let data = own(generator);
        if data.running.get() {
            return None;
        }
        let frame = data.frame.borrow();
        let frame = frame.as_ref()?;
        if !frame.started || frame.delegate == pyc_ir::NO_REG {
            return None;
        }
        frame.registers.get(usize::from(frame.delegate)).filter(|v| !v.is_unbound()).cloned()
    }

    /// `throw`.
    ///
    /// # Errors
    /// What comes out.
    pub fn generator_throw(&self, generator: &Value, error: Raised) -> PyResult {
        if let Some(inner) = self.delegate_of(generator) {
            let data = own(generator);
            if self.is_exception(&error, &self.exc.generator_exit) {
                data.running.set(true);
                let closed = self.close_iterator(&inner);
                data.running.set(false);
                if let Err(error) = closed {
                    return self.generator_send(generator, Err(error));
                }
                return self.generator_send(generator, Err(error));
            }
            data.running.set(true);
            let result = if inner.get::<GeneratorData>().is_some() {
                self.generator_throw(&inner, error)
            } else {
                match self.find_attr(&inner, &self.names.throw) {
                    Ok(Some(throw)) => self.call_pos(&throw, std::slice::from_ref(&error.0)),
                    Ok(None) => {
                        data.running.set(false);
                        return self.generator_send(generator, Err(error));
                    }
                    Err(other) => Err(other),
                }
            };
            data.running.set(false);
            return match result {
                Ok(value) => Ok(value),
                Err(error) if self.is_exception(&error, &self.exc.stop_iteration) => {
                    let value = self.stop_value(&error.0);
                    // The interpreter goes on behind the loop of `yield from` when it is told so.
                    if let Some(frame) = &mut *data.frame.borrow_mut() {
                        let iterator = frame.delegate;
                        frame.delegate = pyc_ir::NO_REG;
                        frame.registers[usize::from(iterator)] = finished_iterator(self, value);
                    }
                    self.generator_send(generator, Ok(Value::NONE))
                }
                Err(error) => self.generator_send(generator, Err(error)),
            };
        }
        self.generator_send(generator, Err(error))
    }

    /// The value of a StopIteration.
    pub fn stop_value(&self, exception: &Value) -> Value {
        match self.own_attr(exception, &self.names.value) {
            Some(value) => value,
            None => self.exception_args(exception).first().cloned().unwrap_or(Value::NONE),
        }
    }

    fn close_iterator(&self, iterator: &Value) -> PyResult<()> {
        if iterator.get::<GeneratorData>().is_some_and(|g| g.kind != GeneratorKind::Async) {
            return self.generator_close(iterator);
        }
        if let Some(close) = self.find_attr(iterator, &self.names.close)? {
            self.call_pos(&close, &[])?;
        }
        Ok(())
    }

    /// `close`.
    ///
    /// # Errors
    /// RuntimeError when it yields instead of ending, and what it raises.
    pub fn generator_close(&self, generator: &Value) -> PyResult<()> {
        let data = own(generator);
        let started = data.frame.borrow().as_ref().map(|f| f.started);
        match started {
            None => return Ok(()),
            Some(false) => {
                let frame = data.frame.borrow_mut().take();
                drop(frame);
                return Ok(());
            }
            Some(true) => {}
        }
        let mut error = Raised(self.new_exception(&self.exc.generator_exit, vec![]));
        if let Some(inner) = self.delegate_of(generator) {
            data.running.set(true);
            let closed = self.close_iterator(&inner);
            data.running.set(false);
            if let Err(other) = closed {
                error = other;
            }
        }
        match self.generator_step(generator, Err(error)) {
            Ok(Resumed::Yielded(_)) => {
                let what = match data.kind {
                    GeneratorKind::Coroutine => "coroutine",
                    GeneratorKind::Async => "async generator",
                    GeneratorKind::Generator => "generator",
                };
                Err(self.runtime_error(format!("{what} ignored GeneratorExit")))
            }
            Ok(Resumed::Returned(_)) => Ok(()),
            Err(error)
                if self.is_exception(&error, &self.exc.generator_exit)
                    || self.is_exception(&error, &self.exc.stop_iteration) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The iterator that `await` uses.
    ///
    /// # Errors
    /// TypeError when it cannot be awaited.
    pub fn awaitable(&self, value: &Value) -> PyResult {
        if let Some(data) = value.get::<GeneratorData>()
            && data.kind == GeneratorKind::Coroutine
        {
            if self.delegate_of(value).is_some() {
                return Err(self.runtime_error("coroutine is being awaited already"));
            }
            return Ok(value.clone());
        }
        if value.get::<AsendData>().is_some() {
            return Ok(value.clone());
        }
        let marked = value
            .get::<GeneratorData>()
            .is_some_and(|d| d.code.get::<crate::function::CodeData>().is_some_and(|c| c.ir.flags.awaitable));
        if marked {
            return Ok(value.clone());
        }
        match self.special(value, &self.names.__await__) {
            Some(method) => {
                let iterator = self.call_with_self(&method, value, &[])?;
                if iterator.get::<GeneratorData>().is_some_and(|d| d.kind == GeneratorKind::Coroutine) {
                    return Err(self.type_error("__await__() returned a coroutine"));
                }
                if self.special(&iterator, &self.names.__next__).is_none() {
                    return Err(self.type_error(format!(
                        "__await__() returned non-iterator of type '{}'",
                        self.type_name(&iterator)
                    )));
                }
                Ok(iterator)
            }
            None => Err(self
                .type_error(format!("object {} can't be used in 'await' expression", self.type_name(value)))),
        }
    }
}

/// An iterator that is at its end with a value: resuming `yield from` then takes the value.
fn finished_iterator(vm: &Vm, value: Value) -> Value {
    let ty = vm.state("finished", || {
        let ty = vm.new_type::<Finished>("builtins", "finished_iterator", None, 0);
        vm.add_methods(
            &ty,
            &[
                ("__next__", "", |vm, args| {
                    Err(vm.stop_iteration(args[0].get::<Finished>().map_or(Value::NONE, |f| f.0.clone())))
                }),
                ("send", "value /", |vm, args| {
                    Err(vm.stop_iteration(args[0].get::<Finished>().map_or(Value::NONE, |f| f.0.clone())))
                }),
            ],
        );
        ty
    });
    new_object(&ty, Finished(value))
}

struct Finished(Value);
impl Payload for Finished {}

fn own(value: &Value) -> &GeneratorData {
    value.get::<GeneratorData>().expect("the descriptor checked the type")
}

pub(crate) fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    match vm.generator_step(value, Ok(Value::NONE))? {
        Resumed::Yielded(value) => Ok(Some(value)),
        Resumed::Returned(result) if result.is_none() => Ok(None),
        Resumed::Returned(_) => Ok(None),
    }
}

/// The exception of `throw(type, value, traceback)`.
fn thrown(vm: &Vm, args: Args) -> PyResult<Raised> {
    if args.opt(2).is_some() || args.opt(3).is_some() {
        vm.warn(
            &vm.exc.deprecation_warning,
            "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.",
        )?;
    }
    let exception = if args[1].kind() == crate::object::Kind::Exception {
        args[1].clone()
    } else if vm.is_exception_type(&args[1]) {
        match args.opt(2).filter(|v| !v.is_none()) {
            None => vm.to_exception(&args[1])?,
            Some(value) if vm.is_a(value, &args[1]) => value.clone(),
            Some(value) => match value.get::<crate::containers::TupleData>() {
                Some(t) => vm.call_pos(&args[1], t.items())?,
                None => vm.call_pos(&args[1], std::slice::from_ref(value))?,
            },
        }
    } else {
        return Err(vm.type_error(format!(
            "exceptions must be classes or instances deriving from BaseException, not {}",
            vm.type_name(&args[1])
        )));
    };
    Ok(Raised(exception))
}

fn delete(vm: &Vm, args: Args) -> PyResult {
    let data = own(&args[0]);
    let started = data.frame.borrow().as_ref().map(|f| f.started);
    if data.kind == GeneratorKind::Coroutine && started == Some(false) {
        let name = vm.text(&data.qualname.borrow());
        vm.warn(&vm.exc.runtime_warning, &format!("coroutine '{name}' was never awaited"))?;
    }
    if started == Some(true) && data.kind != GeneratorKind::Async {
        vm.generator_close(&args[0])?;
    }
    Ok(Value::NONE)
}

const GENERATOR: &[Method] = &[
    ("send", "value /", |vm, args| vm.generator_send(&args[0], Ok(args[1].clone()))),
    ("throw", "typ val? tb? /", |vm, args| {
        let error = thrown(vm, args)?;
        vm.generator_throw(&args[0], error)
    }),
    ("close", "", |vm, args| vm.generator_close(&args[0]).map(|()| Value::NONE)),
    ("__del__", "", delete),
];

fn repr(vm: &Vm, args: Args) -> PyResult {
    let name = vm.text(&own(&args[0]).qualname.borrow());
    Ok(vm.str(&format!("<{} object {name} at {:#x}>", vm.type_name(&args[0]), args[0].bits())))
}

/// Tells the event loop of an asynchronous generator, once.
fn first_step(vm: &Vm, generator: &Value) -> PyResult<()> {
    let data = own(generator);
    if data.hooked.replace(true) {
        return Ok(());
    }
    let (first, finalizer) = vm.async_hooks.borrow().clone();
    drop(data.finalizer.replace(finalizer));
    if !first.is_none() {
        vm.call_pos(&first, std::slice::from_ref(generator))?;
    }
    Ok(())
}

fn asend(vm: &Vm, generator: &Value, first: Result<Value, Value>, closing: bool) -> Value {
    let ty = if closing || first.is_err() { &vm.types.async_gen_athrow } else { &vm.types.async_gen_asend };
    new_object(
        ty,
        AsendData {
            generator: generator.clone(),
            first: RefCell::new(Some(first)),
            state: Cell::new(0),
            closing,
        },
    )
}

fn step(vm: &Vm, this: &Value, input: Result<Value, Raised>) -> PyResult {
    let Some(data) = this.get::<AsendData>() else { return Ok(Value::NONE) };
    let generator = own(&data.generator);
    if data.state.get() == 2 {
        return Err(vm.runtime_error("cannot reuse already awaited __anext__()/asend()"));
    }
    let sent = if data.state.get() == 0 {
        if generator.async_running.get() {
            let what = if data.closing { "aclose()" } else { "asend()/anext()" };
            let _ = what;
            return Err(vm.runtime_error("anext(): asynchronous generator is already running"));
        }
        if data.closing && generator.frame.borrow().as_ref().is_none_or(|f| !f.started) {
            data.state.set(2);
            generator.closed.set(true);
            let frame = generator.frame.borrow_mut().take();
            drop(frame);
            return Err(vm.stop_iteration(Value::NONE));
        }
        if generator.frame.borrow().is_none() && !data.closing {
            data.state.set(2);
            return match data.first.take() {
                Some(Err(error)) if !generator.closed.get() => Err(Raised(error)),
                _ => Err(vm.raise_bare(&vm.exc.stop_async_iteration)),
            };
        }
        data.state.set(1);
        generator.async_running.set(true);
        match (data.first.take(), input) {
            (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(outer)) => Ok(if outer.is_none() { value } else { outer }),
            (Some(Err(error)), Ok(_)) => Err(Raised(error)),
            (None, Ok(outer)) => Ok(outer),
        }
    } else {
        input
    };
    let result = match sent {
        Ok(value) => vm.generator_step(&data.generator, Ok(value)),
        Err(error) if vm.delegate_of(&data.generator).is_some() => {
            vm.generator_throw(&data.generator, error).map(Resumed::Yielded)
        }
        Err(error) => vm.generator_step(&data.generator, Err(error)),
    };
    let finish = || {
        data.state.set(2);
        generator.async_running.set(false);
    };
    match result {
        Ok(Resumed::Yielded(value)) => match value.get::<AsyncYield>() {
            Some(yielded) => {
                finish();
                if data.closing {
                    return Err(vm.runtime_error("async generator ignored GeneratorExit"));
                }
                Err(vm.stop_iteration(yielded.0.clone()))
            }
            None => Ok(value),
        },
        Ok(Resumed::Returned(_)) => {
            finish();
            generator.closed.set(true);
            if data.closing {
                Err(vm.stop_iteration(Value::NONE))
            } else {
                Err(vm.raise_bare(&vm.exc.stop_async_iteration))
            }
        }
        Err(error) => {
            finish();
            generator.closed.set(true);
            let expected = vm.is_exception(&error, &vm.exc.generator_exit)
                || vm.is_exception(&error, &vm.exc.stop_async_iteration);
            if data.closing && expected { Err(vm.stop_iteration(Value::NONE)) } else { Err(error) }
        }
    }
}

const ASEND: &[Method] = &[
    ("__iter__", "", |_, args| Ok(args[0].clone())),
    ("__await__", "", |_, args| Ok(args[0].clone())),
    ("__next__", "", |vm, args| step(vm, &args[0], Ok(Value::NONE))),
    ("send", "value /", |vm, args| step(vm, &args[0], Ok(args[1].clone()))),
    ("throw", "typ val? tb? /", |vm, args| {
        let error = thrown(vm, args)?;
        step(vm, &args[0], Err(error))
    }),
    ("close", "", |_, args| {
        if let Some(data) = args[0].get::<AsendData>() {
            data.state.set(2);
        }
        Ok(Value::NONE)
    }),
];

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.generator, GENERATOR);
    vm.add_methods(&t.coroutine, GENERATOR);
    vm.add_methods(
        &t.generator,
        &[
            ("__iter__", "", |_, args| Ok(args[0].clone())),
            ("__next__", "", |vm, args| vm.generator_send(&args[0], Ok(Value::NONE))),
        ],
    );
    if let Some(class) = t.generator.get::<crate::types::Type>() {
        class.next.set(Some(next));
    }
    vm.add_methods(
        &t.coroutine,
        &[("__await__", "", |vm, args| {
            Ok(new_object(&vm.types.coroutine_wrapper, AwaitData(args[0].clone())))
        })],
    );
    vm.add_methods(
        &t.coroutine_wrapper,
        &[
            ("__iter__", "", |_, args| Ok(args[0].clone())),
            ("__next__", "", |vm, args| vm.generator_send(&awaited(&args[0]), Ok(Value::NONE))),
            ("send", "value /", |vm, args| vm.generator_send(&awaited(&args[0]), Ok(args[1].clone()))),
            ("throw", "typ val? tb? /", |vm, args| {
                let error = thrown(vm, args)?;
                vm.generator_throw(&awaited(&args[0]), error)
            }),
            ("close", "", |vm, args| vm.generator_close(&awaited(&args[0])).map(|()| Value::NONE)),
        ],
    );
    vm.add_methods(
        &t.async_generator,
        &[
            ("__aiter__", "", |_, args| Ok(args[0].clone())),
            ("__anext__", "", |vm, args| {
                first_step(vm, &args[0])?;
                Ok(asend(vm, &args[0], Ok(Value::NONE), false))
            }),
            ("asend", "value /", |vm, args| {
                first_step(vm, &args[0])?;
                Ok(asend(vm, &args[0], Ok(args[1].clone()), false))
            }),
            ("__del__", "", |vm, args| {
                let data = own(&args[0]);
                let unfinished = data.frame.borrow().as_ref().is_some_and(|f| f.started);
                let finalizer = data.finalizer.replace(Value::NONE);
                if unfinished && !finalizer.is_none() && !data.closed.get() {
                    vm.call_pos(&finalizer, &args.all[..1])?;
                }
                Ok(Value::NONE)
            }),
            ("athrow", "typ val? tb? /", |vm, args| {
                first_step(vm, &args[0])?;
                let error = thrown(vm, args)?;
                Ok(asend(vm, &args[0], Err(error.0), false))
            }),
            ("aclose", "", |vm, args| {
                first_step(vm, &args[0])?;
                let exit = vm.new_exception(&vm.exc.generator_exit, vec![]);
                Ok(asend(vm, &args[0], Err(exit), true))
            }),
        ],
    );
    vm.add_methods(&t.async_gen_asend, ASEND);
    vm.add_methods(&t.async_gen_athrow, ASEND);
    for (ty, prefix) in [(&t.generator, "gi_"), (&t.coroutine, "cr_"), (&t.async_generator, "ag_")] {
        vm.add_methods(ty, &[("__repr__", "", repr)]);
        vm.add_getset(
            ty,
            "__name__",
            |_, this| Ok(own(this).name.borrow().clone()),
            Some(|_, this, value| {
                drop(own(this).name.replace(value));
                Ok(())
            }),
        );
        vm.add_getset(
            ty,
            "__qualname__",
            |_, this| Ok(own(this).qualname.borrow().clone()),
            Some(|_, this, value| {
                drop(own(this).qualname.replace(value));
                Ok(())
            }),
        );
        let name = |field: &str| -> &'static str {
            // Interned for the life of the process: nine names.
            match (prefix, field) {
                ("gi_", "running") => "gi_running",
                ("gi_", "frame") => "gi_frame",
                ("gi_", "code") => "gi_code",
                ("gi_", _) => "gi_yieldfrom",
                ("cr_", "running") => "cr_running",
                ("cr_", "frame") => "cr_frame",
                ("cr_", "code") => "cr_code",
                ("cr_", _) => "cr_await",
                (_, "running") => "ag_running",
                (_, "frame") => "ag_frame",
                (_, "code") => "ag_code",
                _ => "ag_await",
            }
        };
        vm.add_getset(
            ty,
            name("running"),
            |_, this| Ok(Value::from_bool(own(this).running.get() || own(this).async_running.get())),
            None,
        );
        vm.add_getset(ty, name("code"), |_, this| Ok(own(this).code.clone()), None);
        vm.add_getset(ty, name("await"), |vm, this| Ok(vm.delegate_of(this).unwrap_or(Value::NONE)), None);
        vm.add_getset(
            ty,
            name("frame"),
            |vm, this| {
                let data = own(this);
                let frame = data.frame.borrow();
                let Some(frame) = frame.as_ref() else {
                    return Ok(if data.running.get() {
                        vm.sync_frames();
                        let count = vm.frames.borrow().len();
                        vm.frame_at(count - 1)
                    } else {
                        Value::NONE
                    });
                };
                let locals = vm.dict();
                if let Some(code) = data.code.get::<crate::function::CodeData>() {
                    for (at, name) in code.locals.iter().enumerate() {
                        if !frame.registers[at].is_unbound() {
                            vm.dict_set_name(&locals, name, frame.registers[at].clone());
                        }
                    }
                }
                Ok(new_object(
                    &vm.types.frame,
                    crate::frame::FrameData {
                        code: data.code.clone(),
                        globals: frame.globals.clone(),
                        builtins: frame.builtins.clone(),
                        line: Cell::new(crate::frame::line_of(&data.code, frame.pc.saturating_sub(1))),
                        depth: Cell::new(None),
                        locals: RefCell::new(locals),
                        back: RefCell::new(Value::NONE),
                        trace: RefCell::new(Value::NONE),
                    },
                ))
            },
            None,
        );
    }
    vm.add_getset(
        &t.generator,
        "gi_suspended",
        |_, this| {
            Ok(Value::from_bool(
                own(this).frame.borrow().as_ref().is_some_and(|f| f.started) && !own(this).running.get(),
            ))
        },
        None,
    );
    vm.add_getset(
        &t.coroutine,
        "cr_suspended",
        |_, this| {
            Ok(Value::from_bool(
                own(this).frame.borrow().as_ref().is_some_and(|f| f.started) && !own(this).running.get(),
            ))
        },
        None,
    );
    vm.add_getset(&t.coroutine, "cr_origin", |_, _| Ok(Value::NONE), None);
    for ty in [&t.generator, &t.coroutine, &t.async_generator] {
        vm.add_class_methods(
            ty,
            &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
        );
    }
}

fn awaited(value: &Value) -> Value {
    value.get::<AwaitData>().map_or(Value::NONE, |a| a.0.clone())
}

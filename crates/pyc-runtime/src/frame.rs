//! Running frames as the interpreter keeps them, and frame objects.

use std::cell::RefCell;

use crate::function::CodeData;
use crate::object::{Payload, Unowned, Value, new_object};
use crate::registers::Window;
use crate::vm::{PyResult, Vm};

/// One running Python frame. Who runs it holds its values for as long as the record is in the list.
pub struct FrameRecord {
    /// Its code object.
    pub code: Unowned,
    /// Its globals.
    pub globals: Unowned,
    /// Its builtins.
    pub builtins: Unowned,
    /// The namespace of modules and class bodies; empty in functions.
    pub namespace: Unowned,
    /// Its registers.
    pub window: Window,
    /// The op being run, as of the last time it called out.
    pub pc: u32,
    /// The frame object, when one was asked for.
    pub object: Option<Value>,
    /// The machine frame that this is a record of, or null: then the window has no variables.
    pub native: *const crate::native::NativeFrame,
}

/// A frame object; filled from the running frame while it runs.
pub struct FrameData {
    /// Code object.
    pub code: Value,
    /// Globals.
    pub globals: Value,
    /// Builtins.
    pub builtins: Value,
    /// Line, as of the last look.
    pub line: std::cell::Cell<u32>,
    /// Its place among the running frames, while it runs.
    pub depth: std::cell::Cell<Option<usize>>,
    /// Local variables, a dict.
    pub locals: RefCell<Value>,
    /// The frame below.
    pub back: RefCell<Value>,
    /// `f_trace` and the like: kept, not used.
    pub trace: RefCell<Value>,
}
impl Payload for FrameData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.code);
        visit(&self.globals);
        visit(&self.builtins);
        visit(&self.locals.borrow());
        visit(&self.back.borrow());
    }
    fn clear(&self) {
        drop((self.locals.replace(Value::NONE), self.back.replace(Value::NONE)));
    }
}

impl Vm {
    /// A global of the innermost frame.
    pub fn current_global(&self, name: &Value) -> Option<Value> {
        self.sync_frames();
        let globals = self.frames.borrow().last()?.globals.owned();
        self.dict_get_name(&globals, name)
    }

    /// The globals of the innermost frame.
    pub fn current_globals(&self) -> Value {
        self.sync_frames();
        self.frames.borrow().last().map_or(Value::NONE, |f| f.globals.owned())
    }

    /// The frame object of the frame at a depth (0 outermost).
    pub fn frame_at(&self, depth: usize) -> Value {
        self.sync_frames();
        {
            let frames = self.frames.borrow();
            match frames.get(depth) {
                None => return Value::NONE,
                Some(frame) => {
                    if let Some(object) = &frame.object {
                        return object.clone();
                    }
                }
            }
        }
        let back = if depth == 0 { Value::NONE } else { self.frame_at(depth - 1) };
        let object = {
            let frames = self.frames.borrow();
            let frame = &frames[depth];
            let pc = if depth + 1 == frames.len() { self.pc.get() } else { frame.pc };
            let line = line_of(&frame.code, pc);
            new_object(
                &self.types.frame,
                FrameData {
                    code: frame.code.owned(),
                    globals: frame.globals.owned(),
                    builtins: frame.builtins.owned(),
                    line: std::cell::Cell::new(line),
                    depth: std::cell::Cell::new(Some(depth)),
                    locals: RefCell::new(Value::UNBOUND),
                    back: RefCell::new(back),
                    trace: RefCell::new(Value::NONE),
                },
            )
        };
        self.frames.borrow_mut()[depth].object = Some(object.clone());
        object
    }

    /// Local variables of the innermost frame.
    pub fn current_locals(&self) -> Value {
        self.sync_frames();
        let count = self.frames.borrow().len();
        self.locals_at(count.saturating_sub(1))
    }

    /// Local variables of the frame at a depth: the namespace, or a fresh dict of a function's variables.
    pub fn locals_at(&self, depth: usize) -> Value {
        self.sync_frames();
        let (code, namespace, window, native) = {
            let frames = self.frames.borrow();
            let Some(frame) = frames.get(depth) else { return Value::NONE };
            (frame.code.owned(), frame.namespace.owned(), frame.window, !frame.native.is_null())
        };
        if !namespace.is_unbound() {
            return namespace;
        }
        let dict = self.dict();
        if !native {
            self.fill_locals(&dict, &code, window);
        }
        dict
    }

    /// Copies a function's variables into a dict.
    pub fn fill_locals(&self, dict: &Value, code: &Value, window: Window) {
        let Some(data) = code.get::<CodeData>() else { return };
        for (at, name) in data.locals.iter().enumerate() {
            let value = window.get(at as u16);
            if !value.is_unbound() && !data.ir.locals[at].starts_with('.') {
                self.dict_set_name(dict, name, value.clone());
            }
        }
        let first = data.ir.locals.len();
        for (at, name) in data.ir.cells.iter().chain(&data.ir.frees).enumerate() {
            let cell = window.get((first + at) as u16);
            if let Some(cell) = cell.get::<crate::function::CellData>()
                && let Some(value) = cell.0.borrow().clone()
                && !name.starts_with('.')
            {
                self.dict_set_str(dict, name, value);
            }
        }
    }

    /// Called when a frame that has a frame object ends: the object keeps line and variables.
    pub fn detach_frame(&self, record: &FrameRecord) {
        if let Some(data) = record.object.as_ref().and_then(|o| o.get::<FrameData>()) {
            data.line.set(line_of(&record.code, record.pc));
            data.depth.set(None);
            let dict = if record.namespace.is_unbound() {
                let dict = self.dict();
                // Only what others still see matters; holding every local alive would change lifetimes.
                if record.native.is_null() && record.object.as_ref().is_some_and(|o| o.reference_count() > 1)
                {
                    self.fill_locals(&dict, &record.code, record.window);
                }
                dict
            } else {
                record.namespace.owned()
            };
            drop(data.locals.replace(dict));
        }
    }
}

/// The line of an op.
pub fn line_of(code: &Value, pc: u32) -> u32 {
    let Some(data) = code.get::<CodeData>() else { return 0 };
    data.ir.positions.get(pc as usize).map_or(0, |p| if p.line == 0 { data.ir.first_line } else { p.line })
}

fn own(value: &Value) -> &FrameData {
    value.get::<FrameData>().expect("the descriptor checked the type")
}

fn locals(vm: &Vm, this: &Value) -> PyResult {
    let data = own(this);
    if let Some(depth) = data.depth.get() {
        return Ok(vm.locals_at(depth));
    }
    let held = data.locals.borrow().clone();
    Ok(if held.is_unbound() || held.is_none() { vm.dict() } else { held })
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_getset(&t.frame, "f_code", |_, this| Ok(own(this).code.clone()), None);
    vm.add_getset(&t.frame, "f_globals", |_, this| Ok(own(this).globals.clone()), None);
    vm.add_getset(&t.frame, "f_builtins", |_, this| Ok(own(this).builtins.clone()), None);
    vm.add_getset(
        &t.frame,
        "f_back",
        |_, this| {
            let back = own(this).back.borrow().clone();
            Ok(if back.is_unbound() { Value::NONE } else { back })
        },
        None,
    );
    vm.add_getset(&t.frame, "f_locals", locals, None);
    vm.add_getset(
        &t.frame,
        "f_lasti",
        |vm, this| {
            vm.sync_frames();
            let pc = own(this).depth.get().and_then(|d| vm.frames.borrow().get(d).map(|f| f.pc)).unwrap_or(0);
            Ok(Value::from_len(pc as usize * 2))
        },
        None,
    );
    vm.add_getset(
        &t.frame,
        "f_lineno",
        |vm, this| {
            let data = own(this);
            vm.sync_frames();
            let line = data.depth.get().and_then(|d| {
                let frames = vm.frames.borrow();
                let pc = if d + 1 == frames.len() { vm.pc.get() } else { frames.get(d)?.pc };
                Some(line_of(&frames.get(d)?.code, pc))
            });
            Ok(Value::from_len(line.unwrap_or(data.line.get()) as usize))
        },
        None,
    );
    vm.add_getset(
        &t.frame,
        "f_trace",
        |_, this| Ok(own(this).trace.borrow().clone()),
        Some(|_, this, value| {
            drop(own(this).trace.replace(if value.is_unbound() { Value::NONE } else { value }));
            Ok(())
        }),
    );
    vm.add_methods(
        &t.frame,
        &[
            ("clear", "", |_, args| {
                drop(own(&args[0]).locals.replace(Value::NONE));
                Ok(Value::NONE)
            }),
            ("__repr__", "", |vm, args| {
                let data = own(&args[0]);
                let Some(code) = data.code.get::<CodeData>() else { return Ok(Value::NONE) };
                let text = format!(
                    "<frame at {:#x}, file '{}', line {}, code {}>",
                    args[0].bits(),
                    code.ir.filename,
                    data.line.get(),
                    code.ir.name
                );
                Ok(vm.str(&text))
            }),
        ],
    );
}

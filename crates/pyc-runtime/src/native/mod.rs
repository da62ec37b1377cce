//! What machine code and the runtime agree on: frames, helpers, layout, and loading.
//!
//! Machine code is position-independent and has no relocations: it gets the address of the [`Vm`] as its first
//! argument and reaches everything else from there, the functions of [`helpers`] through a table in
//! [`NativeState`]. So a loader only maps it ([`memory`]), and this module needs no compiler.
//!
//! **A value in a register** is a lane: a tag and a float. The tag [`MARK`] says that the float holds an unboxed
//! Python float; any other tag is a [`Value`]. Functions return a lane; tag 0 means that an exception waits in
//! [`NativeState`].
//!
//! **Frames are lazy.** A machine frame is a [`NativeFrame`] of four words on the machine stack, linked through
//! [`NativeState`]. Only when somebody looks (`sys._getframe`, a Python frame of the interpreter above it) do
//! [`Vm::sync_frames`] and [`Vm::materialise`] write the records that the rest of the runtime knows; the machine code
//! sees the flag when it returns and takes its record off again.

#![allow(unsafe_code)]

pub mod calls;
mod containers;
pub mod helpers;
mod layout;
mod memory;
mod packed;
mod resume;

use std::cell::{Cell, RefCell};

use pyc_ir::Code;

pub use calls::Known;
pub use helpers::{HELPERS, Helper};
pub use layout::Layout;
pub use memory::{Blob, LoadError};
pub use packed::{checksum, inspect, pieces, section};

use crate::frame::FrameRecord;
use crate::function::{CodeData, FunctionData};
use crate::object::{Unowned, Value};
use crate::registers::Window;
use crate::vm::{PyResult, Raised, Vm};

/// The tag of a lane whose float is meant.
pub const MARK: u64 = 6 << 3 | 2;

/// A lane as machine functions return it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// A value's bits, [`MARK`], or 0: an exception waits.
    pub tag: u64,
    /// The float that [`MARK`] means.
    pub float: f64,
}

/// A running machine frame; lives on the machine stack.
#[repr(C)]
pub struct NativeFrame {
    /// The machine frame below.
    pub(crate) previous: Cell<*const NativeFrame>,
    /// The function object, which the caller keeps alive.
    pub(crate) function: Cell<u64>,
    /// Its code object.
    pub(crate) code: Cell<u64>,
    /// The op under way, as of the last time it called out.
    pub(crate) pc: Cell<u32>,
    /// 1: a record stands in [`Vm::frames`].
    pub(crate) flags: Cell<u32>,
}

/// The function object of a frame whose record is in place: see [`NativeFrame::flags`].
pub(crate) const MATERIALISED: u32 = 1;

impl NativeFrame {
    /// # Safety
    /// The frame is running.
    unsafe fn held(bits: &Cell<u64>) -> &Value {
        // SAFETY: `Value` is a transparent non-zero u64; the frame's words are live values while it runs.
        unsafe { &*bits.as_ptr().cast::<Value>() }
    }
    pub(crate) fn code(&self) -> &Value {
        // SAFETY: frames are only reached while they run.
        unsafe { NativeFrame::held(&self.code) }
    }
    pub(crate) fn function(&self) -> &Value {
        // SAFETY: frames are only reached while they run.
        unsafe { NativeFrame::held(&self.function) }
    }
}

/// Machine code of one piece of code, as calls find it.
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    /// Takes the VM, the function and each parameter's value.
    pub(crate) direct: usize,
    /// Takes the VM, the function and the address of the parameters' values, which it moves out.
    pub(crate) array: usize,
    /// How many arguments a call may pass without binding them by name; `u64::MAX`: none, always bind.
    pub(crate) simple: u64,
}

/// Compiles a code object or says that it cannot be.
pub type NativeCompiler = fn(&Vm, &CodeData) -> Option<Blob>;

/// The part of an instance that machine code reads.
pub struct NativeState {
    pub(crate) depth: Cell<usize>,
    pub(crate) top: Cell<*const NativeFrame>,
    pub(crate) stack_limit: Cell<usize>,
    pub(crate) helpers: [usize; HELPERS],
    /// The builtins that machine code does in place, by [`Known`]; 0 before they are looked up.
    pub(crate) known: [Cell<u64>; calls::KNOWN],
    /// Keeps them.
    pub(crate) known_values: RefCell<Vec<Value>>,
    pub(crate) error: Cell<Option<Value>>,
    pub(crate) compiler: Cell<Option<NativeCompiler>>,
    /// Calls of a code object before it is compiled.
    pub(crate) heat: Cell<fn(&Code) -> u32>,
    pub(crate) blobs: RefCell<Vec<Blob>>,
    /// Code objects that functions have given up while machine code may still be running them.
    pub(crate) retired: RefCell<Vec<Value>>,
    /// Machine code that came with modules, until its code objects are made.
    pub(crate) waiting: RefCell<packed::Waiting>,
}

impl Default for NativeState {
    fn default() -> NativeState {
        NativeState {
            depth: Cell::new(0),
            top: Cell::new(std::ptr::null()),
            stack_limit: Cell::new(0),
            helpers: helpers::table(),
            known: [const { Cell::new(0) }; calls::KNOWN],
            known_values: RefCell::default(),
            error: Cell::new(None),
            compiler: Cell::new(None),
            heat: Cell::new(|_| 0),
            blobs: RefCell::default(),
            retired: RefCell::default(),
            waiting: RefCell::default(),
        }
    }
}

impl Vm {
    /// Connects the compiler to machine code; `heat` says after how many calls a piece of code is compiled (0: never).
    pub fn set_native_compiler(&self, compiler: NativeCompiler, heat: fn(&Code) -> u32) {
        self.find_known();
        self.native.compiler.set(Some(compiler));
        self.native.heat.set(heat);
    }

    /// How deep Python frames are nested, of both kinds.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.native.depth.get()
    }

    /// Sets what [`Vm::depth`] gives.
    #[inline(always)]
    pub fn set_depth(&self, depth: usize) {
        self.native.depth.set(depth);
    }

    /// The machine code of a code object; compiled when it has become worth it.
    #[inline(always)]
    pub fn native_entry<'a>(&self, code: &'a CodeData) -> Option<&'a Entry> {
        let entry = code.native.get();
        if entry.is_null() {
            let heat = code.heat.get();
            if heat == 0 {
                return None;
            }
            code.heat.set(heat - 1);
            return if heat == 1 { self.compile_hot(code) } else { None };
        }
        // SAFETY: entries live in `NativeState::blobs`, as long as the VM.
        Some(unsafe { &*entry })
    }

    #[cold]
    fn compile_hot<'a>(&self, code: &'a CodeData) -> Option<&'a Entry> {
        let compiler = self.native.compiler.get()?;
        let blob = compiler(self, code)?;
        self.attach(code, blob)
    }

    /// Gives a code object its machine code: the first entry of a blob.
    pub fn attach<'a>(&self, code: &'a CodeData, blob: Blob) -> Option<&'a Entry> {
        let entry: *const Entry = blob.entries().first()?;
        self.native.blobs.borrow_mut().push(blob);
        code.heat.set(0);
        code.native.set(entry);
        // SAFETY: as in `native_entry`; the box that holds it does not move.
        Some(unsafe { &*entry })
    }

    /// Runs machine code with parameters that are moved out of `arguments`.
    ///
    /// # Errors
    /// What the function raises.
    #[inline]
    pub fn call_native(&self, entry: &Entry, function: &FunctionData, arguments: Window) -> PyResult {
        let pc = self.pc.get();
        type Array = unsafe extern "C" fn(*const Vm, u64, *mut Value) -> Lane;
        // SAFETY: the address came from a blob whose layout hash is ours; the window has a value for each parameter
        // (the caller bound them), and machine code leaves the empty value in their places. Functions are only made as
        // objects (`Vm::function`), which the caller keeps alive.
        let lane = unsafe {
            let array = std::mem::transmute::<usize, Array>(entry.array);
            array(self, Value::bits_of_holder(function), arguments.base())
        };
        self.pc.set(pc);
        match lane.tag {
            0 => Err(self.native_error()),
            // SAFETY: machine code returns values that it owned.
            _ => Ok(unsafe { helpers::owned(self, lane.tag, lane.float) }),
        }
    }

    /// Keeps a code object that a function had: its machine code may be running.
    pub(crate) fn retire_code(&self, code: Value) {
        if code.get::<CodeData>().is_some_and(|c| !c.native.get().is_null()) {
            self.native.retired.borrow_mut().push(code);
        }
    }

    fn native_error(&self) -> Raised {
        match self.native.error.take() {
            Some(error) => Raised(error),
            None => self.runtime_error("machine code failed without an exception"),
        }
    }

    /// Writes records of the machine frames that have none yet. Called before a frame is put on top of them.
    #[inline(always)]
    pub fn materialise(&self) {
        let top = self.native.top.get();
        // SAFETY: the chain holds running frames only.
        if !top.is_null() && unsafe { (*top).flags.get() } & MATERIALISED == 0 {
            self.write_records(top);
        }
    }

    #[cold]
    fn write_records(&self, top: *const NativeFrame) {
        let mut chain = Vec::new();
        let mut at = top;
        // SAFETY: the chain holds running frames only; a frame below one with a record has one too.
        while let Some(frame) = unsafe { at.as_ref() } {
            if frame.flags.get() & MATERIALISED != 0 {
                break;
            }
            chain.push(frame);
            at = frame.previous.get();
        }
        let mut frames = self.frames.borrow_mut();
        for frame in chain.into_iter().rev() {
            if frames.last().is_some_and(|last| last.native.is_null()) && frame.flags.get() == 0 {
                // The interpreter's frame below is at the op that called this one.
                let pc = self.pc.get();
                if let Some(last) = frames.last_mut() {
                    last.pc = pc;
                }
            }
            frame.flags.set(frame.flags.get() | MATERIALISED);
            let Some(data) = frame.function().get::<FunctionData>() else { continue };
            frames.push(FrameRecord {
                code: frame.code().unowned(),
                globals: data.globals.unowned(),
                builtins: data.builtins.unowned(),
                // A module's variables are its globals.
                namespace: match frame.code().get::<CodeData>() {
                    Some(code) if !code.ir.flags.function => data.globals.unowned(),
                    _ => Unowned::UNBOUND,
                },
                window: Window::over(&mut []),
                pc: frame.pc.get(),
                object: None,
                native: frame,
            });
        }
    }

    /// Brings the records of running frames up to date, for those who look at them.
    pub fn sync_frames(&self) {
        self.materialise();
        let mut frames = self.frames.borrow_mut();
        for record in frames.iter_mut() {
            // SAFETY: a record is taken off before its machine frame ends.
            if let Some(frame) = unsafe { record.native.as_ref() } {
                record.pc = frame.pc.get();
            }
        }
        if let Some(last) = frames.last()
            && !last.native.is_null()
        {
            self.pc.set(last.pc);
        }
    }
}

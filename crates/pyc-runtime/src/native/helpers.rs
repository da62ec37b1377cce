//! Functions that machine code calls. Each gets lanes by value; an owned lane is consumed, also on failure.

use std::mem::ManuallyDrop;

use pyc_ir::{BinaryOp, CompareOp, Field, NO_REG, Role, UnaryOp};

use super::{Lane, MARK, MATERIALISED, NativeFrame};
use crate::function::{CodeData, FunctionData};
use crate::object::Value;
use crate::registers::Window;
use crate::str::Str;
use crate::vm::{PyResult, Raised, StepFrame, Vm};

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident = $function:path),* $(,)?) => {
        /// The functions by their place in the table.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Helper { $($(#[$doc])* $name),* }
        /// How many there are.
        pub const HELPERS: usize = [$(stringify!($name)),*].len();
        pub(super) fn table() -> [usize; HELPERS] {
            [$($function as *const () as usize),*]
        }
    };
}

helpers! {
    /// `(vm) -> 0 or 1`: the countdown is over.
    Tick = tick,
    /// `(vm) -> 0 or 1`: too deep, or the stack is used up.
    Enter = enter,
    /// `(vm, frame)`: takes the record off.
    Leave = leave,
    /// `(vm, frame, window, pc) -> next pc or -1`: the interpreter's op on the window.
    Step = step,
    /// `(vm, word, a, b, fa, fb) -> lane`: binary arithmetic.
    Binary = binary,
    /// `(vm, word, a, b, fa, fb) -> lane`: comparison.
    Compare = compare,
    /// `(vm, word, a, fa) -> lane`: unary arithmetic.
    Unary = unary,
    /// `(vm, tag, owned) -> tag`: truth.
    Truth = truth,
    /// `(vm, f) -> tag`: a float object.
    Box = box_float,
    /// `(vm, tag)`: gives a reference up.
    Drop = drop_value,
    /// `(vm, frame, pc, quiet) -> 0 or 1`: the waiting exception passes an op; 1: a handler may catch it.
    Raise = raise,
    /// `(vm) -> tag`: the waiting exception.
    Caught = caught,
    /// `(fa, fb) -> f`: floor division of floats, `fb` not zero.
    FloorDiv = floor_div,
    /// `(fa, fb) -> f`: modulo of floats, `fb` not zero.
    Mod = modulo,
    /// `(fa, fb) -> f`: power of floats, `fa` positive and finite; infinite when it overflows.
    Pow = power,
    /// `(vm, callee's place in the window, word) -> lane`: calls what stands there; see [`super::calls`].
    Call = super::calls::call,
    /// `(vm, callee's place in the window, word, names) -> lane`: the last arguments have names.
    CallNames = super::calls::call_names,
    /// `(vm, class) -> tag`: an instance without attributes.
    Instance = super::calls::instance,
    /// `(vm, result)`: `__init__` returned something.
    BadInit = super::calls::bad_init,
    /// `(vm, object, cache, name, value) -> 0 or 1`: adds an attribute as the cache says; 0: it says something else.
    AddAttr = super::calls::add_attr,
    /// `(vm, class, object, cache, name) -> tag`: the function behind `super(class, object).name`, or 0.
    SuperMethod = super::calls::super_method,
    /// `(vm, window, set, count)`: gives up the references that a window's registers of a set hold; of all when the set
    /// is full.
    DropHeld = super::calls::drop_held,
    /// `(vm, n) -> tag`: the text of a code point within range.
    Chr = super::calls::chr,
    /// `(vm, text) -> tag`: the number of a text of one code point, else 0.
    Ord = super::calls::ord,
    /// `(vm, text) -> tag`: the length of a text.
    TextLen = super::calls::text_len,
    /// `(vm, word, obj, key, fa, fb) -> lane`: subscription; [`OTHER`]: a float stays the object that it is.
    GetItem = super::containers::get_item,
    /// `(vm, word, obj, key, src, fa, fb, fc) -> 0 or 1`: assignment to a subscription.
    SetItem = super::containers::set_item,
    /// `(vm, word, obj, parts, fa) -> tag`: a slice.
    GetSlice = super::containers::get_slice,
    /// `(vm, word, obj, parts, src, fa, fc) -> 0 or 1`: assignment to a slice.
    SetSlice = super::containers::set_slice,
    /// `(vm, word, item, container, fa, fb) -> tag`: `in`; [`OTHER`]: `not in`.
    Contains = super::containers::contains,
    /// `(vm, word, src, fa) -> tag`: `iter()` of a `for`.
    GetIter = super::containers::get_iter,
    /// `(vm, iterator) -> tag`: the next item; the empty value: the end.
    Next = super::containers::next,
    /// `(vm, iterator, parts, count) -> tag`: as `Next`; [`MARK`]: the item came in its parts.
    NextUnpacked = super::containers::next_unpacked,
    /// `(vm, items, count) -> tag`
    BuildTuple = super::containers::build_tuple,
    /// `(vm, items, count) -> tag`
    BuildList = super::containers::build_list,
    /// `(vm, items, count) -> tag`
    BuildString = super::containers::build_string,
    /// `(vm, parts) -> tag`
    BuildSlice = super::containers::build_slice,
    /// `(vm, word, src, spec, fa) -> tag`: a field of an f-string.
    Format = super::containers::format,
    /// `(vm, globals, name, value)`: binds a global; the value is moved.
    StoreGlobal = super::containers::store_global,
    /// `(vm, list, item)`: an item more.
    Push = super::containers::push,
}

/// The first operand is owned.
pub const OWN_A: u64 = 1 << 8;
/// The second operand is owned.
pub const OWN_B: u64 = 1 << 9;
/// The third operand is owned.
pub const OWN_C: u64 = 1 << 11;
/// The left operand of `+` may grow in place when nobody else has it.
pub const GROW: u64 = 1 << 12;
/// Augmented assignment; or, of a comparison, its truth is wanted.
pub const OTHER: u64 = 1 << 10;

/// A lane as a value.
///
/// # Safety
/// The tag is [`MARK`] or the bits of a value whose reference the caller gives up.
pub(super) unsafe fn owned(vm: &Vm, tag: u64, float: f64) -> Value {
    if tag == MARK {
        return vm.float(float);
    }
    // SAFETY: by the caller's promise.
    unsafe { Value::from_raw(tag) }
}

/// An operand: dropped at the end when it is owned or was made for this purpose.
pub(super) struct Operand {
    pub(super) value: ManuallyDrop<Value>,
    own: bool,
}

impl Operand {
    /// # Safety
    /// As [`owned`]; without `own` the reference stays the caller's.
    pub(super) unsafe fn new(vm: &Vm, tag: u64, float: f64, own: bool) -> Operand {
        // SAFETY: by the caller's promise.
        Operand { value: ManuallyDrop::new(unsafe { owned(vm, tag, float) }), own: own || tag == MARK }
    }

    /// The value with a reference of its own.
    pub(super) fn into_value(mut self) -> Value {
        if self.own {
            self.own = false;
            // SAFETY: taken once: nothing drops it any more.
            return unsafe { ManuallyDrop::take(&mut self.value) };
        }
        (*self.value).clone()
    }
}

impl Drop for Operand {
    fn drop(&mut self) {
        if self.own {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

pub(super) fn fail(vm: &Vm, error: Raised) -> u64 {
    vm.native.error.set(Some(error.0));
    0
}

/// A result; floats come unboxed.
pub(super) fn lane(vm: &Vm, result: PyResult) -> Lane {
    match result {
        Ok(value) => match value.exact::<f64>() {
            Some(float) => Lane { tag: MARK, float: *float },
            None => Lane { tag: value.into_raw(), float: 0.0 },
        },
        Err(error) => Lane { tag: fail(vm, error), float: 0.0 },
    }
}

pub(super) fn done(vm: &Vm, result: PyResult<()>) -> u64 {
    match result {
        Ok(()) => 1,
        Err(error) => fail(vm, error),
    }
}

// Every function below is only called by machine code, with the VM that it was entered with (`Vm::call_native`), its
// own frame, and lanes as the table says.

unsafe extern "C" fn tick(vm: *const Vm) -> u64 {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    done(vm, vm.check_limits())
}

unsafe extern "C" fn enter(vm: *const Vm) -> u64 {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    if vm.depth() >= vm.recursion_limit.get() {
        return fail(vm, vm.raise(&vm.exc.recursion_error, "maximum recursion depth exceeded"));
    }
    done(vm, vm.check_stack())
}

unsafe extern "C" fn leave(vm: *const Vm, frame: *const NativeFrame) {
    // SAFETY: see above.
    let (vm, frame) = unsafe { (&*vm, &*frame) };
    let record = vm.frames.borrow_mut().pop();
    if let Some(mut record) = record
        && record.object.is_some()
    {
        record.pc = frame.pc.get();
        vm.detach_frame(&record);
    }
}

unsafe extern "C" fn step(vm: *const Vm, frame: *const NativeFrame, window: *mut Value, pc: u64) -> i64 {
    // SAFETY: see above; the window has a slot for each register, and those that the op names hold values.
    let (vm, frame, window) = unsafe { (&*vm, &*frame, Window::at(window)) };
    let (Some(data), Some(code)) = (frame.function().get::<FunctionData>(), frame.code().get::<CodeData>())
    else {
        return -1;
    };
    let at = StepFrame { code: frame.code(), globals: &data.globals, builtins: &data.builtins, window };
    match (vm.engine().step)(vm, &at, pc as u32) {
        Ok(next) => i64::from(next),
        Err(error) => {
            // What the op would have taken is gone in any case.
            let temporaries = code.ir.first_temporary();
            let op = &code.ir.ops[pc as usize];
            op.fields(|_, field| match field {
                Field::Reg(Role::Take, reg) if reg != NO_REG && reg >= temporaries => drop(window.take(reg)),
                Field::Base(first) => {
                    for reg in first..first + op.base_count() as u16 {
                        drop(window.take(reg));
                    }
                }
                _ => {}
            });
            fail(vm, error);
            -1
        }
    }
}

/// Appends to a text that nobody else can see; the result is another reference to it.
fn grow(vm: &Vm, a: &mut Value, b: &Value) -> PyResult<Option<Value>> {
    let (Some(x), Some(y)) = (a.exact::<Str>(), b.exact::<Str>()) else { return Ok(None) };
    if !a.is_unique() || a.is(b) {
        return Ok(None);
    }
    vm.check_alloc(x.len() + y.len(), 1)?;
    if a.payload_mut::<Str>().is_some_and(|text| text.append(y)) { Ok(Some(a.clone())) } else { Ok(None) }
}

unsafe extern "C" fn binary(vm: *const Vm, word: u64, a: u64, b: u64, fa: f64, fb: f64) -> Lane {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    // SAFETY: see above; the word says who owns the operands.
    let (mut a, b) =
        unsafe { (Operand::new(vm, a, fa, word & OWN_A != 0), Operand::new(vm, b, fb, word & OWN_B != 0)) };
    let op = BinaryOp::ALL[(word & 0xff) as usize];
    let grown = if word & GROW != 0 { grow(vm, &mut a.value, &b.value) } else { Ok(None) };
    let result = if let Ok(Some(grown)) = grown {
        Ok(grown)
    } else if let Err(error) = grown {
        Err(error)
    } else if word & OTHER != 0 {
        vm.in_place(op, &a.value, &b.value)
    } else {
        vm.binary(op, &a.value, &b.value)
    };
    drop((a, b));
    lane(vm, result)
}

unsafe extern "C" fn compare(vm: *const Vm, word: u64, a: u64, b: u64, fa: f64, fb: f64) -> Lane {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    // SAFETY: see above; the word says who owns the operands.
    let (a, b) =
        unsafe { (Operand::new(vm, a, fa, word & OWN_A != 0), Operand::new(vm, b, fb, word & OWN_B != 0)) };
    let op = CompareOp::ALL[(word & 0xff) as usize];
    let result = if word & OTHER != 0 {
        vm.compare_true(op, &a.value, &b.value).map(Value::from_bool)
    } else {
        vm.compare(op, &a.value, &b.value)
    };
    drop((a, b));
    lane(vm, result)
}

unsafe extern "C" fn unary(vm: *const Vm, word: u64, a: u64, fa: f64) -> Lane {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    // SAFETY: see above; the word says who owns the operand.
    let a = unsafe { Operand::new(vm, a, fa, word & OWN_A != 0) };
    let result = vm.unary(UnaryOp::ALL[(word & 0xff) as usize], &a.value);
    drop(a);
    lane(vm, result)
}

unsafe extern "C" fn truth(vm: *const Vm, tag: u64, own: u64) -> u64 {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    // SAFETY: see above.
    let value = unsafe { Operand::new(vm, tag, 0.0, own != 0) };
    let result = vm.truth(&value.value);
    drop(value);
    match result {
        Ok(truth) => Value::from_bool(truth).bits(),
        Err(error) => fail(vm, error),
    }
}

unsafe extern "C" fn box_float(vm: *const Vm, float: f64) -> u64 {
    // SAFETY: see above.
    unsafe { &*vm }.float(float).into_raw()
}

unsafe extern "C" fn drop_value(vm: *const Vm, tag: u64) {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    // Finalizers may run machine code, whose exceptions are not ours.
    let waiting = vm.native.error.take();
    // SAFETY: see above; the reference is the caller's to give up.
    drop(unsafe { Value::from_raw(tag) });
    vm.native.error.set(waiting);
}

unsafe extern "C" fn raise(vm: *const Vm, frame: *const NativeFrame, pc: u64, quiet: u64) -> u64 {
    // SAFETY: see above.
    let (vm, frame) = unsafe { (&*vm, &*frame) };
    if vm.terminating.get() {
        return 0;
    }
    if quiet == 0
        && let Some(error) = vm.native.error.take()
    {
        let object = match frame.flags.get() & MATERIALISED {
            0 => None,
            _ => vm.frames.borrow().last().and_then(|f| f.object.clone()),
        };
        if let Some(data) = frame.function().get::<FunctionData>() {
            let object = object.unwrap_or(Value::NONE);
            vm.add_traceback(&error, frame.code(), &data.globals, pc as u32, object);
        }
        vm.native.error.set(Some(error));
    }
    1
}

unsafe extern "C" fn caught(vm: *const Vm) -> u64 {
    // SAFETY: see above.
    let vm = unsafe { &*vm };
    vm.native.error.take().unwrap_or(Value::NONE).into_raw()
}

extern "C" fn floor_div(a: f64, b: f64) -> f64 {
    crate::numbers::float::floor_mod(a, b).0
}

extern "C" fn modulo(a: f64, b: f64) -> f64 {
    crate::numbers::float::floor_mod(a, b).1
}

extern "C" fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

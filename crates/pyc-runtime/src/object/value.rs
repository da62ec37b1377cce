//! Values, headers, allocation and release.

#![allow(clippy::type_complexity, reason = "the visitor of the collector is spelled out once in the table")]

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;
use std::ptr::NonNull;

use super::attrs::Attrs;
use super::{gc, memory};
use crate::types::Type;
use crate::vm;

/// Which payload an object has, for the ones that hot paths ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Other,
    Instance,
    Int,
    Float,
    Complex,
    Str,
    Bytes,
    ByteArray,
    Tuple,
    List,
    Dict,
    Set,
    Type,
    Function,
    Native,
    Method,
    Cell,
    Code,
    Generator,
    Exception,
    Module,
    Range,
    Slice,
    Property,
    StaticMethod,
    ClassMethod,
    Super,
    GetSet,
    Member,
    ListIter,
    RangeIter,
    TupleIter,
}

/// What an object holds after its header.
pub trait Payload: 'static + Sized {
    /// Its kind; `Other` ones are told apart by their Rust type.
    const KIND: Kind = Kind::Other;
    /// Whether it can be part of a cycle.
    const GC: bool = false;
    /// Shows every value it holds to the collector.
    fn traverse(&self, _visit: &mut dyn FnMut(&Value)) {}
    /// Lets go of what it holds, to break a cycle.
    fn clear(&self) {}
}

/// How the core handles a payload; one for each payload type.
pub struct VTable {
    /// The payload's kind.
    pub kind: Kind,
    /// Whether instances are tracked by the collector.
    pub gc: bool,
    /// Tells payloads of kind `Other` apart.
    pub id: TypeId,
    size: usize,
    drop: unsafe fn(*mut Header),
    pub(super) traverse: unsafe fn(*mut Header, &mut dyn FnMut(&Value)),
    pub(super) clear: unsafe fn(*mut Header),
}

impl VTable {
    /// The table of a payload type.
    pub const fn of<T: Payload>() -> &'static VTable {
        const {
            assert!(align_of::<Object<T>>() <= 16);
            &VTable {
                kind: T::KIND,
                gc: T::GC,
                id: TypeId::of::<T>(),
                size: size_of::<Object<T>>(),
                drop: drop_payload::<T>,
                traverse: traverse_payload::<T>,
                clear: clear_payload::<T>,
            }
        }
    }
}

/// Starts every object.
#[repr(C)]
pub struct Header {
    refs: Cell<u32>,
    kind: Kind,
    /// 1: the type is a class made by `class` or `type()`.
    sub: u8,
    flags: Cell<u8>,
    spare: u8,
    ty: Cell<NonZeroU64>,
}

#[repr(C)]
struct Object<T> {
    header: Header,
    payload: T,
}

/// Somebody has a weak reference.
const WEAK: u8 = 1;
/// Has the collector's word in front.
const TRACKED: u8 = 2;
/// Has [`Attrs`] in front.
const ATTRS: u8 = 4;
/// `__del__` has run.
const FINALIZED: u8 = 8;
/// A string of the intern table.
const INTERNED: u8 = 16;

const GC_PREFIX: usize = 16;
const ATTRS_PREFIX: usize = size_of::<Attrs>().div_ceil(16) * 16;

/// A Python object or small integer.
#[repr(transparent)]
pub struct Value(NonZeroU64);

/// A value that somebody else keeps alive for as long as this one is read: a running frame's code, what an inline
/// cache found on a type whose version has not changed. Copying it counts nothing.
#[derive(Clone, Copy)]
pub struct Unowned(NonZeroU64);

impl Unowned {
    /// Stands for nothing.
    pub const UNBOUND: Unowned = Unowned(special_bits(3));

    /// A reference of one's own.
    #[inline(always)]
    pub fn owned(&self) -> Value {
        (**self).clone()
    }
}

impl std::ops::Deref for Unowned {
    type Target = Value;
    #[inline(always)]
    fn deref(&self) -> &Value {
        // SAFETY: `Value` is a transparent `NonZeroU64`; whoever made this promised that the object lives.
        unsafe { &*std::ptr::from_ref(&self.0).cast::<Value>() }
    }
}

const fn special_bits(n: u64) -> NonZeroU64 {
    match NonZeroU64::new(n << 3 | 2) {
        Some(bits) => bits,
        None => unreachable!(),
    }
}

const fn special(n: u64) -> Value {
    Value(special_bits(n))
}

impl Value {
    /// `None`
    pub const NONE: Value = special(0);
    /// `False`
    pub const FALSE: Value = special(1);
    /// `True`
    pub const TRUE: Value = special(2);
    /// Nothing: an empty register, a missing argument. Programs never see it.
    pub const UNBOUND: Value = special(3);
    /// `NotImplemented`
    pub const NOT_IMPLEMENTED: Value = special(4);
    /// `...`
    pub const ELLIPSIS: Value = special(5);
    /// Largest small integer.
    pub const SMALL_MAX: i64 = (1 << 62) - 1;
    /// Least small integer.
    pub const SMALL_MIN: i64 = -(1 << 62);

    /// A small integer, when it is one.
    #[inline(always)]
    pub fn small(n: i64) -> Option<Value> {
        let shifted = n << 1;
        if shifted >> 1 == n { Some(Value(NonZeroU64::MIN | shifted as u64)) } else { None }
    }

    /// A small integer from something that always is one.
    #[inline(always)]
    pub fn from_i32(n: i32) -> Value {
        Value(NonZeroU64::MIN | ((n as i64) << 1) as u64)
    }

    /// A length or count.
    #[inline(always)]
    pub fn from_len(n: usize) -> Value {
        Value(NonZeroU64::MIN | ((n as u64) << 1))
    }

    /// True or False.
    #[inline(always)]
    pub fn from_bool(b: bool) -> Value {
        if b { Value::TRUE } else { Value::FALSE }
    }

    /// The small integer, if it is one.
    #[inline(always)]
    pub fn as_small(&self) -> Option<i64> {
        if self.0.get() & 1 == 1 { Some(self.0.get() as i64 >> 1) } else { None }
    }

    /// Two small integers, if both are.
    #[inline(always)]
    pub fn both_small(&self, other: &Value) -> Option<(i64, i64)> {
        if self.0.get() & other.0.get() & 1 == 1 {
            Some((self.0.get() as i64 >> 1, other.0.get() as i64 >> 1))
        } else {
            None
        }
    }

    /// True or False as such.
    #[inline(always)]
    pub fn as_bool(&self) -> Option<bool> {
        if self.is(&Value::TRUE) {
            Some(true)
        } else if self.is(&Value::FALSE) {
            Some(false)
        } else {
            None
        }
    }

    /// Identity.
    #[inline(always)]
    pub fn is(&self, other: &Value) -> bool {
        self.0 == other.0
    }
    /// `is None`
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        self.is(&Value::NONE)
    }
    /// Whether it is the empty value.
    #[inline(always)]
    pub fn is_unbound(&self) -> bool {
        self.is(&Value::UNBOUND)
    }
    /// The value, or nothing when empty.
    #[inline(always)]
    pub fn bound(&self) -> Option<&Value> {
        if self.is_unbound() { None } else { Some(self) }
    }

    /// Its bits, as `id()`.
    #[inline(always)]
    pub fn bits(&self) -> u64 {
        self.0.get()
    }

    /// Whether it is an object in memory.
    #[inline(always)]
    pub fn is_object(&self) -> bool {
        self.0.get() & 3 == 0
    }

    #[inline(always)]
    fn pointer(&self) -> *mut Header {
        self.0.get() as *mut Header
    }

    #[inline(always)]
    pub(super) fn header(&self) -> Option<&Header> {
        if self.is_object() {
            // SAFETY: an even value that is no constant is the address of a header that this value keeps alive.
            Some(unsafe { &*self.pointer() })
        } else {
            None
        }
    }

    /// The payload's kind; `Other` for small integers and constants.
    #[inline(always)]
    pub fn kind(&self) -> Kind {
        self.header().map_or(Kind::Other, |h| h.kind)
    }

    /// Whether it is an object whose type is no user's class.
    #[inline(always)]
    pub fn is_exact(&self) -> bool {
        self.header().is_none_or(|h| h.sub == 0)
    }

    /// The payload, when it is a `T`.
    #[inline(always)]
    pub fn get<T: Payload>(&self) -> Option<&T> {
        let header = self.header()?;
        if T::KIND as u8 == Kind::Other as u8 {
            if header.kind != Kind::Other || header.type_of().vtable.id != TypeId::of::<T>() {
                return None;
            }
        } else if header.kind != T::KIND {
            return None;
        }
        // SAFETY: the kind, or the payload's Rust type for `Other`, says that a `T` follows the header.
        Some(unsafe { &(*self.pointer().cast::<Object<T>>()).payload })
    }

    /// The payload, when it is a `T` and the type is the builtin one, not a subclass.
    #[inline(always)]
    pub fn exact<T: Payload>(&self) -> Option<&T> {
        let header = self.header()?;
        if header.kind != T::KIND || header.sub != 0 || T::KIND as u8 == Kind::Other as u8 {
            return if T::KIND as u8 == Kind::Other as u8 && header.sub == 0 {
                self.get::<T>()
            } else {
                None
            };
        }
        // SAFETY: as in `get`.
        Some(unsafe { &(*self.pointer().cast::<Object<T>>()).payload })
    }

    /// The type of an object in memory.
    #[inline(always)]
    pub fn type_value(&self) -> Option<&Value> {
        self.header().map(Header::type_ref)
    }

    /// Whether the two are objects of kind `Str` that are both interned: then they are equal only if identical.
    #[inline(always)]
    pub fn is_interned(&self) -> bool {
        self.header().is_some_and(|h| h.flags.get() & INTERNED != 0)
    }

    /// Whether the collector knows it.
    pub fn is_tracked(&self) -> bool {
        self.header().is_some_and(|h| h.flags.get() & TRACKED != 0)
    }

    /// Whether its `__del__` has run.
    pub fn is_finalized(&self) -> bool {
        self.header().is_some_and(Header::finalized)
    }

    /// Marks a string of the intern table.
    pub(crate) fn mark_interned(&self) {
        self.set_flag(INTERNED);
    }

    fn set_flag(&self, flag: u8) {
        if let Some(header) = self.header() {
            header.flags.set(header.flags.get() | flag);
        }
    }

    /// Notes that a weak reference exists.
    pub fn mark_weakly_referenced(&self) {
        self.set_flag(WEAK);
    }

    /// An instance's attributes.
    #[inline(always)]
    pub fn attrs(&self) -> Option<&Attrs> {
        let header = self.header()?;
        if header.flags.get() & ATTRS == 0 {
            return None;
        }
        // SAFETY: the flag says that the attributes stand in front of the collector's word.
        Some(unsafe { &*self.pointer().cast::<u8>().sub(GC_PREFIX + ATTRS_PREFIX).cast::<Attrs>() })
    }

    /// How many references there are.
    pub fn reference_count(&self) -> u32 {
        self.header().map_or(u32::MAX, |h| h.refs.get())
    }

    /// Whether this is the only reference, so that what it holds may be changed in place.
    #[inline(always)]
    pub fn is_unique(&self) -> bool {
        self.header().is_some_and(|h| h.refs.get() == 1)
    }

    /// Gives the object another type; both must have the same payload and layout.
    pub(crate) fn set_type(&self, ty: &Value) {
        if let Some(header) = self.header() {
            let old = header.ty.replace(ty.clone().into_bits());
            // SAFETY: the header owned one reference to its type, which is dropped here.
            drop(unsafe { Value::from_bits(old) });
        }
    }

    /// The payload, to change, when this is the only reference to the object.
    #[inline]
    pub fn payload_mut<T: Payload>(&mut self) -> Option<&mut T> {
        if !self.is_unique() || self.get::<T>().is_none() {
            return None;
        }
        // SAFETY: as in `get`; the only reference is borrowed for as long as the result lives.
        Some(unsafe { &mut (*self.pointer().cast::<Object<T>>()).payload })
    }

    /// The payload of the type of an object in memory.
    #[inline(always)]
    pub(crate) fn class(&self) -> Option<&Type> {
        self.header().map(Header::type_of)
    }

    /// Overwrites a float in place when nobody else refers to it.
    #[inline(always)]
    pub fn reuse_float(&self, number: f64) -> bool {
        match self.header() {
            Some(h) if h.kind == Kind::Float && h.refs.get() == 1 && h.sub == 0 => {
                // SAFETY: the kind says that a float follows; ours is the only reference.
                unsafe { (*self.pointer().cast::<Object<f64>>()).payload = number };
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn into_bits(self) -> NonZeroU64 {
        let bits = self.0;
        std::mem::forget(self);
        bits
    }

    /// The value without a reference of its own. Whoever keeps it makes sure that another reference outlives it.
    #[inline(always)]
    pub fn unowned(&self) -> Unowned {
        Unowned(self.0)
    }

    /// Its bits; the reference is the caller's now.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> u64 {
        self.into_bits().get()
    }

    /// # Safety
    /// The bits came from `into_raw` (or are those of a live value whose reference is given up) and are not zero.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(bits: u64) -> Value {
        // SAFETY: by the caller's promise.
        Value(unsafe { NonZeroU64::new_unchecked(bits) })
    }

    /// The bits of the object that a payload belongs to.
    ///
    /// # Safety
    /// The payload is an object's, not one on its own.
    #[inline(always)]
    pub(crate) unsafe fn bits_of_holder<T: Payload>(payload: &T) -> u64 {
        (std::ptr::from_ref(payload) as usize - std::mem::offset_of!(Object<T>, payload)) as u64
    }

    pub(super) fn into_held_bits(self) -> u64 {
        self.into_bits().get()
    }

    /// The value whose reference is held as bits elsewhere (0: none); a new reference.
    #[inline]
    pub(super) fn from_held_bits(bits: u64) -> Option<Value> {
        NonZeroU64::new(bits).map(|bits| Unowned(bits).owned())
    }

    /// # Safety
    /// The bits came from `into_held_bits` and are not used again.
    pub(super) unsafe fn take_held_bits(bits: u64) -> Value {
        Value(NonZeroU64::new(bits).expect("no value is zero"))
    }

    /// # Safety
    /// The bits came from `into_bits` and are not used again.
    #[inline(always)]
    unsafe fn from_bits(bits: NonZeroU64) -> Value {
        Value(bits)
    }

    /// A new reference to the object at an address that the collector's list holds.
    ///
    /// # Safety
    /// A live object is there.
    pub(super) unsafe fn from_header(header: *mut Header) -> Value {
        // SAFETY: by the caller's promise.
        unsafe { (*header).refs.set((*header).refs.get() + 1) };
        Value(NonZeroU64::new(header as u64).expect("an address is not zero"))
    }
}

impl Clone for Value {
    #[inline(always)]
    fn clone(&self) -> Value {
        if self.is_object() {
            // SAFETY: as in `header`. A count that reaches its limit would need 2^32 references: 32 GiB.
            unsafe {
                let refs = &(*self.pointer()).refs;
                refs.set(refs.get().wrapping_add(1));
            }
        }
        Value(self.0)
    }
}

impl Drop for Value {
    #[inline(always)]
    fn drop(&mut self) {
        if self.is_object() {
            // SAFETY: as in `header`; this value's reference ends here.
            unsafe {
                let refs = &(*self.pointer()).refs;
                let left = refs.get().wrapping_sub(1);
                refs.set(left);
                if left == 0 {
                    release(self.pointer());
                }
            }
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.as_small() {
            Some(n) => write!(f, "{n}"),
            None => write!(f, "<{:?} {:#x}>", self.kind(), self.bits()),
        }
    }
}

impl Header {
    #[inline(always)]
    fn type_ref(&self) -> &Value {
        // SAFETY: `Value` is a transparent `NonZeroU64`; the header owns a reference for as long as it lives, and
        // `set_type` replaces it only while the former type is still alive elsewhere (the caller holds it).
        unsafe { &*self.ty.as_ptr().cast::<Value>() }
    }

    #[inline(always)]
    pub(super) fn type_of(&self) -> &Type {
        let pointer = self.type_ref().pointer();
        // SAFETY: the type of an object is an object of kind Type.
        unsafe { &(*pointer.cast::<Object<Type>>()).payload }
    }

    pub(super) fn refs(&self) -> u32 {
        self.refs.get()
    }

    pub(super) fn finalized(&self) -> bool {
        self.flags.get() & FINALIZED != 0
    }
}

/// Allocates an object of `ty` around `payload`.
#[inline]
pub fn new_object<T: Payload>(ty: &Value, payload: T) -> Value {
    let class = ty.get::<Type>();
    debug_assert!(class.is_none_or(|c| c.vtable.id == TypeId::of::<T>()));
    match class {
        Some(class) if class.has_attrs() => new_with_attrs(ty, class, payload),
        class => new_plain(ty, class.map_or(0, |c| u8::from(c.is_heap())), payload),
    }
}

#[inline(always)]
fn new_plain<T: Payload>(ty: &Value, sub: u8, payload: T) -> Value {
    let prefix = if T::GC { GC_PREFIX } else { 0 };
    let start = memory::take(prefix + size_of::<Object<T>>());
    // SAFETY: the block is large enough for the prefix and the object, and aligned to 16.
    let value = unsafe { fill(start.add(prefix), ty, sub, if T::GC { TRACKED } else { 0 }, payload) };
    if T::GC {
        gc::track(value.pointer());
    }
    value
}

fn new_with_attrs<T: Payload>(ty: &Value, class: &Type, payload: T) -> Value {
    let (slots, room) = (class.slot_count(), class.attribute_room());
    let prefix = Attrs::inline_bytes(room) + GC_PREFIX + ATTRS_PREFIX;
    let start = memory::take(prefix + size_of::<Object<T>>());
    // SAFETY: the block is large enough for the prefixes and the object, and aligned to 16; every part is written
    // before anything reads it.
    let value = unsafe {
        let object = start.add(prefix);
        Attrs::write(object.sub(GC_PREFIX + ATTRS_PREFIX).cast(), slots, room);
        fill(object, ty, u8::from(class.is_heap()), ATTRS | TRACKED, payload)
    };
    gc::track(value.pointer());
    value
}

/// Writes header and payload.
///
/// # Safety
/// `place` is unused memory for the object.
#[inline(always)]
unsafe fn fill<T: Payload>(place: *mut u8, ty: &Value, sub: u8, flags: u8, payload: T) -> Value {
    let header = Header {
        refs: Cell::new(1),
        kind: T::KIND,
        sub,
        flags: Cell::new(flags),
        spare: 0,
        ty: Cell::new(ty.clone().into_bits()),
    };
    // SAFETY: by the caller's promise.
    unsafe { place.cast::<Object<T>>().write(Object { header, payload }) };
    Value(NonZeroU64::new(place as u64).expect("an address is not zero"))
}

/// Offsets for machine code: reference count, kind, subclass mark, payload, flags, type; then how far in front of an
/// object its attributes stand, and the flag that says that it has some.
pub(crate) fn object_layout() -> [usize; 8] {
    use std::mem::offset_of;
    const _: () = assert!(offset_of!(Object<f64>, payload) == size_of::<Header>());
    const _: () = assert!(offset_of!(Header, sub) == offset_of!(Header, kind) + 1);
    [
        offset_of!(Header, refs),
        offset_of!(Header, kind),
        offset_of!(Header, sub),
        offset_of!(Object<f64>, payload),
        offset_of!(Header, flags),
        offset_of!(Header, ty),
        GC_PREFIX + ATTRS_PREFIX,
        ATTRS as usize,
    ]
}

/// The type of types is its own type: made with an empty type first, which this sets.
pub(crate) fn resize_hint(value: &Value) -> usize {
    value.header().map_or(0, |h| h.type_of().vtable.size)
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WAITING: Cell<bool> = const { Cell::new(false) };
    static LATER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}
const DEPTH_MAX: u32 = 100;

/// The last reference is gone.
///
/// # Safety
/// `header` is a live object without references.
#[inline(never)]
unsafe fn release(header: *mut Header) {
    // SAFETY: by the caller's promise; `ty` stays alive until the end of `finish`.
    let (flags, class) = unsafe { ((*header).flags.get(), (*header).type_of()) };
    if (class.has_del() && flags & FINALIZED == 0) || flags & WEAK != 0 {
        // SAFETY: alive until `finish`; the reference made here is given up without a second release.
        unsafe {
            (*header).refs.set(1);
            let value = std::mem::ManuallyDrop::new(Value(NonZeroU64::new(header as u64).expect("not zero")));
            if class.has_del() && flags & FINALIZED == 0 {
                (*header).flags.set((*header).flags.get() | FINALIZED);
                vm::finalize(&value);
            }
            let resurrected = (*header).refs.get() > 1;
            if !resurrected && (*header).flags.get() & WEAK != 0 {
                (*header).flags.set((*header).flags.get() & !WEAK);
                vm::clear_weak_references(&value);
            }
            let left = (*header).refs.get() - 1;
            (*header).refs.set(left);
            if left > 0 {
                return;
            }
        }
    }
    // Long chains (linked lists) are taken apart in a loop instead of by recursion.
    let depth = DEPTH.with(Cell::get);
    if depth >= DEPTH_MAX {
        LATER.with(|later| later.borrow_mut().push(header as usize));
        WAITING.with(|w| w.set(true));
        return;
    }
    DEPTH.with(|d| d.set(depth + 1));
    // SAFETY: no references are left.
    unsafe { finish(header) };
    DEPTH.with(|d| d.set(depth));
    if depth == 0 && WAITING.with(Cell::get) {
        while let Some(next) = LATER.with(|later| later.borrow_mut().pop()) {
            DEPTH.with(|d| d.set(1));
            // SAFETY: put there without references by the branch above.
            unsafe { finish(next as *mut Header) };
            DEPTH.with(|d| d.set(0));
        }
        WAITING.with(|w| w.set(false));
    }
}

/// Drops payload, attributes and memory.
///
/// # Safety
/// `header` is a live object without references.
unsafe fn finish(header: *mut Header) {
    // SAFETY: the prefixes and the size are those of `new_object`, as the flags and the table say.
    unsafe {
        let flags = (*header).flags.get();
        let table = (*header).type_of().vtable;
        let ty = Value::from_bits((*header).ty.get());
        if flags & TRACKED != 0 {
            gc::untrack(header);
        }
        (table.drop)(header);
        let mut prefix = if flags & TRACKED != 0 { GC_PREFIX } else { 0 };
        if flags & ATTRS != 0 {
            prefix += ATTRS_PREFIX;
            let attrs = header.cast::<u8>().sub(prefix).cast::<Attrs>();
            prefix += Attrs::inline_bytes((*attrs).inline_room());
            std::ptr::drop_in_place(attrs);
        }
        memory::give(header.cast::<u8>().sub(prefix), prefix + table.size);
        drop(ty);
    }
}

unsafe fn drop_payload<T: Payload>(header: *mut Header) {
    // SAFETY: called through the table of the object's own payload type.
    unsafe { std::ptr::drop_in_place(&mut (*header.cast::<Object<T>>()).payload) };
}

unsafe fn traverse_payload<T: Payload>(header: *mut Header, visit: &mut dyn FnMut(&Value)) {
    // SAFETY: as above.
    unsafe { (*header.cast::<Object<T>>()).payload.traverse(visit) };
}

unsafe fn clear_payload<T: Payload>(header: *mut Header) {
    // SAFETY: as above.
    unsafe { (*header.cast::<Object<T>>()).payload.clear() };
}

pub(super) fn gc_index(header: NonNull<Header>) -> *mut u32 {
    // SAFETY: only called for tracked objects, which have the word in front.
    unsafe { header.as_ptr().cast::<u8>().sub(GC_PREFIX).cast::<u32>() }
}

/// Shows all values of an object: payload, attributes and type.
pub(super) fn visit_object(header: &Header, visit: &mut dyn FnMut(&Value)) {
    let pointer = std::ptr::from_ref(header).cast_mut();
    // SAFETY: a live object, its own table.
    unsafe { (header.type_of().vtable.traverse)(pointer, visit) };
    if header.flags.get() & ATTRS != 0 {
        // SAFETY: as in `Value::attrs`.
        let attrs = unsafe { &*pointer.cast::<u8>().sub(GC_PREFIX + ATTRS_PREFIX).cast::<Attrs>() };
        attrs.visit(visit);
    }
    if header.sub != 0 {
        visit(header.type_ref());
    }
}

/// Lets go of everything an object holds.
pub(super) fn clear_object(value: &Value) {
    let Some(header) = value.header() else { return };
    if let Some(attrs) = value.attrs() {
        attrs.clear();
    }
    // SAFETY: a live object, its own table.
    unsafe { (header.type_of().vtable.clear)(value.pointer()) };
}

pub(super) fn mark_finalized(header: &Header) {
    header.flags.set(header.flags.get() | FINALIZED);
}

pub(super) fn header_pointer(value: &Value) -> *mut Header {
    value.pointer()
}

impl Payload for f64 {
    const KIND: Kind = Kind::Float;
}

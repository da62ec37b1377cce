//! The attributes and `__slots__` of instances: values in one block, named by a shape.
//!
//! The block stands in front of the object itself, as large as the instances of the class usually need; when more
//! attributes come it moves elsewhere. The `__slots__` come first, then the attributes in the shape's order.

use std::cell::Cell;
use std::rc::Rc;

use super::memory;
use super::value::Value;
use crate::shape::Shape;

/// An instance's attributes and `__slots__`.
#[repr(C)]
pub struct Attrs {
    /// The block of values.
    values: Cell<*mut Value>,
    /// The layout, counted; null: no attribute yet, or they live in a dict.
    shape: Cell<*const Shape>,
    /// The shape's id; 0 without one.
    shape_id: Cell<u32>,
    /// Values in the block.
    len: Cell<u16>,
    /// Room in the block.
    room: Cell<u16>,
    /// Room of the block in front of the object.
    inline: u16,
    slots: u16,
    /// The `__dict__` object's bits, once somebody asked for it; 0: none.
    dict: Cell<u64>,
}

impl Attrs {
    /// Offsets of the block's address, the shape's id, the count of values, the count of slots and the dict, for
    /// machine code.
    pub(crate) const LAYOUT: [usize; 5] = [
        std::mem::offset_of!(Attrs, values),
        std::mem::offset_of!(Attrs, shape_id),
        std::mem::offset_of!(Attrs, len),
        std::mem::offset_of!(Attrs, slots),
        std::mem::offset_of!(Attrs, dict),
    ];
}

const WORD: usize = size_of::<Value>();

impl Attrs {
    /// Bytes that a block for `room` values takes in front of the attributes.
    pub(super) const fn inline_bytes(room: usize) -> usize {
        (room * WORD).div_ceil(16) * 16
    }

    /// Room of the block in front of the object.
    pub(super) fn inline_room(&self) -> usize {
        usize::from(self.inline)
    }

    /// Writes the attributes of a fresh object; the block lies right in front of `place`.
    ///
    /// # Safety
    /// `place` and the `inline_bytes(room)` before it belong to the object; `slots` is at most `room`.
    pub(super) unsafe fn write(place: *mut Attrs, slots: usize, room: usize) {
        // SAFETY: by the caller's promise.
        unsafe {
            let values = place.cast::<u8>().sub(Attrs::inline_bytes(room)).cast::<Value>();
            for slot in 0..slots {
                values.add(slot).write(Value::UNBOUND);
            }
            place.write(Attrs {
                values: Cell::new(values),
                shape: Cell::new(std::ptr::null()),
                shape_id: Cell::new(0),
                len: Cell::new(slots as u16),
                room: Cell::new(room as u16),
                inline: room as u16,
                slots: slots as u16,
                dict: Cell::new(0),
            });
        }
    }

    /// The layout's id; 0 when there is none.
    #[inline(always)]
    pub fn shape_id(&self) -> u32 {
        self.shape_id.get()
    }

    /// The layout.
    #[inline]
    pub fn shape(&self) -> Option<&Shape> {
        // SAFETY: the pointer is null or came from an `Rc` that this object holds; callers use the reference
        // before they change the layout.
        unsafe { self.shape.get().as_ref() }
    }

    /// Whether attributes live in a dict.
    #[inline(always)]
    pub fn has_dict(&self) -> bool {
        self.dict.get() != 0
    }

    /// The dict that holds the attributes.
    #[inline]
    pub fn dict(&self) -> Option<Value> {
        Value::from_held_bits(self.dict.get())
    }

    /// Puts another dict in, giving the former one.
    pub fn replace_dict(&self, dict: Option<Value>) -> Option<Value> {
        let old = self.dict.replace(dict.map_or(0, Value::into_held_bits));
        // SAFETY: the bits were put there by this function and are taken out here.
        (old != 0).then(|| unsafe { Value::take_held_bits(old) })
    }

    #[inline(always)]
    fn place(&self, at: usize) -> *mut Value {
        debug_assert!(at < usize::from(self.len.get()));
        // SAFETY: places below `len` lie in the block.
        unsafe { self.values.get().add(at) }
    }

    /// The attribute at a place of the shape. The shape says that there is one.
    #[inline(always)]
    pub fn value(&self, index: usize) -> Value {
        let at = index + usize::from(self.slots);
        assert!(at < usize::from(self.len.get()));
        // SAFETY: checked above.
        unsafe { (*self.place(at)).clone() }
    }

    /// Replaces the attribute at a place, giving the former value.
    #[inline(always)]
    pub fn replace(&self, index: usize, value: Value) -> Value {
        let at = index + usize::from(self.slots);
        assert!(at < usize::from(self.len.get()));
        // SAFETY: checked above.
        unsafe { std::mem::replace(&mut *self.place(at), value) }
    }

    /// The value of a slot; nothing when there is no such slot.
    #[inline(always)]
    pub fn slot(&self, index: usize) -> Option<Value> {
        // SAFETY: slots are the first values of the block.
        (index < usize::from(self.slots)).then(|| unsafe { (*self.place(index)).clone() })
    }

    /// Replaces the value of a slot, giving the former one.
    #[inline(always)]
    pub fn replace_slot(&self, index: usize, value: Value) -> Option<Value> {
        // SAFETY: slots are the first values of the block.
        (index < usize::from(self.slots))
            .then(|| unsafe { std::mem::replace(&mut *self.place(index), value) })
    }

    /// How many attributes, without slots.
    #[inline]
    pub fn count(&self) -> usize {
        usize::from(self.len.get() - self.slots)
    }

    /// Adds an attribute; `shape` is the layout with it.
    #[inline]
    pub fn push(&self, shape: Rc<Shape>, value: Value) {
        let len = usize::from(self.len.get());
        if len == usize::from(self.room.get()) {
            self.grow(len);
        }
        // SAFETY: there is room; the place holds no value yet.
        unsafe { self.values.get().add(len).write(value) };
        self.len.set(len as u16 + 1);
        self.set_shape(Some(shape));
    }

    /// Sets the layout, when it changes without the values.
    fn set_shape(&self, shape: Option<Rc<Shape>>) {
        self.shape_id.set(shape.as_ref().map_or(0, |s| s.id));
        let old = self.shape.replace(shape.map_or(std::ptr::null(), Rc::into_raw));
        if !old.is_null() {
            // SAFETY: it came from `Rc::into_raw` and is taken out here.
            drop(unsafe { Rc::from_raw(old) });
        }
    }

    #[cold]
    fn grow(&self, len: usize) {
        let room = (len + 4).next_multiple_of(4);
        // SAFETY: the new block is larger; the old values are moved, not dropped; the old block is given back
        // only when it is not the one in front of the object.
        unsafe {
            let block = memory::take(room * WORD).cast::<Value>();
            std::ptr::copy_nonoverlapping(self.values.get(), block, len);
            self.release_block();
            self.values.set(block);
        }
        self.room.set(room as u16);
    }

    fn inline_block(&self) -> *mut Value {
        let bytes = Attrs::inline_bytes(self.inline_room());
        std::ptr::from_ref(self).cast_mut().cast::<u8>().wrapping_sub(bytes).cast::<Value>()
    }

    /// # Safety
    /// The block's values were moved out or dropped.
    unsafe fn release_block(&self) {
        let block = self.values.get();
        if block != self.inline_block() {
            // SAFETY: such a block came from `take` in `grow` with this room.
            unsafe { memory::give(block.cast(), usize::from(self.room.get()) * WORD) };
        }
    }

    /// Takes the layout and the attributes out; slots stay.
    pub fn take(&self) -> Option<(Rc<Shape>, Vec<Value>)> {
        let shape = self.shape.replace(std::ptr::null());
        self.shape_id.set(0);
        if shape.is_null() {
            return None;
        }
        let (slots, len) = (usize::from(self.slots), usize::from(self.len.get()));
        self.len.set(self.slots);
        // SAFETY: places below `len` hold values, which are moved out; `len` was lowered before.
        let values = (slots..len).map(|at| unsafe { self.values.get().add(at).read() }).collect();
        // SAFETY: it came from `Rc::into_raw` and is taken out here.
        Some((unsafe { Rc::from_raw(shape) }, values))
    }

    /// Shows everything to the collector.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&Value)) {
        for at in 0..usize::from(self.len.get()) {
            // SAFETY: places below `len` hold values.
            visit(unsafe { &*self.place(at) });
        }
        if let Some(dict) = self.dict() {
            visit(&dict);
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        let taken = self.take();
        let dict = self.replace_dict(None);
        for slot in 0..usize::from(self.slots) {
            drop(self.replace_slot(slot, Value::UNBOUND));
        }
        drop((taken, dict));
    }
}

impl Drop for Attrs {
    fn drop(&mut self) {
        let len = usize::from(self.len.replace(0));
        for at in 0..len {
            // SAFETY: places below the former `len` hold values; each is dropped once.
            unsafe { std::ptr::drop_in_place(self.values.get().add(at)) };
        }
        self.set_shape(None);
        drop(self.replace_dict(None));
        // SAFETY: the values were dropped above.
        unsafe { self.release_block() };
    }
}

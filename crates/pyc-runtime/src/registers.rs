//! The registers of running frames: one block of memory, a window of it for each frame.
//!
//! A window's registers are reached without bounds checks: the code that names them was verified to name only
//! registers below the window's size (`pyc_ir::CodeParts::finish`), and a window is only used with the code it was
//! pushed for.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::ManuallyDrop;

use crate::object::Value;

/// Memory for windows; values above `top` are not initialized.
pub struct Stack {
    memory: ManuallyDrop<Vec<Value>>,
    top: Cell<usize>,
}

/// Registers in all; untouched memory is never committed.
const CAPACITY: usize = 4 << 20;

impl Default for Stack {
    fn default() -> Stack {
        Stack { memory: ManuallyDrop::new(Vec::with_capacity(CAPACITY)), top: Cell::new(0) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: dropped once, here; its length is 0, so only the memory is freed.
        unsafe { ManuallyDrop::drop(&mut self.memory) };
    }
}

/// The registers of one frame.
#[derive(Clone, Copy)]
pub struct Window {
    base: *mut Value,
}

impl Stack {
    /// A window of `count` empty registers; nothing when the memory is used up.
    #[inline(always)]
    pub fn push(&self, count: usize) -> Option<Window> {
        let start = self.top.get();
        if start + count > CAPACITY {
            return None;
        }
        self.top.set(start + count);
        // SAFETY: the window lies inside the capacity; nobody else has it.
        let base = unsafe { self.memory.as_ptr().cast_mut().add(start) };
        for index in 0..count {
            // SAFETY: inside the window; the memory holds no value that would have to be dropped.
            unsafe { base.add(index).write(Value::UNBOUND) };
        }
        Some(Window { base })
    }

    /// A window whose first `given` registers are filled from an iterator and whose others are empty; nothing when
    /// the memory is used up (then nothing is taken from the iterator).
    #[inline(always)]
    pub fn push_with(
        &self,
        count: usize,
        given: usize,
        values: impl Iterator<Item = Value>,
    ) -> Option<Window> {
        let start = self.top.get();
        if start + count > CAPACITY {
            return None;
        }
        // SAFETY: the window lies inside the capacity; nobody else has it.
        let base = unsafe { self.memory.as_ptr().cast_mut().add(start) };
        let mut filled = 0;
        for value in values.take(given.min(count)) {
            // SAFETY: inside the window; the memory holds no value that would have to be dropped.
            unsafe { base.add(filled).write(value) };
            filled += 1;
        }
        for index in filled..count {
            // SAFETY: as above.
            unsafe { base.add(index).write(Value::UNBOUND) };
        }
        self.top.set(start + count);
        Some(Window { base })
    }

    /// Drops the registers of the topmost window.
    #[inline(always)]
    pub fn pop(&self, window: Window, count: usize) {
        for index in 0..count {
            // SAFETY: the window of `count` registers was initialized by `push`; each is dropped once. A
            // destructor that pushes windows of its own uses memory above, because `top` is lowered last.
            unsafe { std::ptr::drop_in_place(window.base.add(index)) };
        }
        self.top.set(self.top.get() - count);
    }
}

impl Window {
    /// A window over registers that live elsewhere (a generator's).
    pub fn over(registers: &mut [Value]) -> Window {
        Window { base: registers.as_mut_ptr() }
    }

    /// The first register's address, for machine code.
    #[inline(always)]
    pub(crate) fn base(&self) -> *mut Value {
        self.base
    }

    /// A window whose registers start at an address.
    ///
    /// # Safety
    /// The registers that are used through it are there.
    #[inline(always)]
    pub(crate) unsafe fn at(base: *mut Value) -> Window {
        Window { base }
    }

    /// The window that starts at a register.
    #[inline(always)]
    #[must_use]
    pub fn from(&self, register: u16) -> Window {
        // SAFETY: see the module's text.
        Window { base: unsafe { self.base.add(usize::from(register)) } }
    }

    /// A register's value. It must not be written while the reference lives; ops clone or finish before.
    #[inline(always)]
    pub fn get(&self, register: u16) -> &Value {
        // SAFETY: see the module's text.
        unsafe { &*self.base.add(usize::from(register)) }
    }

    /// Writes a register; the former value is dropped.
    #[inline(always)]
    pub fn set(&self, register: u16, value: Value) {
        // SAFETY: see the module's text. The old value is dropped after the new one is in place, so that a
        // destructor finds a whole window.
        let old = unsafe { std::mem::replace(&mut *self.base.add(usize::from(register)), value) };
        drop(old);
    }

    /// Moves a register's value out and leaves it empty.
    #[inline(always)]
    pub fn take(&self, register: u16) -> Value {
        // SAFETY: see the module's text.
        unsafe { std::mem::replace(&mut *self.base.add(usize::from(register)), Value::UNBOUND) }
    }

    /// Consecutive registers, to read. As [`Window::get`].
    #[inline(always)]
    pub fn slice(&self, first: u16, count: usize) -> &[Value] {
        // SAFETY: see the module's text.
        unsafe { std::slice::from_raw_parts(self.base.add(usize::from(first)), count) }
    }

    /// Empties consecutive registers.
    #[inline(always)]
    pub fn clear(&self, first: u16, count: usize) {
        for index in 0..count {
            drop(self.take(first + index as u16));
        }
    }
}

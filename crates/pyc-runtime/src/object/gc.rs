//! The cycle collector: synchronous trial deletion over the list of containers, at deterministic moments.
//!
//! An object whose references all come from other tracked objects that are themselves only reached that way is
//! garbage. The count of new containers alone decides when to look, so a program collects at the same places
//! each time it runs.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::value::{self, Header, Value, gc_index};
use crate::vm;

thread_local! {
    // Never dropped, so that reaching it needs no look at whether the thread is ending; objects that outlive their
    // instance cannot be released later than this.
    static TRACKED: ManuallyDrop<RefCell<Vec<NonNull<Header>>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    static NEXT: Cell<usize> = const { Cell::new(50_000) };
    static THRESHOLD: Cell<usize> = const { Cell::new(50_000) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn track(header: *mut Header) {
    let Some(header) = NonNull::new(header) else { return };
    TRACKED.with(|list| {
        let mut list = list.borrow_mut();
        // SAFETY: a tracked object has the word in front.
        unsafe { *gc_index(header) = list.len() as u32 };
        list.push(header);
    });
}

/// # Safety
/// `header` is a tracked object.
pub(super) unsafe fn untrack(header: *mut Header) {
    let Some(header) = NonNull::new(header) else { return };
    TRACKED.with(|list| {
        let mut list = list.borrow_mut();
        // SAFETY: by the caller's promise; the index was kept by `track` and by this function.
        let index = unsafe { *gc_index(header) } as usize;
        list.swap_remove(index);
        if let Some(moved) = list.get(index) {
            // SAFETY: it is in the list, so it is tracked and alive.
            unsafe { *gc_index(*moved) = index as u32 };
        }
    });
}

/// How many containers live.
pub fn tracked_count() -> usize {
    TRACKED.with(|list| list.borrow().len())
}

/// Whether it is time to collect.
#[inline]
pub fn threshold() -> bool {
    THRESHOLD.with(Cell::get) > 0 && tracked_count() >= NEXT.with(Cell::get)
}

/// Containers beyond the living ones after which a collection is due; 0 switches it off.
pub fn set_threshold(count: usize) {
    THRESHOLD.with(|t| t.set(count));
    NEXT.with(|next| next.set(tracked_count() + count));
}

/// Whether a container holds a value directly.
pub fn refers(holder: &Value, value: &Value) -> bool {
    let mut found = false;
    if let Some(header) = holder.header() {
        value::visit_object(header, &mut |held| found |= held.is(value));
    }
    found
}

/// What a container holds directly.
pub fn referents(holder: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if holder.is_tracked()
        && let Some(header) = holder.header()
    {
        value::visit_object(header, &mut |held| all.push(held.clone()));
    }
    all
}

/// All containers, for `gc.get_objects`.
pub fn tracked() -> Vec<Value> {
    // SAFETY: listed objects are alive.
    TRACKED.with(|list| list.borrow().iter().map(|h| unsafe { Value::from_header(h.as_ptr()) }).collect())
}

/// Finds and frees garbage cycles; gives the number of objects found.
pub fn collect() -> usize {
    if RUNNING.with(|r| r.replace(true)) {
        return 0;
    }
    let found = collect_now();
    RUNNING.with(|r| r.set(false));
    let live = tracked_count();
    let step = THRESHOLD.with(Cell::get).max(live / 2);
    NEXT.with(|next| next.set(live + step));
    found
}

fn collect_now() -> usize {
    let garbage = unreachable();
    if garbage.is_empty() {
        return 0;
    }
    let count = garbage.len();
    // Finalizers run first, while everything is still whole; what they bring back to life stays.
    let mut finalized = false;
    for value in &garbage {
        if let Some(header) = value.header()
            && header.type_of().has_del()
            && !header.finalized()
        {
            value::mark_finalized(header);
            finalized = true;
            vm::finalize(value);
        }
    }
    let garbage = if finalized {
        drop(garbage);
        unreachable()
    } else {
        garbage
    };
    for value in &garbage {
        vm::clear_weak_references(value);
    }
    for value in &garbage {
        value::clear_object(value);
    }
    count
}

/// The place of a tracked object in the list.
fn place(value: &Value) -> Option<usize> {
    if !value.is_tracked() {
        return None;
    }
    let header = NonNull::new(value::header_pointer(value))?;
    // SAFETY: a tracked object has the word in front.
    Some(unsafe { *gc_index(header) } as usize)
}

/// Tracked objects that nothing outside reaches; a reference to each is held.
fn unreachable() -> Vec<Value> {
    let list: Vec<NonNull<Header>> = TRACKED.with(|list| list.borrow().clone());
    // All listed objects are alive, and nothing is released before this function returns.
    let mut outside = Vec::with_capacity(list.len());
    for header in &list {
        // SAFETY: see above.
        outside.push(i64::from(unsafe { header.as_ref() }.refs()));
    }
    for header in &list {
        // SAFETY: see above.
        value::visit_object(unsafe { header.as_ref() }, &mut |held| {
            if let Some(i) = place(held) {
                outside[i] -= 1;
            }
        });
    }
    let mut reached: Vec<bool> = outside.iter().map(|n| *n > 0).collect();
    let mut work: Vec<usize> = (0..list.len()).filter(|i| reached[*i]).collect();
    while let Some(at) = work.pop() {
        // SAFETY: see above.
        value::visit_object(unsafe { list[at].as_ref() }, &mut |held| {
            if let Some(i) = place(held)
                && !reached[i]
            {
                reached[i] = true;
                work.push(i);
            }
        });
    }
    let garbage = list.iter().enumerate().filter(|(i, _)| !reached[*i]);
    // SAFETY: see above.
    garbage.map(|(_, h)| unsafe { Value::from_header(h.as_ptr()) }).collect()
}

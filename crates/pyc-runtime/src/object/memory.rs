//! Memory for objects: free lists by size class, and the count of bytes in use that limits read.

use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::sync::Mutex;

const CLASS_BYTES: usize = 16;
const CLASSES: usize = 33;
/// Memory is cut into blocks a chunk at a time. A class's first chunk is a page, so that a short program touches few
/// pages; later ones are as large as what the class has already, up to the larger number.
const CHUNK_BYTES: (usize, usize) = (4 << 10, 64 << 10);

struct Pools {
    free: [*mut u8; CLASSES],
    /// Blocks of each class that this thread has cut or taken over.
    blocks: [usize; CLASSES],
}

const EMPTY: Pools = Pools { free: [std::ptr::null_mut(); CLASSES], blocks: [0; CLASSES] };

/// Blocks of small objects and texts that are in use on this thread, counted by walking the free lists: nothing is
/// counted while programs run. After an instance has ended, what is left has leaked.
pub fn live_blocks() -> usize {
    POOLS.with(|pools| {
        // SAFETY: the pools belong to this thread and nothing changes them while the lists are walked.
        let pools = unsafe { &*pools.get() };
        let free: usize = pools.free.iter().map(|head| length(*head)).sum();
        pools.blocks.iter().sum::<usize>() - free
    })
}

fn length(mut head: *mut u8) -> usize {
    let mut count = 0;
    while !head.is_null() {
        // SAFETY: a block in a free list is unused and holds the next block's address.
        head = unsafe { *head.cast::<*mut u8>() };
        count += 1;
    }
    count
}

/// Free blocks of threads that have ended, for the next ones.
static LEFT: Mutex<Vec<Left>> = Mutex::new(Vec::new());

struct Left(Pools);
// SAFETY: the blocks of an ended thread's lists are unused; whoever takes them out of the list owns them.
unsafe impl Send for Left {}

/// Hands the lists on when the thread ends.
struct Handover;

impl Drop for Handover {
    fn drop(&mut self) {
        // SAFETY: the pools belong to this thread, and nothing below reaches them again while we hold them.
        let pools = POOLS.with(|pools| unsafe { std::mem::replace(&mut *pools.get(), EMPTY) });
        if let Ok(mut left) = LEFT.lock() {
            left.push(Left(pools));
        }
    }
}

thread_local! {
    static HANDOVER: Handover = const { Handover };
    static POOLS: UnsafeCell<Pools> = const { UnsafeCell::new(EMPTY) };
    static USED_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// Bytes that this thread's allocations hold, when [`Counting`] is the program's allocator.
pub fn used_bytes() -> i64 {
    USED_BYTES.with(Cell::get)
}

/// The system's allocator with a count by thread, for `--max-memory`. A program that wants the limit makes it
/// its global allocator.
pub struct Counting;

// SAFETY: every call goes to `System` unchanged; the count is a thread-local cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = USED_BYTES.try_with(|used| used.set(used.get() + layout.size() as i64));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = USED_BYTES.try_with(|used| used.set(used.get() - layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = USED_BYTES.try_with(|used| used.set(used.get() + size as i64 - layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let _ = USED_BYTES.try_with(|used| used.set(used.get() + layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
}

/// `size` bytes, aligned to 16.
#[inline]
pub(super) fn take(size: usize) -> *mut u8 {
    let class = size.div_ceil(CLASS_BYTES);
    if class >= CLASSES {
        let layout = Layout::from_size_align(size, CLASS_BYTES).expect("an object's size fits");
        // SAFETY: the size is not zero.
        let pointer = unsafe { alloc(layout) };
        if pointer.is_null() {
            handle_alloc_error(layout);
        }
        return pointer;
    }
    POOLS.with(|pools| {
        // SAFETY: the pools belong to this thread and nothing below reaches them again while we hold them;
        // a block in a free list is unused and holds the next block's address.
        unsafe {
            let pools = &mut *pools.get();
            let head = pools.free[class];
            if head.is_null() {
                return refill(pools, class);
            }
            pools.free[class] = *(head.cast::<*mut u8>());
            head
        }
    })
}

#[cold]
fn refill(pools: &mut Pools, class: usize) -> *mut u8 {
    // What is released after the thread's end is handed over is lost; that is a handful of objects at most.
    let _ = HANDOVER.try_with(|_| ());
    let left = LEFT.lock().ok().and_then(|mut left| {
        let with_block = left.iter().position(|l| !l.0.free[class].is_null())?;
        let taken = std::mem::replace(&mut left[with_block].0.free[class], std::ptr::null_mut());
        if left[with_block].0.free.iter().all(|f| f.is_null()) {
            left.swap_remove(with_block);
        }
        Some(taken)
    });
    if let Some(head) = left {
        pools.blocks[class] += length(head);
        // SAFETY: a block in a free list is unused and holds the next block's address.
        pools.free[class] = unsafe { *head.cast::<*mut u8>() };
        return head;
    }
    let size = class * CLASS_BYTES;
    let chunk_bytes = (pools.blocks[class] * size).next_power_of_two().clamp(CHUNK_BYTES.0, CHUNK_BYTES.1);
    let layout = Layout::from_size_align(chunk_bytes, CLASS_BYTES).expect("a small size");
    // SAFETY: the size is not zero; every block written to lies inside the chunk, which is never given back.
    unsafe {
        let chunk = alloc(layout);
        if chunk.is_null() {
            handle_alloc_error(layout);
        }
        let count = chunk_bytes / size;
        pools.blocks[class] += count;
        for index in (1..count).rev() {
            let block = chunk.add(index * size);
            *block.cast::<*mut u8>() = pools.free[class];
            pools.free[class] = block;
        }
        chunk
    }
}

/// Gives a block of `take(size)` back.
///
/// # Safety
/// `pointer` came from `take` with the same size on this thread and is not used again.
#[inline]
pub(super) unsafe fn give(pointer: *mut u8, size: usize) {
    let class = size.div_ceil(CLASS_BYTES);
    if class >= CLASSES {
        let layout = Layout::from_size_align(size, CLASS_BYTES).expect("an object's size fits");
        // SAFETY: by the caller's promise it came from `alloc` with this layout.
        unsafe { dealloc(pointer, layout) };
        return;
    }
    POOLS.with(|pools| {
        // SAFETY: as in `take`; the block is unused from here on.
        unsafe {
            let pools = &mut *pools.get();
            *pointer.cast::<*mut u8>() = pools.free[class];
            pools.free[class] = pointer;
        }
    });
}

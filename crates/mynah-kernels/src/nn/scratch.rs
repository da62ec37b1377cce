//! Work space that kernels borrow and give back, so that a training step allocates nothing after its first.

use std::cell::RefCell;

/// Alignment of the space in floats: a cache line, which is also the widest vector.
const LINE: usize = 16;

thread_local! {
    static SPACES: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with `len` floats of unspecified but initialised content, aligned to a cache line. Calls may nest.
pub(crate) fn with<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut space = SPACES.with_borrow_mut(Vec::pop).unwrap_or_default();
    if space.len() < len + LINE {
        space.resize(len + LINE, 0.0);
    }
    let offset = space.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = body(&mut space[offset..offset + len]);
    SPACES.with_borrow_mut(|spaces| spaces.push(space));
    result
}

/// Cuts `len` floats off the front of `space`, rounded up to whole cache lines.
pub(crate) fn take<'a>(space: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (taken, rest) = std::mem::take(space).split_at_mut(padded(len));
    *space = rest;
    &mut taken[..len]
}

/// `len` rounded up to whole cache lines.
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(LINE)
}

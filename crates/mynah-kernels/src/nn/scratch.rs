//! Work space that kernels borrow and give back, so that a training step allocates nothing after its first.

use std::cell::RefCell;

/// Alignment of the space in floats: a cache line, which is also the widest vector.
const LINE: usize = 16;

thread_local! {
    static SPACES: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with `len` floats of unspecified but initialised content, aligned to a cache line. Calls may nest.
pub(crate) fn with<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut space = borrow(len + LINE);
    let offset = space.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = body(&mut space[offset..offset + len]);
    SPACES.with_borrow_mut(|spaces| spaces.push(space));
    result
}

/// The smallest free space of at least `len`, or a new one in place of the largest.
fn borrow(len: usize) -> Vec<f32> {
    SPACES.with_borrow_mut(|spaces| {
        let fitting = (0..spaces.len()).filter(|&i| spaces[i].len() >= len).min_by_key(|&i| spaces[i].len());
        if let Some(i) = fitting {
            return spaces.swap_remove(i);
        }
        if let Some(i) = (0..spaces.len()).max_by_key(|&i| spaces[i].len()) {
            spaces.swap_remove(i);
        }
        vec![0.0; len]
    })
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

//! Memory of strings and tuples: a slice from the pools, with room to grow at its end.

use std::ptr::NonNull;

use super::memory;

/// A slice of its own. How much memory it has follows from its length alone, so that it needs no second number.
pub struct Block<T> {
    start: NonNull<T>,
    len: usize,
}

/// Bytes of memory for a length in bytes: small ones fit the pools, large ones have up to an eighth of room.
const fn capacity_bytes(bytes: usize) -> usize {
    if bytes <= 512 {
        bytes.next_multiple_of(16)
    } else {
        bytes.next_multiple_of((bytes.next_power_of_two() / 8).next_multiple_of(16))
    }
}

impl<T> Block<T> {
    /// Offsets of address and length, for machine code.
    pub(crate) const LAYOUT: [usize; 2] =
        [std::mem::offset_of!(Block<T>, start), std::mem::offset_of!(Block<T>, len)];

    /// Fills a block of `len` from an iterator that gives at least as many.
    ///
    /// # Panics
    /// When the iterator gives fewer.
    #[inline]
    pub fn collect(len: usize, items: impl Iterator<Item = T>) -> Block<T> {
        let mut block: Block<T> = Block::reserve(len);
        let mut filled = 0;
        for item in items.take(len) {
            // SAFETY: `take` keeps the count below `len`, for which there is room. A panic on the way only loses
            // the block, whose length is still 0.
            unsafe { block.start.as_ptr().add(filled).write(item) };
            filled += 1;
        }
        assert_eq!(filled, len, "a block is filled completely");
        block.len = len;
        block
    }

    /// Memory for `len` items; its length is 0 and its memory that of `len` until it is filled.
    #[inline]
    fn reserve(len: usize) -> Block<T> {
        const { assert!(align_of::<T>() <= 16) };
        if len == 0 {
            return Block { start: NonNull::dangling(), len: 0 };
        }
        let bytes = len.checked_mul(size_of::<T>()).expect("a block's size fits");
        let start = memory::take(capacity_bytes(bytes)).cast::<T>();
        Block { start: NonNull::new(start).expect("the allocator gives memory or ends the program"), len: 0 }
    }

    /// The items of a vector.
    #[inline]
    pub fn from_vec(mut items: Vec<T>) -> Block<T> {
        let len = items.len();
        let mut block = Block::reserve(len);
        // SAFETY: there is room for all; the vector forgets its items before it is dropped.
        unsafe {
            std::ptr::copy_nonoverlapping(items.as_ptr(), block.start.as_ptr(), len);
            items.set_len(0);
        }
        block.len = len;
        block
    }
}

impl<T: Copy> Block<T> {
    /// A copy of a slice.
    #[inline]
    pub fn copy(items: &[T]) -> Block<T> {
        Block::join(items, &[])
    }

    /// Two slices, one after the other.
    #[inline]
    pub fn join(first: &[T], second: &[T]) -> Block<T> {
        let mut block = Block::reserve(first.len() + second.len());
        // SAFETY: there is room for both; the memory is new.
        unsafe {
            let start = block.start.as_ptr();
            std::ptr::copy_nonoverlapping(first.as_ptr(), start, first.len());
            std::ptr::copy_nonoverlapping(second.as_ptr(), start.add(first.len()), second.len());
        }
        block.len = first.len() + second.len();
        block
    }

    /// Any number of slices, one after the other.
    #[inline]
    pub fn concat<'a>(parts: impl Iterator<Item = &'a [T]> + Clone) -> Block<T>
    where
        T: 'a,
    {
        let len = parts.clone().map(<[T]>::len).sum();
        let mut block: Block<T> = Block::reserve(len);
        let mut filled = 0;
        for part in parts {
            assert!(part.len() <= len - filled, "the parts are the same both times");
            // SAFETY: the part fits behind what is filled; the memory is new.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), block.start.as_ptr().add(filled), part.len());
            }
            filled += part.len();
        }
        assert_eq!(filled, len, "a block is filled completely");
        block.len = len;
        block
    }

    /// Adds a slice at the end; takes other memory only when the block's has no room.
    #[inline]
    pub fn extend(&mut self, more: &[T]) {
        let len = self.len + more.len();
        let (old, new) = (capacity_bytes(self.len * size_of::<T>()), capacity_bytes(len * size_of::<T>()));
        if old != new {
            *self = Block::join(self, more);
            return;
        }
        // SAFETY: the memory is as large as that of the longer length; `more` is not part of it, because it is
        // borrowed apart from `self`.
        unsafe {
            std::ptr::copy_nonoverlapping(more.as_ptr(), self.start.as_ptr().add(self.len), more.len());
        }
        self.len = len;
    }
}

impl<T> std::ops::Deref for Block<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` items are there.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Block<T> {
    #[inline]
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the items are dropped once; the memory came from `take` with this size.
        unsafe {
            std::ptr::drop_in_place(std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len));
            memory::give(self.start.as_ptr().cast(), capacity_bytes(self.len * size_of::<T>()));
        }
    }
}

impl<T: PartialEq> PartialEq for Block<T> {
    #[inline]
    fn eq(&self, other: &Block<T>) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_as_a_vector_does() {
        let mut block: Block<u8> = Block::copy(b"");
        let mut expected = Vec::new();
        for at in 0..5000u32 {
            let piece = vec![at as u8; (at % 7) as usize];
            block.extend(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(*block, *expected);
        }
    }

    #[test]
    fn every_length_has_its_room() {
        for bytes in 1..20_000 {
            let room = capacity_bytes(bytes);
            assert!(room >= bytes && capacity_bytes(room) == room, "{bytes} {room}");
        }
    }

    #[test]
    fn drops_what_it_holds() {
        let counted = std::rc::Rc::new(());
        let block = Block::from_vec(vec![counted.clone(); 40]);
        assert_eq!(std::rc::Rc::strong_count(&counted), 41);
        drop(block);
        let block = Block::collect(3, std::iter::repeat(counted.clone()));
        assert_eq!((block.len(), std::rc::Rc::strong_count(&counted)), (3, 4));
        drop(block);
        assert_eq!(std::rc::Rc::strong_count(&counted), 1);
    }
}

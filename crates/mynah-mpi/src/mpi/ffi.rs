//! The shim's functions, each in a safe form.

use std::os::raw::{c_char, c_int, c_void};

unsafe extern "C" {
    fn mynah_mpi_init() -> c_int;
    fn mynah_mpi_shape(group: c_int, rank: *mut c_int, size: *mut c_int) -> c_int;
    fn mynah_mpi_split(is_member: c_int, group: *mut c_int) -> c_int;
    fn mynah_mpi_ibcast(
        bytes: *mut c_void,
        count: c_int,
        root: c_int,
        group: c_int,
        slot: *mut c_int,
    ) -> c_int;
    fn mynah_mpi_isend(bytes: *const c_void, count: c_int, to: c_int, tag: c_int, slot: *mut c_int) -> c_int;
    fn mynah_mpi_test(slot: c_int, done: *mut c_int) -> c_int;
    fn mynah_mpi_probe(tag: c_int, found: *mut c_int, from: *mut c_int, count: *mut c_int) -> c_int;
    fn mynah_mpi_receive(bytes: *mut c_void, count: c_int, from: c_int, tag: c_int) -> c_int;
    fn mynah_mpi_error(code: c_int, text: *mut c_char, size: c_int) -> c_int;
    fn mynah_mpi_finalize() -> c_int;
}

pub(super) fn init() -> c_int {
    // SAFETY: takes nothing; the shim starts MPI once, however often it is called.
    unsafe { mynah_mpi_init() }
}

/// Only with groups that `split` has made, or 0.
pub(super) fn shape(group: c_int) -> (c_int, c_int, c_int) {
    let (mut rank, mut size) = (0, 0);
    // SAFETY: both are written before the call returns and outlive it; groups are numbers that the shim gave.
    let code = unsafe { mynah_mpi_shape(group, &raw mut rank, &raw mut size) };
    (code, rank, size)
}

pub(super) fn split(is_member: bool) -> (c_int, c_int) {
    let mut group = -1;
    // SAFETY: `group` is written before the call returns and outlives it.
    let code = unsafe { mynah_mpi_split(c_int::from(is_member), &raw mut group) };
    (code, group)
}

/// The buffer's memory must stay until the slot is done; `Pending` keeps it.
pub(super) fn ibcast(bytes: &mut [u8], count: c_int, root: c_int, group: c_int) -> (c_int, c_int) {
    let mut slot = -1;
    debug_assert!(bytes.len() == count as usize);
    // SAFETY: `count` bytes are there, and the caller keeps them in place, unread and unwritten, until the slot is done:
    // they are the heap memory of a `Vec` that `Pending` owns and leaks rather than frees before that.
    let code = unsafe { mynah_mpi_ibcast(bytes.as_mut_ptr().cast(), count, root, group, &raw mut slot) };
    (code, slot)
}

/// As [`ibcast`].
pub(super) fn isend(bytes: &[u8], count: c_int, to: c_int, tag: c_int) -> (c_int, c_int) {
    let mut slot = -1;
    debug_assert!(bytes.len() == count as usize);
    // SAFETY: as in `ibcast`; MPI only reads them.
    let code = unsafe { mynah_mpi_isend(bytes.as_ptr().cast(), count, to, tag, &raw mut slot) };
    (code, slot)
}

pub(super) fn test(slot: c_int) -> (c_int, bool) {
    let mut done = 0;
    // SAFETY: `done` is written before the call returns; slots are numbers that the shim gave, and nobody tests one
    // that is done.
    let code = unsafe { mynah_mpi_test(slot, &raw mut done) };
    (code, done != 0)
}

pub(super) fn probe(tag: c_int) -> (c_int, Option<(c_int, c_int)>) {
    let (mut found, mut from, mut count) = (0, 0, 0);
    // SAFETY: the three are written before the call returns and outlive it.
    let code = unsafe { mynah_mpi_probe(tag, &raw mut found, &raw mut from, &raw mut count) };
    (code, (found != 0).then_some((from, count)))
}

pub(super) fn receive(bytes: &mut [u8], count: c_int, from: c_int, tag: c_int) -> c_int {
    debug_assert!(bytes.len() == count as usize);
    // SAFETY: `count` bytes of room are there and borrowed until the call returns; MPI writes no more than that.
    unsafe { mynah_mpi_receive(bytes.as_mut_ptr().cast(), count, from, tag) }
}

pub(super) fn error_text(code: c_int) -> String {
    let mut text = [0u8; 512];
    // SAFETY: the shim writes at most as many bytes as the buffer has, before it returns.
    let length = unsafe { mynah_mpi_error(code, text.as_mut_ptr().cast(), text.len() as c_int) };
    String::from_utf8_lossy(&text[..length.clamp(0, 512) as usize]).into_owned()
}

pub(super) fn finalize() -> c_int {
    // SAFETY: takes nothing; the one `Mpi` was given up for it.
    unsafe { mynah_mpi_finalize() }
}

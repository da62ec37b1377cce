//! The system's allocator in a process that is one program.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod system {
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }

    /// `M_TOP_PAD` and `M_ARENA_MAX` of malloc.h.
    const TOP_PAD: i32 = -2;
    const ARENA_MAX: i32 = -8;

    pub(super) fn one_arena() {
        // SAFETY: mallopt takes any numbers; it tells of wrong ones by its result, and may be called at any time.
        unsafe {
            mallopt(ARENA_MAX, 1);
            mallopt(TOP_PAD, 1 << 20);
        }
    }
}

/// For a process that runs one program in one thread: glibc's allocator keeps one heap, which grows by a megabyte at
/// a time. Its heaps of further threads grow by single pages, a system call each. Call it before anything allocates in
/// a second thread; elsewhere than on glibc it does nothing.
pub fn one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    system::one_arena();
}

//! Threads that give way to the engine's.

/// From here on this thread runs when nobody else wants the processor, and a little beside those who do: a version that comes
/// in must not slow the answers down. Elsewhere than on Linux it runs like any other.
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // A twentieth of a processor beside a thread that never rests (the scheduler's weight 56 against 1,024). The
        // engine's threads wait for each other, so what one of them loses all lose.
        const NICENESS: i32 = 13;
        // Where it is not allowed, nothing is lost but time.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    }
}

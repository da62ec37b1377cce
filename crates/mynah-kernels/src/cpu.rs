//! Which vector instructions this processor has, asked once.
//!
//! A kernel asks [`isa`] when it is entered and then calls the body compiled for that level. The level
//! can only be lowered (by `MYNAH_ISA` or [`with_isa`]), never raised above what was detected, so a
//! `match isa()` is proof enough for calling a `#[target_feature]` function.

use std::cell::Cell;
use std::sync::OnceLock;

/// A level of vector instructions, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// What the target's baseline has (SSE2 on x86-64, NEON on arm64), through the compiler alone.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL; implies [`Isa::Avx2`].
    Avx512,
}

impl Isa {
    /// The levels this machine can run, least first. Tests iterate over them.
    pub fn available() -> &'static [Isa] {
        const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];
        &ALL[..=detected() as usize]
    }

    /// The name that `MYNAH_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

thread_local! {
    static LOWERED: Cell<Option<Isa>> = const { Cell::new(None) };
    static NO_AVX_VNNI: Cell<bool> = const { Cell::new(false) };
}

/// The level kernels use on this thread: what the machine has, lowered by `MYNAH_ISA`
/// (`portable`, `avx2` or `avx512`) and by [`with_isa`].
pub fn isa() -> Isa {
    static LIMIT: OnceLock<Isa> = OnceLock::new();
    let limit = *LIMIT.get_or_init(|| {
        let wanted = std::env::var("MYNAH_ISA").ok();
        let wanted = Isa::available().iter().find(|level| wanted.as_deref() == Some(level.name()));
        wanted.copied().unwrap_or(detected())
    });
    LOWERED.get().map_or(limit, |lowered| lowered.min(limit))
}

/// Whether the byte dot products of AVX-512 VNNI may be used here: the machine has them and [`isa`] is AVX-512.
pub fn vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static FOUND: OnceLock<bool> = OnceLock::new();
        isa() == Isa::Avx512 && *FOUND.get_or_init(|| is_x86_feature_detected!("avx512vnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the byte dot products of AVX-VNNI may be used here: the machine has them, [`isa`] is at least AVX2,
/// and no [`without_avx_vnni`] is around the call.
pub fn avx_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static FOUND: OnceLock<bool> = OnceLock::new();
        let found = *FOUND.get_or_init(|| is_x86_feature_detected!("avxvnni"));
        found && isa() >= Isa::Avx2 && !NO_AVX_VNNI.get()
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Runs `body` as if the machine had no AVX-VNNI, for tests and comparisons.
pub fn without_avx_vnni<R>(body: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            NO_AVX_VNNI.set(self.0);
        }
    }
    let _restore = Restore(NO_AVX_VNNI.replace(true));
    body()
}

/// Runs `body` with [`isa`] lowered to at most `level` on this thread and in the pool tasks it starts.
pub fn with_isa<R>(level: Isa, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LOWERED.set(self.0);
        }
    }
    let outer = LOWERED.get();
    let _restore = Restore(outer);
    LOWERED.set(Some(outer.map_or(level, |outer| outer.min(level))));
    body()
}

fn detected() -> Isa {
    static DETECTED: OnceLock<Isa> = OnceLock::new();
    *DETECTED.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        _ => Isa::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Isa {
    Isa::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowering_nests_and_is_undone() {
        let top = isa();
        with_isa(Isa::Portable, || {
            assert_eq!(isa(), Isa::Portable);
            with_isa(Isa::Avx512, || {
                assert_eq!(isa(), Isa::Portable, "an inner call cannot raise the level")
            });
        });
        assert_eq!(isa(), top);
        let unwound = std::panic::catch_unwind(|| with_isa(Isa::Portable, || panic!("on purpose")));
        assert!(unwound.is_err());
        assert_eq!(isa(), top, "a panic leaves the level as it was");
    }

    #[test]
    fn pool_tasks_inherit_the_level() {
        with_isa(Isa::Portable, || {
            crate::pool::with_threads(4, || crate::pool::run(16, |_| assert_eq!(isa(), Isa::Portable)))
        });
    }
}

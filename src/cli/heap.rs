//! How small the C library's heap is kept.
//!
//! glibc gives nearly every thread a heap of its own (up to eight for each core) and seldom hands back what a heap once
//! needed. Ours need much at different times: a commit, a chunk that is sealed, the proof at the end. A million demo
//! events peaked at 609 MiB with as many heaps as glibc likes, at 405 with two and at 344 with one, of which
//! 300 were in use; two cost no time that could be measured, one about 4 % of the CPU time.

/// Threads share as many heaps.
const HEAPS: i32 = 2;

/// Before the first thread starts. Whoever set `MALLOC_ARENA_MAX` knows better.
pub(super) fn keep_small() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        glibc::limit(HEAPS);
    }
}

/// Between two kinds of work that need different memory.
pub(super) fn give_back() {
    glibc::trim();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to glibc's settings while the process runs")]
mod glibc {
    pub(super) fn limit(heaps: i32) {
        // SAFETY: `mallopt` takes two numbers and touches nothing but glibc's own settings, under its own lock. A
        // parameter that it does not know is refused, and nothing changes.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }

    pub(super) fn trim() {
        // SAFETY: `malloc_trim` takes a number and gives pages back that hold nothing; any thread may call it.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod glibc {
    pub(super) fn limit(_heaps: i32) {}

    pub(super) fn trim() {}
}

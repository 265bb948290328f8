//! What does a piece of work cost? The CPU time of the thread that does it.

use std::time::Duration;

/// CPU time of this thread so far, kernel time included.
#[must_use]
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours for the time of the call.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0, "every Linux has this clock");
    let nanos = u32::try_from(time.tv_nsec).expect("below 10^9");
    Duration::new(u64::try_from(time.tv_sec).expect("time does not run backwards"), nanos)
}

/// CPU time of `work`, in seconds.
pub fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let start = thread_cpu();
    work();
    (thread_cpu() - start).as_secs_f64()
}

//! The time that a thread spends on its processor, which others who use the machine do not change.

use std::time::Duration;

/// Runs it, and says how long its thread computed.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let begun = now();
    let result = work();
    (now().saturating_sub(begun), result)
}

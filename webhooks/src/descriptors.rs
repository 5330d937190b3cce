//! How many connections the process may have open at all: each is a file descriptor.

/// As many as are wanted, or as many as the system allows: a quarter of its file descriptors, since there are connections
/// before and after their handshake, and the process has other files.
pub(crate) fn affordable(wanted: usize) -> usize {
    wanted.min(most() / 4)
}

/// Lifts the bound to the most that the process may have without asking anyone. Container runtimes start it with 1,024.
#[cfg(target_os = "linux")]
fn most() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let lifted = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    // None: there is no bound.
    let most = if lifted { maximum } else { current };
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

#[cfg(not(target_os = "linux"))]
fn most() -> usize {
    4_096
}

//! Whether a node can be had here, and whether it has to be.

use std::path::{Path, PathBuf};

/// What a node needs beside what `make controlplane` builds, and the Debian packages that have it.
const NEEDED: [(&str, &str); 12] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ptp", "containernetworking-plugins"),
    ("host-local", "containernetworking-plugins"),
    ("loopback", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("ldd", "libc-bin"),
];

/// Where Debian has CNI plugins.
pub(crate) const PLUGINS: &str = "/usr/lib/cni";

/// Where to look for programs, whatever `PATH` lacks: root's own is often without `sbin`.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `PATH` with all of the folders where programs are.
pub(crate) fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    if path.is_empty() { FOLDERS.to_owned() } else { format!("{path}:{FOLDERS}") }
}

/// Why no node can be had here, in words; none if it can.
#[must_use]
pub fn unavailable() -> Option<String> {
    if let Some(reason) = unprivileged() {
        return Some(reason);
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&path()).chain([PLUGINS.into()]).collect();
    lacking(&|program| folders.iter().any(|folder| folder.join(program).is_file()))
}

/// Why this process may not, if so: it makes namespaces, mounts and cgroups.
fn unprivileged() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("a node needs Linux".to_owned());
    }
    // The folder of this process in /proc belongs to its effective user.
    let owner = std::fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
    (!matches!(owner, Ok(0))).then(|| "a node needs root".to_owned())
}

/// What is missing, and how to get it.
fn lacking(found: &dyn Fn(&Path) -> bool) -> Option<String> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !found(Path::new(program))).collect();
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    (!missing.is_empty()).then(|| {
        format!(
            "a node needs {}, and this machine has none: apt-get install {}",
            programs.join(", "),
            packages.join(" ")
        )
    })
}

/// Whether tests that need a node are to run; `Err` says why not. In CI they are, always: what is lacking is a failure
/// there, and so it is for root on Linux, who may say `NODE_TESTS=no`.
///
/// # Errors
/// Why they are not to run.
pub fn wanted() -> Result<(), String> {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    decide(is("CI", "true"), is("NODE_TESTS", "no"), unprivileged())
}

fn decide(ci: bool, declined: bool, unprivileged: Option<String>) -> Result<(), String> {
    match unprivileged {
        _ if ci => Ok(()),
        Some(reason) => Err(reason),
        None if declined => Err("NODE_TESTS=no".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_its_package() {
        assert_eq!(lacking(&|_| true), None);
        let told = lacking(&|program| !["ctr", "containerd", "iptables"].iter().any(|it| program == Path::new(it)));
        let expected = "a node needs containerd, ctr, iptables, and this machine has none: \
                        apt-get install containerd iptables";
        assert_eq!(told.as_deref(), Some(expected));
    }

    #[test]
    fn ci_always_wants_them_and_others_where_they_can() {
        let reason = || Some("a node needs root".to_owned());
        assert_eq!(decide(true, true, reason()), Ok(()));
        assert_eq!(decide(false, false, None), Ok(()));
        assert_eq!(decide(false, true, None), Err("NODE_TESTS=no".to_owned()));
        assert_eq!(decide(false, false, reason()), Err("a node needs root".to_owned()));
    }
}

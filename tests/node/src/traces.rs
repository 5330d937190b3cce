//! What a node leaves outside of its namespaces: a folder and cgroups. Its supervisor removes them in the end; when that was
//! killed too, the next node does.
//!
//! A node is its name. Whoever runs it holds a lock of that name; a name that nobody holds is one of the past.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where cgroups are: those of version 2 here, those of version 1 in a folder for each controller.
const CGROUPS: &str = "/sys/fs/cgroup";

/// In a folder that is to stay.
const KEPT: &str = "kept";

/// The folder and the name of one node.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    keep: bool,
    // Held for its lock, which goes with it, however the process ends.
    _lock: File,
}

impl Traces {
    /// Removes what nodes of the past have left, and makes a folder with a name that nobody has.
    pub(crate) fn new() -> Result<Self> {
        let folders = std::env::temp_dir();
        let locks = folders.join("retinue-nodes");
        std::fs::create_dir_all(&locks)?;
        // One at a time, or somebody who has made a lock, and does not hold it yet, would seem to be of the past.
        let all = File::create(locks.join(".all"))?;
        all.lock().with_context(|| format!("locking {}", locks.display()))?;
        sweep(&locks, &folders, Path::new(CGROUPS))?;
        let folder = tempfile::Builder::new().prefix("retinue-node-").tempdir_in(&folders)?.keep();
        let name = folder.file_name().context("a name")?.to_string_lossy().into_owned();
        let lock = File::create(locks.join(&name))?;
        lock.lock().with_context(|| format!("locking {name}"))?;
        let keep = std::env::var_os("CONTROLPLANE_KEEP").is_some();
        if keep {
            eprintln!("node: its logs stay in {}", folder.display());
            std::fs::write(folder.join(KEPT), "")?;
        }
        Ok(Self { folder, name, keep, _lock: lock })
    }

    /// What the supervisor is to remove.
    pub(crate) fn supervision(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = vec!["-cgroup".into(), self.name.clone().into()];
        if !self.keep {
            flags.extend(["-remove".into(), self.folder.clone().into()]);
        }
        flags
    }
}

/// Removes what is left of each name in `locks` that nobody holds; what cannot be removed now is looked at again next time.
fn sweep(locks: &Path, folders: &Path, cgroups: &Path) -> Result<()> {
    for entry in std::fs::read_dir(locks)? {
        let name = entry?.file_name();
        let path = locks.join(&name);
        if !name.to_string_lossy().starts_with("retinue-node-") || File::open(&path)?.try_lock().is_err() {
            continue;
        }
        let folder = folders.join(&name);
        if !folder.join(KEPT).exists() {
            // A supervisor may be at it at this moment, or a container still be dying.
            let _removed = std::fs::remove_dir_all(&folder);
        }
        let hierarchies = std::fs::read_dir(cgroups).into_iter().flatten().flatten().map(|entry| entry.path());
        let groups: Vec<PathBuf> = hierarchies.chain([cgroups.to_owned()]).map(|it| it.join(&name)).collect();
        groups.iter().for_each(|group| remove_cgroups(group));
        if groups.iter().all(|group| !group.exists()) && (!folder.exists() || folder.join(KEPT).exists()) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes a cgroup with those in it, but for what has processes yet.
fn remove_cgroups(cgroup: &Path) {
    for entry in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroups(&entry.path());
        }
    }
    let _gone = std::fs::remove_dir(cgroup);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let [locks, folders, cgroups] = ["locks", "folders", "cgroups"].map(|name| root.path().join(name));
        for name in ["retinue-node-held", "retinue-node-past", "retinue-node-kept"] {
            for folder in [folders.join(name), cgroups.join("pids").join(name).join("container"), locks.clone()] {
                std::fs::create_dir_all(folder).unwrap();
            }
            std::fs::write(locks.join(name), "").unwrap();
        }
        std::fs::create_dir_all(folders.join("someone-else")).unwrap();
        std::fs::write(folders.join("retinue-node-kept").join(KEPT), "").unwrap();
        let held = File::open(locks.join("retinue-node-held")).unwrap();
        held.lock().unwrap();
        sweep(&locks, &folders, &cgroups).unwrap();
        let names = |folder: &Path| {
            let names =
                std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&folders), ["retinue-node-held", "retinue-node-kept", "someone-else"]);
        assert_eq!(names(&cgroups.join("pids")), ["retinue-node-held"]);
        assert_eq!(names(&locks), ["retinue-node-held"]);
    }
}

//! Processes: where they run, what they used.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where servers run.
pub const SERVER_CORE: usize = 0;
/// Where the load runs.
pub const LOAD_CORE: usize = 1;

/// Keeps this process, and what it starts, on one core. On a machine without that core it stays where it is.
///
/// # Errors
/// When the system does not allow it.
pub fn pin(core: usize) -> anyhow::Result<()> {
    if core >= thread::available_parallelism()?.get() && !sched_getaffinity(None)?.is_set(core) {
        eprintln!("there is no core {core} to run on: server and load share one, and wait for each other");
        return Ok(());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)?;
    Ok(())
}

/// A server of ours, ended when dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts this program with `args`, and waits until it says where it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> anyhow::Result<Self> {
        // What it logs goes where a container's log would be read from, but nobody reads here.
        let mut child =
            Command::new(std::env::current_exe()?).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().context("no standard output").and_then(|out| {
            BufReader::new(out).read_line(&mut line)?;
            line.trim().parse().with_context(|| format!("a server said {line:?} instead of its address"))
        });
        match said {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// CPU time of all of its threads since it started, the kernel's on its behalf included.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory, KiB.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib = line.trim().strip_suffix(" kB").context("VmRSS is not in kB")?;
        Ok(kib.trim().parse()?)
    }

    /// That it still runs.
    ///
    /// # Errors
    /// When it ended.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "a server ended: {ended:?}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

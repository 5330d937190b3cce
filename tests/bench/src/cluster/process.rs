//! What a process has used, as the kernel tells: processor time and memory. Linux only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Ticks per second of `utime` and `stime` in /proc/PID/stat: 100 on every Linux that the kernel's user interface
/// knows of.
const TICKS: u64 = 100;

/// A running process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Resident in all.
    pub(super) resident: u64,
    /// Of it what is no page of a file: heap, stacks.
    pub(super) own: u64,
    /// The most that was ever resident.
    pub(super) peak: u64,
}

impl Process {
    /// The process whose program has this file name and one of whose arguments, or two in a row joined by a space,
    /// is `argument`.
    pub(super) fn find(program: &str, argument: &str) -> Result<Self> {
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that ended meanwhile.
            let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).into_owned();
            let args: Vec<&str> = line.split('\0').collect();
            let is_program = args.first().and_then(|it| Path::new(it).file_name()).is_some_and(|it| it == program);
            let has = args.contains(&argument) || args.windows(2).any(|two| two.join(" ") == argument);
            if is_program && has {
                return Ok(Self(pid));
            }
        }
        bail!("no process {program} with {argument} runs")
    }

    /// Processor time used so far, its own and the kernel's for it.
    pub(super) fn cpu(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field is the program's name, which may hold anything.
        let (_, rest) = stat.rsplit_once(") ").context("a stat line")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |index: usize| -> Result<u64> { Ok(fields.get(index).context("a field")?.parse()?) };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
    }

    pub(super) fn memory(self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let of = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| key.to_owned())?;
            Ok(line.trim_end_matches("kB").trim().parse::<u64>()? * 1024)
        };
        Ok(Memory { resident: of("VmRSS:")?, own: of("RssAnon:")?, peak: of("VmHWM:")? })
    }
}

//! One running program of the control plane, under its supervisor.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::Error;
use crate::binaries;
use crate::error::While;

/// Lines of a log that an error shows. An API server that dislikes a flag says so in its last lines.
const TAIL: usize = 25;

/// A program that runs until it is stopped, dropped, or this process ends in whatever way.
#[derive(Debug)]
pub struct Component {
    name: &'static str,
    log: PathBuf,
    /// The supervisor. It ends the program when its standard input, whose other end is in here, closes.
    supervisor: Child,
}

impl Component {
    /// Starts `program` with its log in `folder`; with `remove`, the supervisor deletes that folder in the end.
    pub(crate) fn start(program: &'static str, args: &[OsString], folder: &Path, remove: bool) -> Result<Self, Error> {
        let mut command = vec![binaries::find(program)?.into_os_string()];
        command.extend_from_slice(args);
        let supervision = if remove { vec!["-remove".into(), folder.into()] } else { Vec::new() };
        Self::supervised(program, &supervision, &command, folder)
    }

    /// Starts a command line, which is called `name` in errors and has its log in `folder`. `supervision` are further
    /// flags for the supervisor, which knows how to clean up (see `supervise/main.go`).
    ///
    /// # Errors
    /// The supervisor was not built, or cannot be started.
    pub fn supervised(
        name: &'static str,
        supervision: &[OsString],
        command_line: &[OsString],
        folder: &Path,
    ) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(binaries::find("supervise")?);
        command.args(supervision).arg(&log).args(command_line);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Nothing of the user's own may reach in: ~/.kube, ~/.kwok.
        command.env("HOME", folder).env_remove("KUBECONFIG");
        // They live for a minute: memory is cheaper than collecting garbage beside the tests.
        command.env("GOGC", "400");
        // Out of the terminal's group: Ctrl-C ends this process, and closing the pipe ends the program.
        command.process_group(0);
        let supervisor = command.spawn().doing(|| format!("starting {name}"))?;
        Ok(Self { name, log, supervisor })
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The file that the program's output goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// An error if the program has ended by itself.
    ///
    /// # Errors
    /// [`Error::Ended`], with the last lines of its log.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.supervisor.try_wait().doing(|| format!("waiting for {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                Err(Error::Ended { component: self.name.to_owned(), status: told(status), log: self.tail() })
            }
        }
    }

    /// The last lines of the log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Kills the program alone, so that its supervisor sees it end by itself and cleans nothing up.
    pub(crate) fn kill(mut self) -> Result<(), Error> {
        let doing = || format!("killing {}", self.name);
        let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().doing(doing)?.stdout;
        let listed = String::from_utf8_lossy(&listed);
        let supervisor = self.supervisor.id().to_string();
        let child = listed.lines().find_map(|line| {
            let (child, parent) = line.trim().split_once(' ')?;
            (parent.trim() == supervisor).then_some(child)
        });
        let child = child.ok_or_else(|| std::io::ErrorKind::NotFound.into()).doing(doing)?;
        // Waiting would close the pipe, and the supervisor would take that for the end of all.
        let pipe = self.supervisor.stdin.take();
        Command::new("kill").args(["-9", child]).status().doing(doing)?;
        self.supervisor.wait().doing(doing)?;
        drop(pipe);
        Ok(())
    }

    /// Ends the program and waits until it is gone.
    pub fn stop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _gone = self.supervisor.wait();
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.stop();
    }
}

fn told(status: ExitStatus) -> String {
    match status.code() {
        Some(137) => "killed".to_owned(),
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

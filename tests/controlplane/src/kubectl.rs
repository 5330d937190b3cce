//! `kubectl`, as people run it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::error::While;
use crate::{ControlPlane, Error, binaries};

/// What one run of kubectl gave.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error: a refusal is here.
    pub stderr: String,
    /// What it was asked.
    args: String,
}

impl Output {
    /// Whether it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Its standard output, if it succeeded.
    ///
    /// # Errors
    /// [`Error::Kubectl`] with what it wrote to standard error.
    pub fn ok(self) -> Result<String, Error> {
        if self.success() { Ok(self.stdout) } else { Err(Error::Kubectl { args: self.args, stderr: self.stderr }) }
    }
}

impl ControlPlane {
    /// Runs kubectl as admin.
    ///
    /// # Errors
    /// It cannot be run. That it fails is an [`Output`].
    pub fn kubectl(&self, args: &[&str]) -> Result<Output, Error> {
        self.run(&self.kubeconfig(), args, None)
    }

    /// Runs kubectl as whoever `kubeconfig` is for.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn kubectl_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<Output, Error> {
        self.run(kubeconfig, args, None)
    }

    /// Runs kubectl as whoever `kubeconfig` is for, with `input` on its standard input (`-f -`).
    ///
    /// # Errors
    /// It cannot be run.
    pub fn kubectl_with(&self, kubeconfig: &Path, args: &[&str], input: &str) -> Result<Output, Error> {
        self.run(kubeconfig, args, Some(input))
    }

    /// Applies manifests as admin; all of them must be accepted.
    ///
    /// # Errors
    /// One is refused, or kubectl cannot be run.
    pub fn apply(&self, manifests: &str) -> Result<String, Error> {
        self.run(&self.kubeconfig(), &["apply", "-f", "-"], Some(manifests))?.ok()
    }

    /// A kubectl command of this control plane, for what the other functions do not cover (a watch, a port forward).
    ///
    /// # Errors
    /// kubectl was not built.
    pub fn kubectl_command(&self, kubeconfig: &Path) -> Result<Command, Error> {
        let mut command = Command::new(kubectl()?);
        command
            .env("KUBECONFIG", kubeconfig)
            // Neither the user's preferences nor a cache of another server that had the same port.
            .env("KUBERC", "off")
            .env("KUBECACHEDIR", self.path("kubectl-cache"));
        Ok(command)
    }

    fn run(&self, kubeconfig: &Path, args: &[&str], input: Option<&str>) -> Result<Output, Error> {
        let doing = || format!("running kubectl {}", args.join(" "));
        let mut command = self.kubectl_command(kubeconfig)?;
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().doing(doing)?;
        let feeder = child.stdin.take().zip(input).map(|(mut pipe, input)| {
            let input = input.to_owned();
            // Beside reading, so that neither side waits for the other. A kubectl that does not read is its answer's matter.
            std::thread::spawn(move || pipe.write_all(input.as_bytes()))
        });
        let output = child.wait_with_output().doing(doing)?;
        if let Some(feeder) = feeder {
            let _fed = feeder.join();
        }
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            args: args.join(" "),
        })
    }
}

/// The path of the kubectl that is used.
///
/// # Errors
/// It was not built.
pub fn kubectl() -> Result<PathBuf, Error> {
    binaries::find("kubectl")
}

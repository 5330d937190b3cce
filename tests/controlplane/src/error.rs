//! Why a control plane could not be had, or did not answer.

use std::path::PathBuf;

/// What went wrong, with the tail of the logs where a component is to blame.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program that was never built.
    #[error(
        "the control plane needs the program `{program}`, and there is none in {}: \
         run `make controlplane` (it needs Go, and about ten minutes, once), or set KUBEBUILDER_ASSETS",
        looked_in.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" nor in ")
    )]
    Missing {
        /// The program's file name.
        program: &'static str,
        /// Where it was looked for.
        looked_in: Vec<PathBuf>,
    },

    /// A component ended by itself.
    #[error("{component} ended ({status}). Its log ends with\n{log}")]
    Ended {
        /// The program's name.
        component: String,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },

    /// All components run, but what was waited for did not come.
    #[error("{awaited} did not come within {seconds} s; last seen: {last}\n{logs}")]
    Late {
        /// What was waited for.
        awaited: String,
        /// How long.
        seconds: u64,
        /// What there was instead.
        last: String,
        /// The last lines of every component's log.
        logs: String,
    },

    /// The API server refused or failed a request of this crate's own.
    #[error("{request} answered {code}: {body}")]
    Answer {
        /// Method and path.
        request: String,
        /// The HTTP status code.
        code: u16,
        /// The answer's body.
        body: String,
    },

    /// `kubectl` was expected to succeed and did not.
    #[error("kubectl {args} failed: {stderr}")]
    Kubectl {
        /// The arguments, joined by spaces.
        args: String,
        /// What it wrote.
        stderr: String,
    },

    /// A file or a process could not be handled.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },

    /// A certificate could not be made.
    #[error("making the certificates of the control plane")]
    Certificate(#[from] rcgen::Error),

    /// TLS towards the API server could not be set up.
    #[error("setting up TLS towards the API server")]
    Tls(#[from] rustls::Error),
}

impl std::fmt::Debug for Error {
    /// As [`Display`](std::fmt::Display): this is what a test that unwraps shows, and logs should keep their lines.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Adds to an I/O error what was tried.
pub(crate) trait While<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> While<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| {
            let what = format!("{}: {source}", what());
            Error::Io { what, source }
        })
    }
}

//! The servers: what each role of the binary starts, and how it ends.

pub mod clients;
pub mod controller;
pub mod dev;
pub mod memory;
pub mod status;
pub mod webhook;

use std::io::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cli::{Exit, Failure};
use crate::shutdown;

/// How long tasks may take to end once told to: what the servers take to answer what is under way, and a bit.
const GRACE: Duration = Duration::from_secs(10);
/// Threads for what blocks: files and names. Each leaves scraps of its own in the heap; templates are compiled on others.
const BLOCKING: usize = 4;

/// On how many threads the tasks of a role run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On one: requests to the API server, which is what bounds them, need no second one, and threads that wake each other
    /// take a fifth more of the processor (BENCHMARKS.md).
    One,
    /// On as many as there are processors.
    Many,
}

/// Runs a server until a signal. Its failure is logged, since nobody watches its terminal.
///
/// # Errors
/// When there is no runtime.
pub fn serve<F>(threads: Threads, server: impl FnOnce(CancellationToken) -> F) -> Result<Exit, Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut runtime = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.max_blocking_threads(BLOCKING).enable_all().build()?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        match server(shutdown).await {
            Ok(()) => {
                tracing::info!("stopped");
                Ok(Exit::Fine)
            }
            Err(error) => {
                tracing::error!(%error, "failed");
                Ok(Exit::No)
            }
        }
    });
    // A look-up in DNS that blocks a thread must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

/// Says on standard output that a server is ready, for scripts and tests that wait for the line.
pub fn say_ready(what: &str) {
    tracing::info!("ready: {what}");
    // Where standard output is closed, nobody waits.
    let _ = writeln!(std::io::stdout(), "ready: {what}");
}

/// The name under which Events are reported: the pod's, which Kubernetes makes the host name.
pub fn instance() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "retinue".into())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The namespace of this process's own pod, where the manifest says so (`POD_NAMESPACE`).
pub fn namespace() -> Option<String> {
    variable("POD_NAMESPACE")
}

/// This process's own pod, where the manifest says which (`POD_NAMESPACE`, `POD_UID`).
pub fn pod() -> Option<ObjectReference> {
    Some(ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(namespace()?),
        name: Some(instance()),
        uid: Some(variable("POD_UID")?),
        ..ObjectReference::default()
    })
}

/// Why a role ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Died {
    /// A part failed.
    #[error("{what}: {source}")]
    Failed {
        /// Which.
        what: &'static str,
        /// Why.
        source: Failure,
    },
    /// A part ended that runs as long as the process.
    #[error("{0} ended, which it never should")]
    Ended(&'static str),
    /// A part panicked.
    #[error("a part of retinue panicked: {0}")]
    Panicked(#[source] JoinError),
}

/// The parts of a role, side by side. If one ends before it was told to, so do the others, and the process says why.
pub struct Parts {
    running: JoinSet<(&'static str, Result<(), Failure>)>,
    shutdown: CancellationToken,
}

impl Parts {
    /// None yet.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { running: JoinSet::new(), shutdown }
    }

    /// Starts one that ends by itself at shutdown.
    pub fn start<E>(&mut self, what: &'static str, part: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<Failure>,
    {
        self.running.spawn(async move { (what, part.await.map_err(Into::into)) });
    }

    /// Starts one that never ends, and is dropped at shutdown.
    pub fn keep(&mut self, what: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.running.spawn(async move {
            let _ = shutdown.run_until_cancelled(part).await;
            (what, Ok(()))
        });
    }

    /// Waits for shutdown and for every part to end.
    ///
    /// # Errors
    /// The first death of a part.
    pub async fn join(mut self) -> Result<(), Failure> {
        let mut died: Option<Died> = None;
        loop {
            let ended = if self.shutdown.is_cancelled() {
                match tokio::time::timeout(GRACE, self.running.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        tracing::warn!("some parts did not end in time and are dropped");
                        None
                    }
                }
            } else {
                tokio::select! {
                    ended = self.running.join_next() => ended,
                    () = self.shutdown.cancelled() => continue,
                }
            };
            let death = match ended {
                None => break,
                Some(Err(error)) => Some(Died::Panicked(error)),
                Some(Ok((what, Err(source)))) => Some(Died::Failed { what, source }),
                Some(Ok((what, Ok(())))) if !self.shutdown.is_cancelled() => Some(Died::Ended(what)),
                Some(Ok(_)) => None,
            };
            if let Some(death) = death {
                tracing::error!(error = %death, "ending");
                died.get_or_insert(death);
                self.shutdown.cancel();
            }
        }
        died.map_or(Ok(()), |died| Err(died.into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use super::*;

    async fn ended(start: impl FnOnce(&mut Parts)) -> Result<(), String> {
        let mut parts = Parts::new(CancellationToken::new());
        parts.keep("peace", std::future::pending());
        start(&mut parts);
        parts.join().await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_death_of_one_part_ends_all_and_is_named() {
        let failed = ended(|parts| parts.start("the shop", async { Err::<(), _>("no goods") })).await;
        assert_eq!(failed, Err("the shop: no goods".to_owned()));
        let gone = ended(|parts| parts.keep("order", std::future::ready(()))).await;
        assert_eq!(gone, Err("order ended, which it never should".to_owned()));
        let panicked = ended(|parts| parts.keep("calm", async { panic!("for a test") })).await;
        assert!(panicked.unwrap_err().contains("panicked"));
    }

    #[tokio::test]
    async fn a_shutdown_is_no_death() {
        let done = ended(|parts| {
            let shutdown = parts.shutdown.clone();
            parts.start("work", async move {
                shutdown.cancelled().await;
                Ok::<(), Failure>(())
            });
            parts.shutdown.cancel();
        });
        assert_eq!(done.await, Ok(()));
    }
}

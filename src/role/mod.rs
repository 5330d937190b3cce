//! The servers: what each role of the binary starts, and how it ends.

pub mod controller;
pub mod status;

use tokio_util::sync::CancellationToken;

use crate::cli::{Exit, Failure};
use crate::shutdown;

/// Runs a server until a signal. Its failure is logged, since nobody watches its terminal.
///
/// # Errors
/// When there is no runtime.
pub fn serve<F>(server: impl FnOnce(CancellationToken) -> F) -> Result<Exit, Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
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
    })
}

/// The name under which Events are reported: the pod's, which Kubernetes makes the host name.
pub fn instance() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "retinue".into())
}

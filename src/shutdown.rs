//! When to end: SIGTERM (Kubernetes), SIGINT (Ctrl-C), or the death of a task that must not die.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once, for those who
/// cannot wait.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let which = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = which, "shutting down");
        cancelled.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // 128 + SIGINT, as a shell says it.
        std::process::exit(130);
    });
    Ok(token)
}

/// A token that is cancelled so long after `asked` is: what must go on for a while gets this one.
pub fn after(asked: &CancellationToken, delay: Duration) -> CancellationToken {
    if delay.is_zero() {
        return asked.clone();
    }
    let (asked, later) = (asked.clone(), CancellationToken::new());
    let cancelled = later.clone();
    tokio::spawn(async move {
        asked.cancelled().await;
        tracing::info!(?delay, "/readyz says no from now on; what still arrives is answered for a while");
        tokio::time::sleep(delay).await;
        cancelled.cancel();
    });
    later
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_ends_later_ends_once_the_delay_has_passed_and_without_one_at_once() {
        let asked = CancellationToken::new();
        let (at_once, later) = (after(&asked, Duration::ZERO), after(&asked, Duration::from_secs(5)));
        asked.cancel();
        assert!(at_once.is_cancelled());
        let since = tokio::time::Instant::now();
        later.cancelled().await;
        assert_eq!(since.elapsed(), Duration::from_secs(5));
    }
}

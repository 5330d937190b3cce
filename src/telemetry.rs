//! Logs: lines on standard error, as text for people or JSON for machines.

mod cut;
mod json;

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{EnvFilter, ParseError};

/// What is logged unless somebody says otherwise, as in `RUST_LOG`. Without the lines of kube's client about answers of 5xx
/// and connections that fail: whoever asked says that, with what it means.
pub const DEFAULT_FILTER: &str = "info,actix_server=warn,kube_client::client::builder=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// What may go wrong before the first line is logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("--log {text:?} is no filter ({source}); write a level, or levels by module: info,retinue=debug")]
    Filter {
        /// As given.
        text: String,
        /// Why.
        #[source]
        source: ParseError,
    },
}

/// Starts logging. `filter` is as in `RUST_LOG`.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: Format) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter { text: filter.to_owned(), source })?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let json = format == Format::Json || (format == Format::Auto && !terminal);
    // A subscriber that is there already (a test's) keeps its place.
    let _ = if json {
        lines.fmt_fields(json::Members).event_format(json::Lines).try_init()
    } else {
        lines
            .fmt_fields(cut::Text)
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .try_init()
    };
    std::panic::set_hook(Box::new(|panic| {
        // Where, not what: a panic's text may quote the value that it fell over, and that may be a secret.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic, which is a bug of retinue; what it concerned is refused or tried again");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use tracing::Dispatch;
    use tracing_subscriber::fmt::SubscriberBuilder;
    use tracing_subscriber::fmt::format::{DefaultFields, Format};
    use tracing_subscriber::fmt::writer::BoxMakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Lines = SubscriberBuilder<DefaultFields, Format, tracing::level_filters::LevelFilter, BoxMakeWriter>;

    /// What `work` logs to lines that are made so.
    pub(super) fn written(made: impl FnOnce(Lines) -> Dispatch, work: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(BoxMakeWriter::new(move || writer.clone()));
        tracing::dispatcher::with_default(&made(lines), work);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}

//! The API server's audit log, read.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::While;
use crate::{ControlPlane, Error, flags};

impl ControlPlane {
    /// The file that holds it: one event, a JSON object, per line.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        flags::audit_log(self.folder())
    }

    /// All events so far, oldest first. An event is written when its request is complete, which may be a moment after the answer.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn audit_events(&self) -> Result<Vec<Value>, Error> {
        let path = self.audit_log();
        let text = std::fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
        // The last line may be half written; it will be whole the next time.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The first event that `wanted` accepts, waited for.
    ///
    /// # Errors
    /// There is none after two minutes.
    pub fn audit_event(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        self.until("an audit event", || {
            let events = self.audit_events().map_err(|error| error.to_string())?;
            let count = events.len();
            events.into_iter().find(&wanted).ok_or_else(|| format!("{count} events, none of them the wanted one"))
        })
    }
}

//! Alive, and ready: named conditions, each of which must hold before a review is answered.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether reviews may be answered. A set of named conditions (each watch synced; the serving certificate is the one
/// that the configuration trusts), all unmet at first. Shared by cloning.
#[derive(Clone, Debug)]
pub struct Readiness {
    conditions: watch::Sender<BTreeMap<&'static str, Result<(), String>>>,
    retiring: CancellationToken,
}

impl Readiness {
    /// With these conditions, unmet until [`Readiness::set`] says otherwise. With none it is ready at once.
    pub fn new(conditions: impl IntoIterator<Item = &'static str>) -> Self {
        let unmet = conditions.into_iter().map(|name| (name, Err("not known yet".to_owned()))).collect();
        Self { conditions: watch::Sender::new(unmet), retiring: CancellationToken::new() }
    }

    /// A condition holds, or does not, and why. A name that is not known yet is added.
    pub fn set(&self, condition: &'static str, state: Result<(), String>) {
        self.conditions.send_if_modified(|conditions| {
            let changed = conditions.get(condition) != Some(&state);
            if changed {
                conditions.insert(condition, state);
            }
            changed
        });
    }

    /// Whether every condition holds.
    pub fn ready(&self) -> bool {
        self.conditions.borrow().values().all(Result::is_ok)
    }

    /// What is missing, `name: why` each; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        let conditions = self.conditions.borrow();
        conditions.iter().filter_map(|(name, state)| Some(format!("{name}: {}", state.as_ref().err()?))).collect()
    }

    /// From now on `/readyz` says no, so that nothing new is sent here. Reviews that still arrive are answered as before.
    pub fn retire(&self) {
        self.retiring.cancel();
    }

    /// Whether [`Readiness::retire`] was called.
    pub fn is_retiring(&self) -> bool {
        self.retiring.is_cancelled()
    }

    /// Waits until every condition holds: the caller may listen only then.
    pub async fn until_ready(&self) {
        let mut changes = self.conditions.subscribe();
        // The sender lives in `self`, so the channel cannot be closed here.
        let _ = changes.wait_for(|conditions| conditions.values().all(Result::is_ok)).await;
    }

    /// For `/readyz`: a line per condition, met or not.
    pub fn report(&self) -> String {
        let conditions = self.conditions.borrow();
        let line = |(name, state): (&&'static str, &Result<(), String>)| match state {
            Ok(()) => format!("[+] {name}\n"),
            Err(why) => format!("[-] {name}: {why}\n"),
        };
        conditions.iter().map(line).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_the_last_condition_holds_and_no_longer_when_one_breaks() {
        let readiness = Readiness::new(["templates synced", "certificate trusted"]);
        assert!(!readiness.ready());
        readiness.set("templates synced", Ok(()));
        assert_eq!(readiness.missing(), ["certificate trusted: not known yet"]);
        readiness.set("certificate trusted", Ok(()));
        assert!(readiness.ready());
        readiness.set("certificate trusted", Err("expired".into()));
        assert_eq!(readiness.report(), "[-] certificate trusted: expired\n[+] templates synced\n");
        assert!(!readiness.ready());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_condition() {
        let readiness = Readiness::new(["templates synced"]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.until_ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        readiness.set("templates synced", Ok(()));
        waiting.await.unwrap();
    }
}

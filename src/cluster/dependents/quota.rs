//! What decides whether a master may have one more dependent by a template ConfigMap.
//!
//! Dependents that the watch shows count always: where they fill the limit, the create is refused. Reservations count
//! only until it is known what became of them, since whoever reaches the webhook can make some: a create that finds
//! places taken by reservations alone waits until the watch shows their objects, until they end, or for [`SETTLE`] at
//! most. Then a live count decides ([`super::live_count`]), together with what the watch shows by then.
//!
//! What holds: a master below its limit is never refused by reservations, whoever made them. Creates are exact while
//! objects are stored within [`SETTLE`]; beyond it, and while a master is in doubt, the limit is overshot at most by the
//! creates that are really under way between their admission and the watch's word of them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use policies::object::NamespacedName;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::client::LookupError;
use super::ledger::{Create, Key, Ledger, Master, Places};
use super::live_count::Counted;

/// How long a create waits for what became of the reservations before it. An API server stores what was admitted, and
/// its watch shows it, within milliseconds; much longer would keep the caller, who has five seconds.
pub(crate) const SETTLE: Duration = Duration::from_millis(750);
/// The least time between two looks while much changes: each may go through all reservations of the master.
const PACE: Duration = Duration::from_millis(20);

/// A create, and the limits that may hold for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// Who asks.
    pub(crate) master: &'a Master,
    /// The object, which does not count against itself.
    pub(crate) object: Option<&'a Key>,
    /// Reservations from this number on were made after it.
    pub(crate) before: u64,
    /// The most dependents by each template ConfigMap.
    pub(crate) limits: &'a [(NamespacedName, u32)],
}

/// How many dependents count against each limit of `ask`. `count` is awaited only where a live count is needed.
///
/// # Errors
/// When a live count is needed and fails.
pub(crate) async fn taken(
    ledger: &Ledger,
    ask: Ask<'_>,
    count: impl Future<Output = Result<Arc<Counted>, LookupError>>,
) -> Result<BTreeMap<NamespacedName, u32>, LookupError> {
    if settled(ledger, ask).await {
        return Ok(ask.decide(ledger, None));
    }
    let counted = count.await?;
    Ok(ask.decide(ledger, Some(&counted)))
}

/// Waits as long as reservations stand between the master and its limits. Returns whether that ended.
async fn settled(ledger: &Ledger, ask: Ask<'_>) -> bool {
    let patience = Instant::now() + SETTLE;
    loop {
        let changed = ledger.changed(ask.master);
        let mut told = pin!(changed.as_ref().map(|changed| changed.notified()));
        // From here on nothing is missed.
        if let Some(told) = told.as_mut().as_pin_mut() {
            told.enable();
        }
        if !ask.is_contested(&ask.places(ledger)) {
            return true;
        }
        let looked = Instant::now();
        let waits = looked < patience && !ledger.doubts(ask.master, looked.into_std());
        let Some(told) = told.as_pin_mut().filter(|_| waits) else { return false };
        // Time that has passed is found at the next look.
        let _ = timeout_at(patience, told).await;
        sleep_until(looked + PACE).await;
    }
}

impl Ask<'_> {
    fn places(&self, ledger: &Ledger) -> BTreeMap<NamespacedName, Places> {
        ledger.places(self.master, self.object, self.before, Instant::now().into_std())
    }

    /// Whether one of the limits is reached by reservations, and not by dependents that are shown.
    fn is_contested(&self, places: &BTreeMap<NamespacedName, Places>) -> bool {
        self.limits.iter().any(|(config_map, most)| {
            places.get(config_map).is_some_and(|places| places.shown < *most && places.total() >= *most)
        })
    }

    fn decide(&self, ledger: &Ledger, counted: Option<&Counted>) -> BTreeMap<NamespacedName, u32> {
        let places = self.places(ledger);
        let decided = self.limits.iter().map(|(config_map, _)| {
            let places = places.get(config_map).copied().unwrap_or_default();
            let count = match counted {
                None => places.total(),
                Some(counted) => counted.by_config_map.get(config_map).copied().unwrap_or(0).max(places.shown),
            };
            (config_map.clone(), count)
        });
        decided.collect()
    }
}

/// A reservation while it is looked whether there is a place: it ends where that does not come to its end.
pub(crate) struct Reserved<'a> {
    ledger: &'a Ledger,
    of: Option<(Master, Key)>,
    /// Its number.
    pub(crate) number: u64,
}

impl<'a> Reserved<'a> {
    pub(crate) fn new(ledger: &'a Ledger, create: Create) -> Self {
        let of = Some((create.master.clone(), create.key.clone()));
        Self { ledger, of, number: ledger.reserve(create, Instant::now().into_std()) }
    }

    /// Leaves it to the verdict.
    pub(crate) fn keep(mut self) {
        self.of = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some((master, key)) = self.of.take() {
            self.ledger.withdraw(&master, &key);
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;

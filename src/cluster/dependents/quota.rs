//! What decides whether a master may have one more dependent by a template ConfigMap.
//!
//! Dependents that the watch shows count always: where they fill the limit, the create is refused. Reservations count
//! only until it is known what became of them, since whoever reaches the webhook can make some: a create that finds
//! places taken by reservations alone waits until the watch shows their objects, until they end, or for [`SETTLE`] at
//! most. Then a live count decides ([`super::live_count`]), together with what the watch shows by then.
//!
//! What holds: a master below its limit is never refused by what others forge. Creates are exact while objects are stored within
//! [`SETTLE`]. While a master is in doubt each address that sends reviews gets the places that were free at the last count,
//! and once they are given, the rest waits for the next count: so the limit is overshot at most by what other addresses of
//! API servers get at the same time, and by creates that take more than a quarter of a second from their admission until they
//! are stored.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use policies::object::NamespacedName;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::client::LookupError;
use super::given::{Given, To};
use super::ledger::{Create, Key, Ledger, Master, Places};
use super::live_count::{Counted, EACH};

/// How long a create waits for what became of the reservations before it. An API server stores what was admitted, and
/// its watch shows it, within milliseconds; much longer would keep the caller, who has five seconds.
pub(crate) const SETTLE: Duration = Duration::from_millis(750);
/// How long it waits for a count by which there is a place. The caller has five seconds.
const PATIENCE: Duration = Duration::from_millis(1_900);
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
    /// To whom its place is given; none where it takes none.
    pub(crate) to: Option<&'a To>,
}

/// How many dependents count against each limit of `ask`. `count` is awaited only where a live count is needed.
///
/// # Errors
/// When a live count is needed and fails.
pub(crate) async fn taken<C>(
    ledger: &Ledger,
    given: &Given,
    ask: Ask<'_>,
    count: impl Fn() -> C,
) -> Result<BTreeMap<NamespacedName, u32>, LookupError>
where
    C: Future<Output = Result<Arc<Counted>, LookupError>>,
{
    let patience = Instant::now() + PATIENCE;
    // Who was given a place by a count was given it whatever was reserved before.
    if settled(ledger, ask).await && !ledger.doubts(ask.master, Instant::now().into_std()) {
        if let Some(to) = ask.to {
            given.note(ask.master, to);
        }
        return Ok(ask.decide(ledger, None));
    }
    loop {
        let counted = count().await?;
        let next = counted.began + EACH;
        if ask.gets_place(given, &counted) {
            return Ok(ask.decide(ledger, Some(&counted)));
        }
        if next > patience {
            return Ok(ask.full(ask.decide(ledger, Some(&counted))));
        }
        sleep_until(next).await;
    }
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

    /// Whether there is a place for it by this count, or what was counted refuses it anyhow.
    fn gets_place(&self, given: &Given, counted: &Counted) -> bool {
        let Some(to) = self.to else { return true };
        let most = self.most(&to.1);
        most.is_none_or(|most| counted.of(&to.1) >= most || given.give(self.master, to, counted, most))
    }

    fn most(&self, config_map: &NamespacedName) -> Option<u32> {
        self.limits.iter().find(|(limited, _)| limited == config_map).map(|(_, most)| *most)
    }

    /// What others of the same address were given fills the limit.
    fn full(&self, mut taken: BTreeMap<NamespacedName, u32>) -> BTreeMap<NamespacedName, u32> {
        if let Some((_, config_map)) = self.to
            && let Some(most) = self.most(config_map)
        {
            taken.insert(config_map.clone(), most);
        }
        taken
    }

    fn decide(&self, ledger: &Ledger, counted: Option<&Counted>) -> BTreeMap<NamespacedName, u32> {
        let places = self.places(ledger);
        let decided = self.limits.iter().map(|(config_map, _)| {
            let places = places.get(config_map).copied().unwrap_or_default();
            let count = match counted {
                None => places.total(),
                Some(counted) => counted.of(config_map).max(places.shown),
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

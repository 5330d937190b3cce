//! Which template ConfigMaps are kept in memory where there are too many: what is kept is bounded, and namespaces share
//! it. Pure, and the same for the same ConfigMaps, whoever decides it and whenever. n log n of the ConfigMaps.
//!
//! What holds, of the weights that are told (`filling` says how):
//! 1. What is kept never comes to more than the bound. ConfigMaps of the same data have that data once.
//! 2. A namespace whose ConfigMaps come to no more than the bound divided by the number of namespaces keeps all of them,
//!    whatever the others have, copies of its own data among that. Namespaces that wait for the same data at the same time
//!    pay for it together, so each of them needs only its part; a copy that is not kept is never counted on.
//! 3. Of one that wants more, the oldest are kept: what is kept gives way to no younger one of its namespace. One that is
//!    too large alone gives way alone, but not very many: what a ConfigMap takes is known once it is compiled, and nobody
//!    compiles hundreds to find that none of them fits.
//! 4. One ConfigMap more changes nothing for other namespaces that are within their share. A namespace that wants more
//!    than its share keeps, for as long as there is room, also what the others leave: that part, and no other, gives way
//!    when a namespace that has less wants more, or a new namespace wants any.

use std::collections::{HashMap, HashSet};

use super::Weight;
use crate::object::NamespacedName;

mod filling;

use filling::{Filled, Item, fill};

/// A ConfigMap that wants to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Which.
    pub name: &'a NamespacedName,
    /// Its creationTimestamp, as the API server writes it: in the order of its text.
    pub created: &'a str,
    /// What it takes.
    pub weight: Weight,
    /// The same for those of the same data, which have it together.
    pub data: &'a [u8],
}

/// A ConfigMap that is not kept, since others of its namespace are. Nothing of it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotKept {
    /// Bytes that it takes; at least so many where it was never compiled.
    pub takes: u64,
    /// Bytes that the ConfigMaps of its namespace take together, each data once.
    pub namespace: u64,
    /// Bytes that are kept of its namespace at most: its share, or what is kept of it where that is more.
    pub share: u64,
    /// Bytes that are kept of all.
    pub bound: u64,
}

impl NotKept {
    /// Why it can't be used, and what to do, for people.
    pub fn reason(&self, config_map: &NamespacedName) -> String {
        let Self { takes, namespace, share, bound } = self;
        let used = if takes <= share { ", which its older ConfigMaps use" } else { "" };
        format!(
            "ConfigMap {config_map} is not kept in memory, so nothing of it can be used: it needs at least {}; namespace {} needs \
             {} and may have {} (all namespaces together: {}){used}; delete or shorten template ConfigMaps there (large are many \
             manifests, long oneOf and enum, many different patterns), or have the admin of retinue raise --template-memory",
            size(*takes),
            config_map.namespace,
            size(*namespace),
            size(*share),
            size(*bound),
        )
    }
}

/// In Mi, with a tenth where they are few.
pub(crate) fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    if tenths < 100 { format!("{}.{}Mi", tenths / 10, tenths % 10) } else { format!("{}Mi", tenths / 10) }
}

/// Those that are not kept, by position, where at most `bound` bytes are.
pub fn not_kept(wanted: &[Wanted<'_>], bound: u64) -> HashMap<usize, NotKept> {
    let mut by_age: Vec<(usize, &Wanted<'_>)> = wanted.iter().enumerate().collect();
    by_age.sort_by_key(|(_, each)| (each.created, each.name));
    let mut namespaces = Numbers::default();
    let mut numbers = Numbers::default();
    // What the same data takes is known once one of those that have it is compiled.
    let mut data: Vec<u64> = Vec::new();
    let items: Vec<Item> = by_age
        .iter()
        .map(|(_, each)| {
            let number = numbers.of(each.data);
            data.resize(numbers.0.len(), 0);
            data[number] = data[number].max(each.weight.data);
            Item { namespace: namespaces.of(each.name.namespace.as_bytes()), data: number, own: each.weight.own }
        })
        .collect();
    let filled = fill(&items, &data, namespaces.0.len(), bound);
    let all = of_namespaces(&items, &data, namespaces.0.len(), |_| true);
    let kept = of_namespaces(&items, &data, namespaces.0.len(), |at| filled.kept[at]);
    let Filled { kept: is_kept, level } = filled;
    let gives_way = |(at, item): (usize, &Item)| {
        let takes = item.own.saturating_add(data[item.data]);
        let (namespace, share) = (all[item.namespace], level.max(kept[item.namespace]));
        (by_age[at].0, NotKept { takes, namespace, share, bound })
    };
    items.iter().enumerate().filter(|(at, _)| !is_kept[*at]).map(gives_way).collect()
}

/// What of these is kept takes so much.
pub fn held(wanted: &[Wanted<'_>], not_kept: &HashMap<usize, NotKept>) -> u64 {
    let mut data: HashMap<&[u8], u64> = HashMap::new();
    let mut own: u64 = 0;
    for (position, each) in wanted.iter().enumerate() {
        if !not_kept.contains_key(&position) {
            own = own.saturating_add(each.weight.own);
            let known = data.entry(each.data).or_default();
            *known = each.weight.data.max(*known);
        }
    }
    data.into_values().fold(own, u64::saturating_add)
}

/// Numbers of what is told apart, in the order in which it is first seen.
#[derive(Default)]
struct Numbers<'a>(HashMap<&'a [u8], usize>);

impl<'a> Numbers<'a> {
    fn of(&mut self, bytes: &'a [u8]) -> usize {
        let next = self.0.len();
        *self.0.entry(bytes).or_insert(next)
    }
}

/// Bytes that the ConfigMaps of each namespace take together, of those that are asked for: each data once.
fn of_namespaces(items: &[Item], data: &[u64], namespaces: usize, asked: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut sums = vec![0u64; namespaces];
    let mut seen = HashSet::new();
    for (_, item) in items.iter().enumerate().filter(|(at, _)| asked(*at)) {
        let of_data = if seen.insert((item.namespace, item.data)) { data[item.data] } else { 0 };
        let sum = &mut sums[item.namespace];
        *sum = sum.saturating_add(item.own).saturating_add(of_data);
    }
    sums
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;

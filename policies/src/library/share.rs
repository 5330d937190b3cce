//! Which template ConfigMaps are kept in memory where there are too many: what is kept is bounded, and namespaces share
//! it. Pure, and the same for the same ConfigMaps, whoever decides it and whenever.
//!
//! A namespace that wants no more than the others may have keeps all of its ConfigMaps. One that wants more keeps its
//! oldest: what is kept stays kept when a newer one comes. One that is too large alone gives way alone, but not very many:
//! what a ConfigMap takes is known once it is compiled, and nobody compiles hundreds to find that none of them fits.

use std::collections::HashMap;

use super::Weight;
use crate::object::NamespacedName;

/// After so many of a namespace that do not fit, the younger ones are not kept either, whatever they take.
const MISFITS: u32 = 8;

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
    /// Bytes that the ConfigMaps of its namespace take together.
    pub namespace: u64,
    /// Bytes that are kept of its namespace.
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
fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    if tenths < 100 { format!("{}.{}Mi", tenths / 10, tenths % 10) } else { format!("{}Mi", tenths / 10) }
}

/// Those that are not kept, by position, where at most `bound` bytes are.
pub fn not_kept(wanted: &[Wanted<'_>], bound: u64) -> HashMap<usize, NotKept> {
    let mut alike: HashMap<&[u8], u64> = HashMap::new();
    for each in wanted {
        *alike.entry(each.data).or_default() += 1;
    }
    let together = |each: &Wanted<'_>| {
        let holders = alike.get(each.data).copied().unwrap_or(1);
        each.weight.own.saturating_add(each.weight.data.div_ceil(holders))
    };
    let found = decide(wanted, bound, together);
    // Of those that share their data some may be kept and others not: then more is kept than was counted.
    if held(wanted, &found) > bound { decide(wanted, bound, |each| each.weight.total()) } else { found }
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

fn decide(wanted: &[Wanted<'_>], bound: u64, takes: impl Fn(&Wanted<'_>) -> u64) -> HashMap<usize, NotKept> {
    let mut namespaces: HashMap<&str, u64> = HashMap::new();
    for each in wanted {
        let sum = namespaces.entry(&each.name.namespace).or_default();
        *sum = sum.saturating_add(takes(each));
    }
    let share = share(namespaces.values().copied().collect(), bound);
    let mut over: Vec<(usize, &Wanted<'_>)> = wanted
        .iter()
        .enumerate()
        .filter(|(_, each)| namespaces.get(&*each.name.namespace).is_some_and(|sum| *sum > share))
        .collect();
    over.sort_by_key(|(_, each)| (each.created, each.name));
    let mut kept: HashMap<&str, (u64, u32)> = HashMap::new();
    let mut found = HashMap::new();
    for (position, each) in over {
        let (sum, misfits) = kept.entry(&each.name.namespace).or_default();
        let with = sum.saturating_add(takes(each));
        if with <= share && *misfits < MISFITS {
            *sum = with;
            continue;
        }
        *misfits += 1;
        let namespace = namespaces.get(&*each.name.namespace).copied().unwrap_or_default();
        found.insert(position, NotKept { takes: takes(each), namespace, share, bound });
    }
    found
}

/// How much of one namespace is kept at most: what those that want more than that have is the same, and together with
/// what the others want it is the bound.
fn share(mut wanted: Vec<u64>, bound: u64) -> u64 {
    wanted.sort_unstable();
    let mut left = bound;
    let mut namespaces = wanted.len() as u64;
    for sum in wanted {
        let share = left / namespaces;
        if sum > share {
            return share;
        }
        left -= sum;
        namespaces -= 1;
    }
    // All want no more than there is.
    bound
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;

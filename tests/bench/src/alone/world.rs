//! The cluster that is judged by: masters, template ConfigMaps, facts. Made from a few numbers, the same every time, so
//! that the server and the load agree on it without a word.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use policies::caller::{Caller, CallerPod, Wish};
use policies::library::{Library, TemplateSet};
use policies::object::{NamespacedName, ObjectRef};
use policies::tables::{Completeness, Facts};
use serde_json::{Map, Value, json};

use super::inputs;
use super::templates::{self, Variant};

/// How many masters there are where templates are spread over many.
pub const MASTERS: usize = 1_000;
/// Masters per namespace.
const PER_NAMESPACE: usize = 10;

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    /// This many templates, spread over [`MASTERS`] masters.
    Templates(usize),
    /// One master with this many templates for pods, the last of which admits.
    Variants(usize),
    /// A hundred templates, and one more master, the one of number [`MASTERS`], whose pods have endless lists of variables.
    Flooded,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Templates(count) => write!(f, "templates={count}"),
            Self::Variants(count) => write!(f, "variants={count}"),
            Self::Flooded => f.write_str("flooded"),
        }
    }
}

impl FromStr for World {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "flooded" {
            return Ok(Self::Flooded);
        }
        let (word, count) = text.split_once('=').context("a world is templates=N or variants=N")?;
        let count = count.parse().with_context(|| format!("{count:?} is no number"))?;
        match (word, count) {
            ("templates", 1 | 100 | 10_000) => Ok(Self::Templates(count)),
            ("variants", 1..=1_000) => Ok(Self::Variants(count)),
            _ => bail!("there is no world {text:?}: templates=1, 100 or 10000, variants=1 to 1000"),
        }
    }
}

impl World {
    /// How many masters ask.
    pub fn masters(self) -> usize {
        match self {
            Self::Templates(_) | Self::Flooded => MASTERS,
            Self::Variants(_) => 1,
        }
    }

    /// Everybody who may ask.
    pub fn callers(self) -> impl Iterator<Item = Caller> {
        (0..self.masters() + usize::from(self == Self::Flooded)).map(move |master| self.caller(master))
    }

    /// The template ConfigMap that this master uses.
    fn config_map(self, master: usize) -> NamespacedName {
        match self {
            Self::Templates(1) | Self::Variants(_) => NamespacedName::new("shared", "post-trade"),
            Self::Templates(100) | Self::Flooded => NamespacedName::new(namespace(master), "post-trade"),
            Self::Templates(_) => NamespacedName::new(namespace(master), format!("post-trade-{master:04}")),
        }
    }

    /// The variant of the pod template that admits this master's pods.
    pub fn variant(self, master: usize) -> Variant {
        match self {
            Self::Templates(1) => Variant::of(0),
            Self::Templates(100) | Self::Flooded => Variant::of(master / PER_NAMESPACE),
            Self::Templates(_) => Variant::of(master),
            Self::Variants(count) => Variant::of(count - 1),
        }
    }

    /// Every template ConfigMap, as the watch would show it.
    fn config_maps(self) -> Vec<Value> {
        match self {
            Self::Templates(1) => {
                let all: Vec<String> = (0..MASTERS).map(|master| account(master).to_string()).collect();
                vec![config_map(&self.config_map(0), &all.join(","), &[templates::pod(Variant::of(0))])]
            }
            Self::Templates(100) => (0..MASTERS)
                .step_by(PER_NAMESPACE)
                .map(|first| {
                    let all: Vec<String> = (first..first + PER_NAMESPACE).map(|master| account(master).name).collect();
                    config_map(&self.config_map(first), &all.join(","), &[templates::pod(self.variant(first))])
                })
                .collect(),
            Self::Templates(_) => (0..MASTERS).map(|master| self.of_every_kind(master)).collect(),
            Self::Flooded => {
                let flooding = flooding(&self.config_map(MASTERS), &account(MASTERS).name);
                Self::Templates(100).config_maps().into_iter().chain([flooding]).collect()
            }
            Self::Variants(count) => {
                let all: Vec<_> = (0..count).map(|number| templates::pod(Variant::of(number))).collect();
                vec![config_map(&self.config_map(0), &account(0).to_string(), &all)]
            }
        }
    }

    /// A master's own ConfigMap, with ten templates.
    fn of_every_kind(self, master: usize) -> Value {
        let all = templates::every_kind(self.variant(master));
        config_map(&self.config_map(master), &account(master).name, &all)
    }

    /// The compiled templates.
    ///
    /// # Errors
    /// When one of them does not compile.
    pub fn library(self) -> anyhow::Result<Library> {
        let config_maps = self.config_maps();
        config_maps.iter().map(|config_map| compile(config_map).map(Arc::new)).collect()
    }

    /// Who asks, verified.
    pub fn caller(self, master: usize) -> Caller {
        let account = account(master);
        let name = account.name.as_str();
        let owner = |kind: &str, name: &str, salt: usize| ObjectRef {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            name: name.into(),
            uid: uid(master, salt),
        };
        Caller {
            pod: CallerPod {
                name: format!("{name}-7d9c6b5f4-x{:04}", master % 10_000),
                uid: uid(master, 1),
                ip: Some(format!("10.{}.{}.7", 16 + master / 250, master % 250)),
                terminating: false,
            },
            chain: vec![owner("ReplicaSet", &format!("{name}-7d9c6b5f4"), 2), owner("Deployment", name, 3)],
            wish: Wish { manifests: vec![self.config_map(master)], ..Wish::default() },
            deadline: None,
            account,
        }
    }

    /// Live objects that the API server's plugins use: every namespace has its default account, as in a real cluster.
    pub fn facts(self) -> Facts {
        let mut facts = Facts::new(Completeness::Cluster);
        for NamespacedName { namespace, name } in self.callers().map(|caller| caller.account) {
            for name in ["default", name.as_str()] {
                facts.apply(&json!({
                    "apiVersion": "v1", "kind": "ServiceAccount",
                    "metadata": {"namespace": namespace, "name": name},
                }));
            }
        }
        facts
    }
}

/// The ConfigMap, if all of it can be used.
fn compile(config_map: &Value) -> anyhow::Result<TemplateSet> {
    let set = TemplateSet::load(config_map);
    if let Some(error) = set.errors().next() {
        bail!("{} {}: {}", set.name, error.key.as_deref().unwrap_or_default(), error.message);
    }
    Ok(set)
}

fn namespace(master: usize) -> String {
    format!("desk-{:03}", master / PER_NAMESPACE)
}

/// The ConfigMap of a master whose pods have endless lists of variables.
fn flooding(name: &NamespacedName, masters: &str) -> Value {
    let mut config_map = config_map(name, masters, &[]);
    config_map["data"] = inputs::template_of_variables();
    config_map
}

/// The account of a master.
fn account(master: usize) -> NamespacedName {
    NamespacedName::new(namespace(master), format!("eod-{master:04}"))
}

/// A uid that is always the same for the same numbers.
pub fn uid(number: usize, salt: usize) -> String {
    format!("{:08x}-5a1e-4c0d-8000-{:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff, salt)
}

fn config_map(name: &NamespacedName, masters: &str, manifests: &[templates::Manifest]) -> Value {
    let parameters = manifests.iter().flat_map(|manifest| manifest.parameters.lines().map(str::to_owned));
    let mut declared: Vec<String> = Vec::new();
    for line in parameters {
        if !declared.contains(&line) {
            declared.push(line);
        }
    }
    let mut data: Map<String, Value> =
        manifests.iter().map(|manifest| (manifest.key.clone(), manifest.text.clone().into())).collect();
    data.insert("parameters".into(), format!("{}\n", declared.join("\n")).into());
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "namespace": name.namespace, "name": name.name, "uid": uid(declared.len(), 9), "resourceVersion": "4711",
            "labels": {"fledged.io/templates": "true"},
            "annotations": {"fledged.io/masters": masters, "fledged.io/duration": "3600"},
        },
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn a_master_of_many_brings_ten_kinds_whatever_bounds_its_input() {
        // As many as there are patterns: all of the ten thousand would take a debug build a minute.
        for master in 0..templates::PATTERNS.len() {
            let set = compile(&World::Templates(10_000).of_every_kind(master)).unwrap();
            assert_eq!(set.templates.kinds().count(), 10);
        }
    }
}

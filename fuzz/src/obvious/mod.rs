//! An obvious recogniser, from the two laws of DESIGN.md alone: an object is admitted if some values of the holes make
//! the template that object, up to what the API server is known to complete.
//!
//! It is slow (it tries every way), shares nothing with `policies`, and knows the kinds of [`crate::bypass`] alone. It
//! may admit what the real one refuses, never the other way round: where the server's completing depends on much, it
//! asks for little. What it asks for, it asks for plainly.

mod server;
mod values;

use serde_json::{Map, Value, json};

use self::server::{default, empties, in_a_map, nothing, stand_ins};
use self::values::{accepts, read, readings, same};
use crate::tree::{Grown, Item, Piece, Tree};

/// What each hole stands for so far; the inner none: nothing, it is absent.
type Bound = Vec<Option<Option<Value>>>;

/// Lists whose elements are found by their keys, so that the order does not matter.
const KEYED: [&str; 7] =
    ["containers", "env", "ports", "volumes", "volumeMounts", "imagePullSecrets", "topologySpreadConstraints"];
/// Fields that are there even when they hold nothing: pointers, and maps whose being there says something.
const SAYS: [&str; 11] = [
    "replicas",
    "completions",
    "parallelism",
    "suspend",
    "emptyDir",
    "privileged",
    "runAsUser",
    "ingress",
    "backoffLimit",
    "immutable",
    "size",
];
/// The server's own in `metadata`.
const SERVERS: [&str; 6] = ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];
/// Everything that is tried for one object.
const MOST: usize = 200_000;

/// The matcher, and how much it has tried.
struct Obvious<'t> {
    grown: &'t Grown,
    /// Whether the kind is one that nobody described: nothing is completed there, nothing dropped.
    plain: bool,
    tried: usize,
}

/// Whether the object is what the template makes of some values; none where finding out takes too long.
pub fn admits(grown: &Grown, object: &Value, namespace: &str) -> Option<bool> {
    let (Some(tree), Value::Object(fields)) = (&grown.tree, object) else { return Some(false) };
    let mut fields = fields.clone();
    let plain = fields.get("apiVersion") == Some(&json!("example.com/v1"));
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        SERVERS.iter().for_each(|key| drop(metadata.remove(*key)));
        match metadata.remove("namespace") {
            None | Some(Value::Null) => {}
            Some(said) if said == namespace || said == "" => {}
            Some(_) => return Some(false),
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
            && let Some(Value::String(applied)) = annotations.remove("kubectl.kubernetes.io/last-applied-configuration")
        {
            let applied: Option<Value> = serde_json::from_str(&applied).ok();
            if applied.is_none_or(|applied| admits(grown, &applied, namespace) == Some(false)) {
                return Some(false);
            }
        }
    }
    if !plain && fields.get("kind") != Some(&json!("ConfigMap")) {
        fields.remove("status");
    }
    let mut matcher = Obvious { grown, plain, tried: 0 };
    let ways = matcher.value("", tree, &Value::Object(fields), vec![None; grown.holes.len()]);
    (matcher.tried < MOST).then_some(!ways.is_empty())
}

impl Obvious<'_> {
    /// Every way in which the tree is this value.
    fn value(&mut self, key: &str, tree: &Tree, value: &Value, bound: Bound) -> Vec<Bound> {
        self.tried += 1;
        if self.tried > MOST {
            return Vec::new();
        }
        match (tree, value) {
            (Tree::Leaf(leaf), value) => ways(same(key, leaf, value), bound),
            (Tree::Hole(hole), value) => self.hole(key, *hole, value, bound),
            (Tree::Text(pieces), Value::String(text)) => self.text(pieces, text, bound),
            (Tree::Map(entries), Value::Object(fields)) => self.map(key, entries, fields, bound),
            (Tree::List(items), Value::Array(values)) => {
                let values: Vec<&Value> = values.iter().collect();
                if KEYED.contains(&key) {
                    self.keyed(items, &values, bound)
                } else {
                    self.ordered(items, &values, bound)
                }
            }
            // An element that is null is an empty struct to who reads it.
            (Tree::Map(entries), Value::Null) if key.is_empty() && !self.plain => {
                self.map(key, entries, &Map::new(), bound)
            }
            _ => Vec::new(),
        }
    }

    fn bind(&self, hole: usize, value: Option<Value>, mut bound: Bound) -> Vec<Bound> {
        match bound.get_mut(hole) {
            Some(free @ None) => *free = Some(value),
            Some(Some(before)) if *before == value => {}
            _ => return Vec::new(),
        }
        vec![bound]
    }

    fn hole(&self, key: &str, hole: usize, value: &Value, bound: Bound) -> Vec<Bound> {
        let Some(known) = self.grown.holes.get(hole) else { return Vec::new() };
        let mut found = Vec::new();
        for value in readings(key, value) {
            if accepts(known.schema, &value) {
                found.extend(self.bind(hole, Some(value), bound.clone()));
            }
        }
        if value.is_null() && known.optional {
            found.extend(self.bind(hole, None, bound));
        }
        found
    }

    /// Every way to cut the text.
    fn text(&mut self, pieces: &[Piece], text: &str, bound: Bound) -> Vec<Bound> {
        self.tried += 1;
        let Some((first, rest)) = pieces.split_first() else { return ways(text.is_empty(), bound) };
        match first {
            Piece::Literal(literal) => match text.strip_prefix(literal.as_str()) {
                Some(text) => self.text(rest, text, bound),
                None => Vec::new(),
            },
            Piece::Hole(hole) => {
                let Some(schema) = self.grown.holes.get(*hole).map(|hole| hole.schema) else { return Vec::new() };
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                let mut found = Vec::new();
                for (piece, text) in ends.filter_map(|at| text.split_at_checked(at)) {
                    let Some(value) = read(schema, piece) else { continue };
                    for bound in self.bind(*hole, Some(value), bound.clone()) {
                        found.extend(self.text(rest, text, bound));
                    }
                }
                found
            }
        }
    }

    fn map(&mut self, key: &str, entries: &[(String, Tree)], fields: &Map<String, Value>, bound: Bound) -> Vec<Bound> {
        let in_template = |name: &str| entries.iter().any(|(key, _)| key == name);
        let may_be_absent = |tree: &Tree| self.optional(tree).is_some();
        let surely: Vec<&String> =
            entries.iter().filter(|(_, tree)| !may_be_absent(tree)).map(|(key, _)| key).collect();
        let surely = |name: &str| surely.iter().any(|key| *key == name);
        let there = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        for (name, value) in fields {
            if !in_template(name) && !self.completed(key, name, value, fields, &surely) {
                return Vec::new();
            }
        }
        let mut all = vec![bound];
        for (name, tree) in entries {
            let mut next = Vec::new();
            for bound in all {
                match fields.get(name) {
                    Some(value) => {
                        // Absent, and the server put something in its place.
                        if let Some(hole) = self.optional(tree)
                            && self.completed(key, name, value, fields, &surely)
                        {
                            next.extend(self.bind(hole, None, bound.clone()));
                        }
                        next.extend(self.value(name, tree, value, bound.clone()));
                        // Empty, and the server put something in its place.
                        if !in_a_map(key)
                            && !self.plain
                            && let Some(hole) = self.alone(tree)
                            && default(name, value, fields, &surely)
                        {
                            for empty in empties(name) {
                                next.extend(self.hole(name, hole, &empty, bound.clone()));
                            }
                        }
                        if (value.is_null() || !in_a_map(key) && nothing(name, value)) && !self.plain {
                            next.extend(self.absent(key, name, tree, fields, &there, bound));
                        }
                    }
                    None => next.extend(self.absent(key, name, tree, fields, &there, bound)),
                }
            }
            all = next;
        }
        all
    }

    /// Whether the server may have put a field there that the template does not have.
    fn completed(
        &self,
        parent: &str,
        name: &str,
        value: &Value,
        fields: &Map<String, Value>,
        in_template: &dyn Fn(&str) -> bool,
    ) -> bool {
        if self.plain && !matches!(parent, "metadata") {
            return false;
        }
        value.is_null() || (!in_a_map(parent) && (nothing(name, value) || default(name, value, fields, in_template)))
    }

    /// The ways in which a part of the template is not there.
    fn absent(
        &mut self,
        parent: &str,
        name: &str,
        tree: &Tree,
        fields: &Map<String, Value>,
        there: &dyn Fn(&str) -> bool,
        bound: Bound,
    ) -> Vec<Bound> {
        let mut found = Vec::new();
        if let Some(hole) = self.optional(tree) {
            found.extend(self.bind(hole, None, bound.clone()));
        }
        // A selector is a map of labels in a Service, and has one in a Deployment.
        if in_a_map(parent) && name != "matchLabels" || self.plain && parent != "metadata" {
            return found;
        }
        // Or it says nothing, or what the server says anyway.
        let stands_for = stand_ins(name, fields, there);
        for value in stands_for {
            found.extend(self.value(name, tree, &value, bound.clone()));
        }
        // A struct that has nothing but defaults in it.
        if let Tree::Map(entries) = tree
            && !SAYS.contains(&name)
        {
            found.extend(self.map(name, entries, &Map::new(), bound));
        }
        found
    }

    fn ordered(&mut self, items: &[Item], values: &[&Value], bound: Bound) -> Vec<Bound> {
        self.tried += 1;
        let Some((first, rest)) = items.split_first() else { return ways(values.is_empty(), bound) };
        let mut found = Vec::new();
        match first {
            Item::One(tree) => {
                if let Some((value, values)) = values.split_first() {
                    for bound in self.value("", tree, value, bound.clone()) {
                        found.extend(self.ordered(rest, values, bound));
                    }
                }
                for bound in self.left_out(tree, bound) {
                    found.extend(self.ordered(rest, values, bound));
                }
            }
            Item::Many(hole) => {
                for count in 0..=values.len() {
                    let (taken, values) = values.split_at(count);
                    for bound in self.many(*hole, taken, bound.clone()) {
                        found.extend(self.ordered(rest, values, bound));
                    }
                }
            }
        }
        found
    }

    /// As [`Self::ordered`], in any order: each element takes any value, a hole any of those that are left.
    fn keyed(&mut self, items: &[Item], values: &[&Value], bound: Bound) -> Vec<Bound> {
        self.tried += 1;
        let one = items.iter().position(|item| matches!(item, Item::One(_)));
        let Some(at) = one else {
            return match items {
                [] => ways(values.is_empty(), bound),
                [Item::Many(hole)] => self.many(*hole, values, bound),
                _ => self.ordered(items, values, bound),
            };
        };
        let mut rest = items.to_vec();
        let Item::One(tree) = rest.remove(at) else { return Vec::new() };
        let mut found = Vec::new();
        for index in 0..values.len() {
            let mut values = values.to_vec();
            let value = values.remove(index);
            for bound in self.value("", &tree, value, bound.clone()) {
                found.extend(self.keyed(&rest, &values, bound));
            }
        }
        for bound in self.left_out(&tree, bound) {
            found.extend(self.keyed(&rest, values, bound));
        }
        found
    }

    fn many(&self, hole: usize, taken: &[&Value], bound: Bound) -> Vec<Bound> {
        let taken = Value::Array(taken.iter().map(|value| (*value).clone()).collect());
        let fits = self.grown.holes.get(hole).is_some_and(|hole| accepts(hole.schema, &taken));
        if fits { self.bind(hole, Some(taken), bound) } else { Vec::new() }
    }

    fn left_out(&self, tree: &Tree, bound: Bound) -> Vec<Bound> {
        self.optional(tree).map(|hole| self.bind(hole, None, bound)).unwrap_or_default()
    }

    /// The hole that all of this is, where it may be absent.
    fn optional(&self, tree: &Tree) -> Option<usize> {
        self.alone(tree).filter(|hole| self.grown.holes.get(*hole).is_some_and(|known| known.optional))
    }

    /// The hole that all of this is.
    fn alone(&self, tree: &Tree) -> Option<usize> {
        match tree {
            Tree::Hole(hole) => Some(*hole),
            Tree::Text(pieces) => match pieces.as_slice() {
                [Piece::Hole(hole)] => Some(*hole),
                _ => None,
            },
            _ => None,
        }
    }
}

fn ways(fits: bool, bound: Bound) -> Vec<Bound> {
    if fits { vec![bound] } else { Vec::new() }
}

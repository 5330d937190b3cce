//! An obvious recogniser, from the two laws of DESIGN.md alone: an object is admitted if some values of the holes make
//! the template that object, up to what the API server is known to complete.
//!
//! It is slow (it tries every way), shares nothing with `policies`, and knows the kinds of [`crate::bypass`] alone. It
//! may admit what the real one refuses, never the other way round: where the server's completing depends on much, it
//! asks for little. What it asks for, it asks for plainly.

use serde_json::{Map, Value, json};

use crate::tree::{Grown, Item, Piece, Schema, Tree, text_of};

/// What each hole stands for so far; the inner none: nothing, it is absent.
type Bound = Vec<Option<Option<Value>>>;

/// Lists whose elements are found by their keys, so that the order does not matter.
const KEYED: [&str; 7] =
    ["containers", "env", "ports", "volumes", "volumeMounts", "imagePullSecrets", "topologySpreadConstraints"];
/// Maps of names and amounts.
const AMOUNTS: [&str; 2] = ["requests", "limits"];
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
        let there = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        for (name, value) in fields {
            let extra = !in_template(name);
            if extra && !self.completed(key, name, value, fields, &in_template) {
                return Vec::new();
            }
        }
        let mut all = vec![bound];
        for (name, tree) in entries {
            let mut next = Vec::new();
            for bound in all {
                match fields.get(name) {
                    Some(value) => {
                        next.extend(self.value(name, tree, value, bound.clone()));
                        if value.is_null() && !self.plain {
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
        let optional = |hole: &usize| self.grown.holes.get(*hole).is_some_and(|hole| hole.optional);
        match tree {
            Tree::Hole(hole) if optional(hole) => found.extend(self.bind(*hole, None, bound.clone())),
            Tree::Text(pieces) if matches!(pieces.as_slice(), [Piece::Hole(hole)] if optional(hole)) => {
                if let [Piece::Hole(hole)] = pieces.as_slice() {
                    found.extend(self.bind(*hole, None, bound.clone()));
                }
            }
            _ => {}
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
        match tree {
            Tree::Hole(hole) if self.grown.holes.get(*hole).is_some_and(|hole| hole.optional) => {
                self.bind(*hole, None, bound)
            }
            _ => Vec::new(),
        }
    }
}

fn ways(fits: bool, bound: Bound) -> Vec<Bound> {
    if fits { vec![bound] } else { Vec::new() }
}

/// Whether the keys of this map are anyone's, so that each says something.
fn in_a_map(name: &str) -> bool {
    matches!(name, "labels" | "annotations" | "data" | "matchLabels" | "selector" | "nodeSelector")
        || AMOUNTS.contains(&name)
}

/// Values that a field stands for when it is not there.
fn stand_ins(name: &str, fields: &Map<String, Value>, there: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let mut all = vec![Value::Null];
    all.extend(empty(name));
    all.extend(defaults(name, fields, there));
    all
}

/// The empty value that the server does not tell from an absent one, where the field has such.
fn empty(name: &str) -> Option<Value> {
    Some(match name {
        "name"
        | "generateName"
        | "image"
        | "value"
        | "path"
        | "serviceAccountName"
        | "serviceAccount"
        | "protocol"
        | "restartPolicy"
        | "dnsPolicy"
        | "schedulerName"
        | "terminationMessagePath"
        | "terminationMessagePolicy"
        | "imagePullPolicy"
        | "type"
        | "sessionAffinity"
        | "scheme"
        | "key"
        | "operator"
        | "mountPath" => json!(""),
        "hostNetwork" | "hostPID" => json!(false),
        "port" | "containerPort" => json!(0),
        "args" | "policyTypes" | "command" | "env" | "ports" | "volumes" | "volumeMounts" | "tolerations"
        | "containers" | "from" => {
            json!([])
        }
        "labels" | "annotations" | "data" | "matchLabels" | "selector" | "limits" | "requests" | "resources"
        | "metadata" | "securityContext" | "podSelector" | "spec" | "template" | "status" => json!({}),
        _ => return None,
    })
}

fn nothing(name: &str, value: &Value) -> bool {
    value.is_null() || empty(name).is_some_and(|empty| empty == *value || empty == 0 && value.as_f64() == Some(0.0))
}

/// Whether the server puts this there where it is left out.
fn default(name: &str, value: &Value, fields: &Map<String, Value>, in_template: &dyn Fn(&str) -> bool) -> bool {
    defaults(name, fields, in_template).iter().any(|default| {
        default == value
            || matches!((default, value), (Value::Object(default), Value::Object(value))
                if value.iter().all(|(key, value)| value.is_null() || default.get(key) == Some(value)))
            || whole(value).is_some_and(|value| value == *default)
    })
}

/// What the server puts in a field; `there` says which siblings the side has that leaves it out.
fn defaults(name: &str, fields: &Map<String, Value>, there: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let one = |value: Value| vec![value];
    match name {
        "restartPolicy" => one(json!("Always")),
        "dnsPolicy" => one(json!("ClusterFirst")),
        "schedulerName" => one(json!("default-scheduler")),
        "terminationGracePeriodSeconds" => one(json!(30)),
        "enableServiceLinks" => one(json!(true)),
        "terminationMessagePath" => one(json!("/dev/termination-log")),
        "terminationMessagePolicy" => one(json!("File")),
        "imagePullPolicy" => {
            let image = fields.get("image").and_then(Value::as_str).unwrap_or_default();
            let name = image.rsplit('/').next().unwrap_or_default();
            let latest = name.split_once(':').is_none_or(|(_, tag)| tag == "latest") && !name.contains('@');
            // What is no reference has no tag either.
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/.:-_@".contains(c);
            let mut policies = vec![json!(if latest { "Always" } else { "IfNotPresent" })];
            if image.is_empty() || !image.chars().all(plain) || !image.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                policies.push(json!("IfNotPresent"));
            }
            policies
        }
        "protocol" => one(json!("TCP")),
        "defaultMode" => one(json!(420)),
        "fieldRef.apiVersion" | "apiVersion" => one(json!("v1")),
        "timeoutSeconds" | "successThreshold" => one(json!(1)),
        "periodSeconds" => one(json!(10)),
        "failureThreshold" => one(json!(3)),
        "scheme" => one(json!("HTTP")),
        // Two that are left out together are one each; alone, completions left out means any one.
        "completions" if !there("parallelism") => one(json!(1)),
        "parallelism" | "replicas" => one(json!(1)),
        "backoffLimit" => one(json!(6)),
        "completionMode" => one(json!("NonIndexed")),
        "suspend" | "manualSelector" => one(json!(false)),
        "podReplacementPolicy" => one(json!("TerminatingOrFailed")),
        "strategy" => {
            one(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}))
        }
        "rollingUpdate" => one(json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
        "maxUnavailable" | "maxSurge" => one(json!("25%")),
        "revisionHistoryLimit" => one(json!(10)),
        "progressDeadlineSeconds" => one(json!(600)),
        "type" => vec![json!("ClusterIP"), json!("RollingUpdate")],
        "sessionAffinity" => one(json!("None")),
        "internalTrafficPolicy" => one(json!("Cluster")),
        "targetPort" => fields.get("port").cloned().into_iter().chain([json!("")]).collect(),
        "policyTypes" => one(json!(["Ingress"])),
        "emptyDir" => one(json!({})),
        // What plugins add to a pod.
        "tolerations" => {
            let one =
                |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            vec![json!([one("node.kubernetes.io/not-ready"), one("node.kubernetes.io/unreachable")])]
        }
        "priority" => one(json!(0)),
        "preemptionPolicy" => one(json!("PreemptLowerPriority")),
        "serviceAccountName" | "serviceAccount" => {
            let named = fields.get("serviceAccountName").or(fields.get("serviceAccount")).cloned();
            named.into_iter().chain([json!("default")]).collect()
        }
        _ => Vec::new(),
    }
}

/// A number as a whole one, where it is.
fn whole(value: &Value) -> Option<Value> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    (number.fract() == 0.0 && number.abs() < 1e15).then(|| json!(number as i64))
}

/// What a hole may have been for the server to show this.
fn readings(key: &str, value: &Value) -> Vec<Value> {
    let mut all = vec![whole(value).unwrap_or_else(|| value.clone())];
    if value.is_null() {
        all = vec![json!(""), json!(0), json!(false)];
    }
    // In a list of amounts a number is shown as text.
    if matches!(key, "cpu" | "memory")
        && let Some(amount) = amount(value)
        && amount % 1_000_000_000 == 0
    {
        all.push(json!(i64::try_from(amount / 1_000_000_000).unwrap_or_default()));
    }
    all
}

fn same(key: &str, leaf: &Value, value: &Value) -> bool {
    let zeros = [json!(""), json!(0), json!(false), json!([]), json!({})];
    if leaf == value || value.is_null() && zeros.contains(leaf) {
        return true;
    }
    match (leaf, value) {
        (Value::Number(leaf), Value::Number(value)) => leaf.as_f64() == value.as_f64(),
        (Value::Array(leaf), Value::Array(value)) => leaf.is_empty() && value.is_empty(),
        (Value::Object(leaf), Value::Object(value)) => leaf.is_empty() && value.is_empty(),
        _ => {
            matches!(key, "cpu" | "memory" | "divisor" | "sizeLimit")
                && amount(leaf).is_some()
                && amount(leaf) == amount(value)
        }
    }
}

/// A quantity in thousand-millionths.
fn amount(value: &Value) -> Option<i128> {
    let text = text_of(value)?;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 9 || whole.len() > 12 {
        return None;
    }
    let nano: i128 = format!("{whole}{part:0<9}").parse().ok()?;
    let scale: (i128, i128) = match unit {
        "" => (1, 1),
        "m" => (1, 1_000),
        "u" => (1, 1_000_000),
        "n" => (1, 1_000_000_000),
        "k" | "e3" | "E3" => (1_000, 1),
        "M" | "e6" | "E6" => (1_000_000, 1),
        "G" | "e9" | "E9" => (1_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        _ => return None,
    };
    // The server rounds up to thousandths.
    let exact = nano.checked_mul(scale.0)?;
    Some((exact + scale.1 * 1_000_000 - 1) / (scale.1 * 1_000_000) * 1_000_000)
}

fn letters(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The value that a piece of text is.
fn read(schema: Schema, text: &str) -> Option<Value> {
    let value = match schema {
        Schema::Whole => json!(text.parse::<u8>().ok()?),
        Schema::Flag => json!(text.parse::<bool>().ok()?),
        _ => json!(text),
    };
    (accepts(schema, &value) && text_of(&value).as_deref() == Some(text)).then_some(value)
}

fn accepts(schema: Schema, value: &Value) -> bool {
    match (schema, value) {
        (Schema::Digits, Value::String(text)) => {
            (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        (Schema::Word, Value::String(text)) => letters(text, 1, 5),
        (Schema::Choice, Value::String(text)) => ["a", "bb", "c-d"].contains(&text.as_str()),
        (Schema::Free, Value::String(_)) | (Schema::Flag, Value::Bool(_)) => true,
        (Schema::Whole, Value::Number(number)) => number.as_u64().is_some_and(|number| (1..=80).contains(&number)),
        (Schema::Words, Value::Array(all)) => all.iter().all(|one| accepts(Schema::Word, one)),
        (Schema::Pairs, Value::Array(all)) => all.iter().all(|one| {
            let Value::Object(fields) = one else { return false };
            let name = fields.get("name").and_then(Value::as_str).and_then(|name| name.strip_prefix("X_"));
            let named = name.is_some_and(|name| letters(&name.to_lowercase(), 1, 3) && name == name.to_uppercase());
            let value = fields.get("value").filter(|value| !value.is_null()).map_or(Some(""), Value::as_str);
            named
                && value.is_some_and(|value| letters(value, 0, 4))
                && fields.iter().all(|(key, value)| matches!(key.as_str(), "name" | "value") || value.is_null())
        }),
        _ => false,
    }
}

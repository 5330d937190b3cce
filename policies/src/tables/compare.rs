//! Every difference between what a template says and what an object is. The world is closed: what is not expected is a
//! difference too.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use crate::difference::{Difference, Expected, Got, Path};
use crate::object::Gvk;
use crate::quantity::Quantity;

use super::facts::Facts;
use super::shape::{ListKind, Node, Scalar, Shape, shape_of};
use super::{SERVER_OWNED, has_status};

/// Every difference between two completed objects, in the order of the paths; none where they mean the same.
///
/// Ignored are the server's own fields of `metadata`, and `status` where it is a subresource. Values of a Secret are in
/// no difference.
pub fn compare(kind: &Gvk, expected: &Value, object: &Value, facts: &Facts) -> Vec<Difference> {
    let hidden = kind.group.is_empty() && kind.kind == "Secret";
    let mut comparison = Comparison { hidden, secret: false, differences: Vec::new() };
    let shape = shape_of(kind, facts);
    let path = Path::root();
    match (expected, object) {
        (Value::Object(expected), Value::Object(object)) => {
            let status = has_status(kind, facts) == Some(true);
            comparison.fields(shape, expected, object, &path, |name| status && name == "status");
        }
        _ => comparison.value(shape, expected, object, &path),
    }
    comparison.differences
}

struct Comparison {
    /// Whether this is a Secret.
    hidden: bool,
    /// Whether the walk is inside a Secret's data.
    secret: bool,
    differences: Vec<Difference>,
}

impl Comparison {
    fn differ(&mut self, path: &Path, expected: Option<&Value>, got: Option<&Value>) {
        let expected = match expected {
            Some(_) if self.secret => Expected::Described("another value, which is not shown".into()),
            Some(value) => Expected::Value(value.clone()),
            None => Expected::Nothing,
        };
        let got = match got {
            Some(_) if self.secret => Got::Hidden,
            Some(value) => Got::Value(value.clone()),
            None => Got::Nothing,
        };
        self.differences.push(Difference { path: path.clone(), expected, got });
    }

    fn value(&mut self, shape: Shape<'_>, expected: &Value, got: &Value, path: &Path) {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => self.fields(shape, expected, got, path, |_| false),
            (Value::Array(expected), Value::Array(got)) => self.list(shape, expected, got, path),
            _ if same(shape.scalar(), expected, got) => {}
            _ => self.differ(path, Some(expected), Some(got)),
        }
    }

    fn fields(
        &mut self,
        shape: Shape<'_>,
        expected: &Map<String, Value>,
        got: &Map<String, Value>,
        path: &Path,
        ignored: impl Fn(&str) -> bool,
    ) {
        let root = path.steps().is_empty();
        let metadata = matches!(path.steps(), [crate::difference::Step::Key(key)] if key == "metadata");
        let names: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
        for name in names {
            if ignored(name) || (metadata && SERVER_OWNED.contains(&name.as_str())) {
                continue;
            }
            if root {
                self.secret = self.hidden && matches!(name.as_str(), "data" | "stringData");
            }
            let path = path.key(name);
            match (expected.get(name), got.get(name)) {
                (Some(expected), Some(got)) => self.value(shape.field(name), expected, got, &path),
                (Some(one), None) if absent(shape, name, one) => {}
                (None, Some(one)) if absent(shape, name, one) => {}
                (expected, got) => self.differ(&path, expected, got),
            }
        }
        if root {
            self.secret = false;
        }
    }

    fn list(&mut self, shape: Shape<'_>, expected: &[Value], got: &[Value], path: &Path) {
        let keyed = match shape.list() {
            ListKind::Keyed(keys) => {
                let (left, right) = (labels(keys, expected), labels(keys, got));
                left.zip(right)
            }
            ListKind::Set => Some((texts(expected), texts(got))),
            ListKind::Positional => None,
        };
        match keyed {
            Some((left, right)) if unique(&left) && unique(&right) => {
                self.paired(shape, (expected, &left), (got, &right), path);
                if shape.is_env() {
                    self.env_order((expected, &left), (got, &right), path);
                }
            }
            Some((left, right)) if shape.is_env() => self.env_duplicates(&left, &right, path),
            _ => self.positions(shape, expected, got, path),
        }
    }

    fn paired(
        &mut self,
        shape: Shape<'_>,
        (expected, left): (&[Value], &[String]),
        (got, right): (&[Value], &[String]),
        path: &Path,
    ) {
        let named: HashMap<&String, &Value> = right.iter().zip(got).collect();
        for (value, label) in expected.iter().zip(left) {
            let path = path.element(label.clone());
            match named.get(label) {
                Some(got) => self.value(shape.element(), value, got, &path),
                None => self.differ(&path, Some(value), None),
            }
        }
        let named: HashSet<&String> = left.iter().collect();
        for (value, label) in got.iter().zip(right) {
            if !named.contains(label) {
                self.differ(&path.element(label.clone()), None, Some(value));
            }
        }
    }

    fn positions(&mut self, shape: Shape<'_>, expected: &[Value], got: &[Value], path: &Path) {
        for index in 0..expected.len().max(got.len()) {
            let (left, right) = (expected.get(index), got.get(index));
            // An element that says its name is easier to find by it.
            let path = match (name_of(left), name_of(right)) {
                (Some(left), Some(right)) if left == right && shape.scalar() == Scalar::Plain => {
                    path.element(format!("name={left}"))
                }
                _ => path.index(index),
            };
            match (left, right) {
                (Some(left), Some(right)) => self.value(shape.element(), left, right, &path),
                (left, right) => self.differ(&path, left, right),
            }
        }
    }

    /// Once a value refers to another variable, the order of all counts.
    fn env_order(&mut self, (expected, left): (&[Value], &[String]), (got, right): (&[Value], &[String]), path: &Path) {
        let refers = |values: &[Value]| {
            values.iter().filter_map(|value| value.get("value")?.as_str()).any(|text| text.contains("$("))
        };
        if !refers(expected) && !refers(got) {
            return;
        }
        let common: HashSet<&String> = right.iter().collect();
        let left: Vec<_> = left.iter().filter(|label| common.contains(label)).collect();
        let common: HashSet<&String> = left.iter().copied().collect();
        let right: Vec<_> = right.iter().filter(|label| common.contains(label)).collect();
        if left == right {
            return;
        }
        let names = |labels: &[&String]| {
            labels.iter().map(|label| label.trim_start_matches("name=").to_owned()).collect::<Vec<_>>()
        };
        self.differences.push(Difference {
            path: path.clone(),
            expected: Expected::Described(format!(
                "the order {}, since a value refers to another variable",
                names(&left).join(", ")
            )),
            got: Got::Value(names(&right).into()),
        });
    }

    fn env_duplicates(&mut self, left: &[String], right: &[String], path: &Path) {
        let twice = |labels: &[String]| {
            labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label)).map(|(_, label)| label.clone())
        };
        let Some(label) = twice(right).or_else(|| twice(left)) else { return };
        let count = right.iter().filter(|other| **other == label).count();
        self.differences.push(Difference {
            path: path.element(label),
            expected: Expected::Described("each variable once".into()),
            got: Got::Value(format!("{count} of that name").into()),
        });
    }
}

fn name_of(element: Option<&Value>) -> Option<&str> {
    element?.get("name")?.as_str()
}

/// Whether a value says nothing: null, or what the API server does not tell from an absent one.
fn absent(parent: Shape<'_>, name: &str, value: &Value) -> bool {
    let shape = parent.field(name);
    if value.is_null() {
        // A custom resource keeps the null of a field that nobody described, as it keeps all that it does not know.
        return match parent.of.map(|of| &of.node) {
            Some(Node::Custom(custom)) => custom.fields.get(name).is_some_and(|field| !field.nullable),
            Some(Node::Struct(_) | Node::Map(_)) => true,
            Some(Node::Scalar(_) | Node::List { .. }) | None => false,
        };
    }
    shape.zero().is_some_and(|zero| same(shape.scalar(), &zero, value))
}

/// Whether two scalars mean the same; lists and maps only where they are equal.
fn same(scalar: Scalar, left: &Value, right: &Value) -> bool {
    if left == right {
        return true;
    }
    match scalar {
        Scalar::Quantity | Scalar::MilliQuantity => {
            matches!((Quantity::from_value(left), Quantity::from_value(right)), (Ok(left), Ok(right)) if left == right)
        }
        // Whole numbers are compared as such; what is left may be written in two ways.
        _ => match (left, right) {
            (Value::Number(left), Value::Number(right)) => {
                // Beyond 2^53 a float stands for several whole numbers.
                let exact = left.as_f64().is_some_and(|number| number.abs() <= 9_007_199_254_740_992.0);
                (left.is_f64() || right.is_f64()) && exact && left.as_f64() == right.as_f64()
            }
            _ => false,
        },
    }
}

/// The merge keys of every element, `name=main`; none where an element lacks one.
fn labels(keys: &[String], list: &[Value]) -> Option<Vec<String>> {
    list.iter()
        .map(|element| {
            let element = element.as_object()?;
            let mut parts = Vec::with_capacity(keys.len());
            for key in keys {
                match element.get(key) {
                    Some(Value::String(text)) => parts.push(format!("{key}={text}")),
                    Some(scalar @ (Value::Number(_) | Value::Bool(_))) => parts.push(format!("{key}={scalar}")),
                    Some(_) => return None,
                    None => {}
                }
            }
            (!parts.is_empty()).then(|| parts.join(","))
        })
        .collect()
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter()
        .map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}

fn unique(labels: &[String]) -> bool {
    labels.iter().collect::<BTreeSet<_>>().len() == labels.len()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;

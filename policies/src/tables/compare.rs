//! Every difference between what a template says and what an object is. The world is closed: what is not expected is a
//! difference too.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::difference::{Difference, Expected, Got};
use crate::object::Gvk;
use crate::quantity::Quantity;

use super::facts::Facts;
use super::pairs::{Both, in_step, labels, side_by_side, texts, unique};
use super::place::{Place, Turn};
use super::shape::{ListKind, Node, Scalar, Shape, shape_of};
use super::{SERVER_OWNED, has_status};

/// Every difference between two completed objects, in the order of the paths; none where they mean the same.
///
/// Ignored are the server's own fields of `metadata`, and `status` where it is a subresource. Values of a Secret are in
/// no difference.
pub fn compare(kind: &Gvk, expected: &Value, object: &Value, facts: &Facts) -> Vec<Difference> {
    let mut comparison = Comparison::new(kind, facts);
    let shape = shape_of(kind, facts);
    match (expected, object) {
        (Value::Object(expected), Value::Object(object)) => comparison.object(shape, expected, object),
        _ => comparison.value(shape, expected, object, &Place::ROOT),
    }
    comparison.differences
}

/// What is expected of variables of which one is there twice.
const EACH_ONCE: &str = "each variable once";

/// Whether a difference is there whatever a template says: the object has a variable twice.
pub(crate) fn is_anybodys(difference: &Difference) -> bool {
    let twice =
        |got: &str| got.split(' ').next().and_then(|count| count.parse().ok()).is_some_and(|count: usize| count > 1);
    matches!((&difference.expected, &difference.got), (Expected::Described(expected), Got::Value(Value::String(got)))
        if expected == EACH_ONCE && twice(got))
}

struct Comparison {
    /// Whether this is a Secret.
    hidden: bool,
    /// Whether `status` is the server's own.
    status: bool,
    /// Whether the walk is inside a Secret's data.
    secret: bool,
    differences: Vec<Difference>,
}

/// The entries of two maps side by side, in the order of their names.
fn both<'v>(
    left: &'v Map<String, Value>,
    right: &'v Map<String, Value>,
) -> impl Iterator<Item = Both<'v, Value, Value>> {
    let named = |map: &'v Map<String, Value>| map.iter().map(|(name, value)| (name.as_str(), value));
    side_by_side(named(left), named(right))
}

impl Comparison {
    fn new(kind: &Gvk, facts: &Facts) -> Self {
        Self {
            hidden: kind.group.is_empty() && kind.kind == "Secret",
            status: has_status(kind, facts) == Some(true),
            secret: false,
            differences: Vec::new(),
        }
    }

    fn differ(&mut self, place: &Place<'_>, expected: Option<&Value>, got: Option<&Value>) {
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
        self.differences.push(Difference { path: place.path(), expected, got });
    }

    /// The object itself.
    fn object(&mut self, shape: Shape<'_>, expected: &Map<String, Value>, got: &Map<String, Value>) {
        for (name, expected, got) in both(expected, got) {
            if self.status && name == "status" {
                continue;
            }
            self.secret = self.hidden && matches!(name, "data" | "stringData");
            let place = Place::ROOT.then(Turn::Key(name));
            match (name, expected, got) {
                ("metadata", Some(Value::Object(expected)), Some(Value::Object(got))) => {
                    let shape = shape.field(name);
                    for (name, expected, got) in both(expected, got) {
                        if !SERVER_OWNED.contains(&name) {
                            self.field(shape, name, expected, got, &place);
                        }
                    }
                }
                _ => self.field(shape, name, expected, got, &Place::ROOT),
            }
        }
        self.secret = false;
    }

    fn value(&mut self, shape: Shape<'_>, expected: &Value, got: &Value, place: &Place<'_>) {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => {
                for (name, expected, got) in both(expected, got) {
                    self.field(shape, name, expected, got, place);
                }
            }
            (Value::Array(expected), Value::Array(got)) => self.list(shape, expected, got, place),
            _ if same(shape.scalar(), expected, got) => {}
            _ => self.differ(place, Some(expected), Some(got)),
        }
    }

    fn field(
        &mut self,
        shape: Shape<'_>,
        name: &str,
        expected: Option<&Value>,
        got: Option<&Value>,
        parent: &Place<'_>,
    ) {
        // The path is a chain of borrowed steps, and becomes one only where there is a difference.
        let place = parent.then(Turn::Key(name));
        match (expected, got) {
            (Some(expected), Some(got)) => self.value(shape.field(name), expected, got, &place),
            (Some(one), None) | (None, Some(one)) if absent(shape, name, one) => {}
            (expected, got) => self.differ(&place, expected, got),
        }
    }

    fn list(&mut self, shape: Shape<'_>, expected: &[Value], got: &[Value], place: &Place<'_>) {
        let kind = shape.list();
        if let ListKind::Keyed(keys) = kind
            && in_step(keys, expected, got)
        {
            for (expected, got) in expected.iter().zip(got) {
                self.value(shape.element(), expected, got, &place.then(Turn::Keyed(expected, keys)));
            }
            return;
        }
        let keyed = match kind {
            ListKind::Keyed(keys) => {
                let (left, right) = (labels(keys, expected), labels(keys, got));
                left.zip(right)
            }
            ListKind::Set if expected == got => return,
            ListKind::Set => Some((texts(expected), texts(got))),
            ListKind::Positional => None,
        };
        match keyed {
            Some((left, right)) if unique(&left) && unique(&right) => {
                self.paired(shape, (expected, &left), (got, &right), place);
                if shape.is_env() {
                    self.env_order((expected, &left), (got, &right), place);
                }
            }
            Some((left, right)) if shape.is_env() => self.env_duplicates(&left, &right, place),
            _ => self.positions(shape, expected, got, place),
        }
    }

    fn paired(
        &mut self,
        shape: Shape<'_>,
        (expected, left): (&[Value], &[String]),
        (got, right): (&[Value], &[String]),
        place: &Place<'_>,
    ) {
        let named: HashMap<&String, &Value> = right.iter().zip(got).collect();
        for (value, label) in expected.iter().zip(left) {
            let place = place.then(Turn::Element(label));
            match named.get(label) {
                Some(got) => self.value(shape.element(), value, got, &place),
                None => self.differ(&place, Some(value), None),
            }
        }
        let named: HashSet<&String> = left.iter().collect();
        for (value, label) in got.iter().zip(right) {
            if !named.contains(label) {
                self.differ(&place.then(Turn::Element(label)), None, Some(value));
            }
        }
    }

    fn positions(&mut self, shape: Shape<'_>, expected: &[Value], got: &[Value], place: &Place<'_>) {
        for index in 0..expected.len().max(got.len()) {
            let (left, right) = (expected.get(index), got.get(index));
            // An element that says its name is easier to find by it.
            let place = match (name_of(left), name_of(right)) {
                (Some(left), Some(right)) if left == right && shape.scalar() == Scalar::Plain => {
                    place.then(Turn::Named(left))
                }
                _ => place.then(Turn::Index(index)),
            };
            match (left, right) {
                (Some(left), Some(right)) => self.value(shape.element(), left, right, &place),
                (left, right) => self.differ(&place, left, right),
            }
        }
    }

    /// Once a value refers to another variable, the order of all counts.
    fn env_order(
        &mut self,
        (expected, left): (&[Value], &[String]),
        (got, right): (&[Value], &[String]),
        place: &Place<'_>,
    ) {
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
            path: place.path(),
            expected: Expected::Described(format!(
                "the order {}, since a value refers to another variable",
                names(&left).join(", ")
            )),
            got: Got::Value(names(&right).into()),
        });
    }

    fn env_duplicates(&mut self, left: &[String], right: &[String], place: &Place<'_>) {
        let twice = |labels: &'_ [String]| {
            let mut seen = HashSet::new();
            labels.iter().position(|label| !seen.insert(label))
        };
        let found = twice(right).and_then(|at| right.get(at)).or_else(|| twice(left).and_then(|at| left.get(at)));
        let Some(label) = found else { return };
        let count = right.iter().filter(|other| *other == label).count();
        self.differences.push(Difference {
            path: place.then(Turn::Element(label)).path(),
            expected: Expected::Described(EACH_ONCE.into()),
            got: Got::Value(format!("{count} of that name").into()),
        });
    }
}

fn name_of(element: Option<&Value>) -> Option<&str> {
    element?.get("name")?.as_str()
}

/// Whether a value says nothing: null, or what the API server does not tell from an absent one.
pub(crate) fn absent(parent: Shape<'_>, name: &str, value: &Value) -> bool {
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
pub(crate) fn same(scalar: Scalar, left: &Value, right: &Value) -> bool {
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

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;

//! `enum`: the only values that there are, found without going through all of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;

use serde_json::Value;

use super::accept::equal;

/// So few are compared one by one.
const FEW: usize = 8;

/// The values of an enum, in the order written; none where there is no enum.
#[derive(Clone, Debug, Default)]
pub struct Enumeration {
    values: Vec<Value>,
    /// The hash of each value, and its position; in order. Empty where they are few.
    index: Vec<(u64, usize)>,
}

impl From<Vec<Value>> for Enumeration {
    fn from(values: Vec<Value>) -> Self {
        let many = values.len() > FEW;
        let mut index: Vec<_> =
            values.iter().enumerate().filter(|_| many).map(|(position, value)| (hash(value), position)).collect();
        index.sort_unstable();
        Self { values, index }
    }
}

impl Deref for Enumeration {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl Enumeration {
    /// Whether a value is one of them; `1` and `1.0` are the same.
    pub fn holds(&self, value: &Value) -> bool {
        if self.index.is_empty() {
            return self.values.iter().any(|allowed| equal(allowed, value));
        }
        let hash = hash(value);
        let from = self.index.partition_point(|(other, _)| *other < hash);
        let alike = self.index.get(from..).unwrap_or_default().iter().take_while(|(other, _)| *other == hash);
        alike.filter_map(|(_, position)| self.values.get(*position)).any(|allowed| equal(allowed, value))
    }
}

/// Equal values have equal hashes.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Null => {}
        Value::Bool(known) => known.hash(&mut hasher),
        // Zero has two signs.
        Value::Number(number) => number.as_f64().map(|number| (number + 0.0).to_bits()).hash(&mut hasher),
        Value::String(text) => text.hash(&mut hasher),
        Value::Array(list) => list.iter().for_each(|value| hash(value).hash(&mut hasher)),
        // Whatever the order of the keys.
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| {
                let mut hasher = DefaultHasher::new();
                (key, hash(value)).hash(&mut hasher);
                hasher.finish()
            });
            entries.fold(0_u64, u64::wrapping_add).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn many_values_are_found_as_few_are() {
        let values = [
            json!("a"),
            json!(""),
            json!(1),
            json!(1.5),
            json!(-0.0),
            json!(true),
            json!([1, "x"]),
            json!({"a": 1, "b": [2]}),
            json!(u64::MAX),
        ];
        let more = (0..100).map(|number| json!(format!("v{number}")));
        let (few, many) = (values.to_vec(), values.iter().cloned().chain(more).collect::<Vec<_>>());
        let asked = [
            json!("a"),
            json!("b"),
            json!(1.0),
            json!(2),
            json!(0),
            json!(0.0),
            json!([1.0, "x"]),
            json!(["x", 1]),
            json!({"b": [2.0], "a": 1}),
            json!({"a": 1}),
            json!(null),
            json!(false),
            json!(u64::MAX),
            json!(u64::MAX - 1),
        ];
        let many = Enumeration::from(many);
        for value in asked.iter().chain(&values) {
            assert_eq!(many.holds(value), few.iter().any(|allowed| equal(allowed, value)), "{value}");
        }
        assert!(many.holds(&json!("v99")) && !many.holds(&json!("v100")));
    }
}

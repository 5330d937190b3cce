//! A value at a place, without a copy of every name on the way, which is what `Value::pointer` makes: half of what the
//! injectors took.

use std::borrow::Cow;

use serde_json::Value;

/// Places by their names, `/spec/containers/0`; `~1` in a name is a slash.
pub(crate) trait At {
    /// What is there.
    fn at(&self, place: &str) -> Option<&Value>;
    /// What is there, to be changed.
    fn at_mut(&mut self, place: &str) -> Option<&mut Value>;
}

/// The names of a place.
fn names(place: &str) -> impl Iterator<Item = Cow<'_, str>> {
    place
        .split('/')
        .skip(1)
        .map(|name| if name.contains('~') { name.replace("~1", "/").replace("~0", "~").into() } else { name.into() })
}

impl At for Value {
    fn at(&self, place: &str) -> Option<&Value> {
        names(place).try_fold(self, |value, name| match value {
            Value::Object(map) => map.get(&*name),
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn at_mut(&mut self, place: &str) -> Option<&mut Value> {
        names(place).try_fold(self, |value, name| match value {
            Value::Object(map) => map.get_mut(&*name),
            Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_is_found_as_by_a_json_pointer() {
        let mut value = json!({"a": {"b/c": [1, {"d~e": 2}]}, "": 3});
        for place in ["", "/a", "/a/b~1c/0", "/a/b~1c/1/d~0e", "/a/b~1c/7", "/a/b", "/a/b~1c/x", "/x/y", "/"] {
            assert_eq!(value.at(place), value.pointer(place), "{place:?}");
            let mut other = value.clone();
            assert_eq!(value.at_mut(place), other.pointer_mut(place), "{place:?}");
        }
    }
}

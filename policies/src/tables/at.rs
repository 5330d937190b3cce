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

/// What is one step further on the way to a place, and the rest of the way.
fn step(way: &str) -> Option<(Cow<'_, str>, &str)> {
    let way = way.strip_prefix('/')?;
    // Bytes, since names are short: a search for a character prepares itself for long texts.
    let end = way.bytes().position(|byte| byte == b'/').unwrap_or(way.len());
    let (name, rest) = way.split_at(end);
    let plain = name.bytes().all(|byte| byte != b'~');
    Some((if plain { name.into() } else { name.replace("~1", "/").replace("~0", "~").into() }, rest))
}

impl At for Value {
    fn at(&self, place: &str) -> Option<&Value> {
        let (mut value, mut way) = (self, place);
        while let Some((name, rest)) = step(way) {
            value = match value {
                Value::Object(map) => map.get(&*name)?,
                Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
            way = rest;
        }
        Some(value)
    }

    fn at_mut(&mut self, place: &str) -> Option<&mut Value> {
        let (mut value, mut way) = (self, place);
        while let Some((name, rest)) = step(way) {
            value = match value {
                Value::Object(map) => map.get_mut(&*name)?,
                Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
            way = rest;
        }
        Some(value)
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

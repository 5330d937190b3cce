//! A JSON tree as `serde_json::Value`, read strictly: no key twice, no NUL, bounded in depth and in memory, and
//! without `metadata.managedFields`.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Levels below an object's root that are read. serde_json itself stops at 128 from the review's root, two levels
/// above; this bound comes first, so that its message is ours. No real object comes near.
pub const MAX_DEPTH: usize = 120;

/// What one object may take in memory, bytes. The API server takes objects up to 3 MiB; at some twenty bytes of JSON
/// per field those are 20 MiB as a tree. Lists of `{}` or of digits take thirty times their text, and end here.
pub const MAX_TREE_BYTES: usize = 64 << 20;

/// Key (24), value (32), and the key's own allocation, rounded up.
const PER_ENTRY: usize = 96;
/// A map's first node holds eleven entries whether it needs them or not.
const PER_MAP: usize = 640;
/// A value (32), twice, since a growing vector doubles.
const PER_ELEMENT: usize = 64;

/// One object of a review.
pub(super) struct Tree {
    /// The tree.
    pub(super) value: Value,
    /// What it takes in memory, roughly, bytes.
    pub(super) footprint: usize,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let used = Cell::new(0);
        let value = Node { place: Place::Root, depth: 0, used: &used }.deserialize(deserializer)?;
        Ok(Self { value, footprint: used.get() })
    }
}

/// Where in the object a node is, as far as that matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The object itself.
    Root,
    /// Its `metadata`.
    Metadata,
    /// Anywhere else.
    Inside,
}

#[derive(Clone, Copy)]
struct Node<'a> {
    place: Place,
    depth: usize,
    used: &'a Cell<usize>,
}

impl Node<'_> {
    fn child(self, place: Place) -> Self {
        Self { place, depth: self.depth + 1, used: self.used }
    }

    fn charge<E: Error>(self, bytes: usize) -> Result<(), E> {
        let used = self.used.get() + bytes;
        self.used.set(used);
        if used > MAX_TREE_BYTES {
            return Err(E::custom(format_args!("an object takes more than {} MiB in memory", MAX_TREE_BYTES >> 20)));
        }
        Ok(())
    }

    fn enter<E: Error>(self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("an object is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        without_nul(text)?;
        self.charge(text.len())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    // As it stands in the body, where JSON allows no NUL: only an escape makes one.
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value, E> {
        self.charge(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.text(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        self.text(&text)?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(self.child(Place::Inside))? {
            self.charge(PER_ELEMENT)?;
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut map = Map::new();
        let mut skipped = false;
        while let Some(Key(key)) = entries.next_key()? {
            self.charge(key.len())?;
            if self.place == Place::Metadata && key == "managedFields" {
                entries.next_value::<IgnoredAny>()?;
                if std::mem::replace(&mut skipped, true) {
                    return Err(A::Error::custom("duplicate key \"managedFields\""));
                }
                continue;
            }
            let place = if self.place == Place::Root && key == "metadata" { Place::Metadata } else { Place::Inside };
            let value = entries.next_value_seed(self.child(place))?;
            self.charge(if map.is_empty() { PER_MAP + PER_ENTRY } else { PER_ENTRY })?;
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => {
                    let key: String = entry.key().chars().take(64).collect();
                    return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

fn without_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.as_bytes().contains(&0) { Err(E::custom("a text contains NUL (\\u0000)")) } else { Ok(()) }
}

/// The key of an entry, without NUL.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key, E> {
                Ok(Key(text.to_owned()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
                without_nul(text)?;
                Ok(Key(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

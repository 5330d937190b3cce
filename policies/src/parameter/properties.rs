//! The properties of a map.

use std::collections::BTreeMap;

use super::Property;

/// Properties by name, in order of the names. A list, since a tree's node has room for eleven, of some 300 bytes each, and
/// most maps have one property or two.
#[derive(Clone, Debug, Default)]
pub struct Properties(Box<[(String, Property)]>);

impl Properties {
    /// The property of this name.
    pub fn get(&self, name: &str) -> Option<&Property> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, property)| property)
    }

    /// Names and properties, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Property)> {
        self.0.iter().map(|(name, property)| (name, property))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<BTreeMap<String, Property>> for Properties {
    fn from(properties: BTreeMap<String, Property>) -> Self {
        Self(properties.into_iter().collect())
    }
}

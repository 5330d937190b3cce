//! Every single change of an object: each leaf another, each field gone, a field more in each map, each list longer,
//! shorter, turned.

use policies::difference::{Path, Step};
use serde_json::{Value, json};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// A leaf has another value.
    Other,
    /// A leaf has a value of another type.
    Type,
    /// A leaf, a map or a list is null.
    Null,
    /// A field is gone.
    Removed,
    /// A map or a list is empty.
    Emptied,
    /// A map has a field more.
    Added,
    /// A list has an element twice.
    Repeated,
    /// A list has an element less.
    Dropped,
    /// Two neighbours in a list stand the other way round.
    Swapped,
}

impl Change {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Other,
        Self::Type,
        Self::Null,
        Self::Removed,
        Self::Emptied,
        Self::Added,
        Self::Repeated,
        Self::Dropped,
        Self::Swapped,
    ];
}

/// One change of an object.
#[derive(Clone, Debug)]
pub struct Variation {
    /// Where, in the object as it was.
    pub path: Path,
    /// What.
    pub change: Change,
    /// What stood there; none where something was added.
    pub was: Value,
    /// What stands there now; null where it is gone.
    pub now: Value,
    /// The whole object.
    pub object: Value,
}

/// Calls `each` with every variation of `object`, or with one of every `every` of them; `skip` says which places are
/// not looked into.
pub fn each(object: &Value, every: usize, skip: &dyn Fn(&Path) -> bool, each: &mut dyn FnMut(Variation)) {
    let mut places = Vec::new();
    collect(object, &Path::root(), "", skip, &mut places);
    let mut count = 0_usize;
    for (path, pointer) in places {
        let Some(was) = object.pointer(&pointer) else { continue };
        let mut changes: Vec<_> = changes(was).into_iter().map(|(change, now)| (change, Some(now))).collect();
        if in_map(&path) {
            changes.push((Change::Removed, None));
        }
        for (change, now) in changes {
            count += 1;
            // The whole object is copied for those alone that are looked at.
            if !count.is_multiple_of(every) || now.as_ref() == Some(was) {
                continue;
            }
            let mut object = object.clone();
            match &now {
                Some(now) => {
                    if let Some(place) = object.pointer_mut(&pointer) {
                        place.clone_from(now);
                    }
                }
                None => remove(&mut object, &pointer),
            }
            each(Variation { path: path.clone(), change, was: was.clone(), now: now.unwrap_or_default(), object });
        }
    }
}

/// Whether the place is a field; elements of lists are dropped by their list's changes.
fn in_map(path: &Path) -> bool {
    matches!(path.steps().last(), Some(Step::Key(_)))
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
        fields.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

/// Every place, root first, as a path and as a JSON pointer.
fn collect(value: &Value, path: &Path, pointer: &str, skip: &dyn Fn(&Path) -> bool, all: &mut Vec<(Path, String)>) {
    if skip(path) {
        return;
    }
    all.push((path.clone(), pointer.to_owned()));
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                collect(value, &path.key(key), &pointer, skip, all);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                collect(value, &path.index(index), &format!("{pointer}/{index}"), skip, all);
            }
        }
        _ => {}
    }
}

fn changes(value: &Value) -> Vec<(Change, Value)> {
    let mut all = match value {
        Value::String(text) => vec![
            (Change::Other, json!(format!("{text}x"))),
            (Change::Other, json!(format!("x{text}"))),
            (Change::Other, json!("")),
            (Change::Other, json!(text.to_uppercase())),
            (Change::Type, json!(7)),
            (Change::Type, json!([text])),
        ],
        Value::Number(number) => vec![
            (Change::Other, json!(number.as_i64().unwrap_or_default() + 1)),
            (Change::Other, json!(-number.as_i64().unwrap_or_default() - 1)),
            (Change::Other, json!(0)),
            (Change::Type, json!(number.to_string())),
            (Change::Type, json!(true)),
        ],
        Value::Bool(known) => vec![(Change::Other, json!(!known)), (Change::Type, json!(known.to_string()))],
        Value::Object(fields) => {
            let more = |value: Value| {
                let mut fields = fields.clone();
                fields.insert("unheardOf".into(), value);
                (Change::Added, Value::Object(fields))
            };
            vec![
                more(json!("x")),
                more(json!({"a": 1})),
                more(json!([])),
                (Change::Emptied, json!({})),
                (Change::Type, json!([])),
            ]
        }
        Value::Array(elements) => lists(elements),
        Value::Null => vec![(Change::Type, json!("x"))],
    };
    all.push((Change::Null, Value::Null));
    all
}

fn lists(elements: &[Value]) -> Vec<(Change, Value)> {
    let changed = |change: Change, with: &dyn Fn(&mut Vec<Value>)| {
        let mut elements = elements.to_vec();
        with(&mut elements);
        (change, Value::Array(elements))
    };
    let mut all = vec![(Change::Emptied, json!([])), (Change::Type, json!({}))];
    for index in 0..elements.len() {
        all.push(changed(Change::Dropped, &|list| drop(list.remove(index))));
        all.push(changed(Change::Repeated, &|list| list.push(list[index].clone())));
        all.push(changed(Change::Repeated, &|list| list.insert(index, list[index].clone())));
        if index > 0 {
            all.push(changed(Change::Swapped, &|list| list.swap(index - 1, index)));
        }
    }
    all.push(changed(Change::Repeated, &|list| list.push(Value::Null)));
    all.push(changed(Change::Repeated, &|list| list.push(json!({}))));
    all
}

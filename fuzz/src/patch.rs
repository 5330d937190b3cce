//! The patch that carries a stamp: applied, it gives the stamped object and nothing else.

use policies::keys;
use policies::object::{NamespacedName, ObjectRef};
use policies::stamp::{self, Marking, Marks, Record, StampedObject, StampedPod, StampedTemplate};
use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// Keys of maps, with the characters that JSON pointers escape, and those of a stamp.
const KEYS: [&str; 12] =
    ["app", "a/b", "~", "~0", "~1", "~01", "/", "", "a.b/c~d", keys::MASTER, keys::EXPIRES_AT, keys::ADMISSION];

/// Makes an object and a stamp of the bytes.
pub fn run(data: &[u8]) {
    let mut dice = Dice::new(data);
    let object = object(&mut dice);
    let marking = marking(&mut dice);
    let mut stamped = object.clone();
    marking.put_on(&mut stamped);
    let mut patched = object.clone();
    if let Err(error) = json_patch::patch(&mut patched, &marking.patch(&object)) {
        panic!("{error}: {object}");
    }
    // A map that held nothing but an old stamp may stay where the patch put the new one.
    assert_eq!(patched, stamped, "{object}");
    let mut again = stamped.clone();
    marking.put_on(&mut again);
    assert_eq!(again, stamped, "stamping twice");
    assert!(marking.patch(&stamped).0.is_empty(), "a stamped object needs no patch: {stamped}");
    let kind = policies::object::Gvk::new("", "v1", "ConfigMap");
    let read = stamp::read(Marks::of(&stamped), &kind, "trading", "report");
    assert!(matches!(&read, Ok(Some(read)) if read.record == marking.record), "{read:?}");
    assert_eq!(others(&stamped), others(&object), "what is not the stamp's");
}

/// The object without what a stamp may write.
fn others(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(metadata) = rest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("ownerReferences");
        for map in ["labels", "annotations"] {
            let entries = metadata.remove(map);
            let mut entries = entries.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
            entries.retain(|key, _| !keys::STAMP_LABELS.contains(&key.as_str()) && key != keys::ADMISSION);
            if !entries.is_empty() {
                metadata.insert(map.into(), entries.into());
            }
        }
    }
    rest
}

fn texts(dice: &mut Dice<'_>) -> Option<Value> {
    let value = |dice: &mut Dice<'_>| match dice.roll(6) {
        0 => json!(""),
        1 => json!(null),
        2 => json!(dice.roll(9)),
        _ => json!(dice.text("ab~/\"\\ é", 6)),
    };
    match dice.roll(6) {
        0 => None,
        1 => Some(Value::Null),
        2 => Some(json!({})),
        _ => {
            let mut map = Map::new();
            for _ in 0..=dice.roll(4) {
                // A stamp's own keys are text wherever the API server has read the object.
                let key = if dice.one_in(4) { dice.text("a~/01", 5) } else { (*dice.pick(&KEYS)).to_owned() };
                let value = if key.starts_with(keys::PREFIX) { json!(dice.text("ab", 4)) } else { value(dice) };
                map.insert(key, value);
            }
            Some(map.into())
        }
    }
}

fn reference(dice: &mut Dice<'_>) -> Value {
    let name = if dice.one_in(2) { "other" } else { "eod" };
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "d-1"})
}

fn object(dice: &mut Dice<'_>) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!("report")), ("namespace".into(), json!("trading"))]);
    for map in ["labels", "annotations"] {
        if let Some(texts) = texts(dice) {
            metadata.insert(map.into(), texts);
        }
    }
    match dice.roll(4) {
        0 => {}
        1 => drop(metadata.insert("ownerReferences".into(), Value::Null)),
        _ => {
            let all: Vec<_> = (0..dice.roll(3)).map(|_| reference(dice)).collect();
            metadata.insert("ownerReferences".into(), all.into());
        }
    }
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts(dice)})
}

fn marking(dice: &mut Dice<'_>) -> Marking {
    let owner =
        ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "eod".into(), uid: "d-1".into() };
    let seconds = i64::from(dice.byte()) * 1_000_000;
    let parameter = dice.text("a\"\\\u{1}é", 5);
    Marking {
        record: Record {
            object: StampedObject {
                api_version: "v1".into(),
                kind: "ConfigMap".into(),
                namespace: "trading".into(),
                name: Some("report".into()),
                generate_name: None,
            },
            account: NamespacedName::new("trading", dice.text("ab-.", 80)),
            pod: StampedPod { name: "eod-1".into(), uid: "p-1".into() },
            workload: owner.clone(),
            ends_with_master: dice.one_in(2),
            template: StampedTemplate {
                config_map: NamespacedName::new("trading", "templates"),
                key: dice.text("az._-", 80),
                uid: "c-1".into(),
                version: "42".into(),
                hash: "5a4b".into(),
            },
            parameters: [("p".to_owned(), json!(parameter))].into(),
            parameters_omitted: false,
            duration: None,
            keep_finished: None,
            notify_before: None,
        },
        deadline: dice.one_in(2).then(|| jiff::Timestamp::from_second(seconds).unwrap_or_default()),
        owner: dice.one_in(2).then_some(owner),
    }
}

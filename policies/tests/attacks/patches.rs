//! The JSON patch that carries a stamp: whatever the keys beside it look like, it gives the object with the stamp and
//! nothing else.

use policies::object::Gvk;
use policies::request::{Operation, Phase};
use policies::stamp::{self, Marks};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::*;

const TEMPLATE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: report
  labels: ${labels}
  annotations: ${annotations}
data: ${data}
";

const PARAMETERS: &str = "\
labels: &map {type: object, additionalProperties: {type: string}, optional: true}
annotations: *map
data: *map
";

/// Keys with the characters that JSON pointers escape, and those that people use.
fn keys() -> impl Strategy<Value = Option<Map<String, Value>>> {
    let key =
        prop_oneof!["[~/]{1,4}", "[a-z]{1,3}(~0|~1|~|/){1,2}[a-z0-9]{0,3}", "[a-z.-]{1,12}/[a-z]{1,6}", "[a-z ]{1,4}"];
    let map = prop::collection::btree_map(key, "[a-z~/\"]{0,4}", 1..5);
    prop::option::of(map.prop_map(|map| map.into_iter().map(|(key, value)| (key, value.into())).collect()))
}

/// How a map that is not there is sent.
#[derive(Clone, Copy, Debug)]
enum Absent {
    Left,
    Null,
    Empty,
}

fn put(object: &mut Value, at: &str, key: &str, map: Option<&Map<String, Value>>, absent: Absent) {
    let place = object.pointer_mut(at).and_then(Value::as_object_mut).unwrap();
    let value = match (map, absent) {
        (Some(map), _) => Value::Object(map.clone()),
        (None, Absent::Left) => return,
        (None, Absent::Null) => Value::Null,
        (None, Absent::Empty) => json!({}),
    };
    place.insert(key.into(), value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn threat_30_the_patch_applied_gives_the_stamped_object(
        labels in keys(), annotations in keys(), data in keys(),
        absent in prop::sample::select(vec![Absent::Left, Absent::Null, Absent::Empty]),
    ) {
        let set = set(PARAMETERS, TEMPLATE);
        let situation = situation(&set);
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "report", "namespace": "trading"}});
        put(&mut object, "/metadata", "labels", labels.as_ref(), absent);
        put(&mut object, "/metadata", "annotations", annotations.as_ref(), absent);
        put(&mut object, "", "data", data.as_ref(), absent);
        let asked = request(Operation::Create, Phase::Mutating, Some(object.clone()), None);
        let admission = verdict(&asked, &situation).map_err(|refusal| TestCaseError::fail(refusal.message))?;
        let mut patched = object.clone();
        json_patch::patch(&mut patched, admission.patch.as_ref().unwrap()).unwrap();

        let kind = Gvk::new("", "v1", "ConfigMap");
        let read = stamp::read(Marks::of(&patched), &kind, "trading", "report").unwrap();
        prop_assert!(read.is_some_and(|read| read.deadline.is_some()));
        // Everything else is as it was sent, and nothing is lost or added.
        let kept = |map: &str, of: &Value| -> Map<String, Value> {
            let all = of["metadata"][map].as_object().cloned().unwrap_or_default();
            all.into_iter().filter(|(key, _)| !key.starts_with("fledged.io/")).collect()
        };
        prop_assert_eq!(kept("labels", &patched), labels.unwrap_or_default());
        prop_assert_eq!(kept("annotations", &patched), annotations.unwrap_or_default());
        let mut rest = patched.clone();
        for key in ["labels", "annotations", "ownerReferences"] {
            rest["metadata"].as_object_mut().unwrap().remove(key);
            object["metadata"].as_object_mut().unwrap().remove(key);
        }
        prop_assert_eq!(rest, object);
        // And the second phase finds that stamp right.
        let asked = request(Operation::Create, Phase::Validating, Some(patched), None);
        prop_assert!(verdict(&asked, &situation).is_ok());
    }
}

//! A template out of a manifest: some of its values become holes, with schemas that admit what stood there.

use policies::object::Gvk;
use policies::parameter::{Bindings, Parameters};
use policies::quantity::Quantity;
use policies::template::{Element, Hole, Owner, Pattern, Placement, Template};
use policies::text::{Part, TextPattern};
use serde_json::{Map, Value, json};

use super::dice::Dice;

/// A template and the bindings that render the manifest that it was made of.
#[derive(Debug)]
pub(crate) struct Punched {
    pub(crate) template: Template,
    pub(crate) bindings: Bindings,
}

/// A declared hole.
struct Declared {
    schema: Value,
    value: Option<Value>,
}

/// Fields that the API server fills in, with a field beside which they stand: as optional holes, whose schemas admit
/// what the server puts there, or do not.
const DEFAULTED: &[(&str, &str, &[&str])] = &[
    (
        "containers",
        "restartPolicy",
        &[r#"{"type":"string","enum":["OnFailure"],"optional":true}"#, r#"{"type":"string","optional":true}"#],
    ),
    ("containers", "dnsPolicy", &[r#"{"type":"string","pattern":"Def.*","optional":true}"#]),
    (
        "containers",
        "terminationGracePeriodSeconds",
        &[r#"{"type":"integer","maximum":5,"optional":true}"#, r#"{"type":"integer","optional":true}"#],
    ),
    (
        "image",
        "imagePullPolicy",
        &[r#"{"type":"string","optional":true}"#, r#"{"type":"string","enum":["Never"],"optional":true}"#],
    ),
    // Another one than the ports of the manifests have, which would be another element.
    ("containerPort", "protocol", &[r#"{"type":"string","enum":["SCTP"],"optional":true}"#]),
    (
        "httpGet",
        "timeoutSeconds",
        &[r#"{"type":"integer","minimum":5,"optional":true}"#, r#"{"type":"integer","optional":true}"#],
    ),
    (
        "template",
        "parallelism",
        &[r#"{"type":"integer","optional":true}"#, r#"{"type":"integer","minimum":2,"optional":true}"#],
    ),
    (
        "template",
        "completions",
        &[r#"{"type":"integer","optional":true}"#, r#"{"type":"integer","minimum":2,"optional":true}"#],
    ),
    ("matchLabels", "replicas", &[r#"{"type":"integer","optional":true}"#]),
    (
        "port",
        "targetPort",
        &[r#"{"type":"integer","maximum":9,"optional":true}"#, r#"{"type":"integer","optional":true}"#],
    ),
    ("port", "protocol", &[r#"{"type":"string","enum":["UDP"],"optional":true}"#]),
    ("configMap", "defaultMode", &[r#"{"type":"integer","optional":true}"#]),
];

struct Punch<'d, 'b> {
    dice: &'d mut Dice<'b>,
    declared: Vec<Declared>,
}

/// Makes a template of a manifest.
pub(crate) fn punch(dice: &mut Dice<'_>, manifest: &Value) -> Punched {
    let mut punch = Punch { dice, declared: Vec::new() };
    let pattern = punch.map(manifest.as_object().unwrap(), true);
    let schemas: Map<String, Value> =
        punch.declared.iter().enumerate().map(|(index, declared)| (name(index), declared.schema.clone())).collect();
    let parameters = Parameters::parse(&Value::Object(schemas).to_string());
    let parameters = parameters.unwrap_or_else(|errors| panic!("{errors:?}"));
    let declared = punch.declared.into_iter().map(|declared| declared.value).collect();
    let kind = Gvk::from_api_version(manifest["apiVersion"].as_str().unwrap(), manifest["kind"].as_str().unwrap());
    let template = Template {
        key: "x.yaml".into(),
        line: 1,
        kind: kind.into(),
        pattern,
        placement: Placement::MasterNamespace,
        parameters: parameters.into(),
        owner: Owner::Workload,
        duration: None,
        keep_finished: None,
        notify_before: None,
        sidecars: None,
        applied: None,
        shortcut: Default::default(),
    };
    Punched { template, bindings: Bindings { declared, given: std::collections::BTreeMap::new() } }
}

/// Parameters are sorted by name; so are these.
fn name(index: usize) -> String {
    format!("p{index:04}")
}

impl Punch<'_, '_> {
    fn declare(&mut self, schema: Value, value: Option<Value>) -> usize {
        // One hole in two places.
        if let Some(value) = &value
            && self.dice.one_in(2)
            && let Some(same) = self
                .declared
                .iter()
                .position(|known| known.value.as_ref() == Some(value) && known.schema.get("type") == schema.get("type"))
        {
            return same;
        }
        self.declared.push(Declared { schema, value });
        self.declared.len() - 1
    }

    fn map(&mut self, map: &Map<String, Value>, root: bool) -> Pattern {
        let mut entries = Vec::new();
        for (key, value) in map {
            let pattern = if root && (key == "apiVersion" || key == "kind") {
                Pattern::Literal(value.clone())
            } else {
                self.value(value)
            };
            entries.push((key.as_str().into(), pattern));
        }
        if !root && self.dice.one_in(12) {
            // A key that is there or not; here it is not.
            let absent = self.declare_optional();
            entries.push(("optional".into(), Pattern::Hole(Hole::Declared(absent))));
        }
        for (beside, key, schemas) in DEFAULTED {
            if map.contains_key(*beside) && !map.contains_key(*key) && self.dice.one_in(6) {
                let schema = schemas[self.dice.roll(schemas.len())];
                self.declared.push(Declared { schema: serde_json::from_str(schema).unwrap(), value: None });
                let hole = Pattern::Hole(Hole::Declared(self.declared.len() - 1));
                entries.push(((*key).into(), hole));
            }
        }
        Pattern::map(entries)
    }

    fn declare_optional(&mut self) -> usize {
        self.declared.push(Declared { schema: json!({"type": "string", "optional": true}), value: None });
        self.declared.len() - 1
    }

    fn value(&mut self, value: &Value) -> Pattern {
        let open = self.dice.one_in(5);
        match value {
            Value::Object(map) => match schema(value).filter(|_| open && self.dice.one_in(2) && !map.is_empty()) {
                Some(schema) => self.hole(schema, value),
                None => self.map(map, false),
            },
            Value::Array(values) => self.list(value, values, open),
            Value::String(text) if open => self.text(text),
            Value::Number(_) | Value::Bool(_) if open => {
                let schema = schema(value).unwrap();
                self.hole(schema, value)
            }
            _ => Pattern::Literal(value.clone()),
        }
    }

    fn hole(&mut self, mut schema: Value, value: &Value) -> Pattern {
        if !value.is_array() && !value.is_object() && self.dice.one_in(3) {
            schema["optional"] = true.into();
        }
        let index = self.declare(schema, Some(value.clone()));
        Pattern::Hole(Hole::Declared(index))
    }

    fn list(&mut self, whole: &Value, values: &[Value], open: bool) -> Pattern {
        if open {
            if let Some(schema) = schema(whole)
                && self.dice.one_in(2)
            {
                return self.hole(schema, whole);
            }
            let from = self.dice.roll(values.len() + 1);
            let to = from + self.dice.roll(values.len() - from + 1);
            if let Some(items) = items(&values[from..to]) {
                let taken = Value::Array(values[from..to].to_vec());
                let index = self.declare(json!({"type": "array", "items": items}), Some(taken));
                let mut elements: Vec<_> = values[..from].iter().map(|value| Element::One(pattern_of(value))).collect();
                elements.push(Element::Many(index));
                elements.extend(values[to..].iter().map(|value| Element::One(pattern_of(value))));
                return Pattern::list(elements);
            }
        }
        Pattern::list(values.iter().map(|value| Element::One(self.value(value))).collect())
    }

    /// A text with one hole or two, or a quoted hole; literal if it would be ambiguous.
    fn text(&mut self, text: &str) -> Pattern {
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut cuts: Vec<usize> = (0..4).map(|_| bounds[self.dice.roll(bounds.len())]).collect();
        cuts.sort_unstable();
        // The server writes quantities in its own way: their parts are no parts any more.
        if self.dice.one_in(3) || text.parse::<Quantity>().is_ok() {
            cuts = vec![0, text.len(), text.len(), text.len()];
        }
        let before = self.declared.len();
        let mut parts = Vec::new();
        let literal = |parts: &mut Vec<Part>, text: &str| {
            if !text.is_empty() {
                parts.push(Part::Literal(text.into()));
            }
        };
        literal(&mut parts, &text[..cuts[0]]);
        parts.push(self.piece(&text[cuts[0]..cuts[1]]));
        if cuts[2] > cuts[1] {
            literal(&mut parts, &text[cuts[1]..cuts[2]]);
            parts.push(self.piece(&text[cuts[2]..cuts[3]]));
            literal(&mut parts, &text[cuts[3]..]);
        } else {
            literal(&mut parts, &text[cuts[1]..]);
        }
        let schemas: Map<String, Value> =
            self.declared.iter().enumerate().map(|(index, declared)| (name(index), declared.schema.clone())).collect();
        let parameters = Parameters::parse(&Value::Object(schemas).to_string()).unwrap();
        let pattern = TextPattern::new(parts);
        if pattern.ambiguity(&parameters).is_some() {
            self.declared.truncate(before);
            return Pattern::Literal(text.into());
        }
        Pattern::Text(pattern)
    }

    fn piece(&mut self, piece: &str) -> Part {
        let number = piece.parse::<i64>().ok().filter(|number| number.to_string() == piece);
        let is = |class: fn(&u8) -> bool| !piece.is_empty() && piece.as_bytes().iter().all(class);
        let (schema, value) = match (self.dice.roll(4), number) {
            (1, Some(number)) => {
                (json!({"type": "integer", "minimum": number - 1, "maximum": number + 1}), json!(number))
            }
            (2, _) if is(u8::is_ascii_digit) => (json!({"type": "string", "pattern": "[0-9]+"}), json!(piece)),
            (2, _) if is(u8::is_ascii_lowercase) => (json!({"type": "string", "pattern": "^[a-z]+$"}), json!(piece)),
            (3, _) => (json!({"type": "string", "enum": [piece, "another"]}), json!(piece)),
            _ => (json!({"type": "string"}), json!(piece)),
        };
        Part::Hole(Hole::Declared(self.declare(schema, Some(value))))
    }
}

pub(crate) fn pattern_of(value: &Value) -> Pattern {
    match value {
        Value::Object(map) => {
            Pattern::map(map.iter().map(|(key, value)| (key.as_str().into(), pattern_of(value))).collect())
        }
        Value::Array(values) => Pattern::list(values.iter().map(|value| Element::One(pattern_of(value))).collect()),
        scalar => Pattern::Literal(scalar.clone()),
    }
}

/// A closed schema that admits a value; none where there is no one type.
fn schema(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_i64() => json!({"type": "integer", "minimum": 0, "maximum": 100_000}),
        Value::Number(_) => json!({"type": "number"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(values) => json!({"type": "array", "items": items(values)?}),
        Value::Object(map) if map.is_empty() => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Value::Object(map) => {
            let properties: Option<Map<String, Value>> =
                map.iter().map(|(key, value)| Some((key.clone(), schema(value)?))).collect();
            json!({"type": "object", "properties": properties?})
        }
    })
}

/// A schema for all elements: that of their type; of maps, a property that one of them lacks is optional.
fn items(values: &[Value]) -> Option<Value> {
    let mut all = values.iter().map(schema);
    let Some(first) = all.next() else { return Some(json!({"type": "string"})) };
    let mut merged = first?;
    for next in all {
        merge(&mut merged, &next?)?;
    }
    Some(merged)
}

fn merge(into: &mut Value, other: &Value) -> Option<()> {
    if into["type"] != other["type"] {
        return None;
    }
    if into["type"] == "array" {
        return (into == other).then_some(());
    }
    if into["type"] != "object" {
        return Some(());
    }
    if into.get("properties").is_none() || other.get("properties").is_none() {
        return (into == other).then_some(());
    }
    let (left, right) = (into.get_mut("properties")?, other.get("properties")?);
    let (left, right) = (left.as_object_mut()?, right.as_object()?);
    for (key, schema) in left.iter_mut() {
        match right.get(key) {
            Some(other) => merge(schema, other)?,
            None => schema["optional"] = true.into(),
        }
    }
    for (key, schema) in right {
        if !left.contains_key(key) {
            let mut schema = schema.clone();
            schema["optional"] = true.into();
            left.insert(key.clone(), schema);
        }
    }
    Some(())
}

//! One template ConfigMap and one object that is held against it, while dimensions make them large.

use serde_json::{Map, Value, json};

use crate::schema::Values;

/// What is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Pod of one container.
    Pod,
    /// A Job of one container.
    Job,
    /// A StatefulSet of one container.
    StatefulSet,
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// A Service.
    Service,
    /// A custom resource.
    Custom,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pod, Self::Job, Self::StatefulSet, Self::ConfigMap, Self::Secret, Self::Service, Self::Custom];

    /// Where its pod specification stands, as a JSON pointer.
    pub fn pod_spec(self) -> Option<&'static str> {
        match self {
            Self::Pod => Some("/spec"),
            Self::Job | Self::StatefulSet => Some("/spec/template/spec"),
            _ => None,
        }
    }

    fn manifest(self) -> Value {
        let pod = json!({
            "serviceAccountName": "runner", "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "registry.example/work:1"}],
        });
        let named = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "large"}});
        let mut manifest = match self {
            Self::Pod => named("v1", "Pod"),
            Self::Job => named("batch/v1", "Job"),
            Self::StatefulSet => named("apps/v1", "StatefulSet"),
            Self::ConfigMap => named("v1", "ConfigMap"),
            Self::Secret => named("v1", "Secret"),
            Self::Service => named("v1", "Service"),
            Self::Custom => named("example.com/v1", "Widget"),
        };
        match self {
            Self::Pod => manifest["spec"] = pod,
            Self::Job => manifest["spec"] = json!({"template": {"spec": pod}}),
            Self::StatefulSet => {
                let mut pod = pod;
                pod["restartPolicy"] = "Always".into();
                let labels = json!({"app": "large"});
                manifest["spec"] = json!({
                    "serviceName": "large", "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                });
            }
            Self::Service => manifest["spec"] = json!({"selector": {"app": "large"}, "ports": [{"port": 80}]}),
            Self::ConfigMap | Self::Secret | Self::Custom => {}
        }
        manifest
    }
}

/// In what the templates of one kind differ from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// In their names, which are looked at first.
    Start,
    /// In an annotation, which is looked at last.
    End,
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is created: the mutating phase.
    Create,
    /// It is created: the validating phase, with its stamp.
    Check,
    /// A label of the stored object is changed to what no template says.
    Update,
    /// All that its labels, and what stands in `spec`, say as `x` is changed to `y`.
    Rewrite,
    /// Its deadline is moved.
    Renew,
    /// It is deleted.
    Delete,
}

/// The ConfigMap, the object, and what is known around them.
#[derive(Clone, Debug)]
pub struct World {
    /// What is launched.
    pub kind: Kind,
    /// What is done to it.
    pub deed: Deed,
    /// What parameters admit, and the values that the object shows of them.
    pub values: Values,
    /// Names and schemas of the parameters.
    pub parameters: Vec<(String, String)>,
    /// The template's manifest. Texts that [`hole`] makes are typed holes.
    pub manifest: Value,
    /// The object.
    pub object: Value,
    /// Annotations of the template ConfigMap.
    pub annotations: Map<String, Value>,
    /// Other keys of its data.
    pub keys: Vec<(String, String)>,
    /// How many templates of the kind there are, and in what they differ.
    pub templates: (usize, Apart),
    /// How many ConfigMaps the caller's pod asks for.
    pub config_maps: usize,
    /// How many ConfigMaps that do not exist it asks for beside.
    pub wishes: usize,
    /// Objects of the cluster that are known.
    pub facts: Vec<Value>,
    /// How many owners stand above the caller's pod.
    pub chain: usize,
    /// How many masters there are.
    pub masters: usize,
    /// How many dependents the caller has.
    pub dependents: usize,
}

impl World {
    /// One small template, and the object that it makes.
    pub fn of(kind: Kind) -> Self {
        let mut object = kind.manifest();
        object["metadata"]["namespace"] = "trading".into();
        Self {
            kind,
            deed: Deed::Create,
            values: Values::default(),
            parameters: Vec::new(),
            manifest: kind.manifest(),
            object,
            annotations: Map::from_iter([("fledged.io/masters".to_owned(), "eod".into())]),
            keys: Vec::new(),
            templates: (1, Apart::End),
            config_maps: 1,
            wishes: 0,
            facts: Vec::new(),
            chain: 2,
            masters: 1,
            dependents: 0,
        }
    }

    /// Declares a parameter, once.
    pub fn declare(&mut self, name: &str, schema: impl Into<String>) {
        if !self.parameters.iter().any(|(other, _)| other == name) {
            self.parameters.push((name.to_owned(), schema.into()));
        }
    }

    /// Declares `{name}0` to `{name}{count - 1}`, all of one schema.
    pub fn declare_all(&mut self, name: &str, count: usize, schema: &str) {
        self.parameters.extend((0..count).map(|at| (format!("{name}{at}"), schema.to_owned())));
    }

    /// Puts a field into the map at `place` of the template, of the object, or of both; not where a hole stands.
    pub fn set(
        &mut self,
        place: &str,
        key: &str,
        template: impl Into<Option<Value>>,
        object: impl Into<Option<Value>>,
    ) {
        for (root, value) in [(&mut self.manifest, template.into()), (&mut self.object, object.into())] {
            if let (Some(value), Some(map)) =
                (value, at(root, place).filter(|found| found.is_null() || found.is_object()))
            {
                map[key] = value;
            }
        }
    }

    /// Puts an element at the end of the list at `place` of the template, of the object, or of both; not where a hole
    /// stands.
    pub fn push(&mut self, place: &str, template: impl Into<Option<Value>>, object: impl Into<Option<Value>>) {
        for (root, value) in [(&mut self.manifest, template.into()), (&mut self.object, object.into())] {
            let Some(value) = value else { continue };
            match at(root, place) {
                Some(Value::Array(list)) => list.push(value),
                Some(place @ Value::Null) => *place = json!([value]),
                _ => {}
            }
        }
    }

    /// Where `field` of the pod specification stands.
    pub fn pod(&self, field: &str) -> String {
        format!("{}{field}", self.kind.pod_spec().unwrap_or("/spec"))
    }

    /// Where `field` of the only container stands.
    pub fn container(&self, field: &str) -> String {
        self.pod(&format!("/containers/0{field}"))
    }
}

/// The value at a JSON pointer, made where it is missing; none within a text, such as a hole.
pub fn at<'v>(root: &'v mut Value, place: &str) -> Option<&'v mut Value> {
    place.split('/').skip(1).try_fold(root, |value, step| match (value, step.parse::<usize>()) {
        (Value::Array(list), Ok(index)) => list.get_mut(index),
        (value @ (Value::Null | Value::Object(_)), _) => Some(&mut value[step]),
        _ => None,
    })
}

const TYPED: char = '\u{1}';

/// A typed hole: `${name}` without quotes.
pub fn hole(name: &str) -> Value {
    Value::String(format!("{TYPED}{name}"))
}

/// A manifest as YAML in block style.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = |text: &mut String| text.extend(std::iter::repeat_n(' ', depth));
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                indent(text);
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                nested(value, depth + 1, text);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for element in elements {
                indent(text);
                text.push('-');
                nested(element, depth + 1, text);
            }
        }
        scalar => {
            text.push_str(&plain(scalar));
            text.push('\n');
        }
    }
}

fn nested(value: &Value, depth: usize, text: &mut String) {
    let inside = matches!(value, Value::Object(map) if !map.is_empty())
        || matches!(value, Value::Array(list) if !list.is_empty());
    text.push(if inside { '\n' } else { ' ' });
    block(value, depth, text);
}

fn plain(scalar: &Value) -> String {
    match scalar.as_str().and_then(|text| text.strip_prefix(TYPED)) {
        Some(name) => format!("${{{name}}}"),
        None => scalar.to_string(),
    }
}

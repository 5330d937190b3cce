//! A manifest's own metadata: instructions to retinue, the namespace, what the server owns.

use super::errors::{Errors, Lines};
use super::{Field, Hole, Owner, Pattern, Placement};
use crate::difference::Path;
use crate::keys;
use crate::lifetime::{self, Lifetime};
use crate::object::Gvk;
use crate::parameter::{Format, NumberSchema, Parameters, Schema, SchemaNode, TextSchema, text_of_value};
use crate::tables;
use crate::text::Part;

/// Fields of metadata that the server owns, as `kubectl get -o yaml` shows them: no part of what a manifest asks for.
const SERVER_OWNED: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Fields of metadata whose null or empty text the server takes for absent.
const NAMES: [&str; 3] = ["name", "generateName", "namespace"];

fn says_nothing(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Literal(value) if value.is_null() || value.as_str() == Some(""))
}

/// Changes the entries of a map; what is no map stays.
fn edit(pattern: &mut Pattern, change: impl FnOnce(&mut Vec<(Field, Pattern)>)) {
    if let Pattern::Map(entries) = pattern {
        let mut entries = entries.to_vec();
        change(&mut entries);
        *pattern = Pattern::map(entries);
    }
}

/// A manifest without what is not the object's.
pub(super) struct Extracted {
    pub(super) pattern: Pattern,
    pub(super) placement: Placement,
    pub(super) owner: Owner,
    pub(super) duration: Option<Pattern>,
    pub(super) keep_finished: Option<Pattern>,
    pub(super) notify_before: Option<Pattern>,
    pub(super) native_sidecars: bool,
    pub(super) applied: Option<String>,
}

struct Reader<'a> {
    parameters: &'a Parameters,
    lines: &'a Lines<'a>,
    errors: &'a mut Errors,
}

pub(super) fn extract(
    pattern: Pattern,
    kind: &Gvk,
    parameters: &Parameters,
    lines: &Lines<'_>,
    errors: &mut Errors,
) -> Extracted {
    let mut reader = Reader { parameters, lines, errors };
    let mut out = Extracted {
        pattern: Pattern::map(Vec::new()),
        placement: Placement::MasterNamespace,
        owner: Owner::default(),
        duration: None,
        keep_finished: None,
        notify_before: None,
        native_sidecars: false,
        applied: None,
    };
    let mut entries = match pattern {
        Pattern::Map(entries) => entries.to_vec(),
        other => {
            out.pattern = other;
            return out;
        }
    };
    if has_status_subresource(kind) {
        entries.retain(|(key, _)| key != "status");
    }
    let at = Path::root().key("metadata");
    match entries.iter_mut().find(|(key, _)| key == "metadata") {
        Some((_, metadata @ Pattern::Map(_))) => {
            edit(metadata, |metadata| reader.metadata(metadata, &at, &mut out));
        }
        Some(_) => reader.error(&at, "metadata is a map, with a name or a generateName"),
        None => reader.error(&Path::root(), "metadata is missing, with a name or a generateName"),
    }
    out.pattern = Pattern::map(entries);
    out
}

/// Of kinds that are not built in nothing is known here, and `status` stays.
fn has_status_subresource(kind: &Gvk) -> bool {
    tables::has_status(kind, &tables::Facts::default()) == Some(true)
}

impl Reader<'_> {
    fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.errors.tell(|| self.lines.line(path), message);
    }

    fn metadata(&mut self, metadata: &mut Vec<(Field, Pattern)>, at: &Path, out: &mut Extracted) {
        metadata.retain(|(key, _)| !SERVER_OWNED.contains(&&**key));
        metadata.retain(|(key, value)| !(NAMES.contains(&&**key) && says_nothing(value)));
        if let Some(position) = metadata.iter().position(|(key, _)| key == "namespace") {
            let (_, pattern) = metadata.remove(position);
            self.namespace(&pattern, &at.key("namespace"));
            out.placement = Placement::Named(pattern);
        }
        self.name(metadata, at);
        if let Some((_, labels)) = metadata.iter_mut().find(|(key, _)| key == "labels") {
            edit(labels, |labels| labels.retain(|(key, _)| !keys::STAMP_LABELS.contains(&&**key)));
        }
        let Some(position) = metadata.iter().position(|(key, _)| key == "annotations") else { return };
        let mut empty = false;
        edit(&mut metadata[position].1, |annotations| {
            self.instructions(annotations, &at.key("annotations"), out);
            // What kubectl recorded of an earlier apply is nothing that the manifest asks for.
            let applied = annotations.iter().find(|(key, _)| key == keys::LAST_APPLIED);
            out.applied = applied.and_then(|(_, pattern)| pattern.as_str()).map(str::to_owned);
            annotations.retain(|(key, _)| key != keys::ADMISSION && key != keys::LAST_APPLIED);
            empty = annotations.is_empty();
        });
        if empty {
            metadata.remove(position);
        }
    }

    fn name(&mut self, metadata: &[(Field, Pattern)], at: &Path) {
        let mut found = false;
        for (key, pattern) in metadata.iter().filter(|(key, _)| key == "name" || key == "generateName") {
            found = true;
            match pattern {
                Pattern::Literal(value) if value.as_str().is_some_and(|text| !text.is_empty()) => {}
                Pattern::Text(_) | Pattern::Hole(_) => {
                    if self.optional(pattern) {
                        self.error(&at.key(key), format!("metadata.{key} cannot be optional: an object has a name"));
                    }
                }
                _ => self.error(
                    &at.key(key),
                    format!("metadata.{key} is text, and not empty (quote what looks like a boolean or a number)"),
                ),
            }
        }
        if !found {
            self.error(at, "metadata.name is missing: write a name, or a generateName (holes are allowed in both)");
        }
    }

    fn optional(&self, pattern: &Pattern) -> bool {
        pattern.holes().iter().any(|hole| match hole {
            Hole::Declared(position) => self.parameters.all[*position].optional,
            Hole::Given(_) => false,
        })
    }

    /// A namespace is literal, given by the caller's identity, or one of an enum: an author says where.
    fn namespace(&mut self, pattern: &Pattern, at: &Path) {
        let of_author = |hole: &Hole| match hole {
            Hole::Declared(position) => {
                let parameter = &self.parameters.all[*position];
                !parameter.schema.allowed.is_empty() && !parameter.optional
            }
            Hole::Given(_) => true,
        };
        match pattern {
            Pattern::Literal(value) if value.as_str().is_some_and(|text| !text.is_empty()) => {}
            Pattern::Text(_) | Pattern::Hole(_) if pattern.holes().iter().all(of_author) => {}
            Pattern::Text(_) | Pattern::Hole(_) => {
                self.error(at, "a free hole in metadata.namespace: give its parameter an enum of the namespaces meant");
            }
            _ => self.error(at, "metadata.namespace is text; leave it out for the master's own namespace"),
        }
    }

    fn instructions(&mut self, annotations: &mut Vec<(Field, Pattern)>, at: &Path, out: &mut Extracted) {
        let mut take = |key: &str| {
            let position = annotations.iter().position(|(name, _)| name == key)?;
            Some(annotations.remove(position).1)
        };
        let (owner, duration) = (take(keys::OWNER), take(keys::DURATION));
        let (keep, notify) = (take(keys::KEEP_FINISHED), take(keys::NOTIFY_BEFORE));
        let native = take(keys::NATIVE_SIDECARS);
        if let Some(owner) = owner {
            match owner.as_str() {
                Some("workload") => out.owner = Owner::Workload,
                Some("pod") => out.owner = Owner::Pod,
                Some("none") => out.owner = Owner::None,
                _ => self.error(&at.key(keys::OWNER), "fledged.io/owner is workload, pod or none, literally"),
            }
        }
        if let Some(native) = native {
            let said = match &native {
                Pattern::Literal(value) => text_of_value(value),
                _ => None,
            };
            match said.as_deref() {
                Some("true") => out.native_sidecars = true,
                Some("false") => {}
                _ => {
                    let message = format!("{} is \"true\" or \"false\", literally", keys::NATIVE_SIDECARS);
                    self.error(&at.key(keys::NATIVE_SIDECARS), message);
                }
            }
        }
        if let Some(pattern) = &duration {
            self.duration(pattern, &at.key(keys::DURATION), |text| Lifetime::parse(text).err());
        }
        for (key, pattern) in [(keys::KEEP_FINISHED, &keep), (keys::NOTIFY_BEFORE, &notify)] {
            if let Some(pattern) = pattern {
                self.duration(pattern, &at.key(key), |text| lifetime::seconds(text).err());
            }
        }
        out.duration = duration;
        out.keep_finished = keep;
        out.notify_before = notify;
    }

    /// A literal duration, or one hole whose every value is one.
    fn duration(&mut self, pattern: &Pattern, at: &Path, read: impl Fn(&str) -> Option<lifetime::DurationError>) {
        let hole = match pattern {
            Pattern::Literal(value) => {
                let message = match text_of_value(value) {
                    Some(text) => read(&text).map(|error| error.to_string()),
                    None => Some("expected a duration such as 3600, 90s, 1h30m or 7d".into()),
                };
                if let Some(message) = message {
                    self.error(at, message);
                }
                return;
            }
            Pattern::Hole(hole) => Some(*hole),
            Pattern::Text(text) => match &*text.parts {
                [Part::Hole(hole)] => Some(*hole),
                _ => None,
            },
            _ => None,
        };
        let fits = match hole {
            Some(Hole::Declared(position)) => all_durations(&self.parameters.all[position].schema, &read),
            Some(Hole::Given(_)) | None => false,
        };
        if !fits {
            self.error(
                at,
                "a hole here is one parameter alone whose every value is a duration: declare it with format: duration \
                 (or an enum of durations, or an integer with minimum: 1)",
            );
        }
    }
}

fn all_durations(schema: &Schema, read: &impl Fn(&str) -> Option<lifetime::DurationError>) -> bool {
    if !schema.allowed.is_empty() {
        return schema.allowed.iter().all(|value| text_of_value(value).is_some_and(|text| read(&text).is_none()));
    }
    match &schema.node {
        SchemaNode::Text(TextSchema { format: Some(Format::Duration { .. }), .. }) => true,
        SchemaNode::Number(NumberSchema { integer: true, minimum: Some(minimum), .. }) => {
            minimum.number.as_i64().is_some_and(|minimum| minimum >= 1)
        }
        SchemaNode::OneOf(schemas) => schemas.iter().all(|schema| all_durations(schema, read)),
        _ => false,
    }
}

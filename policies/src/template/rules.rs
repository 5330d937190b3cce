//! What no template may say: forbidden kinds, and holes where only an author may speak.

use super::errors::{Errors, Lines};
use super::way::Way;
use super::{Element, Hole, Pattern};
use crate::budget::Budget;
use crate::difference::Path;
use crate::keys;
use crate::object::Gvk;
use crate::parameter::{Parameter, Parameters};
use crate::tables;
use crate::text::hole_name;

pub(super) fn check(
    kind: &Gvk,
    pattern: &Pattern,
    parameters: &Parameters,
    lines: &Lines<'_>,
    budget: &Budget,
    errors: &mut Errors,
) {
    let mut rules = Rules { parameters, lines, budget, errors };
    if let Some(reason) = tables::forbidden(kind) {
        rules.error(&Path::root().key("kind"), format!("{kind} is never admitted by a template: {reason}"));
    }
    let labels = pattern.get("metadata").and_then(|metadata| metadata.get("labels"));
    if kind.group.is_empty()
        && kind.kind == "ConfigMap"
        && labels.is_some_and(|labels| labels.get(keys::TEMPLATES).is_some())
    {
        rules.error(&Path::root().key("kind"), "a template ConfigMap is never admitted by a template");
    }
    if kind.group.is_empty() && kind.kind == "Secret" {
        if let Some(of_type) = pattern.get("type") {
            rules.author_only(&of_type.holes(), &Path::root().key("type"), "a Secret's type");
        }
        rules.secret_texts(pattern);
    }
    rules.walk(pattern, &Way::ROOT);
}

struct Rules<'a> {
    parameters: &'a Parameters,
    lines: &'a Lines<'a>,
    budget: &'a Budget,
    errors: &'a mut Errors,
}

impl Rules<'_> {
    fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.errors.tell(|| self.lines.line(path), message);
    }

    fn declared(&self, hole: &Hole) -> Option<&Parameter> {
        match hole {
            Hole::Declared(position) => self.parameters.all.get(*position),
            Hole::Given(_) => None,
        }
    }

    /// Holes are refused unless each is an enum: then the author wrote every value.
    fn author_only(&mut self, holes: &[Hole], path: &Path, what: &str) {
        let free = holes.iter().find_map(|hole| {
            self.declared(hole).filter(|parameter| parameter.schema.allowed.is_empty()).map(|found| found.name.clone())
        });
        if let Some(name) = free {
            self.error(path, format!("a hole ({name}) in {what}: give the parameter an enum, or write the value"));
        }
    }

    fn no_hole(&mut self, pattern: &Pattern, path: &Path, what: &str) {
        if let Some(hole) = self.holes(pattern).first() {
            let name = hole_name(*hole, self.parameters);
            self.error(path, format!("a hole ({name}) in {what}, which only the author of the template may say"));
        }
    }

    fn walk(&mut self, pattern: &Pattern, way: &Way<'_>) {
        match pattern {
            Pattern::Map(entries) => {
                for (key, value) in entries.iter() {
                    let way = way.key(key);
                    match &**key {
                        "serviceAccountName" | "serviceAccount" => {
                            let (path, holes) = (way.path(), self.holes(value));
                            self.author_only(&holes, &path, key);
                            self.given_account(&holes, &path);
                        }
                        "metadata" => self.metadata(value, &way.path()),
                        _ => {}
                    }
                    self.walk(value, &way);
                }
            }
            Pattern::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    if let Element::One(pattern) = element {
                        self.walk(pattern, &way.index(index));
                    }
                }
            }
            _ => {}
        }
    }

    /// Every hole in a pattern. Patterns of which this is asked may stand within one another.
    fn holes(&self, pattern: &Pattern) -> Vec<Hole> {
        let holes = pattern.holes();
        // That the steps are used up is seen where the template was checked.
        let _ = self.budget.spend(pattern.size());
        if self.budget.is_used_up() { Vec::new() } else { holes }
    }

    /// `${pod.name}` and its like name no account; `${master.name}` does, and is judged when the account is known.
    fn given_account(&mut self, holes: &[Hole], path: &Path) {
        use super::Given;
        let strange = |hole: &Hole| matches!(hole, Hole::Given(given) if !matches!(given, Given::MasterName));
        if holes.iter().any(strange) {
            self.error(path, "a ServiceAccount is named by its name: only ${master.name} or a declared enum fits here");
        }
    }

    fn metadata(&mut self, metadata: &Pattern, path: &Path) {
        if let Some(references) = metadata.get("ownerReferences") {
            let message = match self.holes(references).first() {
                Some(_) => "a hole in ownerReferences: leave them out, fledged.io/owner says who owns the object",
                None => "ownerReferences in a template: leave them out, fledged.io/owner says who owns the object",
            };
            self.error(&path.key("ownerReferences"), message);
        }
        if let Some(finalizers) = metadata.get("finalizers") {
            self.no_hole(finalizers, &path.key("finalizers"), "a finalizer");
        }
        for field in ["labels", "annotations"] {
            let Some(Pattern::Map(entries)) = metadata.get(field) else { continue };
            let at = path.key(field);
            for (key, value) in entries.iter().filter(|(key, _)| keys::is_reserved(key)) {
                if keys::STAMP_LABELS.contains(&&**key) || key == keys::ADMISSION {
                    self.error(&at.key(key), format!("{key} is the stamp's, which only retinue writes: remove it"));
                }
                self.no_hole(value, &at.key(key), key);
            }
        }
    }

    /// The values of `stringData` are text, and known key by key: they are matched against the decoded `data`.
    fn secret_texts(&mut self, pattern: &Pattern) {
        let at = Path::root().key("stringData");
        match pattern.get("stringData") {
            None | Some(Pattern::Literal(serde_json::Value::Null)) => {}
            Some(Pattern::Map(entries)) => {
                for (key, value) in entries.iter() {
                    let text = match value {
                        Pattern::Literal(value) => value.is_string(),
                        Pattern::Text(_) => true,
                        Pattern::Hole(hole) => {
                            matches!(hole, Hole::Declared(position) if self.parameters.pieces.is_textual(*position))
                        }
                        _ => false,
                    };
                    if !text {
                        self.error(&at.key(key), format!("stringData.{key} is text: quote it"));
                    }
                }
            }
            Some(_) => self.error(&at, "stringData is written key by key: a hole cannot stand for all of it"),
        }
    }
}

//! The keywords of one schema: each is taken once; what is left over is unknown.

use serde_json::{Number, Value};

use super::super::format::{Digest, Image};
use super::super::{Bound, Format, ListSchema, MapSchema, NumberSchema, Pattern, PatternError, TextSchema, accept};
use super::{Place, Problems, properties, schema};
use crate::budget::Exhausted;
use crate::lifetime;
use crate::quantity::Quantity;
use crate::yaml::{Content, Node};

/// The keywords of one schema, and where problems go.
pub(super) struct Keywords<'n, 'p, 'b> {
    node: &'n Node,
    taken: Vec<&'static str>,
    pub(super) problems: &'p mut Problems<'b>,
}

impl<'n, 'p, 'b> Keywords<'n, 'p, 'b> {
    pub(super) fn of(node: &'n Node, problems: &'p mut Problems<'b>) -> Option<Self> {
        if node.entries().is_none() {
            problems.push(node.line, format!("expected a schema such as {{type: string}}, got {}", node.describe()));
            return None;
        }
        Some(Self { node, taken: Vec::new(), problems })
    }

    pub(super) fn problem(&mut self, line: usize, message: &str) {
        self.problems.push(line, message);
    }

    /// Takes steps; that they are used up is a problem.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Exhausted> {
        let spent = self.problems.budget.spend(steps);
        spent.inspect_err(|Exhausted| self.problems.end(self.node.line))
    }

    pub(super) fn problem_at(&mut self, key: &str, message: &str) {
        let line = self.node.get(key).map_or(self.node.line, |node| node.line);
        self.problem(line, message);
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.taken.push(key);
        self.node.get(key)
    }

    /// What is left over is unknown, since what it belongs to was not understood.
    pub(super) fn forget(&mut self) {
        self.taken.push("*");
    }

    pub(super) fn finish(&mut self) {
        if self.taken.contains(&"*") {
            return;
        }
        for entry in self.node.entries().unwrap_or_default() {
            if !self.taken.contains(&entry.key.as_str()) && !self.problems.are_many() {
                let mut known: Vec<_> = self.taken.clone();
                known.sort_unstable();
                let message = format!("unknown keyword {:?} here: expected one of {}", entry.key, known.join(", "));
                self.problem(entry.line, &message);
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        let found = node.as_str().map(str::to_owned);
        if found.is_none() {
            self.problem(node.line, &format!("{key} is text, got {}", node.describe()));
        }
        found
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        match self.take(key).map(|node| (node.line, node.to_value())) {
            Some((_, Value::Bool(flag))) => flag,
            Some((line, _)) => {
                self.problem(line, &format!("{key} is true or false"));
                false
            }
            None => false,
        }
    }

    pub(super) fn count(&mut self, key: &'static str) -> Option<usize> {
        let node = self.take(key)?;
        let found = node.to_value().as_u64().and_then(|number| usize::try_from(number).ok());
        if found.is_none() {
            self.problem(node.line, &format!("{key} is a whole number, zero or more"));
        }
        found
    }

    pub(super) fn enumeration(&mut self) -> Vec<Value> {
        let Some(node) = self.take("enum") else { return Vec::new() };
        let values: Vec<_> = node.items().unwrap_or_default().iter().map(Node::to_value).collect();
        if values.is_empty() || values.contains(&Value::Null) {
            self.problem(node.line, "enum is a list of values, at least one, none of them null");
        }
        values
    }

    pub(super) fn text_schema(&mut self) -> Option<TextSchema> {
        let before = self.problems.count;
        let mut text = TextSchema {
            pattern: None,
            min_length: self.count("minLength"),
            max_length: self.count("maxLength"),
            format: None,
        };
        self.ordered("minLength", text.min_length, text.max_length);
        if let Some(source) = self.text("pattern") {
            match self.pattern(Pattern::new, &source) {
                Ok(pattern) => text.pattern = pattern,
                Err(error) => self.problem_at("pattern", &error.to_string()),
            }
        }
        match self.text("format").as_deref() {
            None => {}
            Some("quantity") => {
                let what = "a quantity such as 500m or 2Gi";
                let (minimum, maximum) = (
                    self.bound("minimum", what, |text| text.parse::<Quantity>().ok()),
                    self.bound("maximum", what, |text| text.parse::<Quantity>().ok()),
                );
                self.ordered("minimum", minimum, maximum);
                text.format = Some(Format::Quantity { minimum, maximum });
            }
            Some("duration") => {
                let what = "a duration such as 90s, 1h30m or 3600";
                let (minimum, maximum) = (
                    self.bound("minimum", what, |text| lifetime::seconds(text).ok()),
                    self.bound("maximum", what, |text| lifetime::seconds(text).ok()),
                );
                self.ordered("minimum", minimum, maximum);
                text.format = Some(Format::Duration { minimum, maximum });
            }
            Some("image") => self.image(&mut text),
            Some(other) => {
                let message = format!("unknown format {other:?}: expected quantity, duration or image");
                self.problem_at("format", &message);
                self.forget();
            }
        }
        (self.problems.count == before).then_some(text)
    }

    /// Compiles a pattern; none where the steps are used up, which is told.
    fn pattern(
        &mut self,
        compile: impl Fn(&str) -> Result<Pattern, PatternError>,
        source: &str,
    ) -> Result<Option<Pattern>, PatternError> {
        if self.spend(Pattern::steps_to_read(source)).is_err() {
            return Ok(None);
        }
        let made = compile(source);
        let steps = made.as_ref().map_or_else(PatternError::steps, Pattern::steps_made);
        if self.spend(steps).is_err() {
            return Ok(None);
        }
        made.map(Some)
    }

    fn image(&mut self, text: &mut TextSchema) {
        let image = Image {
            registries: self.texts("registry", "registries"),
            repositories: self.texts("repository", "repositories"),
            digest: match self.text("digest").as_deref() {
                None => Digest::Optional,
                Some("required") => Digest::Required,
                Some(_) => {
                    self.problem_at("digest", "digest is required, or left out");
                    Digest::Optional
                }
            },
        };
        if text.pattern.is_some() {
            self.problem_at("pattern", "an image has its own words (registry, repository, digest) and no pattern");
            return;
        }
        match self.pattern(Pattern::unbounded, &image.language()) {
            Ok(pattern) => text.pattern = pattern,
            Err(error) => self.problem_at("format", &error.to_string()),
        }
        text.format = Some(Format::Image(image.describe()));
    }

    /// `registry: a`, or `registries: [a, b]`.
    fn texts(&mut self, one: &'static str, many: &'static str) -> Vec<String> {
        let mut found: Vec<String> = self.text(one).into_iter().collect();
        if let Some(node) = self.take(many) {
            let items: Option<Vec<String>> =
                node.items().map(|items| items.iter().map_while(|item| item.as_str().map(str::to_owned)).collect());
            match (items, node.items()) {
                (Some(texts), Some(items)) if texts.len() == items.len() && !texts.is_empty() => found.extend(texts),
                _ => self.problem(node.line, &format!("{many} is a list of texts, at least one")),
            }
        }
        if found.iter().any(|text| text.is_empty() || text.starts_with('/') || text.ends_with('/')) {
            self.problem_at(many, &format!("{many} are names without a slash at either end"));
        }
        found
    }

    fn bound<T>(&mut self, key: &'static str, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let node = self.take(key)?;
        let found = match &node.content {
            Content::Scalar(scalar) => read(&scalar.text),
            _ => None,
        };
        if found.is_none() {
            self.problem(node.line, &format!("{key} is {what}"));
        }
        found
    }

    fn ordered<T: PartialOrd>(&mut self, key: &str, minimum: Option<T>, maximum: Option<T>) {
        if let (Some(minimum), Some(maximum)) = (minimum, maximum)
            && minimum > maximum
        {
            self.problem_at(key, &format!("{key} is above its maximum: no value could be both"));
        }
    }

    pub(super) fn number_schema(&mut self, integer: bool) -> Option<NumberSchema> {
        let before = self.problems.count;
        let minimum = self.number_bound("minimum", "exclusiveMinimum");
        let maximum = self.number_bound("maximum", "exclusiveMaximum");
        if let (Some(minimum), Some(maximum)) = (&minimum, &maximum)
            && accept::order(&minimum.number, &maximum.number) == Some(std::cmp::Ordering::Greater)
        {
            self.problem_at("minimum", "minimum is above its maximum: no value could be both");
        }
        (self.problems.count == before).then_some(NumberSchema { integer, minimum, maximum })
    }

    /// `exclusive` is a flag beside the bound (OpenAPI v3), or the bound itself (JSON schema).
    fn number_bound(&mut self, key: &'static str, exclusive: &'static str) -> Option<Bound> {
        let number = |words: &mut Self, node: &Node| -> Option<Number> {
            match node.to_value() {
                Value::Number(number) => Some(number),
                _ => {
                    words.problem(node.line, &format!("{key} is a number"));
                    None
                }
            }
        };
        let inclusive = self.take(key);
        let flag = self.take(exclusive);
        match (inclusive, flag.map(|node| (node, node.to_value()))) {
            (None, None) => None,
            (Some(node), None) => number(self, node).map(|number| Bound { number, exclusive: false }),
            (Some(node), Some((_, Value::Bool(exclusive)))) => {
                number(self, node).map(|number| Bound { number, exclusive })
            }
            (None, Some((_, Value::Number(number)))) => Some(Bound { number, exclusive: true }),
            (_, Some((node, _))) => {
                self.problem(node.line, &format!("{exclusive} is a number alone, or true beside {key}"));
                None
            }
        }
    }

    pub(super) fn list_schema(&mut self, depth: usize) -> Option<ListSchema> {
        let (min_items, max_items) = (self.count("minItems"), self.count("maxItems"));
        self.ordered("minItems", min_items, max_items);
        let Some(items) = self.take("items") else {
            self.problem(self.node.line, "an array needs items, the schema of its elements");
            return None;
        };
        let (items, _) = schema(items, Place::Inner, depth + 1, self.problems)?;
        Some(ListSchema { items: Box::new(items), min_items, max_items })
    }

    pub(super) fn map_schema(&mut self, depth: usize) -> Option<MapSchema> {
        let mut map = MapSchema::default();
        if let Some(node) = self.take("properties") {
            map.properties = properties(node, depth, self.problems)?;
        }
        match self.take("additionalProperties").map(|node| (node, node.to_value())) {
            None | Some((_, Value::Bool(false))) => {}
            Some((node, Value::Bool(true))) => {
                self.problem(node.line, "additionalProperties: true would admit anything: write a schema");
                return None;
            }
            Some((node, _)) => {
                map.additional = Some(Box::new(schema(node, Place::Inner, depth + 1, self.problems)?.0));
            }
        }
        if map.properties.is_empty() && map.additional.is_none() {
            self.problem(self.node.line, "an object needs properties or additionalProperties");
        }
        Some(map)
    }
}

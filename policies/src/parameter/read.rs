//! Reads the `parameters` text. Every problem is told, with its line; an unknown keyword is one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Generated, Parameter, Parameters, Pattern, Properties, Property, Schema, SchemaNode, TextSchema};
use crate::budget::Budget;
use crate::yaml::{self, Node};

mod keywords;

use keywords::Keywords;

/// The most parameters of one ConfigMap; two hundred times what people need, and a bound on work.
const MOST_PARAMETERS: usize = 2000;
/// Steps for a schema, and what is made of it.
const STEPS_PER_SCHEMA: u64 = 200;
/// How deep schemas nest.
const MOST_DEPTH: usize = 16;
/// Lengths of credentials: below eight they are guessed, above a kilobyte no protocol takes them.
const CREDENTIAL: std::ops::RangeInclusive<usize> = 8..=1024;

/// What is wrong with the `parameters` text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParameterError {
    /// Line within the text, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// What problems are gathered into, and the steps that are left.
struct Problems<'b> {
    told: Vec<ParameterError>,
    /// How many there are, told or not.
    count: usize,
    budget: &'b Budget,
}

impl Problems<'_> {
    fn push(&mut self, line: usize, message: impl Into<String>) {
        self.count += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(ParameterError { line, message: message.into() });
        }
    }

    /// Whether more were found than are told.
    fn are_many(&self) -> bool {
        self.count >= MOST_TOLD
    }

    /// That there is more work than is allowed, told once, where it came to its end.
    fn end(&mut self, line: usize) {
        if self.told.last().is_none_or(|last| last.message != TOO_MUCH) {
            self.count += 1;
            self.told.push(ParameterError { line, message: TOO_MUCH.into() });
        }
    }
}

/// What is said where the steps end.
const TOO_MUCH: &str = "reading the parameters takes more work than is allowed: write fewer parameters and simpler patterns (a \
                        counted repetition multiplies what it repeats), fewer branches of oneOf, shorter enums, or split the ConfigMap";
/// The most problems that are told: who has more mends these first.
const MOST_TOLD: usize = 100;

/// What stands beside a schema: only some places may have it.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// A parameter: everything.
    Parameter,
    /// A property of an object: `optional` and `default`.
    Property,
    /// Items, branches of `oneOf`, additional properties: nothing.
    Inner,
}

#[derive(Default)]
struct Read {
    description: Option<String>,
    default: Option<Value>,
    optional: bool,
    sensitive: bool,
    generated: Option<Generated>,
}

pub(super) fn parameters(text: &str, budget: &Budget) -> Result<Parameters, Vec<ParameterError>> {
    let documents = yaml::documents_within(text, budget)
        .map_err(|error| vec![ParameterError { line: error.line, message: error.message }])?;
    let problem = |line: usize, message: &str| vec![ParameterError { line, message: message.into() }];
    if let Some(second) = documents.get(1) {
        return Err(problem(second.line, "parameters is one document: remove the --- before this one"));
    }
    let Some(root) = documents.first() else { return Ok(Parameters::default()) };
    let Some(entries) = root.entries() else {
        return Err(problem(root.line, "parameters is a map of names and schemas, such as\nworkers: {type: integer}"));
    };
    if entries.len() > MOST_PARAMETERS {
        return Err(problem(root.line, "more than 2000 parameters: split the ConfigMap"));
    }
    let mut problems = Problems { told: Vec::new(), count: 0, budget };
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(message) = wrong_name(&entry.key) {
            problems.push(entry.line, message);
            continue;
        }
        let before = problems.told.len();
        let read = schema(&entry.value, Place::Parameter, 0, &mut problems);
        for problem in problems.told.iter_mut().skip(before) {
            if problem.message == TOO_MUCH {
                problem.line = entry.line;
            }
            problem.message = format!("parameter {}: {}", entry.key, problem.message);
        }
        if budget.is_used_up() {
            break;
        }
        if let Some((schema, read)) = read {
            all.push(Parameter {
                name: entry.key.clone(),
                schema,
                description: read.description,
                default: read.default,
                optional: read.optional,
                sensitive: read.sensitive,
                generated: read.generated,
                line: entry.line,
            });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    if problems.count == 0 {
        return Ok(Parameters::of(all));
    }
    if problems.count > problems.told.len() {
        let more = problems.count - problems.told.len();
        let message = format!("{more} more problems of the parameters are not told: mend those that are told first");
        problems.told.push(ParameterError { line: root.line, message });
    }
    Err(problems.told)
}

/// Why a text cannot name a parameter; none where it can.
fn wrong_name(name: &str) -> Option<String> {
    if matches!(name, "true" | "false") {
        return Some(format!(
            "this name is the boolean {name} for YAML, as are y, n, yes, no, on and off: quote it, or take another"
        ));
    }
    if crate::template::Given::ALL.iter().any(|given| given.name() == name) {
        return Some(format!("{name} is given by the caller's identity: use ${{{name}}} without declaring it"));
    }
    let fits = name.len() <= 63
        && name.starts_with(|character: char| character.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-'));
    (!fits).then(|| {
        format!("{name:?} is no name of a parameter: letters, digits, _ and -, beginning with a letter, at most 63")
    })
}

fn schema(node: &Node, place: Place, depth: usize, problems: &mut Problems<'_>) -> Option<(Schema, Read)> {
    let mut words = Keywords::of(node, problems)?;
    if words.spend(STEPS_PER_SCHEMA + 32 * node.entries().map_or(0, <[_]>::len) as u64).is_err() {
        return None;
    }
    if depth > MOST_DEPTH {
        words.problem(node.line, "schemas nest more than 16 deep");
        return None;
    }
    let read = beside(&mut words, place);
    let branches = words.take("oneOf");
    let kind = words.text("type");
    let node_kind = match (branches, kind.as_deref()) {
        (Some(branches), None) => one_of(branches, depth, &mut words),
        (Some(branches), Some(_)) => {
            words.problem(branches.line, "type stands inside the branches of oneOf, not beside it");
            None
        }
        (None, Some("string")) => words.text_schema().map(SchemaNode::Text),
        (None, Some(kind @ ("integer" | "number"))) => words.number_schema(kind == "integer").map(SchemaNode::Number),
        (None, Some("boolean")) => Some(SchemaNode::Boolean),
        (None, Some("array")) => words.list_schema(depth).map(SchemaNode::List),
        (None, Some("object")) => words.map_schema(depth).map(SchemaNode::Map),
        (None, Some(other)) => {
            let message = format!("unknown type {other:?}: expected string, integer, number, boolean, array or object");
            words.problem_at("type", &message);
            words.forget();
            None
        }
        (None, None) if read.generated.is_some() => Some(SchemaNode::Text(TextSchema::default())),
        (None, None) => {
            words.problem(node.line, "type is missing: string, integer, number, boolean, array or object (or oneOf)");
            words.forget();
            None
        }
    };
    let allowed = words.enumeration();
    words.finish();
    let mut schema = Schema::of(node_kind?);
    for value in &allowed {
        let Ok(fits) = schema.accepts_within(value, problems.budget) else {
            problems.end(node.line);
            return None;
        };
        if let Err(mismatch) = if fits { Ok(()) } else { schema.accepts(value) } {
            let quote = if value.is_boolean() { " (y, n, yes, no, on and off are booleans: quote them)" } else { "" };
            problems
                .push(node.line, format!("the enum holds {value}, which its own schema refuses: {mismatch}{quote}"));
            if problems.are_many() {
                break;
            }
        }
    }
    schema.allowed = allowed.into();
    if let Some(generated) = &read.generated {
        schema = generated_schema(generated, &schema, node, problems)?;
    }
    if let Some(default) = &read.default {
        let Ok(fits) = schema.accepts_within(default, problems.budget) else {
            problems.end(node.line);
            return None;
        };
        if let Err(mismatch) = if fits { Ok(()) } else { schema.accepts(default) } {
            let line = node.get("default").map_or(node.line, |node| node.line);
            problems.push(line, format!("the default is refused by its own schema: {mismatch}"));
        }
    }
    Some((schema, read))
}

fn one_of(branches: &Node, depth: usize, words: &mut Keywords<'_, '_, '_>) -> Option<SchemaNode> {
    let Some(items) = branches.items().filter(|items| !items.is_empty()) else {
        words.problem(branches.line, "oneOf is a list of schemas");
        return None;
    };
    let read = |item| schema(item, Place::Inner, depth + 1, words.problems).map(|(schema, _)| schema);
    let mut schemas = Vec::with_capacity(items.len());
    schemas.extend(items.iter().filter_map(read));
    (schemas.len() == items.len()).then_some(SchemaNode::OneOf(schemas.into()))
}

/// `description`, `default`, `optional`, `sensitive`, `generated`.
fn beside(words: &mut Keywords<'_, '_, '_>, place: Place) -> Read {
    let mut read = Read { description: words.text("description"), ..Read::default() };
    if place == Place::Inner {
        return read;
    }
    read.optional = words.flag("optional");
    read.default = words.take("default").map(Node::to_value);
    if read.default == Some(Value::Null) {
        words.problem_at("default", "the default is null: leave it out, or write a value");
        read.default = None;
    }
    if read.optional && read.default.is_some() {
        words.problem_at("optional", "optional and default exclude each other: absent, or filled");
    }
    if place == Place::Parameter {
        read.sensitive = words.flag("sensitive");
        read.generated = words.take("generated").and_then(|node| generated(node, words.problems));
        if read.generated.is_some() && (read.optional || read.default.is_some()) {
            words.problem_at("generated", "a generated parameter is neither optional nor has it a default");
            read.default = None;
        }
    }
    read
}

fn generated(node: &Node, problems: &mut Problems<'_>) -> Option<Generated> {
    let mut words = Keywords::of(node, problems)?;
    let length = words.count("length");
    let alphabet = words.text("alphabet").unwrap_or_else(|| ('0'..='9').chain('A'..='Z').chain('a'..='z').collect());
    words.finish();
    let mut characters: Vec<_> = alphabet.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let message = match length {
        Some(length) if !CREDENTIAL.contains(&length) => "generated.length is from 8 to 1024 characters",
        None => "generated needs a length: {length: 32}",
        _ if characters.len() < 2 || characters.len() != alphabet.chars().count() => {
            "generated.alphabet is two or more different characters, none twice"
        }
        _ if !characters.iter().all(char::is_ascii_graphic) => "generated.alphabet is visible ASCII characters",
        Some(length) => return Some(Generated { length, alphabet }),
    };
    problems.push(node.line, message);
    None
}

/// The schema of a credential: its alphabet, its length.
fn generated_schema(
    generated: &Generated,
    beside: &Schema,
    node: &Node,
    problems: &mut Problems<'_>,
) -> Option<Schema> {
    let mut problem = |message: &str| {
        problems.push(node.line, message);
        None
    };
    match &beside.node {
        SchemaNode::Text(TextSchema { pattern: None, min_length: None, max_length: None, format: None })
            if beside.allowed.is_empty() => {}
        _ => return problem("generated says all there is to say: with it, leave all but type: string out"),
    }
    let class: String =
        generated.alphabet.chars().map(|character| format!(r"\x{:02X}", u32::from(character))).collect();
    // Read twice, so that messages show 0-9A-Za-z and not sixty-two letters.
    let spelt_out = Pattern::unbounded(&format!("[{class}]{{{}}}", generated.length));
    match spelt_out.and_then(|pattern| Pattern::unbounded(pattern.language())) {
        Ok(pattern) => {
            Some(Schema::of(SchemaNode::Text(TextSchema { pattern: Some(pattern), ..TextSchema::default() })))
        }
        Err(error) => problem(&error.to_string()),
    }
}

/// `properties`.
fn properties(node: &Node, depth: usize, problems: &mut Problems<'_>) -> Option<Properties> {
    let Some(entries) = node.entries() else {
        problems.push(node.line, "properties is a map of names and schemas");
        return None;
    };
    let mut all = BTreeMap::new();
    for entry in entries {
        let (schema, read) = schema(&entry.value, Place::Property, depth + 1, problems)?;
        let optional = read.optional || read.default.is_some();
        all.insert(entry.key.clone(), Property { schema, optional, default: read.default });
    }
    Some(all.into())
}

//! From the parser's events to nodes: aliases expanded (within a budget), merge keys merged, duplicate keys refused.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StructureStyle, Tag};

use crate::budget::Budget;

use super::scalar::{self, Resolved};
use super::{Content, Entry, MOST_BYTES, MOST_DEPTH, Node, Scalar, Style, YamlError, flow};

/// What aliases may copy in all, in bytes, counting [`NODE_WEIGHT`] for each node: ten times the longest text.
const MOST_COPIED: usize = 32 << 20;
const NODE_WEIGHT: usize = 128;
/// Steps for a node that is made, or copied.
const STEPS_PER_NODE: usize = 32;
/// Steps for a byte that is read.
const STEPS_PER_BYTE: u64 = 8;

/// A finished node with what bounds need to know of it.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    height: usize,
    /// A plain `<<`, which merges where it is a key.
    merge: bool,
    /// The text that this node is as a key.
    key: Result<String, String>,
}

enum Frame {
    List { style: StructureStyle, start: Marker, anchor: usize, weight: usize, height: usize, items: Vec<Node> },
    Map(Box<MapFrame>),
}

struct MapFrame {
    style: StructureStyle,
    start: Marker,
    anchor: usize,
    weight: usize,
    height: usize,
    entries: Vec<(Entry, Origin)>,
    index: HashMap<String, usize>,
    pending: Option<Pending>,
}

struct Pending {
    key: String,
    line: usize,
    column: usize,
    merge: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Written,
    Merged,
}

struct Builder<'b> {
    budget: &'b Budget,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    copied: usize,
    root: Option<Node>,
    documents: Vec<Node>,
    /// Where the text ends, in bytes, if not with a newline.
    open_end: Option<usize>,
}

pub(super) fn documents(text: &str, budget: &Budget) -> Result<Vec<Node>, YamlError> {
    let start = Marker::new(0, 1, 0);
    if text.len() > MOST_BYTES {
        return Err(error(&start, format!("{} bytes are too many: at most {MOST_BYTES} are read", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MOST_DEPTH,
        block_nesting_limit: MOST_DEPTH,
    };
    let open_end = (!text.ends_with(['\n', '\r'])).then_some(text.len());
    let spent = budget.spend(text.len() as u64 * STEPS_PER_BYTE);
    spent.map_err(|_| error(&start, "this text is more than is read of one ConfigMap: split the ConfigMap"))?;
    let mut builder = Builder {
        budget,
        stack: Vec::new(),
        anchors: HashMap::new(),
        copied: 0,
        root: None,
        documents: Vec::new(),
        open_end,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|found| flow::explain(text, &found))?;
        builder.event(event, &span)?;
    }
    Ok(builder.documents)
}

fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn error(at: &Marker, message: impl Into<String>) -> YamlError {
    YamlError { line: at.line().max(1), column: at.col() + 1, message: message.into() }
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.root = None;
                Ok(())
            }
            Event::DocumentEnd => {
                self.documents.extend(self.root.take().filter(|node| !node.is_null()));
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if style == ScalarStyle::Plain && self.in_flow() && text.starts_with('?') {
                    // YAML 1.1 and 1.2 differ here, and kubectl reads 1.1.
                    return Err(error(&span.start, "a ? begins this value within {…} or […]: quote it"));
                }
                let text = if self.ends_without_newline(style, span) { without_newline(&text) } else { &text };
                let built = scalar_node(text, style, tag.as_deref(), &span.start)?;
                self.finish(built, anchor, &span.start)
            }
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id) else {
                    return Err(error(&span.start, "an anchor's value contains itself"));
                };
                let weight = target.weight;
                self.copies(weight, "aliases expand to too much: write the values out", &span.start)?;
                let Some(target) = self.anchors.get(&id) else { return Ok(()) };
                let mut copy = target.clone();
                copy.merge = false;
                self.finish(copy, 0, &span.start)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.deeper(&span.start)?;
                self.stack.push(Frame::List {
                    style,
                    start: span.start,
                    anchor,
                    weight: 0,
                    height: 0,
                    items: Vec::new(),
                });
                Ok(())
            }
            Event::MappingStart(style, anchor, _) => {
                self.deeper(&span.start)?;
                self.stack.push(Frame::Map(Box::new(MapFrame {
                    style,
                    start: span.start,
                    anchor,
                    weight: 0,
                    height: 0,
                    entries: Vec::new(),
                    index: HashMap::new(),
                    pending: None,
                })));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { start, anchor, weight, height, items, .. }) => {
                    self.finish(collection(Content::List(items), &start, weight, height), anchor, &start)
                }
                Some(Frame::Map(map)) => {
                    let entries = map.entries.into_iter().map(|(entry, _)| entry).collect();
                    let built = collection(Content::Map(entries), &map.start, map.weight, map.height);
                    self.finish(built, map.anchor, &map.start)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn in_flow(&self) -> bool {
        match self.stack.last() {
            Some(Frame::List { style, .. }) => *style == StructureStyle::Flow,
            Some(Frame::Map(map)) => map.style == StructureStyle::Flow,
            None => false,
        }
    }

    /// A block at the very end of a text without a last newline has none either, though the parser adds one.
    fn ends_without_newline(&self, style: ScalarStyle, span: &Span) -> bool {
        matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
            && self.open_end.is_some()
            && span.end.byte_offset() == self.open_end
    }

    /// Counts what is copied, for one text and for all that share the budget.
    fn copies(&mut self, weight: usize, message: &str, at: &Marker) -> Result<(), YamlError> {
        self.copied = self.copied.saturating_add(weight);
        let spent = self.budget.spend((weight * STEPS_PER_NODE / NODE_WEIGHT) as u64);
        if self.copied > MOST_COPIED || spent.is_err() { Err(error(at, message)) } else { Ok(()) }
    }

    fn deeper(&self, at: &Marker) -> Result<(), YamlError> {
        if self.stack.len() >= MOST_DEPTH { Err(too_deep(at)) } else { Ok(()) }
    }

    fn finish(&mut self, built: Built, anchor: usize, at: &Marker) -> Result<(), YamlError> {
        if self.stack.len() + built.height > MOST_DEPTH {
            return Err(too_deep(at));
        }
        if anchor != 0 {
            self.copies(built.weight, "anchors within anchors hold too much: write the values out", at)?;
            self.anchors.insert(anchor, built.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(built.node),
            Some(Frame::List { weight, height, items, .. }) => {
                *weight += built.weight;
                *height = (*height).max(built.height);
                items.push(built.node);
            }
            Some(Frame::Map(map)) => map.take(built, at)?,
        }
        Ok(())
    }
}

impl MapFrame {
    fn take(&mut self, built: Built, at: &Marker) -> Result<(), YamlError> {
        self.weight += built.weight;
        self.height = self.height.max(built.height);
        let Some(pending) = self.pending.take() else {
            let key = match built.key {
                _ if built.merge => String::new(),
                Ok(key) => key,
                Err(message) => return Err(error(at, message)),
            };
            self.pending = Some(Pending { key, line: at.line(), column: at.col() + 1, merge: built.merge });
            return Ok(());
        };
        if pending.merge {
            return self.merge(built.node, at);
        }
        let entry = Entry { key: pending.key, line: pending.line, column: pending.column, value: built.node };
        match self.index.get(&entry.key) {
            Some(&position) if self.entries[position].1 == Origin::Written => Err(YamlError {
                line: entry.line,
                column: entry.column,
                message: format!(
                    "the key {:?} is there twice, first on line {}: remove one",
                    entry.key, self.entries[position].0.line
                ),
            }),
            Some(&position) => {
                self.entries[position] = (entry, Origin::Written);
                Ok(())
            }
            None => {
                self.push(entry, Origin::Written);
                Ok(())
            }
        }
    }

    fn push(&mut self, entry: Entry, origin: Origin) {
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push((entry, origin));
    }

    /// As kubectl's parser does: a merge overwrites what stands before it, and what stands after overwrites it;
    /// of a list of maps the first wins.
    fn merge(&mut self, value: Node, at: &Marker) -> Result<(), YamlError> {
        let maps = match value.content {
            Content::Map(entries) => vec![entries],
            Content::List(items) => items
                .into_iter()
                .rev()
                .map(|item| match item.content {
                    Content::Map(entries) => Ok(entries),
                    _ => Err(merge_error(at)),
                })
                .collect::<Result<_, _>>()?,
            Content::Scalar(_) => return Err(merge_error(at)),
        };
        for entry in maps.into_iter().flatten() {
            match self.index.get(&entry.key) {
                Some(&position) => self.entries[position].0.value = entry.value,
                None => self.push(entry, Origin::Merged),
            }
        }
        Ok(())
    }
}

fn merge_error(at: &Marker) -> YamlError {
    error(at, "<< merges a map, or a list of maps")
}

fn too_deep(at: &Marker) -> YamlError {
    error(at, format!("nested more than {MOST_DEPTH} deep"))
}

fn collection(content: Content, start: &Marker, weight: usize, height: usize) -> Built {
    Built {
        node: Node { line: start.line(), column: start.col() + 1, content },
        weight: weight + NODE_WEIGHT,
        height: height + 1,
        merge: false,
        key: Err(
            "a key is a list or a map: kubectl has no such keys (a hole needs no braces around it: ${name})".into()
        ),
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: &Marker) -> Result<Built, YamlError> {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    };
    let suffix = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let (resolved, decoded) = match (&suffix, tag) {
        (Some(suffix), _) => scalar::tagged(suffix, text).map_err(|message| error(at, message))?,
        (None, Some(_)) => (Resolved::Text, None),
        (None, None) if style == Style::Plain => (scalar::resolve(text), None),
        (None, None) => (Resolved::Text, None),
    };
    let text = decoded.unwrap_or_else(|| text.to_owned());
    let key = scalar::key(&resolved, &text);
    let merge = text == "<<" && if tag.is_none() { style == Style::Plain } else { suffix.as_deref() == Some("merge") };
    let value = scalar::json(&resolved, &text);
    // As a key, infinity is text; as a value, it is an error.
    let value = match (value, &key) {
        (Ok(value), _) => value,
        (Err(message), _) => return Err(error(at, message)),
    };
    let style = if tag.is_some() && style == Style::Plain { Style::Quoted } else { style };
    Ok(Built {
        weight: NODE_WEIGHT + text.len(),
        node: Node { line: at.line(), column: at.col() + 1, content: Content::Scalar(Scalar { text, style, value }) },
        height: 0,
        merge,
        key,
    })
}

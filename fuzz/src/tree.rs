//! A template as a tree of its own, apart from `policies`: grown from a manifest by dice, written as YAML, rendered.

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// A part of a template.
#[derive(Clone, Debug)]
pub enum Tree {
    /// As written.
    Leaf(Value),
    /// Text with holes in it.
    Text(Vec<Piece>),
    /// A hole for the whole value.
    Hole(usize),
    /// A map, in order.
    Map(Vec<(String, Tree)>),
    /// A list.
    List(Vec<Item>),
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub enum Piece {
    /// As written.
    Literal(String),
    /// A hole.
    Hole(usize),
}

/// An element of a list.
#[derive(Clone, Debug)]
pub enum Item {
    /// One.
    One(Tree),
    /// A hole that takes any number.
    Many(usize),
}

/// What a hole may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// One to four digits, as text.
    Digits,
    /// One to five letters.
    Word,
    /// One of three texts.
    Choice,
    /// Any text.
    Free,
    /// 1 to 80.
    Whole,
    /// True or false.
    Flag,
    /// A list of words.
    Words,
    /// A list of names with values.
    Pairs,
}

/// A hole, and what it stands for in the object that is rendered; none where it is absent.
#[derive(Clone, Debug)]
pub struct Hole {
    /// What it may be.
    pub schema: Schema,
    /// Whether it may be absent.
    pub optional: bool,
    /// What it is.
    pub value: Option<Value>,
}

/// A template with its holes.
#[derive(Clone, Debug, Default)]
pub struct Grown {
    /// The manifest; none before it has grown.
    pub tree: Option<Tree>,
    /// By position: `h0`, `h1`.
    pub holes: Vec<Hole>,
}

impl Schema {
    fn declaration(self) -> &'static str {
        match self {
            Self::Digits => "type: string, pattern: '[0-9]{1,4}'",
            Self::Word => "type: string, pattern: '[a-z]{1,5}'",
            Self::Choice => "type: string, enum: [a, bb, c-d]",
            Self::Free => "type: string",
            Self::Whole => "type: integer, minimum: 1, maximum: 80",
            Self::Flag => "type: boolean",
            Self::Words => "type: array, items: {type: string, pattern: '[a-z]{1,5}'}",
            Self::Pairs => {
                "type: array, items: {type: object, properties: {name: {type: string, pattern: 'X_[A-Z]{1,3}'}, \
                 value: {type: string, pattern: '[a-z]{0,4}'}}}"
            }
        }
    }

    fn value(self, dice: &mut Dice<'_>) -> Value {
        let letters = |dice: &mut Dice<'_>| format!("{}{}", dice.pick(&["a", "b", "run"]), dice.text("abz", 2));
        match self {
            Self::Digits => json!(format!("{}{}", dice.roll(10), dice.text("0189", 3))),
            Self::Word => json!(letters(dice)),
            Self::Choice => json!(dice.pick(&["a", "bb", "c-d"])),
            Self::Free => json!(dice.text("a0-. /${}:é", 6)),
            Self::Whole => json!(1 + dice.roll(80)),
            Self::Flag => json!(dice.one_in(2)),
            Self::Words => (0..dice.roll(3)).map(|_| letters(dice).into()).collect::<Vec<Value>>().into(),
            Self::Pairs => {
                let names = ["X_A", "X_B", "X_ABC"];
                let count = dice.roll(3);
                let pair = |name: &&str| json!({"name": name, "value": dice.text("abz", 3)});
                names.iter().take(count).map(pair).collect::<Vec<_>>().into()
            }
        }
    }
}

impl Grown {
    /// Makes holes in a manifest.
    pub fn of(manifest: &Value, dice: &mut Dice<'_>) -> Self {
        let mut grown = Self::default();
        let tree = grown.grow("", manifest, dice);
        grown.tree = Some(tree);
        grown
    }

    fn hole(&mut self, schema: Schema, optional: bool, dice: &mut Dice<'_>) -> usize {
        let single = !matches!(schema, Schema::Words | Schema::Pairs);
        let known = self.holes.iter().position(|hole| hole.schema == schema && hole.optional == optional);
        match known {
            // One hole in two places.
            Some(known) if single && dice.one_in(2) => known,
            _ => {
                let value = (!optional || dice.one_in(2)).then(|| schema.value(dice));
                self.holes.push(Hole { schema, optional, value });
                self.holes.len() - 1
            }
        }
    }

    fn grow(&mut self, key: &str, value: &Value, dice: &mut Dice<'_>) -> Tree {
        let open =
            !matches!(key, "apiVersion" | "kind" | "serviceAccountName") && self.holes.len() < 5 && dice.one_in(4);
        match value {
            Value::Object(fields) => {
                Tree::Map(fields.iter().map(|(key, value)| (key.clone(), self.grow(key, value, dice))).collect())
            }
            Value::Array(elements) => {
                let mut items: Vec<Item> = elements.iter().map(|one| Item::One(self.grow("", one, dice))).collect();
                let schema = match key {
                    "args" | "command" => Some(Schema::Words),
                    "env" => Some(Schema::Pairs),
                    _ => None,
                };
                if let Some(schema) = schema.filter(|_| open) {
                    let at = dice.roll(items.len() + 1);
                    let hole = self.hole(schema, false, dice);
                    items.insert(at, Item::Many(hole));
                }
                Tree::List(items)
            }
            Value::String(text) if open => {
                let schema = *dice.pick(&[Schema::Word, Schema::Digits, Schema::Choice, Schema::Free, Schema::Whole]);
                match dice.roll(3) {
                    0 if schema != Schema::Whole => {
                        let optional = dice.one_in(3);
                        Tree::Hole(self.hole(schema, optional, dice))
                    }
                    1 => {
                        let more = *dice.pick(&[Schema::Word, Schema::Digits, Schema::Whole, Schema::Flag]);
                        let (first, second) = (self.hole(schema, false, dice), self.hole(more, false, dice));
                        let between = (*dice.pick(&["-", ":", "/", "=a"])).to_owned();
                        Tree::Text(vec![Piece::Hole(first), Piece::Literal(between), Piece::Hole(second)])
                    }
                    _ => Tree::Text(vec![
                        Piece::Literal(format!("{text}-")),
                        Piece::Hole(self.hole(schema, false, dice)),
                    ]),
                }
            }
            Value::Number(_) if open => {
                let optional = dice.one_in(3);
                Tree::Hole(self.hole(Schema::Whole, optional, dice))
            }
            Value::Bool(_) if open => Tree::Hole(self.hole(Schema::Flag, false, dice)),
            other => Tree::Leaf(other.clone()),
        }
    }

    /// The `parameters` of the template.
    pub fn parameters(&self) -> String {
        let declared = self.holes.iter().enumerate().map(|(index, hole)| {
            let optional = if hole.optional { ", optional: true" } else { "" };
            format!("h{index}: {{{}{optional}}}\n", hole.schema.declaration())
        });
        declared.collect()
    }

    /// The manifest as YAML, in block style: a hole inside braces would be no YAML.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        if let Some(tree) = &self.tree {
            tree.write(0, &mut out);
        }
        out
    }

    /// The object that its values make.
    pub fn object(&self) -> Value {
        self.tree.as_ref().and_then(|tree| self.render(tree)).unwrap_or_default()
    }

    /// Whether holes are within the text of a quantity: the server shows another spelling of it, of which recognition
    /// knows the usual ones, not `-0`.
    pub fn writes_an_amount(&self) -> bool {
        self.tree.as_ref().is_some_and(|tree| tree.writes_an_amount(false))
    }

    fn value(&self, hole: usize) -> Option<Value> {
        self.holes.get(hole)?.value.clone()
    }

    fn render(&self, tree: &Tree) -> Option<Value> {
        match tree {
            Tree::Leaf(value) => Some(value.clone()),
            Tree::Hole(hole) => self.value(*hole),
            Tree::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Hole(hole) => text.push_str(&text_of(&self.value(*hole)?)?),
                    }
                }
                Some(text.into())
            }
            Tree::Map(entries) => {
                let fields = entries.iter().filter_map(|(key, tree)| Some((key.clone(), self.render(tree)?)));
                Some(Value::Object(fields.collect::<Map<_, _>>()))
            }
            Tree::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    match item {
                        Item::One(tree) => all.extend(self.render(tree)),
                        Item::Many(hole) => match self.value(*hole) {
                            Some(Value::Array(taken)) => all.extend(taken),
                            _ => return None,
                        },
                    }
                }
                Some(all.into())
            }
        }
    }
}

/// A scalar inside text.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

impl Tree {
    fn writes_an_amount(&self, amounts: bool) -> bool {
        match self {
            Self::Text(_) => amounts,
            Self::Leaf(_) | Self::Hole(_) => false,
            Self::Map(entries) => entries
                .iter()
                .any(|(key, tree)| tree.writes_an_amount(matches!(key.as_str(), "requests" | "limits") || amounts)),
            Self::List(items) => {
                items.iter().any(|item| matches!(item, Item::One(tree) if tree.writes_an_amount(amounts)))
            }
        }
    }

    fn write(&self, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Leaf(value) => out.push_str(&format!(" {value}\n")),
            Self::Hole(hole) => out.push_str(&format!(" ${{h{hole}}}\n")),
            Self::Text(pieces) => {
                let text: String = pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Literal(literal) => literal.clone(),
                        Piece::Hole(hole) => format!("${{h{hole}}}"),
                    })
                    .collect();
                out.push_str(&format!(" {}\n", Value::from(text)));
            }
            Self::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
            Self::List(items) if items.is_empty() => out.push_str(" []\n"),
            Self::Map(entries) => {
                out.push('\n');
                for (key, tree) in entries {
                    out.push_str(&format!("{pad}{}:", Value::from(key.as_str())));
                    tree.write(indent + 2, out);
                }
            }
            Self::List(items) => {
                out.push('\n');
                for item in items {
                    out.push_str(&format!("{pad}-"));
                    match item {
                        Item::One(tree) => tree.write(indent + 2, out),
                        Item::Many(hole) => out.push_str(&format!(" ${{h{hole}}}\n")),
                    }
                }
            }
        }
    }
}

//! Regular expressions: against the whole value, in linear time, with ASCII classes, bounded when they are read.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, HirKind, Look};

/// The longest pattern, in bytes.
const LONGEST: usize = 4096;
/// The most memory of a compiled pattern: some two thousand states.
const MOST_COMPILED: usize = 128 << 10;
/// The most memory of a pattern's table, and of what making it takes: the names, dates and versions that people write
/// take a kilobyte or two.
const MOST_TABLE: usize = 8 << 10;
const MOST_MAKING: usize = 128 << 10;
/// The longest text that is held against a pattern, in bytes: with the most states, a second's work at the very worst.
pub(crate) const LONGEST_TEXT: usize = 64 << 10;

/// A compiled pattern. Equal patterns share one compilation.
#[derive(Clone)]
pub struct Pattern {
    source: Arc<str>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    language: String,
    machine: PikeVM,
    /// The same as a table of states, a step for each byte, made at first use; none where that is too large.
    table: OnceLock<Option<dense::DFA<Vec<u32>>>>,
}

impl Compiled {
    fn matches(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes);
        match self.table().map(|table| table.try_search_fwd(&input)) {
            Some(Ok(found)) => found.is_some(),
            Some(Err(_)) | None => self.by_machine(input),
        }
    }

    fn by_machine(&self, input: Input<'_>) -> bool {
        self.machine.is_match(&mut self.machine.create_cache(), input)
    }

    fn table(&self) -> Option<&dense::DFA<Vec<u32>>> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(MOST_TABLE))
            .determinize_size_limit(Some(MOST_MAKING));
        let make = || dense::Builder::new().configure(config).build_from_nfa(self.machine.get_nfa());
        // A copy has no room to grow.
        let make = || make().ok().map(|table| table.to_owned());
        self.table.get_or_init(make).as_ref()
    }

    /// Without the table, which most of those that are kept never need.
    fn bytes(&self) -> usize {
        self.language.len() + self.machine.get_nfa().memory_usage()
    }
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than is read.
    #[error("the pattern is {0} bytes long: at most {LONGEST} are read")]
    Long(usize),
    /// No regular expression.
    #[error("the pattern is no regular expression: {0}")]
    Unreadable(String),
    /// Something that is left out on purpose.
    #[error("the pattern uses {0}")]
    Unsupported(&'static str),
    /// Compiles to too much.
    #[error("the pattern is enormous once compiled: repeat less (a counted repetition multiplies what it repeats)")]
    Enormous,
}

/// Steps for a byte of a pattern to be read, and of what it is compiled to.
const STEPS_PER_BYTE: u64 = 64;
const STEPS_PER_BYTE_MADE: u64 = 4;

impl PatternError {
    /// Steps of finding it out, beside those of reading the pattern.
    pub(crate) fn steps(&self) -> u64 {
        match self {
            Self::Enormous => MOST_COMPILED as u64 * STEPS_PER_BYTE_MADE,
            _ => 0,
        }
    }
}

/// How much of what was compiled last is kept although nobody holds it: templates are compiled, dropped and compiled
/// again, and most of them say `[0-9]{8}` somewhere.
const KEPT: usize = 256 << 10;

static INTERNED: LazyLock<Mutex<Interned>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Interned {
    all: HashMap<String, Weak<Compiled>>,
    kept: VecDeque<Arc<Compiled>>,
    /// Bytes of those.
    bytes: usize,
}

impl Interned {
    fn find(&self, source: &str) -> Option<Arc<Compiled>> {
        self.all.get(source)?.upgrade()
    }

    fn add(&mut self, source: &str, compiled: &Arc<Compiled>) {
        self.bytes += compiled.bytes();
        self.kept.push_back(Arc::clone(compiled));
        while self.bytes > KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
        if self.all.len() % 256 == 255 {
            self.all.retain(|_, compiled| compiled.strong_count() > 0);
        }
        self.all.insert(source.to_owned(), Arc::downgrade(compiled));
    }
}

impl Pattern {
    /// Bytes of what it is compiled to.
    pub(crate) fn bytes(&self) -> u64 {
        self.compiled.bytes() as u64
    }

    /// The same for those that share one compilation.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.compiled).addr()
    }

    /// Compiles, or finds the compilation of an equal pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(source: &str) -> Result<Self, PatternError> {
        if source.len() > LONGEST {
            return Err(PatternError::Long(source.len()));
        }
        Self::unbounded(source)
    }

    /// As [`Pattern::new`] for a pattern of ours, which may be longer than people write.
    pub(crate) fn unbounded(source: &str) -> Result<Self, PatternError> {
        let known = INTERNED.lock().unwrap_or_else(PoisonError::into_inner).find(source);
        let compiled = match known {
            Some(compiled) => compiled,
            None => {
                let compiled = Arc::new(compile(source)?);
                INTERNED.lock().unwrap_or_else(PoisonError::into_inner).add(source, &compiled);
                compiled
            }
        };
        Ok(Self { source: source.into(), compiled })
    }

    /// Whether the whole of a text matches. A text beyond 64 KiB never does.
    pub fn matches(&self, text: &str) -> bool {
        text.len() <= LONGEST_TEXT && self.compiled.matches(text)
    }

    /// Steps of reading a pattern.
    pub(crate) fn steps_to_read(source: &str) -> u64 {
        200 + source.len() as u64 * STEPS_PER_BYTE
    }

    /// Steps of compiling it, whether or not an equal one was compiled before.
    pub(crate) fn steps_made(&self) -> u64 {
        self.compiled.bytes() as u64 * STEPS_PER_BYTE_MADE
    }

    /// Steps of [`Pattern::matches`] with a text of so many bytes.
    pub(crate) fn steps(&self, length: usize) -> u64 {
        16 + length.min(LONGEST_TEXT) as u64 * self.states()
    }

    /// How many states a text may be in at once, of those that [`Pattern::matches`] goes through byte by byte. Makes the
    /// table.
    pub(crate) fn states(&self) -> u64 {
        if self.compiled.table().is_some() { 1 } else { self.all_states() }
    }

    /// How many states there are to make a table of; none once it is made.
    pub(crate) fn unmade_states(&self) -> u64 {
        if self.compiled.table.get().is_none() { self.all_states() } else { 0 }
    }

    fn all_states(&self) -> u64 {
        self.compiled.machine.get_nfa().states().len() as u64
    }

    /// As the admin wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The same language without anchors, classes spelt out: for embedding into a larger pattern.
    pub fn language(&self) -> &str {
        &self.compiled.language
    }

    /// Whether it says no more than "text": `.*`, `.+`, `\S+` and their like.
    pub fn is_anything(&self) -> bool {
        let bare = self.source.trim_start_matches('^').trim_end_matches('$');
        matches!(bare, ".*" | ".+" | "(.*)" | "(.+)" | r"\S*" | r"\S+" | r"[\s\S]*" | r"[\s\S]+" | "")
            || self.matches("; $(curl -s h|sh) && 'x' \" ` > /dev/null")
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn compile(source: &str) -> Result<Compiled, PatternError> {
    let ascii = ascii_classes(source)?;
    let parsed = regex_syntax::ParserBuilder::new()
        .nest_limit(64)
        .build()
        .parse(&ascii)
        .map_err(|error| PatternError::Unreadable(reason(&error)))?;
    let bare = without_anchors(&parsed, Edges { start: true, end: true });
    if !bare.properties().look_set().is_empty() {
        return Err(PatternError::Unsupported("an anchor or a boundary inside: the whole value is matched anyway"));
    }
    let whole = Hir::concat(vec![bare.clone(), Hir::look(Look::End)]);
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new().nfa_size_limit(Some(MOST_COMPILED)).which_captures(thompson::WhichCaptures::None),
        )
        .build_from_hir(&whole)
        .map_err(|_| PatternError::Enormous)?;
    let machine = PikeVM::new_from_nfa(nfa).map_err(|_| PatternError::Enormous)?;
    Ok(Compiled { language: bare.to_string(), machine, table: OnceLock::new() })
}

/// The parser draws a picture over several lines; its last line says it.
fn reason(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Spells out the Perl classes in ASCII, and refuses what is left out.
fn ascii_classes(source: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(r"[\t\n\x0B\x0C\r ]"),
                Some('S') => out.push_str(r"[^\t\n\x0B\x0C\r ]"),
                Some('p' | 'P') => {
                    return Err(PatternError::Unsupported(r"a Unicode class (\p): write the characters out"));
                }
                Some('/') => out.push('/'),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '(' if characters.peek() == Some(&'?') => {
                let mut rest = characters.clone();
                rest.next();
                match rest.next() {
                    Some('s') if rest.next() == Some(':') => out.push('('),
                    Some(':' | 'P' | '<') if !matches!(rest.next(), Some('=' | '!')) => out.push('('),
                    Some('=' | '!' | '<') => {
                        return Err(PatternError::Unsupported("look-around, which has no linear time: say it without"));
                    }
                    _ => {
                        return Err(PatternError::Unsupported(
                            "flags other than (?s:…): write the characters out, such as [aA]",
                        ));
                    }
                }
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[derive(Clone, Copy)]
struct Edges {
    start: bool,
    end: bool,
}

/// Drops `^` at the start and `$` at the end, which whole-value matching implies, in every branch.
fn without_anchors(hir: &Hir, edges: Edges) -> Hir {
    match hir.kind() {
        HirKind::Look(Look::Start) if edges.start => Hir::empty(),
        HirKind::Look(Look::End) if edges.end => Hir::empty(),
        HirKind::Capture(capture) => without_anchors(&capture.sub, edges),
        HirKind::Alternation(branches) => {
            Hir::alternation(branches.iter().map(|branch| without_anchors(branch, edges)).collect())
        }
        HirKind::Concat(parts) => {
            let last = parts.len() - 1;
            Hir::concat(
                parts
                    .iter()
                    .enumerate()
                    .map(|(position, part)| {
                        let edges = Edges { start: edges.start && position == 0, end: edges.end && position == last };
                        without_anchors(part, edges)
                    })
                    .collect(),
            )
        }
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            repetition.sub = Box::new(without_anchors(&repetition.sub, Edges { start: false, end: false }));
            Hir::repetition(repetition)
        }
        _ => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn the_table_admits_what_the_machine_admits() {
        for (source, texts) in [
            ("", vec!["", "a"]),
            ("[0-9]{8}", vec!["20261120"]),
            ("[a-z0-9]([-a-z0-9]*[a-z0-9])?", vec!["emea-rates-eod", "a", "-a"]),
            ("(a|ab)(c|bcd)(d*)", vec!["abcd", "acd", "abbcd"]),
            ("a??b|ab?", vec!["a", "b", "ab"]),
            (".*x", vec!["éx", "x\nx", "🦀x"]),
            ("[^/]{1,4}", vec!["é🦀ab", "abcde", "a/b"]),
            (r"s3://trading-[a-z]+/[\w/.-]+", vec!["s3://trading-eod/2026/fills_1.parquet"]),
        ] {
            let compiled = compile(source).unwrap();
            assert!(compiled.table().is_some(), "{source}");
            let mut admitted = 0;
            for text in texts {
                for (at, character) in text.char_indices().chain([(text.len(), '/')]) {
                    let (before, after) = text.split_at(at);
                    let rest = after.strip_prefix(character).unwrap_or(after);
                    let near = [text.to_owned(), before.to_owned(), after.to_owned(), format!("{before}{rest}")];
                    let more = ["a", "0", "é", "\n"].map(|other| format!("{before}{other}{rest}"));
                    for text in near.into_iter().chain(more) {
                        let expected = compiled.by_machine(Input::new(&text).anchored(Anchored::Yes));
                        assert_eq!(compiled.matches(&text), expected, "{source} {text:?}");
                        admitted += usize::from(expected);
                    }
                }
            }
            assert!(admitted > 0, "{source}");
        }
    }

    #[test]
    fn threat_31_a_table_that_would_be_too_large_is_not_made() {
        let compiled = compile("(a|b)*a(a|b){12}").unwrap();
        assert!(compiled.table().is_none());
        let (one, other) = (format!("ba{}", "b".repeat(12)), "b".repeat(14));
        assert!(compiled.matches(&one) && !compiled.matches(&other));
    }
}

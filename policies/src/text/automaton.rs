//! A deterministic automaton over bytes: the language of one hole, as a table.

use std::collections::HashMap;

use regex_automata::nfa::thompson::{self, NFA, State};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;

use crate::budget::{Budget, Exhausted};

/// Entries of a table: a pattern that needs more is refused with its template. Of four bytes each, a mebibyte; a DNS
/// name of 253 characters takes about 130 KiB.
const MOST_ENTRIES: usize = (1 << 20) / size_of::<u32>();
/// The most memory of what is made into a table.
const MOST_NFA: usize = 8 << 20;
/// Steps for a byte of a regular expression to be read.
const STEPS_PER_BYTE: u64 = 32;
/// Steps for an entry of a table, which is memory that stays.
const STEPS_PER_ENTRY: u64 = 32;
/// Steps for a state of a set that is kept.
const STEPS_PER_MEMBER: u64 = 16;

/// The state from which nothing is accepted.
pub(super) const DEAD: u32 = 0;
/// The state before the first byte.
pub(super) const START: u32 = 1;

/// Why there is no automaton of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// The table would be too large, or making it too much work.
    #[error("a parameter's pattern is too large inside text; simplify it: repeat less, or list fewer values")]
    Large,
    /// Nothing that is read here.
    #[error("a parameter's pattern is not supported inside text; simplify it")]
    Unsupported,
    /// A list or a map.
    #[error("a list or a map has no text")]
    NoText,
}

impl From<Exhausted> for Unfit {
    fn from(_: Exhausted) -> Self {
        Self::Large
    }
}

/// Bytes that lead to one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u8,
    pub(super) last: u8,
    pub(super) target: u32,
}

/// A deterministic automaton; state 0 is dead, state 1 the start.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Automaton {
    /// Class of each byte.
    classes: Box<[u8; 256]>,
    /// Bytes side by side of one class, first and last, in order.
    runs: Box<[(u8, u8)]>,
    /// Classes in use.
    width: usize,
    /// `next[state * width + class]`.
    next: Box<[u32]>,
    accepting: Box<[bool]>,
}

impl Automaton {
    /// The language of a regular expression, matched against a whole piece.
    pub(super) fn of_pattern(pattern: &str, budget: &Budget) -> Result<Self, Unfit> {
        budget.spend((pattern.len() as u64).saturating_mul(STEPS_PER_BYTE))?;
        let config =
            thompson::Config::new().which_captures(thompson::WhichCaptures::None).nfa_size_limit(Some(MOST_NFA));
        let nfa = thompson::Compiler::new()
            .syntax(syntax::Config::new())
            .configure(config)
            .build(pattern)
            .map_err(|error| if error.size_limit().is_some() { Unfit::Large } else { Unfit::Unsupported })?;
        budget.spend(nfa.memory_usage() as u64)?;
        Subsets::of(&nfa, budget).table()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        let table = size_of_val(&*self.next) + size_of_val(&*self.accepting) + size_of_val(&*self.runs);
        (size_of::<Self>() + size_of_val(&*self.classes) + table) as u64
    }

    /// The state after `byte`.
    pub(super) fn next(&self, state: u32, byte: u8) -> u32 {
        let at = state as usize * self.width + usize::from(self.classes[usize::from(byte)]);
        self.next.get(at).copied().unwrap_or(DEAD)
    }

    /// Whether a piece may end in this state.
    pub(super) fn accepts(&self, state: u32) -> bool {
        self.accepting.get(state as usize).copied().unwrap_or(false)
    }

    /// Which bytes lead from `state` to which state, in order of the bytes.
    pub(super) fn ranges(&self, state: u32) -> Vec<Range> {
        let mut found: Vec<Range> = Vec::new();
        for (first, last) in &self.runs {
            let target = self.next(state, *first);
            match found.last_mut() {
                _ if target == DEAD => {}
                Some(before) if before.target == target && before.last.checked_add(1) == Some(*first) => {
                    before.last = *last;
                }
                _ => found.push(Range { first: *first, last: *last, target }),
            }
        }
        found
    }
}

/// Sets of states of a nondeterministic automaton, each of which is a state of the deterministic one.
struct Subsets<'n> {
    nfa: &'n NFA,
    budget: &'n Budget,
    numbers: HashMap<Box<[StateID]>, u32>,
    order: Vec<Box<[StateID]>>,
    /// Which states are in the set that is being made: those whose mark is the current one.
    marks: Vec<u32>,
    mark: u32,
    stack: Vec<StateID>,
}

impl<'n> Subsets<'n> {
    fn of(nfa: &'n NFA, budget: &'n Budget) -> Self {
        let marks = vec![0; nfa.states().len()];
        Self { nfa, budget, numbers: HashMap::new(), order: Vec::new(), marks, mark: 0, stack: Vec::new() }
    }

    fn table(mut self) -> Result<Automaton, Unfit> {
        let byte_classes = self.nfa.byte_classes();
        let classes = Box::new(std::array::from_fn(|byte| byte_classes.get(u8::try_from(byte).unwrap_or(u8::MAX))));
        let runs = runs(&classes);
        // Without the class of the end of the text.
        let width = byte_classes.alphabet_len() - 1;
        let (mut next, mut accepting) = (vec![DEAD; width], vec![false]);
        self.number(&[self.nfa.start_anchored()])?;
        let mut seeds: Vec<Vec<StateID>> = vec![Vec::new(); width];
        let mut at = 0;
        while let Some(set) = self.order.get(at).cloned() {
            at += 1;
            if next.len() + width > MOST_ENTRIES {
                return Err(Unfit::Large);
            }
            self.budget.spend(width as u64 * STEPS_PER_ENTRY)?;
            accepting.push(self.seed(&set, &classes, &mut seeds)?);
            for seed in &mut seeds {
                next.push(if seed.is_empty() { DEAD } else { self.number(seed)? });
                seed.clear();
            }
        }
        // Copies: what is shrunk may keep the place in which it grew.
        Ok(Automaton { classes, runs, width, next: (*next).into(), accepting: (*accepting).into() })
    }

    /// Adds to `seeds` what each class of bytes leads to from `set`. Says whether the set accepts.
    fn seed(&self, set: &[StateID], classes: &[u8; 256], seeds: &mut [Vec<StateID>]) -> Result<bool, Unfit> {
        let mut accepts = false;
        let mut add = |first: u8, last: u8, target: StateID| {
            // Classes of bytes side by side are numbered in order.
            let classes = usize::from(classes[usize::from(first)])..=usize::from(classes[usize::from(last)]);
            let taken = self.budget.spend(1 + classes.clone().count() as u64);
            seeds.get_mut(classes).into_iter().flatten().for_each(|seed| seed.push(target));
            taken
        };
        for id in set {
            match self.nfa.state(*id) {
                State::ByteRange { trans } => add(trans.start, trans.end, trans.next)?,
                State::Sparse(sparse) => {
                    sparse.transitions.iter().try_for_each(|trans| add(trans.start, trans.end, trans.next))?;
                }
                State::Dense(dense) => {
                    let targets = (0..=u8::MAX).filter_map(|byte| Some((byte, dense.matches_byte(byte)?)));
                    targets.into_iter().try_for_each(|(byte, target)| add(byte, byte, target))?;
                }
                State::Match { .. } => accepts = true,
                _ => {}
            }
        }
        Ok(accepts)
    }

    /// The number of the set that these states lead to without a byte.
    fn number(&mut self, seed: &[StateID]) -> Result<u32, Unfit> {
        self.mark += 1;
        let mut set = Vec::new();
        self.stack.extend_from_slice(seed);
        while let Some(id) = self.stack.pop() {
            if std::mem::replace(&mut self.marks[id.as_usize()], self.mark) == self.mark {
                continue;
            }
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => set.push(id),
                State::Union { alternates } => {
                    self.budget.spend(alternates.len() as u64)?;
                    self.stack.extend_from_slice(alternates);
                }
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.stack.push(*next),
                State::Look { .. } => return Err(Unfit::Unsupported),
                State::Fail => {}
            }
            self.budget.spend(2)?;
        }
        if set.is_empty() {
            return Ok(DEAD);
        }
        set.sort_unstable();
        self.budget.spend(8 + set.len() as u64)?;
        let set = set.into_boxed_slice();
        if let Some(number) = self.numbers.get(&set) {
            return Ok(*number);
        }
        self.budget.spend(set.len() as u64 * STEPS_PER_MEMBER)?;
        self.order.push(set.clone());
        let number = u32::try_from(self.order.len()).map_err(|_| Unfit::Large)?;
        self.numbers.insert(set, number);
        Ok(number)
    }
}

/// Bytes side by side that are of one class.
fn runs(classes: &[u8; 256]) -> Box<[(u8, u8)]> {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for byte in 0..=u8::MAX {
        match runs.last_mut() {
            Some((first, last)) if classes[usize::from(*first)] == classes[usize::from(byte)] => *last = byte,
            _ => runs.push((byte, byte)),
        }
    }
    runs.into()
}

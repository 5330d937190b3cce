//! Cutting a text into the pieces of its parts.
//!
//! The parts are automata in a row. A cut says, for every byte, which part it belongs to; two cuts differ where one
//! byte belongs to two parts. [`super::search`] finds out whether there are two cuts of one text.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Part;
use super::automaton::{Automaton, DEAD, Range, START, Unfit};
use super::pieces::Pieces;
use crate::budget::{Budget, Exhausted};
use crate::parameter::Parameters;
use crate::template::Hole;

/// With so many places or fewer it is quicker to look through them than to hash.
const FEW: usize = 8;

/// One part of a text, as it is cut.
#[derive(Debug)]
enum Machine {
    /// State `n` has seen the first `n - 1` bytes.
    Literal(Box<[u8]>),
    Hole(Arc<Automaton>),
}

/// The automata of a text's parts, in order.
#[derive(Debug)]
pub(super) struct Machines {
    parts: Vec<Machine>,
    /// For each part, the last one that a text can enter where this one begins: all before it may be empty.
    reach: Vec<usize>,
    /// From which part on all may be empty.
    tail: usize,
    /// The class of each byte: bytes of one class begin the same parts, in the same states.
    classes: Box<[u8; 256]>,
    /// Bytes side by side of one class, first and last, in order.
    runs: Vec<(u8, u8)>,
    /// By class: the parts that can begin with it, in order.
    beginning: Vec<Vec<usize>>,
}

/// Two machines are the same if they are made of the same automata: these are kept once.
impl PartialEq for Machines {
    fn eq(&self, other: &Self) -> bool {
        let alike = |(one, other): (&Machine, &Machine)| match (one, other) {
            (Machine::Literal(one), Machine::Literal(other)) => one == other,
            (Machine::Hole(one), Machine::Hole(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(alike)
    }
}

impl Eq for Machines {}

impl Hash for Machines {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for part in &self.parts {
            match part {
                Machine::Literal(text) => text.hash(state),
                Machine::Hole(automaton) => Arc::as_ptr(automaton).hash(state),
            }
        }
    }
}

impl Machine {
    fn next(&self, state: u32, byte: u8) -> u32 {
        match self {
            Self::Literal(text) if text.get(state as usize - 1) == Some(&byte) => state + 1,
            Self::Literal(_) => DEAD,
            Self::Hole(automaton) => automaton.next(state, byte),
        }
    }

    fn accepts(&self, state: u32) -> bool {
        match self {
            Self::Literal(text) => state as usize == text.len() + 1,
            Self::Hole(automaton) => automaton.accepts(state),
        }
    }

    fn ranges(&self, state: u32) -> Vec<Range> {
        match self {
            Self::Literal(text) => text
                .get(state as usize - 1)
                .map(|byte| Range { first: *byte, last: *byte, target: state + 1 })
                .into_iter()
                .collect(),
            Self::Hole(automaton) => automaton.ranges(state),
        }
    }
}

/// Why a text has no automata, and of which hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnfitPart {
    pub(super) hole: Option<Hole>,
    pub(super) reason: Unfit,
}

impl From<Exhausted> for UnfitPart {
    fn from(exhausted: Exhausted) -> Self {
        Self { hole: None, reason: exhausted.into() }
    }
}

/// The part that consumed a byte, and its state after it.
pub(super) type Inside = (usize, u32);

impl Machines {
    /// Of `parts`, whose declared holes must have a language.
    pub(super) fn compile(
        parts: &[Part],
        parameters: &Parameters,
        pieces: &Pieces,
        budget: &Budget,
    ) -> Result<Self, UnfitPart> {
        let machine = |part: &Part| match part {
            Part::Literal(text) => Ok(Machine::Literal(text.as_bytes().into())),
            Part::Hole(hole) => {
                let automaton = pieces.automaton(*hole, parameters, budget);
                automaton.map(Machine::Hole).map_err(|reason| UnfitPart { hole: Some(*hole), reason })
            }
        };
        let parts = parts.iter().map(machine).collect::<Result<Vec<_>, _>>()?;
        let mut reach: Vec<usize> = Vec::with_capacity(parts.len());
        for (part, machine) in parts.iter().enumerate().rev() {
            let later = reach.last().copied().filter(|_| machine.accepts(START));
            reach.push(later.unwrap_or(part));
        }
        reach.reverse();
        let tail = parts.iter().rposition(|machine| !machine.accepts(START)).map_or(0, |last| last + 1);
        let starts: Vec<Vec<Range>> = parts.iter().map(|machine| machine.ranges(START)).collect();
        let (classes, runs) = classes(starts.iter().flatten());
        let mut beginning = vec![Vec::new(); runs.len()];
        for (part, ranges) in starts.iter().enumerate() {
            for range in ranges {
                let classes =
                    usize::from(classes[usize::from(range.first)])..=usize::from(classes[usize::from(range.last)]);
                budget.spend(2 + classes.clone().count() as u64)?;
                beginning.get_mut(classes).into_iter().flatten().for_each(|parts: &mut Vec<usize>| parts.push(part));
            }
        }
        Ok(Self { parts, reach, tail, classes, runs, beginning })
    }

    /// How many parts.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// The pieces of `text`, one per part, if it can be cut.
    ///
    /// For each byte, work is in proportion to the places that the text so far can be at, most often one or two. Two ways to
    /// reach one place would be two cuts if the text were accepted from there, which an unambiguous pattern excludes:
    /// so the first way is kept.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        // Where parts began: (part, its first byte, the entry before).
        let mut begun: Vec<(usize, usize, Option<usize>)> = Vec::new();
        let mut places: Vec<(Inside, Option<usize>)> = Vec::new();
        let mut after = Places::default();
        // Up to which part, at which byte, all that can be entered was.
        let mut entered = vec![usize::MAX; self.parts.len()];
        for (position, byte) in text.bytes().enumerate() {
            let at_start = (position == 0).then_some((0, None));
            let left =
                places.iter().filter(|(place, _)| self.may_leave(*place)).map(|((part, _), way)| (part + 1, *way));
            for ((part, state), way) in &places {
                let state = self.parts.get(*part)?.next(*state, byte);
                if state != DEAD {
                    after.add((*part, state), *way);
                }
            }
            for (gate, way) in at_start.into_iter().chain(left) {
                for part in self.entered(gate, self.classes[usize::from(byte)]) {
                    // Whoever entered this one by this byte entered all that follow.
                    if entered.get_mut(part).is_none_or(|at| std::mem::replace(at, position) == position) {
                        break;
                    }
                    let state = self.parts.get(part)?.next(START, byte);
                    if after.add((part, state), Some(begun.len())) {
                        begun.push((part, position, way));
                    }
                }
            }
            if after.list.is_empty() {
                return None;
            }
            places = after.take(places);
        }
        let history = if text.is_empty() {
            (self.tail == 0).then_some(None)?
        } else {
            places.into_iter().find(|(place, _)| self.finishes(*place))?.1
        };
        let mut pieces = vec![""; self.parts.len()];
        let (mut entry, mut end) = (history, text.len());
        while let Some((part, begin, before)) = entry.and_then(|index| begun.get(index)).copied() {
            *pieces.get_mut(part)? = text.get(begin..end)?;
            end = begin;
            entry = before;
        }
        Some(pieces)
    }

    /// The parts that a text can be in after a byte of this class, where `gate` is the next part that it may enter.
    pub(super) fn entered(&self, gate: usize, class: u8) -> impl Iterator<Item = usize> + '_ {
        let parts = self.beginning.get(usize::from(class)).map(Vec::as_slice).unwrap_or_default();
        let last = self.reach.get(gate).copied();
        let from = parts.partition_point(|part| *part < gate);
        let parts = parts.get(from..).unwrap_or_default().iter().copied();
        parts.take_while(move |part| last.is_some_and(|last| *part <= last))
    }

    /// Whether a part may end here.
    pub(super) fn may_leave(&self, (part, state): Inside) -> bool {
        self.parts.get(part).is_some_and(|machine| machine.accepts(state))
    }

    /// Whether a text may end here.
    pub(super) fn finishes(&self, (part, state): Inside) -> bool {
        part + 1 >= self.tail && self.may_leave((part, state))
    }

    /// Which bytes lead on inside of a part, in order of the bytes.
    pub(super) fn ranges(&self, (part, state): Inside) -> Vec<Range> {
        self.parts.get(part).map(|machine| machine.ranges(state)).unwrap_or_default()
    }

    /// The state of a part that begins with this byte.
    pub(super) fn begun(&self, part: usize, byte: u8) -> Inside {
        (part, self.parts.get(part).map_or(DEAD, |machine| machine.next(START, byte)))
    }

    /// The class of a byte by what it begins.
    pub(super) fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    /// Bytes side by side of one class, first and last, in order of their classes.
    pub(super) fn runs(&self) -> &[(u8, u8)] {
        &self.runs
    }
}

/// Bytes that no range tells apart are of one class. Classes are numbered in order of their bytes.
fn classes<'r>(ranges: impl Iterator<Item = &'r Range>) -> (Box<[u8; 256]>, Vec<(u8, u8)>) {
    let mut begins = [false; 257];
    for range in ranges {
        begins[usize::from(range.first)] = true;
        begins[usize::from(range.last) + 1] = true;
    }
    let (mut classes, mut runs) = (Box::new([0; 256]), Vec::<(u8, u8)>::new());
    for byte in 0..=u8::MAX {
        match runs.last_mut() {
            Some((_, last)) if !begins[usize::from(byte)] => *last = byte,
            _ => runs.push((byte, byte)),
        }
        // At most as many as there are bytes.
        classes[usize::from(byte)] = u8::try_from(runs.len() - 1).unwrap_or(u8::MAX);
    }
    (classes, runs)
}

/// The places after one more byte, each once, with where its part began.
#[derive(Default)]
struct Places {
    list: Vec<(Inside, Option<usize>)>,
    /// Of those in the list, once they are many.
    known: HashSet<Inside>,
}

impl Places {
    /// Adds a place, unless it is there.
    fn add(&mut self, place: Inside, way: Option<usize>) -> bool {
        let is_new = match self.list.len() {
            ..FEW => self.list.iter().all(|(other, _)| *other != place),
            FEW => {
                self.known.extend(self.list.iter().map(|(place, _)| *place));
                self.known.insert(place)
            }
            _ => self.known.insert(place),
        };
        if is_new {
            self.list.push((place, way));
        }
        is_new
    }

    /// Takes them out; what is given is used again.
    fn take(&mut self, mut empty: Vec<(Inside, Option<usize>)>) -> Vec<(Inside, Option<usize>)> {
        empty.clear();
        self.known.clear();
        std::mem::replace(&mut self.list, empty)
    }
}

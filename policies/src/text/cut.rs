//! Cutting a text into the pieces of its parts, and whether there are two ways to.
//!
//! The parts are automata in a row. A cut says, for every byte, which part it belongs to; two cuts differ where one
//! byte belongs to two parts. [`Machines::ambiguity`] walks all pairs of cuts of one text at once.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Part;
use super::automaton::{Automaton, DEAD, START};
use crate::parameter::Parameters;
use crate::template::{Given, Hole};

/// Pairs of states looked at before a pattern is called too large: under 0.1 s, and far above what names, images and
/// labels need (two labels of 63 characters side by side take about 16,000).
const PAIRS: usize = 200_000;

/// The automata of a text's parts, in order.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Machines {
    parts: Vec<Automaton>,
    /// One byte of every class that any part tells apart.
    bytes: Vec<u8>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ambiguity {
    /// More pairs than can be looked at.
    TooLarge,
    /// Two cuts of `example` differ: a byte belongs to part `first` in one, to `second` in the other.
    Found {
        /// Position of a part.
        first: usize,
        /// Position of a part.
        second: usize,
        /// A text with two cuts.
        example: String,
    },
}

/// The part that consumed the last byte, and its state; before the first byte there is none.
type Place = Option<(usize, u32)>;

/// A pair of places that one text leads to, and whether some byte of it belonged to two parts.
type Pair = (Place, Place, bool);

/// Each pair with the one before it and the byte between them.
type Reached = HashMap<Pair, Option<(Pair, u8)>>;

impl Machines {
    /// Of `parts`, whose declared holes must have a language.
    pub(super) fn compile(parts: &[Part], parameters: &Parameters) -> Result<Self, String> {
        let parts = parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Ok(Automaton::of_literal(text)),
                Part::Hole(Hole::Given(given)) => Automaton::of_pattern(language_of(*given)),
                Part::Hole(Hole::Declared(index)) => {
                    let language = parameters.all.get(*index).and_then(|parameter| parameter.schema.language());
                    Automaton::of_pattern(&language.ok_or("a list or a map has no text")?)
                }
            })
            .collect::<Result<Vec<_>, String>>()?;
        let mut seen = HashSet::new();
        // Readable ones first, for the example of a message.
        let bytes = (b'a'..=b'z')
            .chain(b'0'..=b'9')
            .chain(0..=u8::MAX)
            .filter(|byte| seen.insert(parts.iter().map(|part| part.class(*byte)).collect::<Vec<_>>()))
            .collect();
        Ok(Self { parts, bytes })
    }

    /// The pieces of `text`, one per part, if it can be cut.
    ///
    /// Linear in the text. Two ways to reach one place would be two cuts if the text were accepted from there, which
    /// an unambiguous pattern excludes: so the first way is kept.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        // Where parts began: (part, its first byte, the entry before).
        let mut begun: Vec<(usize, usize, Option<usize>)> = Vec::new();
        let mut places: Vec<(Place, Option<usize>)> = vec![(None, None)];
        let mut after: Vec<(Place, Option<usize>)> = Vec::new();
        for (position, byte) in text.bytes().enumerate() {
            for (place, history) in places.drain(..) {
                for next in self.successors(place, byte) {
                    if after.iter().any(|(other, _)| *other == Some(next)) {
                        continue;
                    }
                    let continues = place.is_some_and(|(part, _)| part == next.0);
                    let history = if continues {
                        history
                    } else {
                        begun.push((next.0, position, history));
                        Some(begun.len() - 1)
                    };
                    after.push((Some(next), history));
                }
            }
            if after.is_empty() {
                return None;
            }
            std::mem::swap(&mut places, &mut after);
        }
        let (_, history) = places.into_iter().find(|(place, _)| self.finishes(*place))?;
        let mut pieces = vec![""; self.parts.len()];
        let (mut entry, mut end) = (history, text.len());
        while let Some((part, begin, before)) = entry.and_then(|index| begun.get(index)).copied() {
            *pieces.get_mut(part)? = text.get(begin..end)?;
            end = begin;
            entry = before;
        }
        Some(pieces)
    }

    /// Where `byte` can lead: on in the same part, or into a later one if all between may be empty.
    fn successors(&self, place: Place, byte: u8) -> impl Iterator<Item = (usize, u32)> + '_ {
        let (stay, from, may_leave) = match place {
            None => (None, 0, true),
            Some((part, state)) => {
                let automaton = self.parts.get(part);
                let stay = automaton.map(|automaton| (part, automaton.next(state, byte)));
                (stay, part + 1, automaton.is_some_and(|automaton| automaton.accepts(state)))
            }
        };
        let later = self.parts.get(from..).filter(|_| may_leave).unwrap_or_default();
        let mut open = true;
        let entered = later.iter().enumerate().map_while(move |(offset, automaton)| {
            let reachable = open;
            open = open && automaton.accepts(START);
            reachable.then(|| (from + offset, automaton.next(START, byte)))
        });
        stay.into_iter().chain(entered).filter(|(_, state)| *state != DEAD)
    }

    /// Whether a text may end here.
    fn finishes(&self, place: Place) -> bool {
        let (from, done) = match place {
            None => (0, true),
            Some((part, state)) => (part + 1, self.parts.get(part).is_some_and(|a| a.accepts(state))),
        };
        done && self.parts.get(from..).unwrap_or_default().iter().all(|automaton| automaton.accepts(START))
    }

    /// The shortest text with two cuts, if there is one.
    pub(super) fn ambiguity(&self) -> Option<Ambiguity> {
        let begin: Pair = (None, None, false);
        let mut reached: Reached = HashMap::from([(begin, None)]);
        let mut queue = VecDeque::from([begin]);
        while let Some(pair) = queue.pop_front() {
            let (left, right, parted) = pair;
            if parted && self.finishes(left) && self.finishes(right) {
                let (first, second, example) = spell(&reached, pair);
                return Some(Ambiguity::Found { first, second, example });
            }
            for byte in &self.bytes {
                let rights: Vec<_> = self.successors(right, *byte).collect();
                for left in self.successors(left, *byte) {
                    for right in &rights {
                        // Of two mirrored pairs one is enough.
                        if !parted && left.0 > right.0 {
                            continue;
                        }
                        let after = (Some(left), Some(*right), parted || left.0 != right.0);
                        if reached.contains_key(&after) {
                            continue;
                        }
                        if reached.len() >= PAIRS {
                            return Some(Ambiguity::TooLarge);
                        }
                        reached.insert(after, Some((pair, *byte)));
                        queue.push_back(after);
                    }
                }
            }
        }
        None
    }
}

/// The text that leads to `pair`, and the parts where its two cuts first differ.
fn spell(reached: &Reached, mut pair: Pair) -> (usize, usize, String) {
    let (mut bytes, mut parts) = (Vec::new(), (0, 0));
    while let Some(Some((before, byte))) = reached.get(&pair) {
        bytes.push(*byte);
        if let ((Some((left, _)), Some((right, _)), true), false) = (pair, before.2) {
            parts = (left, right);
        }
        pair = *before;
    }
    bytes.reverse();
    (parts.0, parts.1, String::from_utf8_lossy(&bytes).into_owned())
}

/// What a value of the caller's identity may look like: names and uids as Kubernetes allows them.
fn language_of(given: Given) -> &'static str {
    match given {
        Given::MasterName | Given::PodName => r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
        Given::MasterNamespace => r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        Given::MasterUid | Given::PodUid => r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        Given::PodIp => r"[0-9a-f.:]+",
    }
}

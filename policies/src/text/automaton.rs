//! A small deterministic automaton over bytes: the language of one part of a text.

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use std::collections::HashMap;

/// Bytes of a regular expression's tables, compiled: a pattern that needs more is refused with its template.
/// A DNS name of 253 characters takes about 130 KiB.
const TABLE_LIMIT: usize = 1 << 20;
/// Bytes of scratch space while compiling one.
const SCRATCH_LIMIT: usize = 8 << 20;

/// The state from which nothing is accepted.
pub(super) const DEAD: u32 = 0;
/// The state before the first byte.
pub(super) const START: u32 = 1;

/// A deterministic automaton; state 0 is dead, state 1 the start.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Automaton {
    /// Class of each byte.
    classes: Box<[u8; 256]>,
    /// Classes in use.
    width: usize,
    /// `next[state * width + class]`.
    next: Vec<u32>,
    accepting: Vec<bool>,
}

impl Automaton {
    /// The language of one literal.
    pub(super) fn of_literal(literal: &str) -> Self {
        let bytes = literal.as_bytes();
        let mut classes = Box::new([0_u8; 256]);
        let mut used = 0_u8;
        for byte in bytes {
            let class = &mut classes[usize::from(*byte)];
            if *class == 0 {
                // At most 255 distinct: valid UTF-8 never contains the byte 0xFF.
                used = used.saturating_add(1);
                *class = used;
            }
        }
        let width = usize::from(used) + 1;
        let states = bytes.len() + 2;
        let mut next = vec![DEAD; states * width];
        for (position, byte) in bytes.iter().enumerate() {
            let target = u32::try_from(position + 2).unwrap_or(DEAD);
            next[(position + 1) * width + usize::from(classes[usize::from(*byte)])] = target;
        }
        let mut accepting = vec![false; states];
        accepting[states - 1] = true;
        Self { classes, width, next, accepting }
    }

    /// The language of a regular expression, matched against a whole piece.
    pub(super) fn of_pattern(pattern: &str) -> Result<Self, String> {
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(TABLE_LIMIT))
            .determinize_size_limit(Some(SCRATCH_LIMIT));
        let dfa = dense::Builder::new().configure(config).build(pattern).map_err(|error| {
            format!("a parameter's pattern is too large or not supported inside text ({error}); simplify it")
        })?;
        let begin = dfa
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .map_err(|error| format!("a parameter's pattern is not supported inside text ({error})"))?;
        let byte_classes = dfa.byte_classes();
        let width = dfa.alphabet_len();
        let mut classes = Box::new([0_u8; 256]);
        let mut representative = vec![None; width];
        for byte in 0..=u8::MAX {
            let class = byte_classes.get(byte);
            classes[usize::from(byte)] = class;
            representative[usize::from(class)].get_or_insert(byte);
        }
        let mut numbers = HashMap::from([(begin, START)]);
        let mut order = vec![begin];
        let mut next = vec![DEAD; width];
        let mut accepting = vec![false];
        let mut at = 0;
        while let Some(&state) = order.get(at) {
            at += 1;
            accepting.push(dfa.is_match_state(dfa.next_eoi_state(state)));
            for byte in &representative {
                let target = byte.map(|byte| dfa.next_state(state, byte)).filter(|target| !dfa.is_dead_state(*target));
                next.push(match target {
                    None => DEAD,
                    Some(target) => *numbers.entry(target).or_insert_with(|| {
                        order.push(target);
                        u32::try_from(order.len()).unwrap_or(DEAD)
                    }),
                });
            }
        }
        Ok(Self { classes, width, next, accepting })
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

    /// The class of a byte: two bytes of one class lead to the same state everywhere.
    pub(super) fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }
}

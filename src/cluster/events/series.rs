//! Which notes become an Event of their own, and which are counted in an earlier one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Happened, Note};

/// A series without a note for this long is over; the next note begins another.
const OVER: Duration = Duration::from_secs(360);
/// How long until the count of a series is written again.
const REWRITE: Duration = Duration::from_secs(30);
/// Events of its own that one workload gets per [`WINDOW`]; further notes are told together, by kind and template, and
/// beyond [`TOGETHER`] such Events all in one: what a note is about may be anybody's words.
const OWN: u32 = 20;
const TOGETHER: u32 = 4;
const WINDOW: Duration = Duration::from_secs(60);
/// Events that are begun per [`WINDOW`] for all together, and how many series are remembered.
const ALL: u32 = 300;
const REMEMBERED: usize = 4_096;

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// A new Event.
    First {
        /// Its name.
        name: String,
        /// What it says.
        note: Note,
    },
    /// An Event's new count.
    Repeated {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// How often by now.
        count: u32,
    },
}

/// What a series is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    workload: String,
    happened: Happened,
    about: String,
    /// None where notes are told together.
    object: Option<String>,
}

#[derive(Debug)]
struct Series {
    name: String,
    namespace: String,
    count: u32,
    last: Instant,
    written: Instant,
    told: u32,
}

/// How many were begun in the window.
#[derive(Clone, Copy, Debug)]
struct Begun {
    since: Instant,
    count: u32,
}

/// The series of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Book {
    series: HashMap<Key, Series>,
    of_workload: HashMap<String, Begun>,
    /// Series begun that tell together, by workload.
    together: HashMap<String, Begun>,
    of_all: Option<Begun>,
    number: u64,
}

impl Book {
    /// Takes a note in; what it returns is to be written now.
    pub(crate) fn take(&mut self, note: Note, now: Instant) -> Option<Write> {
        let mut key = Key {
            workload: note.workload.uid.clone(),
            happened: note.happened,
            about: note.about.clone(),
            object: Some(note.object.clone()),
        };
        if self.repeats(&key, now) {
            return None;
        }
        if self.of_workload.entry(key.workload.clone()).or_insert(Begun::at(now)).one_more(now) > OWN {
            key.object = None;
            if self.repeats(&key, now) {
                return None;
            }
            if self.together.entry(key.workload.clone()).or_insert(Begun::at(now)).one_more(now) > TOGETHER {
                key.about = String::new();
                if self.repeats(&key, now) {
                    return None;
                }
            }
        }
        let all = self.of_all.get_or_insert(Begun::at(now));
        if all.one_more(now) > ALL || self.series.len() >= REMEMBERED {
            return None;
        }
        self.number += 1;
        let name = event_name(&note, self.number);
        let series = Series {
            name: name.clone(),
            namespace: note.namespace.clone(),
            count: 1,
            last: now,
            written: now,
            told: 1,
        };
        self.series.insert(key, series);
        Some(Write::First { name, note })
    }

    /// The series whose count is to be written now. Forgets what is over.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Write> {
        let mut writes = Vec::new();
        for series in self.series.values_mut() {
            let first_repetition = series.told == 1;
            if series.count > series.told && (first_repetition || now.duration_since(series.written) >= REWRITE) {
                (series.told, series.written) = (series.count, now);
                let (name, namespace) = (series.name.clone(), series.namespace.clone());
                writes.push(Write::Repeated { name, namespace, count: series.count });
            }
        }
        self.series.retain(|_, series| now.duration_since(series.last) < OVER || series.count > series.told);
        for begun in [&mut self.of_workload, &mut self.together] {
            begun.retain(|_, begun| now.duration_since(begun.since) < WINDOW);
        }
        writes
    }

    fn repeats(&mut self, key: &Key, now: Instant) -> bool {
        let Some(series) = self.series.get_mut(key).filter(|series| now.duration_since(series.last) < OVER) else {
            return false;
        };
        series.count = series.count.saturating_add(1);
        series.last = now;
        true
    }
}

impl Begun {
    fn at(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    /// One more begins: how many that makes in this window.
    fn one_more(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.since) >= WINDOW {
            *self = Self::at(now);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// A name that no other Event has: the workload's, and a hash of what makes this one.
fn event_name(note: &Note, number: u64) -> String {
    let Note { workload, happened, object, .. } = note;
    let unique = format!("{number} {workload:?} {happened:?} {object} {:?}", std::time::SystemTime::now());
    let hash = policies::stamp::hex(&Sha256::digest(unique), 16);
    let name: String = note.workload.name.chars().take(200).collect();
    format!("{}.{hash}", name.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use policies::object::ObjectRef;

    use super::*;

    fn note(workload: &str, object: &str) -> Note {
        Note {
            workload: ObjectRef {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: workload.into(),
                uid: format!("uid of {workload}"),
            },
            namespace: "trading".into(),
            happened: Happened::Refused,
            about: "create jobs.batch/".into(),
            object: object.into(),
            text: "no".into(),
        }
    }

    #[test]
    fn a_repetition_is_never_an_event_of_its_own_and_its_count_is_written_now_and_then() {
        let mut book = Book::default();
        let now = Instant::now();
        assert!(matches!(book.take(note("eod", "a"), now), Some(Write::First { .. })));
        for _ in 0..1_000 {
            assert_eq!(book.take(note("eod", "a"), now), None);
        }
        let counts = |writes: Vec<Write>| -> Vec<u32> {
            writes
                .into_iter()
                .map(|write| match write {
                    Write::Repeated { count, .. } => count,
                    Write::First { .. } => 0,
                })
                .collect()
        };
        assert_eq!(counts(book.due(now)), [1_001]);
        assert_eq!(book.take(note("eod", "a"), now), None);
        assert!(book.due(now + REWRITE / 2).is_empty());
        assert_eq!(counts(book.due(now + REWRITE)), [1_002]);
        assert!(book.due(now + OVER).is_empty() && book.series.is_empty());
        assert!(book.take(note("eod", "a"), now + OVER).is_some(), "the next one begins another series");
    }

    #[test]
    fn threat_40_a_master_with_much_to_tell_is_told_about_together_and_does_not_silence_others() {
        let mut book = Book::default();
        let now = Instant::now();
        let written = (0..10_000).filter(|number| book.take(note("eod", &number.to_string()), now).is_some()).count();
        assert_eq!(written, 21, "twenty of its own, and one for all the others");
        assert!(book.take(note("quiet", "a"), now).is_some());
    }

    #[test]
    fn threat_58_what_a_review_is_about_may_be_anything_and_makes_no_more_events() {
        let mut book = Book::default();
        let now = Instant::now();
        let about = |number: u32| Note { about: format!("create {number}/"), ..note("eod", &number.to_string()) };
        let written = (0..10_000).filter(|number| book.take(about(*number), now).is_some()).count();
        assert_eq!(written, 25, "twenty of its own, four by what they are about, and one for all the others");
        assert!(book.take(note("quiet", "a"), now).is_some());
        book.due(now + OVER * 2);
        assert!(book.of_workload.is_empty() && book.together.is_empty(), "nothing is remembered for ever");
    }

    #[test]
    fn threat_40_a_flood_of_masters_is_bounded_too() {
        let mut book = Book::default();
        let now = Instant::now();
        let written = (0..10_000).filter(|number| book.take(note(&number.to_string(), "a"), now).is_some()).count();
        assert_eq!(written, 300);
        book.due(now + OVER);
        assert!(book.series.is_empty() && book.of_workload.is_empty(), "nothing is remembered for ever");
    }
}

//! Which notes become an Event of their own, and which are counted in an earlier one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use policies::verdict::Cause;
use sha2::{Digest, Sha256};

use super::note::{LIMIT, shortened};
use super::{Happened, Note};

/// A series without a note for this long is over; the next note begins another.
const OVER: Duration = Duration::from_secs(360);
/// How long until the count of a series is written again.
const REWRITE: Duration = Duration::from_secs(30);
/// Events of its own that one workload gets per [`WINDOW`]; further notes are told together, by cause, kind and template,
/// and beyond [`TOGETHER`] such Events by cause alone, of which there is a closed set: what a note is about may be anybody's
/// words.
const OWN: u32 = 20;
const TOGETHER: u32 = 4;
/// How much of an Event that tells together may say what its notes are about, in bytes.
const ABOUT: usize = 300;
/// How much of what a note is about, and of its object, is remembered, in bytes: an operation, a kind and a name are
/// shorter, and a stranger may write a review that names something by megabytes.
const NAMED: usize = 768;
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
    cause: Option<Cause>,
    /// None where notes of one cause are told together, whatever they are about.
    about: Option<String>,
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
    pub(crate) fn take(&mut self, mut note: Note, now: Instant) -> Option<Write> {
        for named in [&mut note.about, &mut note.object] {
            if named.len() > NAMED {
                *named = shortened(named, NAMED);
            }
        }
        let mut key = Key {
            workload: note.workload.uid.clone(),
            happened: note.happened,
            cause: note.cause,
            about: Some(note.about.clone()),
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
                key.about = None;
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
        if key.object.is_none() {
            note.text = told_together(&key, &note);
        }
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

/// What the Event says that counts further notes: what they have in common, and which was the first.
fn told_together(key: &Key, first: &Note) -> String {
    let what = match key.happened {
        Happened::Admitted => "admissions",
        Happened::Refused => "refusals",
    };
    let cause = key.cause.map(|cause| format!(" of cause {}", cause.as_str())).unwrap_or_default();
    let about = key.about.as_deref().map_or_else(
        || "whatever they are about".to_owned(),
        |about| format!("whichever object they are about: {}", shortened(about, ABOUT)),
    );
    shortened(&format!("further {what}{cause} are counted here, {about}. The first of them: {}", first.text), LIMIT)
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
            cause: Some(Cause::Template),
            about: "create jobs.batch".into(),
            object: object.into(),
            text: format!("no {object}"),
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
    fn refusals_of_different_causes_are_never_one_series() {
        let mut book = Book::default();
        let now = Instant::now();
        let of = |cause: Cause, object: &str| Note { cause: Some(cause), ..note("eod", object) };
        assert!(book.take(of(Cause::Compiling, "a"), now).is_some());
        assert!(book.take(of(Cause::Template, "a"), now).is_some(), "another cause is an Event of its own");
        assert_eq!(book.take(of(Cause::Compiling, "a"), now), None, "the same cause is counted");
        // Neither where they are told together, by what they are about, and whatever that is.
        let written = |book: &mut Book, cause: Cause, about: &str| {
            let notes =
                (0..100).map(|number| Note { about: about.to_owned(), ..of(cause, &format!("{about}{number}")) });
            notes.filter_map(|note| book.take(note, now)).count()
        };
        assert_eq!(written(&mut book, Cause::Compiling, "x"), 18 + 1);
        assert_eq!(written(&mut book, Cause::Template, "x"), 1);
        assert_eq!(["y", "z"].map(|about| written(&mut book, Cause::Template, about)), [1, 1]);
        for cause in [Cause::Compiling, Cause::Template, Cause::Quota] {
            let told = ["p", "q", "r"].map(|about| written(&mut book, cause, about));
            assert_eq!(told, [1, 0, 0], "{cause:?}");
        }
    }

    #[test]
    fn an_event_that_counts_several_objects_says_so() {
        let mut book = Book::default();
        let now = Instant::now();
        let about = |kind: usize, object: usize| Note {
            about: format!("create kind-{kind}{}", "x".repeat(2_000 * usize::from(kind == 3))),
            ..note("eod", &object.to_string())
        };
        let notes = (0..20).map(|number| about(0, number)).chain((0..8).map(|kind| about(kind, 100 + kind)));
        let texts: Vec<String> = notes
            .filter_map(|note| match book.take(note, now)? {
                Write::First { note, .. } => Some(note.text),
                Write::Repeated { .. } => None,
            })
            .collect();
        assert_eq!((texts.len(), texts[19].as_str()), (25, "no 19"), "{texts:?}");
        assert_eq!(
            texts[20],
            "further refusals of cause template are counted here, whichever object they are about: create kind-0. The first of \
             them: no 100"
        );
        let (long, any) = (&texts[23], &texts[24]);
        assert!(long.len() <= LIMIT && long.ends_with("The first of them: no 103"), "{long}");
        assert_eq!(
            any,
            "further refusals of cause template are counted here, whatever they are about. The first of them: no 104"
        );
        let mut admitted = Book::default();
        let note = |number: u32| Note { happened: Happened::Admitted, cause: None, ..note("eod", &number.to_string()) };
        let last = (0..=OWN).filter_map(|number| admitted.take(note(number), now)).last();
        let Some(Write::First { note, .. }) = last else { unreachable!("{last:?}") };
        assert!(note.text.starts_with("further admissions are counted here, whichever object they are about: create "));
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
    fn threat_58_what_a_stranger_names_by_megabytes_is_remembered_and_queued_short() {
        let mut book = Book::default();
        let long = "k".repeat(1_000_000);
        let note = Note { about: format!("create {long}"), ..note("eod", &long) };
        let is_short = |write: &Write| matches!(write, Write::First { note, .. } if note.about.len() <= NAMED && note.object.len() <= NAMED);
        assert!(book.take(note.clone(), Instant::now()).as_ref().is_some_and(is_short));
        let lengths = |key: &Key| [&key.about, &key.object].map(|text| text.as_ref().map_or(0, String::len));
        assert!(book.series.keys().flat_map(lengths).all(|length| length <= NAMED));
        assert_eq!(book.take(note, Instant::now()), None, "it is the same one");
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

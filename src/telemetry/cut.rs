//! How long a field of a log line may be. Names, kinds and accounts are what a caller wrote: without a bound one review
//! writes a line of as many megabytes as its body has.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// The most bytes of a field. Every name that the API server takes is shorter; an account's may be a URL and a mail address.
pub(super) const MOST: usize = 1_024;
/// The most bytes of a message, which is ours and may quote.
pub(super) const MOST_OF_MESSAGE: usize = 4_096;
/// What follows what is left of a longer one.
pub(super) const MARK: &str = "… (cut)";

/// Hands fields on, each cut to what may be written of it. Every field of every line passes through here.
pub(super) struct Cutting<'a, V>(pub(super) &'a mut V);

fn most(field: &Field) -> usize {
    if field.name() == "message" { MOST_OF_MESSAGE } else { MOST }
}

impl<V: Visit> Visit for Cutting<'_, V> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.record_u64(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.record_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let head = head(value, most(field));
        if head.len() == value.len() {
            self.0.record_str(field, value);
        } else {
            self.0.record_str(field, &format!("{head}{MARK}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.record_debug(field, &Cut { value, most: most(field) });
    }
}

/// The first `most` bytes of a text, or one to three fewer: cut between characters.
fn head(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// A value of which at most so many bytes are shown.
struct Cut<'a> {
    value: &'a dyn Debug,
    most: usize,
}

impl Debug for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Bounded { out: f, left: self.most, is_cut: false };
        let written = write!(out, "{:?}", self.value);
        // That nothing more is taken ends the value early: a text of megabytes is not gone through.
        if out.is_cut { f.write_str(MARK) } else { written }
    }
}

/// Takes so many bytes, and then fails.
struct Bounded<'a, W> {
    out: &'a mut W,
    left: usize,
    is_cut: bool,
}

impl<W: Write> Write for Bounded<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let head = head(text, self.left);
        self.left -= head.len();
        self.out.write_str(head)?;
        self.is_cut = head.len() < text.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Fields as text, as tracing-subscriber writes them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text;

impl<'writer> FormatFields<'writer> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = DefaultVisitor::new(writer, true);
        fields.record(&mut Cutting(&mut visitor));
        visitor.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::super::json::{Lines, Members};
    use super::super::tests::written;
    use super::*;

    /// What the API server takes, and what a stranger may send.
    const LENGTHS: [usize; 5] = [63, 253, MOST, MOST + 1, 1_000_000];

    fn log(text: &str) {
        let span = tracing::info_span!("review", account = text, kind = %text);
        let _entered = span.enter();
        tracing::warn!(reason = text, told = %text, count = 3, "no verdict: {text}");
    }

    #[test]
    fn threat_58_whatever_a_caller_writes_a_log_line_is_short_and_says_where_it_is_cut() {
        for length in LENGTHS {
            for letter in ["A", "ä", "\u{1}"] {
                let text = letter.repeat(length / letter.len());
                let json =
                    written(|lines| lines.fmt_fields(Members).event_format(Lines).finish().into(), || log(&text));
                let plain = written(|lines| lines.fmt_fields(Text).with_ansi(false).finish().into(), || log(&text));
                for (format, line) in [("json", &json), ("text", &plain)] {
                    // A control character is six bytes of JSON, and as many of text.
                    assert!(line.len() < 6 * (4 * MOST + MOST_OF_MESSAGE) + 1_000, "{format}: {} bytes", line.len());
                    assert_eq!(line.contains(MARK), text.len() > MOST, "{format} of {length}: {line}");
                    assert!(line.contains("count"), "{format}: {line}");
                    if text.len() <= MOST && letter != "\u{1}" {
                        assert_eq!(line.matches(&text).count(), 5, "{format} of {length}: {line}");
                    }
                }
                let line: serde_json::Value = serde_json::from_str(&json).unwrap();
                let account = line["span"]["account"].as_str().unwrap();
                assert_eq!(account.strip_suffix(MARK).unwrap_or(account), head(&text, MOST));
            }
        }
    }

    #[test]
    fn text_looks_as_tracing_subscriber_writes_it() {
        let logged = || {
            let span = tracing::info_span!("review", account = "a \"b\"", kind = %"Job", later = tracing::field::Empty);
            let _entered = span.enter();
            span.record("later", 7);
            tracing::warn!(error = %"no\nline", yes = true, "half a {}", "word");
        };
        let ours = written(|lines| lines.without_time().fmt_fields(Text).with_ansi(false).finish().into(), logged);
        let theirs = written(|lines| lines.without_time().with_ansi(false).finish().into(), logged);
        assert_eq!(ours, theirs);
    }
}

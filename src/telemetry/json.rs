//! Log lines as JSON, each written in one pass.
//!
//! What tracing-subscriber brings parses a span's fields and writes them anew for every field that is recorded, and
//! again for every line: with our one span per review that cost more than parsing the review. Here a span's fields are
//! kept as the JSON members that they will be, and a line copies them.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::cut::Cutting;

/// A span's fields as `,"key":value` each. A field that is recorded twice stands there twice, and readers of JSON take
/// the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Members;

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Writing { out: &mut writer, result: Ok(()) };
        fields.record(&mut Cutting(&mut members));
        members.result
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// A line: `{"timestamp":…,"level":…,…the event's fields…,"target":…,"span":{…,"name":…}}`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines;

impl<S> FormatEvent<S, Members> for Lines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Crates that log by `log` say where in fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", metadata.level())?;
        let mut members = Writing { out: &mut writer, result: Ok(()) };
        event.record(&mut Cutting(&mut members));
        members.result?;
        writer.write_str(",\"target\":\"")?;
        Escaping(&mut writer).write_str(metadata.target())?;
        writer.write_char('"')?;
        if let Some(span) = context.lookup_current() {
            writer.write_str(",\"span\":{\"name\":\"")?;
            writer.write_str(span.name())?;
            writer.write_char('"')?;
            if let Some(fields) = span.extensions().get::<FormattedFields<Members>>() {
                writer.write_str(fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

/// Writes fields as members.
struct Writing<'a, W> {
    out: &'a mut W,
    result: fmt::Result,
}

impl<W: Write> Writing<'_, W> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let out = &mut *self.out;
        self.result = (|| {
            out.write_str(",\"")?;
            // A raw identifier as a field's name, `r#type`.
            Escaping(out).write_str(field.name().strip_prefix("r#").unwrap_or(field.name()))?;
            out.write_str("\":")?;
            value(out)
        })();
    }
}

impl<W: Write> Visit for Writing<'_, W> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is not finite.
        self.member(field, |out| if value.is_finite() { write!(out, "{value}") } else { out.write_str("null") });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| {
            out.write_char('"')?;
            Escaping(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaping(out), "{value:?}")?;
            out.write_char('"')
        });
    }
}

/// Writes text as it stands inside a JSON string.
struct Escaping<'a, W>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            match chars.next() {
                Some('"') => self.0.write_str("\\\"")?,
                Some('\\') => self.0.write_str("\\\\")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some(other) => write!(self.0, "\\u{:04x}", u32::from(other))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::{Value, json};
    use tracing::field::Empty;

    use super::super::tests::written;
    use super::*;

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let text = written(|lines| lines.fmt_fields(Members).event_format(Lines).finish().into(), work);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_events_fields_and_those_of_its_span_whenever_they_were_recorded() {
        let lines = logged(|| {
            let span = tracing::info_span!("review", phase = "mutating", uid = Empty, ms = Empty);
            let _entered = span.enter();
            span.record("uid", "u-1");
            tracing::warn!(count = 3, minus = -1, yes = true, "half a word");
            tracing::record_all!(span, ms = 0.25);
            tracing::info!(problem = %"x", whole = f64::NAN, "the rest");
        });
        assert_eq!(lines.len(), 2);
        let (first, second) = (&lines[0], &lines[1]);
        assert_eq!((&first["level"], &first["message"]), (&json!("WARN"), &json!("half a word")));
        assert_eq!((&first["count"], &first["minus"], &first["yes"]), (&json!(3), &json!(-1), &json!(true)));
        assert!(first["target"].as_str().unwrap().starts_with("retinue::telemetry"), "{first}");
        assert!(first["timestamp"].as_str().unwrap().ends_with('Z'), "{first}");
        assert_eq!(first["span"], json!({"name": "review", "phase": "mutating", "uid": "u-1"}));
        assert_eq!(second["span"], json!({"name": "review", "phase": "mutating", "uid": "u-1", "ms": 0.25}));
        assert_eq!((&second["problem"], &second["whole"]), (&json!("x"), &Value::Null));
    }

    #[test]
    fn threat_42_no_text_breaks_out_of_its_string() {
        let text = "a \"quoted\" \\ line\nand\ttab \u{1b}[31m é 🦀 \u{7f}";
        let lines = logged(|| {
            let span = tracing::info_span!("review", object = text);
            let _entered = span.enter();
            tracing::info!(shown = %text, told = ?text, "{text}");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        for found in [&line["message"], &line["shown"], &line["span"]["object"]] {
            assert_eq!(found, text);
        }
        assert_eq!(line["told"], format!("{text:?}"));
    }
}

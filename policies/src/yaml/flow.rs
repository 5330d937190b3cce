//! Says kindly what the parser says tersely: holes in flow maps, tabs, byte order marks.

use granit_parser::{ErrorKind, ScanError};

use super::{MOST_DEPTH, YamlError};

pub(super) fn explain(text: &str, found: &ScanError) -> YamlError {
    let marker = found.marker();
    let line = marker.line().max(1);
    let at = |line: usize, column: usize, message: String| YamlError { line, column, message };
    let column = marker.col() + 1;
    if matches!(found.kind(), ErrorKind::RecursionLimitExceeded) {
        return at(line, column, format!("nested more than {MOST_DEPTH} deep"));
    }
    // The parser may notice only on the next line.
    for candidate in [line, line.saturating_sub(1)] {
        let Some(content) = candidate.checked_sub(1).and_then(|above| text.lines().nth(above)) else { continue };
        if let Some(position) = hole_in_flow(content) {
            let hole = content[position..].split_inclusive('}').next().unwrap_or("${…}");
            return at(
                candidate,
                content[..position].chars().count() + 1,
                format!(
                    "a typed hole within {{…}} or […] is no YAML: write it on its own line (key: {hole}), or quote it if it is text (\"{hole}\")"
                ),
            );
        }
    }
    let content = text.lines().nth(line - 1).unwrap_or("");
    if content.trim_start_matches(' ').starts_with('\t') {
        return at(line, column, "a tab indents this line: YAML is indented with spaces only".into());
    }
    if content.contains('\u{feff}') {
        return at(line, column, "a byte order mark stands within the text: remove it".into());
    }
    at(line, column, format!("this is no YAML: {}", found.info()))
}

/// Where an unquoted `${…}` stands after an opening `{` or `[` of the same line.
fn hole_in_flow(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut hole = false;
    let mut before = ' ';
    for (position, character) in line.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if matches!(before, ' ' | ',' | '[' | '{' | ':') => quote = Some(character),
            (None, '#') if before == ' ' => return None,
            (None, '{') if before == '$' => {
                if depth > 0 {
                    return Some(position - 1);
                }
                hole = true;
            }
            (None, '}') if hole => hole = false,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = character;
    }
    None
}

//! How long the note of an Event may be, and how a longer text is cut.

/// The longest note that the API server takes, in bytes (events.k8s.io/v1).
pub(crate) const LIMIT: usize = 1_024;

/// At most `limit` bytes of `text`, cut between characters.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(shortened("short", LIMIT), "short");
        for length in 1_020..1_030 {
            let text = "ä".repeat(length);
            let cut = shortened(&text, LIMIT);
            assert!(cut.len() <= LIMIT && cut.ends_with('…'), "{length}");
        }
    }
}

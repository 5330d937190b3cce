//! A list of objects, read as it comes: one object of it at a time is in memory, however large the list is.

use futures::AsyncBufReadExt;
use futures::io::AsyncBufRead;

/// Takes the elements of `items` out of a list's JSON, piece by piece. It trusts that the JSON is well formed: elements and
/// what is left are parsed by whoever gets them.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// All but the elements of `items`.
    rest: Vec<u8>,
    /// The element that is being read.
    element: Vec<u8>,
    /// How many maps and lists are open.
    depth: usize,
    in_items: bool,
    in_text: bool,
    /// The byte after a backslash says nothing.
    escaped: bool,
    /// Where in `rest` the last text of the outermost map begins, and where it ended.
    last_text: (usize, usize),
}

impl Split {
    /// Reads on until an element is complete, or `bytes` are at their end. Returns how many bytes were read, and the element.
    fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Vec<u8>>) {
        for (position, byte) in bytes.iter().copied().enumerate() {
            let outside = !self.in_items || self.depth < 3;
            let ended = self.step(byte);
            if outside && (!self.in_items || self.depth < 3) {
                // Between elements there are commas and spaces.
                if !self.in_items || byte == b'[' {
                    self.rest.push(byte);
                }
                continue;
            }
            self.element.push(byte);
            if ended {
                return (position + 1, Some(std::mem::take(&mut self.element)));
            }
        }
        (bytes.len(), None)
    }

    /// Takes note of a byte. Says whether it ends an element.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_text = false;
                    if self.depth == 1 {
                        self.last_text.1 = self.rest.len();
                    }
                }
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                if self.depth == 1 {
                    self.last_text.0 = self.rest.len() + 1;
                }
            }
            b'{' | b'[' => {
                if byte == b'[' && self.depth == 1 {
                    let (begin, end) = self.last_text;
                    self.in_items = self.rest.get(begin..end).is_some_and(|name| name == b"items");
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.in_items && self.depth == 1 {
                    self.in_items = false;
                }
                return self.in_items && self.depth == 2;
            }
            _ => {}
        }
        false
    }
}

/// The objects of a list, as it comes from the server.
#[derive(Debug)]
pub(super) struct Items<R> {
    source: R,
    split: Split,
}

impl<R: AsyncBufRead + Unpin> Items<R> {
    pub(super) fn of(source: R) -> Self {
        Self { source, split: Split::default() }
    }

    /// The next object's JSON; none at the end of the list.
    ///
    /// # Errors
    /// When the connection fails.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            let bytes = self.source.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let (read, element) = self.split.feed(bytes);
            self.source.consume_unpin(read);
            if element.is_some() {
                return Ok(element);
            }
            // A long list leaves others their turn.
            tokio::task::yield_now().await;
        }
    }

    /// The list without its objects, once they were all read.
    pub(super) fn rest(&self) -> &[u8] {
        &self.split.rest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use futures::io::BufReader;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The objects of a list, and the rest of it, read in pieces of so many bytes.
    async fn read(list: &str, piece: usize) -> (Vec<Value>, Value) {
        let mut items = Items::of(BufReader::with_capacity(piece, list.as_bytes()));
        let mut found = Vec::new();
        while let Some(item) = items.next().await.unwrap() {
            found.push(serde_json::from_slice(&item).unwrap());
        }
        (found, serde_json::from_slice(items.rest()).unwrap())
    }

    #[tokio::test]
    async fn threat_54_objects_are_taken_out_of_a_list_one_by_one_and_the_rest_is_left() {
        let items = json!([{"metadata": {"name": "a"}, "items": [{"x": "]}"}]}, {}, {"data": {"k": "\"}],{[\\"}}]);
        let metadata = json!({"resourceVersion": "7", "continue": "items"});
        for list in [
            json!({"kind": "List", "metadata": metadata, "items": items}).to_string(),
            serde_json::to_string_pretty(&json!({"apiVersion": "v1", "items": items, "metadata": metadata})).unwrap(),
        ] {
            for piece in [1, 2, 7, 10_000] {
                let (found, rest) = read(&list, piece).await;
                assert_eq!(json!(found), items);
                assert_eq!((&rest["metadata"], &rest["items"]), (&metadata, &json!([])));
            }
        }
    }

    #[tokio::test]
    async fn a_list_without_objects_or_cut_off_is_what_it_is() {
        for (list, rest) in [
            (r#"{"items": null, "metadata": {"continue": ""}}"#, json!({"items": null, "metadata": {"continue": ""}})),
            (r#"{"items": [ ], "other": [{"items": [1]}]}"#, json!({"items": [], "other": [{"items": [1]}]})),
            (r#"{"kind": "items", "other": [{"x": 1}]}"#, json!({"kind": "items", "other": [{"x": 1}]})),
        ] {
            assert_eq!(read(list, 3).await, (vec![], rest), "{list}");
        }
        let mut items = Items::of(&br#"{"metadata": {}, "items": [{"a": 1}, {"b": "#[..]);
        assert_eq!(items.next().await.unwrap().unwrap(), br#"{"a": 1}"#);
        assert!(items.next().await.unwrap().is_none());
        assert!(serde_json::from_slice::<Value>(items.rest()).is_err(), "what is cut off is no list");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), r#"[\["\\{}\],: a]{0,6}"#.prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(r#"(items|["\\\[{a]{0,3})"#, inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_objects_hold_they_come_out_as_they_are(all in proptest::collection::vec(json_value(), 0..5), piece in 1..40usize) {
            let all: Vec<Value> = all.into_iter().map(|value| json!({"spec": value})).collect();
            let list = json!({"metadata": {"continue": "x"}, "items": all}).to_string();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (found, rest) = runtime.block_on(read(&list, piece));
            prop_assert_eq!(found, all);
            prop_assert_eq!(rest, json!({"metadata": {"continue": "x"}, "items": []}));
        }
    }
}

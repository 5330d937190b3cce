//! What an author or a master makes large, so that it takes work: templates that are slow to look through, an object that
//! is slow to compare.

use std::fmt::Write as _;

use serde_json::{Value, json};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Parameters, each of which may be empty, no two of which can be mistaken for each other.
#[derive(Clone, Copy, Debug)]
pub struct EmptyHoles {
    /// How many, at most 1664.
    pub holes: usize,
    /// How many digits the value of each may have.
    pub length: usize,
}

impl EmptyHoles {
    fn parameters(self) -> String {
        let mut parameters = String::new();
        for hole in 0..self.holes {
            let letter = |at: usize| char::from(LETTERS.get(at).copied().unwrap_or(b'_'));
            let (one, other, length) = (letter(hole / 32), letter(hole % 32), self.length);
            // Writing into a string cannot fail.
            let _ = writeln!(parameters, "p{hole}: {{type: string, pattern: \"({one}{other}[0-9]{{0,{length}}})?\"}}");
        }
        parameters
    }

    /// All of them in one text, beginning with the one at `first`.
    fn text(self, first: usize) -> String {
        (0..self.holes).fold(String::new(), |mut text, hole| {
            let _ = write!(text, "${{p{}}}", (first + hole) % self.holes);
            text
        })
    }

    /// A template ConfigMap with one manifest, in which that text stands `texts` times: the search for a text that can be
    /// read in two ways goes through all of them, byte by byte. Without a bound on its work it takes minutes for 150 holes
    /// of 150 digits and 8 texts.
    pub fn in_one_manifest(self, namespace: &str, name: &str, texts: usize) -> Value {
        let text = self.text(0);
        let data = (0..texts).fold(String::new(), |mut data, number| {
            let _ = writeln!(data, "  a{number}: \"{number}{text}\"");
            data
        });
        self.config_map(namespace, name, [("cm.yaml".to_owned(), data)])
    }

    /// As [`Self::in_one_manifest`], with as many manifests, in each of which the text begins with another parameter: what
    /// is known of one text says nothing about the next.
    pub fn in_manifests(self, namespace: &str, name: &str, manifests: usize) -> Value {
        let manifest =
            |number: usize| (format!("cm{number}.yaml"), format!("  a: \"{number}{}\"\n", self.text(number)));
        self.config_map(namespace, name, (0..manifests).map(manifest))
    }

    fn config_map(self, namespace: &str, name: &str, manifests: impl IntoIterator<Item = (String, String)>) -> Value {
        let mut data = json!({"parameters": self.parameters()});
        for (number, (key, text)) in manifests.into_iter().enumerate() {
            data[key] = json!(format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x{number}}}\ndata:\n{text}"));
        }
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": name, "namespace": namespace, "labels": {"fledged.io/templates": "true"}},
        })
    }
}

/// A template of a pod whose arguments are so many lists, with a word after each: which argument belongs to which list is
/// searched for.
pub fn lists_of_arguments(namespace: &str, name: &str, lists: usize) -> String {
    let rows = (0..lists).fold(String::new(), |mut rows, number| {
        let _ = writeln!(rows, "        - ${{piece}}\n        - \"--{number}\"");
        rows
    });
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {namespace}
  labels: {{fledged.io/templates: "true"}}
data:
  parameters: |
    piece: {{type: array, items: {{type: string, pattern: "[a-z0-9]+"}}}}
  pod.yaml: |
    apiVersion: v1
    kind: Pod
    metadata: {{name: fees}}
    spec:
      containers:
      - name: main
        image: registry.example/fees:1
        args:
{rows}"#
    )
}

/// A pod by that template, with so many arguments and none of the words.
pub fn pod_of_arguments(arguments: usize) -> String {
    let rows = (0..arguments).fold(String::new(), |mut rows, number| {
        let _ = writeln!(rows, "    - v{number}");
        rows
    });
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: fees}}\nspec:\n  containers:\n  - name: main\n    image: \
         registry.example/fees:1\n    args:\n{rows}"
    )
}

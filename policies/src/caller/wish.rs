//! What the deployer wrote on the master's pod.

use std::collections::{BTreeMap, HashSet};

use super::Wish;
use crate::budget::Budget;
use crate::keys;
use crate::library::namespaced_names;
use crate::lifetime::{self, DurationError, Lifetime};
use crate::yaml::{self, Node};

/// The most steps of an annotation: it names a few ConfigMaps.
const MOST_STEPS: u64 = 4_000_000;

/// Why the annotations of a pod were not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// A list of ConfigMaps is none.
    #[error("annotation {annotation} of the pod: {message}")]
    Manifests {
        /// The annotation.
        annotation: &'static str,
        /// What is wrong and what to write.
        message: String,
    },
    /// A duration is none.
    #[error("annotation {annotation} of the pod: {source}")]
    Duration {
        /// The annotation.
        annotation: &'static str,
        /// What is wrong.
        source: DurationError,
    },
    /// The one annotation that holds all is no such YAML.
    #[error("annotation fledged.io of the pod: {0}; it holds YAML with manifests, helm-chart and duration")]
    AllInOne(String),
    /// Both ways at once.
    #[error("annotation fledged.io of the pod already says {word}, and so does {other}: keep one")]
    Twice {
        /// `manifests`, `helm-chart` or `duration`.
        word: &'static str,
        /// The other annotation.
        other: &'static str,
    },
}

impl Wish {
    /// Reads the annotations of a pod in `namespace`. No annotation is an empty wish.
    ///
    /// # Errors
    /// [`WishError`], naming the annotation and what to write.
    pub fn from_annotations(annotations: &BTreeMap<String, String>, namespace: &str) -> Result<Self, WishError> {
        let mut wish = match annotations.get(keys::ALL_IN_ONE) {
            Some(text) => all_in_one(text, namespace)?,
            None => Self::default(),
        };
        let twice = |word, other| Err(WishError::Twice { word, other });
        if let Some(text) = annotations.get(keys::MANIFESTS) {
            if !wish.manifests.is_empty() {
                return twice("manifests", keys::MANIFESTS);
            }
            wish.manifests = manifests(text, namespace, keys::MANIFESTS)?;
        }
        if let Some(text) = annotations.get(keys::HELM_CHART) {
            if wish.chart.is_some() {
                return twice("helm-chart", keys::HELM_CHART);
            }
            wish.chart = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        if let Some(text) = annotations.get(keys::DURATION) {
            if wish.duration.is_some() {
                return twice("duration", keys::DURATION);
            }
            wish.duration = Some(duration(text, keys::DURATION)?);
        }
        Ok(wish)
    }
}

fn manifests(
    text: &str,
    namespace: &str,
    annotation: &'static str,
) -> Result<Vec<crate::object::NamespacedName>, WishError> {
    let error = |message: String| WishError::Manifests { annotation, message };
    let names = namespaced_names(text, namespace, "a ConfigMap").map_err(error)?;
    if names.is_empty() {
        return Err(error("names no ConfigMap: write name or ns/name, comma-separated, or remove it".into()));
    }
    let mut known = HashSet::with_capacity(names.len());
    Ok(names.into_iter().filter(|name| known.insert(name.clone())).collect())
}

/// `none` is for manifests: a pod's wish has an end.
fn duration(text: &str, annotation: &'static str) -> Result<Lifetime, WishError> {
    lifetime::seconds(text).map(Lifetime::Seconds).map_err(|source| WishError::Duration { annotation, source })
}

fn all_in_one(text: &str, namespace: &str) -> Result<Wish, WishError> {
    let error = |message: String| WishError::AllInOne(message);
    let documents = yaml::documents_within(text, &Budget::of(MOST_STEPS)).map_err(|found| error(found.to_string()))?;
    let entries = match documents.as_slice() {
        [document] => {
            document.entries().ok_or_else(|| error(format!("expected a map, got {}", document.describe())))?
        }
        _ => return Err(error("expected one map".into())),
    };
    let mut wish = Wish::default();
    for entry in entries {
        match entry.key.as_str() {
            "manifests" => {
                let names: Option<Vec<String>> = match entry.value.items() {
                    Some(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
                    None => scalar(&entry.value).map(|text| vec![text]),
                };
                let names = names.ok_or_else(|| error("manifests is a name, or a list of names".into()))?;
                wish.manifests = manifests(&names.join(","), namespace, keys::ALL_IN_ONE)?;
            }
            "helm-chart" => {
                let chart = scalar(&entry.value).filter(|text| !text.is_empty());
                wish.chart = Some(chart.ok_or_else(|| error("helm-chart is a path".into()))?);
            }
            "duration" => {
                let text = scalar(&entry.value).ok_or_else(|| error("duration is a duration such as 1h30m".into()))?;
                wish.duration = Some(duration(&text, keys::ALL_IN_ONE)?);
            }
            other => return Err(error(format!("line {}: {other:?} means nothing here", entry.line))),
        }
    }
    Ok(wish)
}

/// The text of a scalar that is no list and no map: a duration may be written as a number.
fn scalar(node: &Node) -> Option<String> {
    crate::parameter::text_of_value(&node.to_value())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use super::*;
    use crate::object::NamespacedName;

    fn read(pairs: &[(&str, &str)]) -> Result<Wish, WishError> {
        let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Wish::from_annotations(&annotations, "trading")
    }

    #[test]
    fn three_annotations_or_one_say_the_same() {
        let expected = Wish {
            manifests: vec![NamespacedName::new("trading", "post-trade"), NamespacedName::new("shared", "spark")],
            chart: Some("charts/eod".into()),
            duration: Some(Lifetime::Seconds(3600)),
        };
        for annotations in [
            vec![
                (keys::MANIFESTS, " post-trade, shared/spark,post-trade,"),
                (keys::HELM_CHART, "charts/eod"),
                (keys::DURATION, "1h"),
            ],
            vec![(keys::ALL_IN_ONE, "manifests: [post-trade, shared/spark]\nhelm-chart: charts/eod\nduration: 3600\n")],
            vec![
                (keys::ALL_IN_ONE, "manifests: post-trade, shared/spark\nhelm-chart: charts/eod"),
                (keys::DURATION, "60m"),
            ],
        ] {
            assert_eq!(read(&annotations), Ok(expected.clone()), "{annotations:?}");
        }
        assert_eq!(read(&[("other", "x")]), Ok(Wish::default()));
    }

    #[test]
    fn what_is_wrong_names_the_annotation_and_what_to_write() {
        for (key, value, expected) in [
            (
                keys::DURATION,
                "1 fortnight",
                "annotation fledged.io/duration of the pod: \"1 fortnight\" is no duration",
            ),
            (keys::DURATION, "none", "none is for manifests only"),
            (keys::MANIFESTS, "", "names no ConfigMap"),
            (keys::MANIFESTS, "a/b/c", "\"a/b/c\" does not name a ConfigMap: write name or ns/name"),
            (keys::MANIFESTS, "Post_Trade", "does not name a ConfigMap"),
            (keys::ALL_IN_ONE, "duration: [", "annotation fledged.io of the pod: line 1"),
            (keys::ALL_IN_ONE, "manifest: x", "\"manifest\" means nothing here"),
            (keys::ALL_IN_ONE, "x", "expected a map, got text"),
            (keys::ALL_IN_ONE, "duration: {a: b}", "duration is a duration"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{value:?} gave {error}");
        }
        let twice = read(&[(keys::ALL_IN_ONE, "duration: 1h"), (keys::DURATION, "2h")]).unwrap_err();
        assert!(twice.to_string().contains("keep one"), "{twice}");
    }
}

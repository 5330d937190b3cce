//! Changes that leave an object the same to the API server. Each rule has its reason; whatever no rule names is another
//! object, and must be refused. Through the real API server (`tests/story_cases/fields.rs`) no such rule is needed:
//! there the server is asked.

use policies::difference::{Path, Step};
use policies::object::Gvk;
use policies::tables::{Facts, ListKind, Scalar, Shape, shape_of};

use crate::vary::{Change, Variation};

/// Why the API server does not tell the variation from the object as it was; none where it does.
pub fn reason(kind: &Gvk, variation: &Variation) -> Option<&'static str> {
    let facts = Facts::default();
    let shape = at(shape_of(kind, &facts), &variation.path);
    let keys: Vec<&str> = keys(&variation.path);
    let gone = matches!(variation.change, Change::Removed | Change::Null) || variation.now == "";
    match (variation.change, keys.as_slice()) {
        (_, ["metadata", "namespace"]) if gone => Some("a namespace left out is the request's"),
        (Change::Swapped, _) if !matches!(shape.list(), ListKind::Positional) => {
            Some("the order of a list whose elements have merge keys, or are a set")
        }
        (Change::Null, _) if matches!(shape.scalar(), Scalar::Quantity | Scalar::MilliQuantity) => {
            (variation.was == "0").then_some("a null quantity is zero")
        }
        (Change::Removed, [.., "divisor"]) if variation.was == "0" => Some("a divisor left out is zero"),
        (Change::Removed | Change::Null, ["spec", "parallelism"] | ["spec", "jobTemplate", "spec", "parallelism"])
            if kind.group == "batch" && variation.was == 1 =>
        {
            Some("a Job with completions and no parallelism runs one pod at a time")
        }
        (Change::Removed | Change::Null, ["spec", "enableServiceLinks"])
            if kind.kind == "Pod" && variation.was == true =>
        {
            Some("a pod that does not say so has service links")
        }
        (_, [.., "spec", "serviceAccount"]) => Some("serviceAccount is written over with serviceAccountName"),
        _ => None,
    }
}

fn at<'a>(shape: Shape<'a>, path: &Path) -> Shape<'a> {
    path.steps().iter().fold(shape, |shape, step| match step {
        Step::Key(key) => shape.field(key),
        Step::Index(_) | Step::Element(_) => shape.element(),
    })
}

fn keys(path: &Path) -> Vec<&str> {
    path.steps()
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) | Step::Element(_) => None,
        })
        .collect()
}

//! What the collector may delete: an object with a valid stamp whose deadline is past. Nothing else, ever: a label
//! without the annotation, a stamp that names another object, a deadline that cannot be read are reported, never
//! acted on.

use jiff::Timestamp;

use crate::object::Gvk;
use crate::stamp::{self, Marks, Stamp, StampError};

/// What is to be done about one object that carries a key of the stamp.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// A dependent without deadline: it lives as long as its master.
    Lives(Box<Stamp>),
    /// A dependent that may be deleted from this instant on.
    Due {
        /// The deadline.
        at: Timestamp,
        /// Its stamp.
        stamp: Box<Stamp>,
    },
    /// No dependent: it is left alone, and the reason is reported.
    NotOurs(StampError),
    /// No key of the stamp at all.
    Unmarked,
}

/// Judges one object by its metadata alone.
pub fn judge(marks: Marks<'_>, kind: &Gvk, namespace: &str, name: &str) -> Judgement {
    match stamp::read(marks, kind, namespace, name) {
        Err(error) => Judgement::NotOurs(error),
        Ok(None) => Judgement::Unmarked,
        Ok(Some(stamp)) => match stamp.deadline {
            None => Judgement::Lives(Box::new(stamp)),
            Some(at) => Judgement::Due { at, stamp: Box::new(stamp) },
        },
    }
}

/// Whether a deadline is past: at the instant itself it is.
pub fn past(deadline: Timestamp, now: Timestamp) -> bool {
    now >= deadline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::tests::{admission, stamped};
    use serde_json::json;

    fn judged(object: &serde_json::Value) -> Judgement {
        judge(Marks::of(object), &Gvk::new("batch", "v1", "Job"), "trading", "post-trade-1")
    }

    #[test]
    fn only_a_valid_stamp_makes_garbage() {
        let object = stamped();
        assert!(matches!(judged(&object), Judgement::Due { .. }));

        let mut forged = object.clone();
        forged["metadata"]["annotations"] = json!({});
        assert_eq!(judged(&forged), Judgement::NotOurs(StampError::NoAnnotation));

        let mut copied = object.clone();
        copied["metadata"]["annotations"]["fledged.io/admission"] =
            admission(|record| record.object.name = Some("another".into())).into();
        assert!(matches!(judged(&copied), Judgement::NotOurs(StampError::OtherObject(_))));

        let mut unreadable = object.clone();
        unreadable["metadata"]["labels"]["fledged.io/expires-at"] = "tomorrow".into();
        assert!(matches!(judged(&unreadable), Judgement::NotOurs(StampError::Deadline(_))));

        let mut endless = object;
        endless["metadata"]["labels"].as_object_mut().unwrap().remove("fledged.io/expires-at");
        assert!(matches!(judged(&endless), Judgement::Lives(_)));
        assert_eq!(judged(&json!({"metadata": {"labels": {"app": "x"}}})), Judgement::Unmarked);
    }

    #[test]
    fn a_deadline_is_past_at_its_instant() {
        let deadline: Timestamp = "2026-11-20T15:30:00Z".parse().unwrap();
        assert!(past(deadline, deadline));
        assert!(!past(deadline, "2026-11-20T15:29:59.999Z".parse().unwrap()));
    }
}

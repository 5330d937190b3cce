//! What was found out about the values of one object and the parameters of one template, so that it is found out once: an
//! object is held against its template many times over ([`super::absent`]), and it takes long to tell whether one of many
//! alternatives accepts a value.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;

use super::work;
use crate::budget::Budget;
use crate::parameter::{Parameters, Schema};

/// By parameter. Only of a `oneOf`, or a list of it: others are asked again.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether the items of a list hole accept an element of the object, by the element's address.
    elements: RefCell<HashMap<(usize, *const Value), bool>>,
    /// What a hole in a text stands for, by its piece of the text.
    pieces: RefCell<HashMap<usize, HashMap<String, Option<Value>>>>,
    /// Whether a parameter accepts a value, by the value as JSON.
    values: RefCell<HashMap<usize, HashMap<String, bool>>>,
}

impl Known {
    /// Whether the items of the list hole `parameter` accept this element of the object; nothing where no step is left to
    /// tell.
    pub(super) fn element(
        &self,
        parameter: usize,
        items: &Schema,
        value: &Value,
        budget: Option<&Budget>,
    ) -> Option<bool> {
        let key = (parameter, std::ptr::from_ref(value));
        let known = self.elements.borrow().get(&key).copied();
        let accepted = match known {
            Some(accepted) => accepted,
            None => {
                let accepted = admits(items, value, budget)?;
                self.elements.borrow_mut().insert(key, accepted);
                accepted
            }
        };
        pays(budget, work::of_known(value)).then_some(accepted)
    }

    /// What `parameter` is where a text shows `piece` of it; nothing where it cannot be that, or no step is left to tell.
    pub(super) fn piece(
        &self,
        parameter: usize,
        schema: &Schema,
        piece: &str,
        budget: Option<&Budget>,
    ) -> Option<Value> {
        if !pays(budget, work::of_known_text(piece)) {
            return None;
        }
        if let Some(known) = self.pieces.borrow().get(&parameter).and_then(|pieces| pieces.get(piece)) {
            return known.clone();
        }
        if is_used_up(budget) || !pays(budget, work::of_reading(schema, piece.len(), budget)) {
            return None;
        }
        let value = schema.value_of_text(piece);
        self.pieces.borrow_mut().entry(parameter).or_default().insert(piece.to_owned(), value.clone());
        value
    }

    /// Whether `parameter` accepts `value`; nothing where no step is left to tell.
    pub(super) fn accepts(
        &self,
        parameter: usize,
        schema: &Schema,
        value: &Value,
        budget: Option<&Budget>,
    ) -> Option<bool> {
        if !schema.is_one_of() && !schema.items().is_some_and(Schema::is_one_of) {
            return admits(schema, value, budget);
        }
        if !pays(budget, 2 * work::of_known(value)) {
            return None;
        }
        let text = value.to_string();
        if let Some(known) = self.values.borrow().get(&parameter).and_then(|values| values.get(&text)) {
            return Some(*known);
        }
        let accepted = admits(schema, value, budget)?;
        self.values.borrow_mut().entry(parameter).or_default().insert(text, accepted);
        Some(accepted)
    }

    /// Whether a parameter accepts what the API server does not tell from nothing; false where no step is left to tell.
    pub(super) fn accepts_empty(
        &self,
        parameters: &Parameters,
        parameter: usize,
        empty: &Value,
        budget: Option<&Budget>,
    ) -> bool {
        let Some(declared) = parameters.all.get(parameter) else { return false };
        match declared.schema.is_one_of() {
            true => self.accepts(parameter, &declared.schema, empty, budget) == Some(true),
            false => declared.schema.admits(empty),
        }
    }
}

/// Whether a schema accepts a value; nothing where no step is left to tell.
fn admits(schema: &Schema, value: &Value, budget: Option<&Budget>) -> Option<bool> {
    let pays = !is_used_up(budget) && pays(budget, work::of_accepting(schema, value, budget));
    pays.then(|| schema.admits(value))
}

/// Of many alternatives it takes a while to count what they cost.
fn is_used_up(budget: Option<&Budget>) -> bool {
    budget.is_some_and(Budget::is_used_up)
}

fn pays(budget: Option<&Budget>, steps: u64) -> bool {
    budget.is_none_or(|budget| budget.spend(steps).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_59_alternatives_are_asked_once_about_one_value() {
        let patterns: Vec<_> = (0..100).map(|at| format!("{{type: string, pattern: \"b{at}x*\"}}")).collect();
        let text = format!("a: {{oneOf: [{0}]}}\nb: {{type: array, items: {{oneOf: [{0}]}}}}", patterns.join(", "));
        let parameters = Parameters::parse(&text).unwrap();
        let (one, list) = (&parameters.all[0].schema, &parameters.all[1].schema);
        let (known, values) = (Known::default(), [Value::from("b99x"), vec!["b99x"; 9].into()]);
        let rounds = [(); 2].map(|()| {
            let budget = Budget::of(10_000_000);
            assert_eq!(known.piece(0, one, "b99x", Some(&budget)), Some("b99x".into()));
            assert_eq!(known.piece(0, one, "c", Some(&budget)), None);
            assert_eq!(known.accepts(0, one, &values[0], Some(&budget)), Some(true));
            assert_eq!(known.accepts(1, list, &values[1], Some(&budget)), Some(true));
            assert!(!known.accepts_empty(&parameters, 0, &"".into(), Some(&budget)));
            budget.given() - budget.left()
        });
        assert!(rounds[1] * 10 < rounds[0], "{rounds:?}");
    }

    #[test]
    fn without_a_step_left_nothing_is_told_and_nothing_remembered() {
        let parameters = Parameters::parse("one: {oneOf: [{type: string}, {type: integer}]}").unwrap();
        let (schema, known, none) = (&parameters.all[0].schema, Known::default(), Budget::of(0));
        assert_eq!(known.piece(0, schema, "a", Some(&none)), None);
        assert_eq!(known.accepts(0, schema, &"a".into(), Some(&none)), None);
        assert_eq!(known.element(0, schema, &"a".into(), Some(&none)), None);
        assert_eq!(known.piece(0, schema, "a", None), Some("a".into()));
        assert_eq!(known.accepts(0, schema, &"a".into(), None), Some(true));
        assert_eq!(known.element(0, schema, &"a".into(), None), Some(true));
    }
}

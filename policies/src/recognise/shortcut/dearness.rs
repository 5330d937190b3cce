//! What a template may make of an object's length, at most: for the estimate of a verdict's work.

use std::collections::HashMap;

use crate::recognise::work::{self, COPYING, HOLDING, RESHAPING};
use crate::recognise::{absent, uses};
use crate::template::{Element, Hole, Pattern, Template};

/// Of one template.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dearness {
    /// Its own length.
    weight: u64,
    /// In how many places the hole stands that stands in most.
    uses: u64,
    /// Elements of lists that are held against all values.
    rows: u64,
    /// What its dearest hole costs for each byte.
    price: u64,
    /// How often an object is held against it without some of its holes.
    tries: u64,
}

impl Dearness {
    pub(super) fn of(template: &Template) -> Self {
        let parameters = &template.parameters;
        let mut found = Self { weight: work::weight(&template.pattern), ..Self::default() };
        let mut places = HashMap::new();
        found.walk(&template.pattern, &mut places);
        found.uses = places.values().copied().max().unwrap_or(0);
        let dearest = uses(&template.pattern).into_iter().filter_map(|index| parameters.all.get(index));
        found.price = dearest.map(|parameter| work::price(&parameter.schema).each).max().unwrap_or(1);
        found.tries = absent::most_tries(template) as u64;
        found
    }

    fn walk(&mut self, pattern: &Pattern, places: &mut HashMap<usize, u64>) {
        match pattern {
            Pattern::Literal(_) | Pattern::Hole(Hole::Given(_)) => {}
            Pattern::Hole(Hole::Declared(index)) => *places.entry(*index).or_default() += 1,
            Pattern::Text(text) => {
                let parts = if text.parts.len() < 3 { 1 } else { 4 * text.parts.len() as u64 };
                self.price = self.price.max(parts);
                for hole in pattern.holes() {
                    if let Hole::Declared(index) = hole {
                        *places.entry(index).or_default() += 1;
                    }
                }
            }
            Pattern::Map(entries) => entries.iter().for_each(|(_, one)| self.walk(one, places)),
            Pattern::List(elements) => {
                for element in elements.iter() {
                    self.rows += 1;
                    match element {
                        Element::One(pattern) => self.walk(pattern, places),
                        Element::Many(index) => *places.entry(*index).or_default() += 1,
                    }
                }
            }
        }
    }

    /// Steps of holding an object of this [`work::size`] against the template, at most.
    pub(super) fn work(&self, size: u64) -> u64 {
        let bytes = size.saturating_mul(self.price.saturating_mul(1 + RESHAPING));
        let rendered = self.weight.saturating_add(self.uses.saturating_mul(size));
        let once = HOLDING
            .saturating_mul(size.saturating_add(self.weight))
            .saturating_add(HOLDING.saturating_mul(rendered) / 2)
            .saturating_add(bytes.saturating_mul(1 + self.rows));
        let before = (1 + 2 * COPYING) * size + bytes;
        once.saturating_mul(1 + self.tries).saturating_add(before)
    }
}

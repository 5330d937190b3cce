//! Which elements of a list could be one, as far as the beginnings and ends of their texts tell.
//!
//! Of each field that is indexed an element has literal text, a text that begins and ends literally, the values of an
//! enum, or nothing that tells it from others. Two that are the same begin alike and end alike, so an element is compared
//! with those alone that do: by the field, and by the end or the beginning, that leaves the fewest.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::Value;

use super::super::{Field, Hole, Pattern};
use crate::budget::{Budget, Exhausted};
use crate::parameter::Parameters;
use crate::text::Part;

/// How much of a text's beginning and end is looked at, in bytes.
const LONGEST: usize = 64;
/// The most fields that are indexed: those of the key, and the most frequent others.
const MOST_FIELDS: usize = 8;
/// Steps for a search in a map.
const STEPS_PER_SEARCH: u64 = 40;

/// How a text begins and ends: the end is written backwards.
type Ends = [Vec<u8>; 2];

/// Elements by the beginning or the end of a field.
type Sorted = BTreeMap<Vec<u8>, Vec<usize>>;

/// One field of the elements that were added.
#[derive(Default)]
struct Indexed {
    sorted: [Sorted; 2],
    /// Those that this field does not tell from others.
    loose: Vec<usize>,
}

/// The elements that were added, by the texts of their fields.
pub(super) struct Index<'p> {
    parameters: &'p Parameters,
    fields: Vec<(Field, Indexed)>,
    /// Of an enum: how its values begin and end; none where not all are texts.
    enums: Enums,
}

/// What a field may be; none where it is nothing that tells elements apart.
type Told = Option<Rc<[Ends]>>;
/// By position of the parameter.
type Enums = HashMap<usize, Told>;

impl<'p> Index<'p> {
    /// An empty one, for elements such as these.
    pub(super) fn of<'e>(
        elements: impl Iterator<Item = &'e Pattern>,
        keys: &[String],
        parameters: &'p Parameters,
    ) -> Self {
        let mut frequent: HashMap<&Field, usize> = HashMap::new();
        for element in elements {
            let Pattern::Map(fields) = element else { continue };
            for (name, _) in fields.iter().filter(|(_, value)| matches!(value, Pattern::Literal(_) | Pattern::Text(_)))
            {
                *frequent.entry(name).or_default() += 1;
            }
        }
        let mut frequent: Vec<_> = frequent.into_iter().collect();
        frequent.sort_unstable_by(|(one, count), (other, others)| (others, one).cmp(&(count, other)));
        let mut names: Vec<Field> = keys.iter().map(|key| Field::from(key.as_str())).collect();
        for (name, _) in frequent {
            if names.len() < MOST_FIELDS && !names.contains(name) {
                names.push(name.clone());
            }
        }
        let fields = names.into_iter().map(|name| (name, Indexed::default())).collect();
        Self { parameters, fields, enums: HashMap::new() }
    }

    /// Adds an element.
    pub(super) fn add(&mut self, number: usize, element: &Pattern, budget: &Budget) -> Result<(), Exhausted> {
        for at in 0..self.fields.len() {
            let Some(name) = self.fields.get(at).map(|(name, _)| name.clone()) else { continue };
            let told = told(element.get(&name), self.parameters, &mut self.enums);
            let Some((_, indexed)) = self.fields.get_mut(at) else { continue };
            let Some(told) = told else {
                indexed.loose.push(number);
                continue;
            };
            for ends in told.iter() {
                budget.spend(2 * STEPS_PER_SEARCH)?;
                for (sorted, end) in indexed.sorted.iter_mut().zip(ends) {
                    let numbers = sorted.entry(end.clone()).or_default();
                    if numbers.last() != Some(&number) {
                        numbers.push(number);
                    }
                }
            }
        }
        Ok(())
    }

    /// Those among the added ones that could be this element, and perhaps others.
    pub(super) fn like(&mut self, element: &Pattern, budget: &Budget) -> Result<Vec<usize>, Exhausted> {
        let mut ways: Vec<(usize, usize, Rc<[Ends]>)> = Vec::new();
        for at in 0..self.fields.len() {
            let Some(name) = self.fields.get(at).map(|(name, _)| name.clone()) else { continue };
            if let Some(told) = told(element.get(&name), self.parameters, &mut self.enums) {
                ways.extend([0, 1].map(|side| (at, side, Rc::clone(&told))));
            }
        }
        // Each way up to so many, until one has no more.
        let mut most = 16;
        loop {
            for (at, side, told) in &ways {
                if let Some((_, indexed)) = self.fields.get(*at)
                    && let Some(found) = indexed.like(*side, told, most, budget)?
                {
                    return Ok(found);
                }
            }
            if ways.is_empty() || most > usize::MAX / 16 {
                return Ok(self.all());
            }
            most *= 8;
        }
    }

    fn all(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.fields.first().into_iter().flat_map(|(_, indexed)| indexed.all()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Indexed {
    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.loose.iter().chain(self.sorted[0].values().flatten()).copied()
    }

    /// Those that begin (or end) as one of these; none if that is more than `most`.
    fn like(&self, side: usize, told: &[Ends], most: usize, budget: &Budget) -> Result<Option<Vec<usize>>, Exhausted> {
        if self.loose.len() > most || told.len() > most {
            return Ok(None);
        }
        let mut found = self.loose.clone();
        let sorted = &self.sorted[side];
        for end in told.iter().filter_map(|ends| ends.get(side)) {
            budget.spend(STEPS_PER_SEARCH * (1 + end.len() as u64 / 2))?;
            // What is shorter and begins this, and what this begins.
            let shorter = (0..end.len()).filter_map(|length| sorted.get(end.get(..length)?));
            let longer = sorted.range(end.clone()..).take_while(|(other, _)| other.starts_with(end));
            for numbers in shorter.chain(longer.map(|(_, numbers)| numbers)) {
                if found.len() + numbers.len() > most {
                    return Ok(None);
                }
                budget.spend(4 + numbers.len() as u64)?;
                found.extend(numbers);
            }
        }
        budget.spend(2 * found.len() as u64)?;
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}

fn told(pattern: Option<&Pattern>, parameters: &Parameters, enums: &mut Enums) -> Told {
    match pattern? {
        Pattern::Literal(Value::String(text)) => Some([ends(text, text)].into()),
        Pattern::Text(text) => match &*text.parts {
            [Part::Hole(Hole::Declared(position))] => of_enum(*position, parameters, enums),
            [first, .., last] => Some([ends(literal(first), literal(last))].into()),
            _ => None,
        },
        Pattern::Hole(Hole::Declared(position)) => of_enum(*position, parameters, enums),
        _ => None,
    }
}

fn of_enum(position: usize, parameters: &Parameters, enums: &mut Enums) -> Told {
    let of_parameter = || {
        let allowed = &parameters.all.get(position)?.schema.allowed;
        let texts = allowed.iter().map(|value| value.as_str().map(|text| ends(text, text)));
        texts.collect::<Option<Rc<[_]>>>().filter(|texts| !texts.is_empty())
    };
    enums.entry(position).or_insert_with(of_parameter).clone()
}

fn literal(part: &Part) -> &str {
    match part {
        Part::Literal(text) => text,
        Part::Hole(_) => "",
    }
}

fn ends(beginning: &str, end: &str) -> Ends {
    [beginning.bytes().take(LONGEST).collect(), end.bytes().rev().take(LONGEST).collect()]
}

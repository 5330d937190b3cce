//! Which element of a list belongs to which element of a pattern.

use serde_json::Value;

use super::bind::{Binder, droppable, plausible};
use super::index::Index;
use super::{joint, work};
use crate::tables::{ListKind, Shape};
use crate::template::{Element, Field, Hole, Pattern};

/// Cells of the alignment table; beyond, a list is paired by position. Each takes a byte.
const CELLS: usize = 1 << 22;

/// Steps for an element that is paired by its keys, beside those of holding it against values.
const PAIRING: usize = 16 * work::LOOK;

/// What a pattern's element stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Partner {
    /// Nothing.
    None,
    /// The element at this position.
    One(usize),
    /// The elements at these positions, in order.
    Many(Vec<usize>),
}

/// A partner for each of a pattern's elements.
#[derive(Clone, Debug)]
pub(super) struct Pairing {
    pub(super) partners: Vec<Partner>,
}

/// By what the elements of two lists find each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keys<'a> {
    /// Position.
    None,
    /// The values of these fields.
    Fields(&'a [String]),
    /// The whole value.
    Whole,
}

/// By what elements of this list find each other.
pub(super) fn keys(shape: Shape<'_>) -> Keys<'_> {
    match shape.list() {
        ListKind::Keyed(keys) => Keys::Fields(keys),
        ListKind::Set => Keys::Whole,
        ListKind::Positional => Keys::None,
    }
}

/// Whether a list has elements that only holes name: they are found by what is known of the holes.
pub(super) fn waits(elements: &[Element], shape: Shape<'_>) -> bool {
    let keys = match keys(shape) {
        Keys::None => return false,
        Keys::Fields(keys) => keys,
        Keys::Whole => &[],
    };
    elements.iter().any(|element| matches!(element, Element::One(_)) && literal_keys(element, keys).is_none())
}

/// Pairs `elements` with `values`.
pub(super) fn pair(binder: &Binder<'_>, elements: &[Element], values: &[Value], shape: Shape<'_>) -> Pairing {
    let list = List { binder, elements, values, shape };
    let keys: &[String] = match keys(shape) {
        Keys::None => return Pairing { partners: list.aligned().unwrap_or_else(|| list.by_position()) },
        Keys::Fields(keys) => keys,
        Keys::Whole => &[],
    };
    // In the template's order each hole finds its own, even where another could take it too.
    let aligned = list.aligned();
    let shared = joint::shared(elements);
    let aligned = aligned.filter(|partners| shared.is_empty() || list.agree(partners, &shared));
    let partners = match aligned {
        None => list.by_key(keys, &shared),
        // Unless in another order the elements show more of the keys that they are to have.
        Some(aligned) if list.unlike(&aligned) > 0 && waits(elements, shape) => {
            let other = list.by_key(keys, &shared);
            let every = |partners: &[Partner]| partners.iter().all(|partner| *partner != Partner::None);
            let better = list.unlike(&other) < list.unlike(&aligned) && (every(&other) || !every(&aligned));
            if better { other } else { aligned }
        }
        Some(aligned) => aligned,
    };
    Pairing { partners }
}

struct List<'a> {
    binder: &'a Binder<'a>,
    elements: &'a [Element],
    values: &'a [Value],
    shape: Shape<'a>,
}

impl<'a> List<'a> {
    /// Whether the element of the pattern could be this value, or one of them.
    fn could_be(&self, element: &Element, value: &Value) -> bool {
        match element {
            Element::One(pattern) => plausible(self.binder, pattern, value, self.shape.element()),
            Element::Many(index) => self.binder.fit_item(*index, value, self.shape.element()).is_some(),
        }
    }

    fn may_be_none(&self, element: &Element) -> bool {
        match element {
            Element::One(pattern) => droppable(self.binder.parameters, pattern),
            Element::Many(_) => true,
        }
    }

    /// The one way in which all values, in order, are all elements, in order. A pattern with two ways is refused when
    /// it is loaded ([`crate::template`]).
    fn aligned(&self) -> Option<Vec<Partner>> {
        // What is no more and no less than one value at both ends has no choice.
        let fixed = |element: &&Element| matches!(element, Element::One(_)) && !self.may_be_none(element);
        let head = self.elements.iter().take_while(fixed).count();
        let tail = self.elements[head..].iter().rev().take_while(fixed).count();
        let between = self.values.len().checked_sub(head + tail)?;
        let (elements, rest) = self.elements.split_at(head);
        let (middle, last) = rest.split_at(rest.len() - tail);
        let (values, others) = self.values.split_at(head);
        let (taken, ends) = others.split_at(between);
        if middle.is_empty() && between > 0 {
            return None;
        }
        let mut pairs = elements.iter().zip(values).chain(last.iter().zip(ends));
        if !pairs.all(|(element, value)| self.belongs(element, value)) {
            return None;
        }
        let inner = List { binder: self.binder, elements: middle, values: taken, shape: self.shape };
        let mut partners: Vec<Partner> = (0..head).map(Partner::One).collect();
        partners.extend(inner.in_all_ways()?.into_iter().map(|partner| match partner {
            Partner::None => Partner::None,
            Partner::One(at) => Partner::One(head + at),
            Partner::Many(taken) => Partner::Many(taken.into_iter().map(|at| head + at).collect()),
        }));
        partners.extend((head + between..self.values.len()).map(Partner::One));
        Some(partners)
    }

    /// As [`Self::aligned`], of elements that may be more or less than one value.
    fn in_all_ways(&self) -> Option<Vec<Partner>> {
        let (rows, columns) = (self.elements.len(), self.values.len());
        if rows.saturating_mul(columns) > CELLS || !self.binder.spend((rows + 1) * (columns + 16)) {
            return None;
        }
        // reachable[row][column]: elements from `row` on can be the values from `column` on.
        let mut reachable = vec![vec![false; columns + 1]; rows + 1];
        reachable[rows][columns] = true;
        for (row, element) in self.elements.iter().enumerate().rev() {
            if self.binder.is_exhausted() {
                return None;
            }
            for column in (0..=columns).rev() {
                let skip = self.may_be_none(element) && reachable[row + 1][column];
                let eat = || {
                    let value = self.values.get(column)?;
                    let rest = match element {
                        Element::One(_) => reachable[row + 1][column + 1],
                        Element::Many(_) => reachable[row][column + 1],
                    };
                    (rest && self.belongs(element, value)).then_some(())
                };
                reachable[row][column] = skip || eat().is_some();
            }
        }
        reachable[0][0].then(|| self.follow(&reachable))
    }

    fn follow(&self, reachable: &[Vec<bool>]) -> Vec<Partner> {
        let mut column = 0;
        let mut partners = Vec::with_capacity(self.elements.len());
        for (row, element) in self.elements.iter().enumerate() {
            let value = |column: usize| self.values.get(column);
            match element {
                Element::One(_) => {
                    let here = value(column).filter(|value| {
                        reachable[row + 1].get(column + 1) == Some(&true) && self.belongs(element, value)
                    });
                    if here.is_some() {
                        partners.push(Partner::One(column));
                        column += 1;
                    } else {
                        partners.push(Partner::None);
                    }
                }
                Element::Many(_) => {
                    let from = column;
                    while reachable[row].get(column + 1) == Some(&true)
                        && value(column).is_some_and(|value| self.belongs(element, value))
                    {
                        column += 1;
                    }
                    partners.push(Partner::Many((from..column).collect()));
                }
            }
        }
        partners
    }

    /// The list does not fit. For the sake of the differences: the head from the front, the tail from the end, and
    /// what is between belongs to whatever may take more or fewer.
    fn by_position(&self) -> Vec<Partner> {
        let count = self.values.len();
        let flexible = |element: &Element| self.may_be_none(element);
        let head = self.elements.iter().position(flexible).unwrap_or(self.elements.len());
        let tail = self.elements.iter().rev().position(flexible).unwrap_or(0);
        let tail_from = self.elements.len() - tail;
        let end = count.saturating_sub(tail).max(head.min(count));
        let mut at = head;
        let mut partners = Vec::with_capacity(self.elements.len());
        for (row, element) in self.elements.iter().enumerate() {
            let index = if row < head { row } else { end + row.saturating_sub(tail_from) };
            partners.push(match element {
                Element::One(_) if row < head || row >= tail_from => {
                    if index < count {
                        Partner::One(index)
                    } else {
                        Partner::None
                    }
                }
                Element::One(_) => {
                    match self.values.get(at).filter(|value| at < end && self.could_be(element, value)) {
                        Some(_) => {
                            at += 1;
                            Partner::One(at - 1)
                        }
                        None => Partner::None,
                    }
                }
                Element::Many(_) => {
                    self.binder.spend(end.saturating_sub(at) * work::LOOK);
                    let free = (at..end)
                        .filter(|index| self.values.get(*index).is_some_and(|value| self.could_be(element, value)));
                    let taken: Vec<_> = free.collect();
                    at = taken.last().map_or(at, |last| last + 1);
                    Partner::Many(taken)
                }
            });
        }
        partners
    }

    /// Whether holes that several elements share are the same in all of them.
    fn agree(&self, partners: &[Partner], shared: &[usize]) -> bool {
        joint::agree(self.binder, self.pairs(partners), shared, self.shape.element())
    }

    /// Elements that are one value, each with that value.
    fn pairs<'p>(&'p self, partners: &'p [Partner]) -> impl Iterator<Item = (&'p Pattern, &'p Value)> {
        self.elements.iter().zip(partners).filter_map(|(element, partner)| match (element, partner) {
            (Element::One(pattern), Partner::One(at)) => Some((pattern, self.values.get(*at)?)),
            _ => None,
        })
    }

    /// How many keys only one of an element and its value has, in all pairs.
    fn unlike(&self, partners: &[Partner]) -> usize {
        let counts = self.pairs(partners).map(|(pattern, value)| match pattern {
            Pattern::Map(entries) => unlike(entries, value),
            _ => 0,
        });
        counts.fold(0, usize::saturating_add)
    }

    /// By merge key: the largest matching of elements with values that fit, those first whose keys are literal, and
    /// if it can be, so that the `shared` holes are the same everywhere; list holes take what is left and fits. No
    /// keys: by the whole value.
    fn by_key(&self, keys: &'a [String], shared: &[usize]) -> Vec<Partner> {
        self.binder.spend(self.elements.len() * PAIRING);
        let named = |row: &usize| literal_keys(&self.elements[*row], keys).unwrap_or(0);
        let one = |row: &usize| matches!(self.elements[*row], Element::One(_));
        let mut rows: Vec<usize> = (0..self.elements.len()).filter(one).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(named(row)));
        let index = Index::of(self.binder, self.values, keys, self.shape.element());
        let edges: Vec<Vec<usize>> = rows.iter().map(|row| self.fitting(*row, &index)).collect();
        let mut owner: Vec<Option<usize>> = vec![None; self.values.len()];
        let together = if shared.is_empty() { None } else { self.together(&rows, &edges, shared) };
        for (position, at) in together.iter().flatten().enumerate() {
            if let Some(owner) = at.and_then(|at| owner.get_mut(at)) {
                *owner = Some(position);
            }
        }
        let mut matching =
            Matching { binder: self.binder, edges: &edges, owner, seen: vec![0; self.values.len()], time: 0 };
        for (position, row) in rows.iter().enumerate().filter(|_| together.is_none()) {
            let matched = matching.find(position);
            if !matched && named(row) > 0 {
                // The list differs. The element with these keys is still the one to speak of.
                let mut same_keys = index.of_key(&self.elements[*row]).into_iter();
                let is_free = |at: &usize| matching.owner[*at].is_none();
                if let Some(at) = same_keys.find(|at| is_free(at) && self.key_fits(*row, *at, keys)) {
                    matching.owner[at] = Some(position);
                }
            }
        }
        let mut free = vec![true; self.values.len()];
        let mut partners = vec![Partner::None; self.elements.len()];
        for (at, owner) in matching.owner.iter().enumerate() {
            if let Some(row) = owner.and_then(|index| rows.get(index)) {
                free[at] = false;
                partners[*row] = Partner::One(at);
            }
        }
        self.nearest(&rows, keys, &index, &mut free, &mut partners);
        for (row, element) in self.elements.iter().enumerate() {
            if let Element::Many(_) = element
                && self.binder.spend(free.len() * 4)
            {
                let taken: Vec<_> = (0..free.len()).filter(|at| free[*at] && self.fits(row, *at)).collect();
                for at in &taken {
                    free[*at] = false;
                }
                partners[row] = Partner::Many(taken);
            }
        }
        partners
    }

    fn together(&self, rows: &[usize], edges: &[Vec<usize>], shared: &[usize]) -> Option<Vec<Option<usize>>> {
        let row = |(row, candidates): (&usize, &Vec<usize>)| match &self.elements[*row] {
            element @ Element::One(pattern) => {
                Some(joint::Row { pattern, candidates: candidates.clone(), may_be_none: self.may_be_none(element) })
            }
            Element::Many(_) => None,
        };
        let rows = rows.iter().zip(edges).map(row).collect::<Option<Vec<_>>>()?;
        joint::together(self.binder, &rows, self.values, shared, self.shape.element())
    }

    /// The values that fit an element, those first that fit as they are.
    fn fitting(&self, row: usize, index: &Index<'a>) -> Vec<usize> {
        let Some(element) = self.elements.get(row) else { return Vec::new() };
        let mut fitting = index.plausible(element);
        fitting.retain(|at| self.fits(row, *at));
        if let Some(Element::One(Pattern::Hole(Hole::Declared(index)))) = self.elements.get(row)
            && fitting.len() > 1
        {
            fitting.sort_by_cached_key(|at| !self.binder.accepts(*index, &self.values[*at]));
        }
        if let Some(Element::One(Pattern::Map(entries))) = self.elements.get(row)
            && fitting.len() > 1
            && self.binder.spend(fitting.len() * entries.len() * work::LOOK)
        {
            fitting.sort_by_cached_key(|at| unlike(entries, &self.values[*at]));
        }
        fitting
    }

    /// What is nearest to elements that nothing fits, so that the differences speak of something.
    fn nearest(&self, rows: &[usize], keys: &[String], index: &Index<'a>, free: &mut [bool], partners: &mut [Partner]) {
        let mut first_free = 0;
        for row in rows {
            let element = &self.elements[*row];
            if partners[*row] != Partner::None || self.may_be_none(element) || literal_keys(element, keys).is_some() {
                continue;
            }
            while free.get(first_free) == Some(&false) {
                first_free += 1;
            }
            let wanted = |at: usize| {
                let many = self.elements.iter().filter(|element| matches!(element, Element::Many(_)));
                many.into_iter().any(|element| self.could_be(element, &self.values[at]))
            };
            let is_free = |at: &usize| free[*at] && self.binder.spend(2);
            let by_key = index.of_key(element).into_iter().filter(is_free).find(|at| self.key_fits(*row, *at, keys));
            if self.binder.is_exhausted() {
                return;
            }
            let mut left = (first_free..free.len()).filter(is_free);
            if let Some(at) = by_key.or_else(|| left.find(|at| !wanted(*at))) {
                free[at] = false;
                partners[*row] = Partner::One(at);
            }
        }
    }

    fn fits(&self, row: usize, at: usize) -> bool {
        match (self.elements.get(row), self.values.get(at)) {
            (Some(element), Some(value)) => self.belongs(element, value),
            _ => false,
        }
    }

    fn belongs(&self, element: &Element, value: &Value) -> bool {
        self.could_be(element, value) && self.keys_default(element, value)
    }

    /// Whether the merge keys that an element does not name are what the server makes of that.
    fn keys_default(&self, element: &Element, value: &Value) -> bool {
        let Keys::Fields(keys) = keys(self.shape) else { return true };
        let all = |names: &dyn Fn(&str) -> bool| keys.iter().all(|key| names(key) || is_default(key, value));
        let fitted = match element {
            Element::One(Pattern::Map(entries)) => return all(&|key| entries.iter().any(|(name, _)| name == key)),
            Element::One(Pattern::Hole(Hole::Declared(index))) => self.binder.fit(*index, value, self.shape.element()),
            Element::Many(index) => self.binder.fit_item(*index, value, self.shape.element()),
            Element::One(_) => return true,
        };
        fitted.is_none_or(|(fitted, _)| all(&|key| fitted.get(key).is_some()))
    }

    /// Whether the keys that the element names are those of the value, and one that it does not name the server's.
    fn key_fits(&self, row: usize, at: usize, keys: &[String]) -> bool {
        let (Some(Element::One(Pattern::Map(entries))), Some(value)) = (self.elements.get(row), self.values.get(at))
        else {
            return self.fits(row, at);
        };
        keys.iter().all(|key| {
            let Some((_, pattern)) = entries.iter().find(|(name, _)| **name == **key) else {
                return is_default(key, value);
            };
            let shape = self.shape.element().field(key);
            value.get(key).is_some_and(|value| plausible(self.binder, pattern, value, shape))
        })
    }
}

/// The largest matching of elements with values that fit them, one element after the other.
struct Matching<'m> {
    binder: &'m Binder<'m>,
    /// For each element, the values that fit it.
    edges: &'m [Vec<usize>],
    /// For each value, the element that has it.
    owner: Vec<Option<usize>>,
    /// When each value was last asked for.
    seen: Vec<usize>,
    time: usize,
}

impl Matching<'_> {
    /// A value for an element, moving others if need be; false where there is none.
    fn find(&mut self, element: usize) -> bool {
        self.time += 1;
        self.augment(element)
    }

    fn augment(&mut self, element: usize) -> bool {
        let edges = self.edges;
        let Some(candidates) = edges.get(element) else { return false };
        if !self.binder.spend(work::LOOK + 2 * candidates.len()) {
            return false;
        }
        if let Some(at) = candidates.iter().find(|at| self.owner[**at].is_none()) {
            self.owner[*at] = Some(element);
            return true;
        }
        for at in candidates {
            if std::mem::replace(&mut self.seen[*at], self.time) == self.time {
                continue;
            }
            if self.owner[*at].is_some_and(|other| self.augment(other)) {
                self.owner[*at] = Some(element);
                return true;
            }
        }
        false
    }
}

/// Whether a merge key of `value` may be the server's: of built-in kinds only `protocol` has a default. What a custom
/// resource's schema says is left to the comparison.
fn is_default(key: &str, value: &Value) -> bool {
    match value.get(key) {
        Some(protocol) if key == "protocol" => protocol == "TCP",
        _ => true,
    }
}

/// How many merge keys an element names, if all that it names are literal; none if one has a hole, or it names none.
fn literal_keys(element: &Element, keys: &[String]) -> Option<usize> {
    match element {
        Element::One(Pattern::Literal(_)) => Some(usize::MAX),
        Element::One(Pattern::Map(entries)) => {
            let named: Vec<_> = entries.iter().filter(|(name, _)| keys.iter().any(|key| *name == **key)).collect();
            let literal = named.iter().all(|(_, pattern)| matches!(pattern, Pattern::Literal(_)));
            (literal && !named.is_empty()).then_some(named.len())
        }
        _ => None,
    }
}

/// How many keys only one of the two has: of several values that fit an element, the one that shows its keys is meant.
fn unlike(entries: &[(Field, Pattern)], value: &Value) -> usize {
    let Some(object) = value.as_object() else { return usize::MAX };
    let shared = entries.iter().filter(|(key, _)| object.contains_key(&**key)).count();
    entries.len() + object.len() - 2 * shared
}

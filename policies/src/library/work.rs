//! How much of the work that one ConfigMap may take its keys take, told to its author.

use super::Problem;
use crate::budget::Budget;
use crate::template::Dear;

/// A key that takes more than this part of what one ConfigMap may take is told.
const PART_OF_DEAR_KEY: u64 = 4;
/// A ConfigMap that takes more than this part is told.
const PART_OF_DEAR_WHOLE: u64 = 2;
/// How many keys a message names.
const NAMED: usize = 3;
/// How the error of a key begins that was not compiled, since the steps had ended before it.
const UNCOMPILED: &str = "not compiled, since the work that is allowed for one ConfigMap";
/// What makes a ConfigMap dear.
const ADVICE: &str = "split the ConfigMap, or simplify what takes so much (longer lists of elements with holes, texts of many \
                      holes, large patterns and enums)";

/// The steps of each key, in the order in which they are read.
#[derive(Debug)]
pub(super) struct Work<'b> {
    pub(super) budget: &'b Budget,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    steps: u64,
    dearest: Option<Dear>,
}

impl<'b> Work<'b> {
    /// Nothing yet, of this budget.
    pub(super) fn of(budget: &'b Budget) -> Self {
        Self { budget, keys: Vec::new() }
    }

    /// What one more key took: so many steps were left before it.
    pub(super) fn add(&mut self, name: &str, before: u64, dearest: Option<Dear>) {
        self.keys.push(Key { name: name.to_owned(), steps: before - self.budget.left(), dearest });
    }

    fn percent(&self, steps: u64) -> u64 {
        steps.saturating_mul(100) / self.budget.given().max(1)
    }

    /// The error of a key to which the steps did not come.
    pub(super) fn uncompiled(&self) -> String {
        let mut dear: Vec<&Key> = self.keys.iter().collect();
        dear.sort_by_key(|key| std::cmp::Reverse(key.steps));
        let dear: Vec<_> = dear
            .into_iter()
            .take(NAMED)
            .filter(|key| self.percent(key.steps) > 0)
            .map(|key| format!("{} {} %", key.name, self.percent(key.steps)))
            .collect();
        let dear = if dear.is_empty() { String::new() } else { format!(" ({})", dear.join(", ")) };
        let end = self.keys.last().map_or_else(String::new, |key| format!(" at {}", key.name));
        format!("{UNCOMPILED} is used up{end}{dear}; keys are compiled in order of their names: {ADVICE}")
    }

    /// Warnings of what takes much and is compiled all the same: the next addition may be too much, and until it is
    /// compiled its masters wait.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        let dear = |key: &&Key| key.steps > self.budget.given() / PART_OF_DEAR_KEY;
        let warnings: Vec<_> = self.keys.iter().filter(dear).map(|key| self.warning(key)).collect();
        let taken: u64 = self.keys.iter().map(|key| key.steps).sum();
        if warnings.is_empty() && taken > self.budget.given() / PART_OF_DEAR_WHOLE {
            let message = format!(
                "its keys take about {} % of the work that one ConfigMap may, none of them very much: split it",
                self.percent(taken)
            );
            return vec![Problem::warning(None, None, message)];
        }
        warnings
    }

    fn warning(&self, key: &Key) -> Problem {
        let takes = format!("takes about {} % of the work that one ConfigMap may", self.percent(key.steps));
        match key.dearest {
            Some(Dear { piece, line, steps }) => {
                let message = format!(
                    "{takes}; the {} on this line takes {} %: {}",
                    piece.name(),
                    self.percent(steps),
                    piece.advice()
                );
                Problem::warning(Some(&key.name), Some(line), message)
            }
            None => Problem::warning(Some(&key.name), None, format!("{takes}: {ADVICE}")),
        }
    }
}

impl Problem {
    /// Whether it is the error of a key that was not compiled, since the steps had ended before it.
    pub(crate) fn is_uncompiled(&self) -> bool {
        self.message.starts_with(UNCOMPILED)
    }
}

/// These problems, with one error for all keys that were not compiled, after the others: what they wait for is told first.
pub(crate) fn gathered(problems: Vec<Problem>) -> Vec<Problem> {
    let (uncompiled, mut others): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_uncompiled);
    let keys: Vec<&str> = uncompiled.iter().filter_map(|problem| problem.key.as_deref()).collect();
    if let ([_, further @ ..], Some(first)) = (keys.as_slice(), uncompiled.first()) {
        let mut error = first.clone();
        let named = further.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let also = match further.len().saturating_sub(NAMED) {
            _ if further.is_empty() => String::new(),
            0 => format!(". Nor is {named}"),
            more => format!(". Nor are {named} and {more} more keys"),
        };
        error.message.push_str(&also);
        others.push(error);
    }
    others
}

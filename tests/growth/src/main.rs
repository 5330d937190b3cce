//! Runs cases for callgrind to count (`tests/growth/run`), a line for each count: the case, the factor, what bounds it
//! (the error of a budget, or that no larger one is read), the time if GROWTH_TIMED is set, and the answer.
//!
//! Without arguments each dimension alone at 1, 4 and 16 times its base; with `--part 1/2` every second one of these,
//! with `--part 2/2` the others; with `--together` and names of such cases each two of them together; with `--largest`
//! and names these at their largest, by time and not by count; with a word those whose names contain it.

use std::hint::black_box;
use std::time::Duration;

use growth::case::{Case, FACTORS, Work};
use growth::clock::timed;
use growth::work::Answer;

/// What a lint with a compile may take, and a review, with some for a build without all optimisation.
const MOST: [Duration; 2] = [Duration::from_millis(2_500), Duration::from_millis(250)];

/// callgrind collects in here alone, and writes what it has on the next way in.
#[inline(never)]
fn counted(work: &Work) -> Answer {
    let answer = (work.run)();
    // So that the work is no tail call, which would count as left.
    black_box(answer)
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => Case::alone().iter().for_each(grow),
        Some((option, part)) if option == "--part" => {
            let part = part.first().and_then(|part| part.split_once('/'));
            let numbers = part.and_then(|(one, of)| Some((one.parse::<usize>().ok()?, of.parse::<usize>().ok()?)));
            // Anything else is no part, and what reads the lines misses them.
            let (part, of) = numbers.unwrap_or((0, 0));
            let all = Case::alone();
            all.iter().enumerate().filter(|(at, _)| at % of.max(1) + 1 == part).for_each(|(_, case)| grow(case));
        }
        Some((option, names)) if option == "--together" => {
            let pairs = names.chunks(2).filter_map(|pair| Case::together(&pair[0], pair.get(1)?));
            pairs.for_each(|case| grow(&case));
        }
        Some((option, names)) if option == "--largest" => {
            let alone = Case::alone().into_iter().filter(|case| names.contains(&case.name));
            let together = names.iter().filter_map(|name| {
                let (one, other) = name.split_once(" + ")?;
                Case::together(one, &format!("{} {other}", one.split_once(' ')?.0))
            });
            alone.chain(together).for_each(|case| largest(&case));
        }
        Some((word, _)) => Case::alone().iter().filter(|case| case.name.contains(word)).for_each(grow),
    }
}

fn grow(case: &Case) {
    let is_timed = std::env::var_os("GROWTH_TIMED").is_some();
    for factor in FACTORS {
        let work = (case.make)(case.base * factor);
        for time in 0..work.times {
            // Valgrind knows no clock of a thread.
            let (answer, spent) = if is_timed {
                let (took, answer) = timed(|| counted(&work));
                (answer, format!("{:.2} ms\t", took.as_secs_f64() * 1e3))
            } else {
                (counted(&work), String::new())
            };
            let again = if time == 0 { "" } else { " again" };
            let bound = match (answer.is_budgets(), case.is_capped) {
                (true, _) => "budget",
                (false, true) => "capped",
                (false, false) => "-",
            };
            println!("{}{again}\t{factor}\t{bound}\t{spent}{}", case.name, answer.0);
        }
    }
}

/// What grows too fast may end in the error of a budget, in time; or no size that is ever read may take long.
fn largest(case: &Case) {
    let Some(most) = case.most else { return };
    let allowed = MOST[usize::from(!case.name.starts_with("lint "))];
    let (mut longest, mut is_budgets, mut last) = (Duration::ZERO, false, String::new());
    // Smaller ones too: beyond some size another way may be taken.
    for factor in [most / 4, most / 2, most] {
        let work = (case.make)(factor);
        let (took, answer) = timed(|| (work.run)());
        longest = longest.max(took);
        is_budgets |= answer.is_budgets();
        last = answer.0;
    }
    let bound = match is_budgets {
        _ if longest > allowed => "slow",
        true => "budget",
        false if longest < allowed / 4 => "small",
        false => "-",
    };
    println!("0\t{}\tlargest\t{bound}\t{:.0} ms: {last}", case.name, longest.as_secs_f64() * 1e3);
}

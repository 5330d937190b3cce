//! Runs every case at 1, 4 and 16 times its base, for callgrind to count: `tests/growth/run`.
//!
//! Without arguments each dimension alone; with two names of such cases both together. A line for each count: the
//! case, the factor, what bounds it (the error of a budget, or that no larger one is read), and the answer; with GROWTH_TIMED set also the time.

use std::hint::black_box;

use growth::case::{Case, FACTORS, Work};
use growth::clock::timed;
use growth::work::Answer;

/// callgrind collects in here alone, and writes what it has on the next way in.
#[inline(never)]
fn counted(work: &Work) -> Answer {
    let answer = (work.run)();
    // So that the work is no tail call, which would count as left.
    black_box(answer)
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let cases = match arguments.as_slice() {
        [] => Case::alone(),
        [only] => Case::alone().into_iter().filter(|case| case.name.contains(only.as_str())).collect(),
        pairs => pairs.chunks(2).filter_map(|pair| Case::together(&pair[0], pair.get(1)?)).collect(),
    };
    let is_timed = std::env::var_os("GROWTH_TIMED").is_some();
    for case in &cases {
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
                let Answer(text) = &answer;
                let bounded = match (answer.is_budgets(), case.is_capped) {
                    (true, _) => "budget",
                    (false, true) => "capped",
                    (false, false) => "-",
                };
                println!("{}{again}\t{factor}\t{bounded}\t{spent}{text}", case.name);
            }
        }
    }
}

//! What a verdict costs, parsing and answering aside: `cargo bench -p retinue-policies --bench verdict`.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, unreachable_pub, reason = "a benchmark")]

mod cases;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use policies::verdict::decide;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn verdicts(criterion: &mut Criterion) {
    for case in cases::all(true) {
        criterion.bench_function(case.name, |bencher| {
            bencher.iter(|| decide(black_box(&case.request), black_box(&case.situation)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500));
    targets = verdicts
}
criterion_main!(benches);

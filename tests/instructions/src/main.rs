//! One verdict of every case, for callgrind to count its instructions: `make instructions`.
//!
//! Each case is judged twice so that what is read lazily is there, then once inside [`counted`], where the counting
//! is. The first is no verdict but the parsing of a review, by which the others are measured.

// The requests of the timed benchmark. A crate of its own, since that one's harness is long to build.
#[path = "../../../policies/benches/cases/mod.rs"]
#[expect(unreachable_pub, reason = "shared with a benchmark")]
mod cases;

use std::hint::black_box;

use policies::verdict::decide;
use serde_json::{Value, json};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// callgrind collects in here alone, and writes what it has on the next way in.
#[inline(never)]
fn counted(work: &dyn Fn()) {
    work();
    // So that the work is no tail call, which would count as left.
    black_box(());
}

fn measure(name: &str, work: &dyn Fn()) {
    work();
    work();
    counted(work);
    println!("{name}");
}

fn main() {
    let cases = cases::all(false);
    if let Some(case) = cases.first() {
        let request = json!({"uid": case.request.uid, "object": case.request.object, "operation": "CREATE"});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let body = review.to_string();
        measure("parse", &|| drop(black_box(serde_json::from_str::<Value>(black_box(&body)))));
    }
    for case in &cases {
        measure(case.name, &|| drop(black_box(decide(black_box(&case.request), black_box(&case.situation)))));
    }
}

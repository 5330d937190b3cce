//! [`fuzz::patch`]: without a fuzzer built in, it does nothing.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::patch::run(data));

#[cfg(not(fuzzing))]
fn main() {}

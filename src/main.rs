//! retinue
fn main() {}

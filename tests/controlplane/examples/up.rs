//! Starts a control plane, says how to reach it, and keeps it up until it is killed or its standard input closes.
//!
//!     cargo run -p retinue-controlplane --example up [-- --api-only]

use std::io::Write;

use controlplane::{Error, Options};

fn main() -> Result<(), Error> {
    let options = if std::env::args().any(|arg| arg == "--api-only") { Options::api_only() } else { Options::new() };
    let cluster = options.start()?;
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    let _shown = std::io::stdout().flush();
    let _closed = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    drop(cluster);
    Ok(())
}

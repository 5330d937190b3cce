//! Starts a control plane with a real node, says how to reach it, and keeps it up until its standard input closes.
//!
//!     cargo run -p retinue-node --example node_up

use std::io::Write;

fn main() -> anyhow::Result<()> {
    let node = node::Node::start()?;
    println!("export KUBECONFIG={}", node.cluster.kubeconfig().display());
    println!("{:?}", node.machine.command("sh"));
    let _shown = std::io::stdout().flush();
    let _closed = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    drop(node);
    Ok(())
}

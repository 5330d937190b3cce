//! `make demo`: the story, with each command and its real answer. Exits non-zero if any step answered otherwise.
//!
//! `retinue-demo PATH-OF-RETINUE`; `KEEP=1` leaves everything running and prints the kubeconfigs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use story::stage::Stage;
use story::{AdmissionFile, Installation, play};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the demo could not be played: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let binary: PathBuf = std::env::args_os().nth(1).context("usage: retinue-demo PATH-OF-RETINUE")?.into();
    println!("Starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and a node; installing retinue …");
    let folder = tempfile::tempdir()?;
    let admission = AdmissionFile::new(folder.path())?;
    let cluster = controlplane::Options::new().apiserver_flag(admission.flag()).start()?;
    let installation = Installation::into(cluster, &binary)?;
    let master = installation.master("trading")?;
    let mut stage = Stage::new(&installation, "trading", &master, |line| println!("{line}"));
    stage.admission = Some(admission);
    let played = play::play(&mut stage);
    println!("\nShown:");
    for scene in stage.shown() {
        println!("  - {scene}");
    }
    println!("{} checks, {} answered otherwise", stage.checks(), stage.wrong().len());
    for wrong in stage.wrong() {
        println!("  ✗ {wrong}");
    }
    let wrong = !stage.wrong().is_empty() || played.is_err();
    drop(stage);
    if wrong {
        println!("{}", installation.logs());
    }
    played?;
    if std::env::var_os("KEEP").is_some_and(|keep| keep != "0" && !keep.is_empty()) {
        println!("\nKept running until you press Ctrl-C:");
        println!("  export KUBECONFIG={}", installation.cluster.kubeconfig().display());
        println!("  the master's kubeconfig: {}", master.display());
        // Blocks until the process is ended from outside.
        loop {
            std::thread::park();
        }
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

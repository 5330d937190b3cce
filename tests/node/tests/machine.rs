//! Machines side by side, and what is left of one afterwards: nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use node::{ADDRESS, Machine};

/// In the environment of the process that another test kills.
const VICTIM: &str = "NODE_TESTS_VICTIM";

/// Whether to go on; past what the test harness captures, why not.
fn wanted() -> bool {
    node::wanted().inspect_err(|reason| eprintln!("no machine is started: {reason}")).is_ok()
}

/// What there is of the machine with this folder: it, cgroups, the folder of a process in its namespaces.
fn traces(folder: &Path) -> Vec<PathBuf> {
    let name = folder.file_name().unwrap();
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path().join(name));
    let places = hierarchies.chain([folder.to_owned(), Path::new("/sys/fs/cgroup").join(name)]);
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).filter(|process| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
    });
    places.filter(|place| place.exists()).chain(processes).collect()
}

/// A container under the machine's own cgroup, as a kubelet would have it.
fn with_container(machine: &Machine) {
    let folder = machine.folder();
    let cgroup = format!("/{}/work", folder.file_name().unwrap().to_str().unwrap());
    let socket = folder.join("containerd.sock");
    let run = ["run", "--detach", "--snapshotter", "native", "--cgroup", &cgroup, node::IMAGE, "work"];
    let output = machine
        .command("ctr")
        .args(["--address", socket.to_str().unwrap(), "--namespace", "k8s.io"])
        .args(run)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn machines_run_side_by_side_each_in_a_network_of_its_own_and_leave_nothing() {
    if !wanted() {
        return;
    }
    let machines = [Machine::start().unwrap(), Machine::start().unwrap()];
    machines.iter().for_each(with_container);
    // The same address and port in each at once, by threads that are inside.
    let listen = |machine: &Machine| {
        machine.enter().unwrap();
        TcpListener::bind((ADDRESS, 80)).unwrap()
    };
    let listener = |machine| std::thread::scope(|scope| scope.spawn(|| listen(machine)).join().unwrap());
    let _listeners = machines.each_ref().map(listener);
    assert!(TcpListener::bind((ADDRESS, 80)).is_err(), "outside there is no such address");
    let folders = machines.each_ref().map(|machine| machine.folder().to_owned());
    assert!(folders.iter().all(|folder| traces(folder).len() > 3), "{folders:?}");
    drop(machines);
    for folder in folders {
        assert_eq!(traces(&folder), Vec::<PathBuf>::new());
    }
}

/// A process that runs a machine with a container until it is killed, and the machine's folder.
fn victim() -> (Child, PathBuf) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_machine_of_a_process_that_will_be_killed", "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.filter_map(|line| Some(PathBuf::from(line.split_once("folder ")?.1))).next().unwrap();
    assert!(traces(&folder).len() > 3, "{:?}", traces(&folder));
    (victim, folder)
}

/// Asks until it is so: supervisors and the kernel clean up, and nothing tells when they have.
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Run by [`victim`] alone.
#[test]
fn the_machine_of_a_process_that_will_be_killed() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let machine = Machine::start().unwrap();
    with_container(&machine);
    println!("folder {}", machine.folder().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_machine_ends_with_a_process_that_is_killed() {
    if !wanted() {
        return;
    }
    let (mut victim, folder) = victim();
    victim.kill().unwrap();
    victim.wait().unwrap();
    until("nothing left", || traces(&folder).is_empty());
}

#[test]
fn what_was_left_since_the_supervisors_were_killed_too_is_removed_by_the_next_machine() {
    if !wanted() {
        return;
    }
    let (mut victim, folder) = victim();
    let supervise = controlplane::program("supervise").unwrap();
    let supervisors = traces(&folder).into_iter().filter(|it| {
        let line = std::fs::read(it.join("cmdline")).unwrap_or_default();
        line.starts_with(supervise.to_str().unwrap().as_bytes())
    });
    let pids: Vec<String> = supervisors.map(|it| it.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(Command::new("kill").arg("-9").args(&pids).status().unwrap().success());
    victim.kill().unwrap();
    victim.wait().unwrap();
    // A container that is still dying keeps its cgroup: then it is the one after the next.
    until("nothing left", || {
        drop(Machine::start().unwrap());
        traces(&folder).is_empty()
    });
}

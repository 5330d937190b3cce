//! The node is one: programs run, their output is read, a Service answers, and nothing leaves the machine.

use std::path::Path;

use node::IMAGE;

use crate::house::room;

#[test]
fn a_pod_runs_its_output_is_read_and_a_service_answers_from_another_pod() {
    let Some(room) = room() else { return };
    room.kubectl(&["run", "server", "--image", IMAGE, "--labels", "app=server", "--", "serve", "8080"]);
    room.kubectl(&["expose", "pod", "server", "--port", "80", "--target-port", "8080"]);
    let address = room.get("service/server")["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let url = format!("http://{address}/");
    room.kubectl(&[
        "run",
        "client",
        "--image",
        IMAGE,
        "--restart",
        "Never",
        "--",
        "get",
        &url,
        "then",
        "print",
        "done",
    ]);
    room.wait("pod/client", "jsonpath={.status.phase}=Succeeded");
    assert_eq!(room.kubectl(&["logs", "client"]), "server\ndone\n");
    assert_eq!(room.running(), ["server/server"]);
    room.kubectl(&["delete", "pod", "server"]);
    room.until_running(&[]);
}

#[test]
fn a_pod_is_in_cgroups_that_go_with_the_node() {
    let Some(room) = room() else { return };
    room.kubectl(&["run", "a", "--image", IMAGE]);
    room.wait("pod/a", "condition=Ready");
    let pod = room.get("pod/a");
    let name = room.house.machine.folder().file_name().unwrap().to_str().unwrap();
    let cgroup = format!("{name}/kubepods/besteffort/pod{}", pod["metadata"]["uid"].as_str().unwrap());
    // One hierarchy for everything, or one for each controller.
    assert!(["", "memory"].iter().any(|it| Path::new("/sys/fs/cgroup").join(it).join(&cgroup).is_dir()), "{cgroup}");
    room.kubectl(&["delete", "pod", "a", "--wait=false"]);
}

#[test]
fn there_is_no_way_out_of_the_node() {
    let Some(room) = room() else { return };
    let output = room.house.machine.command("ip").args(["route", "show", "table", "all"]).output().unwrap();
    let routes = String::from_utf8(output.stdout).unwrap();
    assert!(routes.contains("10.96.0.0/16 dev node0"), "{routes}");
    assert!(!routes.contains("default"), "{routes}");
}

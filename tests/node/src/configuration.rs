//! What containerd, the CNI plugins, the kubelet and kube-proxy are told.

use std::path::Path;

use serde_json::json;

use crate::availability::PLUGINS;
use crate::namespaces::ADDRESS;
use crate::{IMAGE, NAME};

/// The addresses of pods.
const PODS: &str = "10.244.0.0/24";

/// The socket that containerd listens on.
pub(crate) fn socket(folder: &Path) -> String {
    folder.join("containerd.sock").display().to_string()
}

/// containerd's. Snapshots are plain copies: an overlay would not do where this folder is on one already.
pub(crate) fn containerd(folder: &Path) -> String {
    let within = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{networks}"
"#,
        root = within("containerd"),
        state = within("containers"),
        socket = socket(folder),
        networks = within("networks"),
    )
}

/// The pods' network. Each has a link of its own, so that what one pod sends another through a Service is routed, and
/// its addresses are translated back, without the kernel's module for that in bridges.
pub(crate) fn network(folder: &Path) -> String {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": folder.join("addresses"),
            },
        }],
    })
    .to_string()
}

/// The kubelet's. Cgroups of either version, below one that is the node's own, and without systemd; nothing is evicted, no image
/// is collected, whatever else fills the disk; nothing waits out of politeness.
pub(crate) fn kubelet(folder: &Path, cgroup: &str) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": folder.join("ca.crt")}},
        "containerRuntimeEndpoint": format!("unix://{}", socket(folder)),
        "podLogsDir": folder.join("pods"),
        "volumePluginDir": folder.join("volume-plugins"),
        "resolvConf": folder.join("resolv.conf"),
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "healthzPort": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "nodeStatusUpdateFrequency": "2s",
        // A container that ends again and again is started again after a second, not ten.
        "featureGates": {"KubeletCrashLoopBackOffMax": true},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    })
    .to_string()
}

/// The kubelet's command line, without the program.
pub(crate) fn kubelet_flags(folder: &Path) -> Vec<String> {
    let within = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--config={}", within("kubelet.json")),
        format!("--kubeconfig={}", within("kubelet.kubeconfig")),
        format!("--root-dir={}", within("kubelet")),
        format!("--cert-dir={}", within("kubelet-certificates")),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={ADDRESS}"),
    ]
}

/// kube-proxy's. It leaves the sizes of connection tracking alone, which are the machine's.
pub(crate) fn proxy(folder: &Path) -> String {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": folder.join("kube-proxy.kubeconfig")},
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "conntrack": {"maxPerCore": 0},
        "iptables": {"minSyncPeriod": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    })
    .to_string()
}

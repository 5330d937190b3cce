//! The command lines of the components.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Options;

/// The addresses of Services, and the first of them, which is the API server's own.
const SERVICES: &str = "10.96.0.0/16";
pub(crate) const FIRST_SERVICE: &str = "10.96.0.1";

/// The socket that etcd listens on: a path needs no free port.
pub(crate) fn etcd_socket(folder: &Path) -> PathBuf {
    folder.join("etcd.sock")
}

/// The file that the API server writes its audit events to, one JSON object per line.
pub(crate) fn audit_log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

pub(crate) fn etcd(folder: &Path) -> Vec<OsString> {
    let clients = format!("unix://{}", etcd_socket(folder).display());
    // There are no peers, and nobody asks for what is advertised, but etcd insists on host and port.
    // For a Unix socket they name a file in the working folder.
    let peers = "unix://peer:1";
    line([
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={clients}"),
        "--advertise-client-urls=http://127.0.0.1:1".to_owned(),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // The data is worth nothing once the test is over.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ])
}

pub(crate) fn apiserver(folder: &Path, port: u16, options: &Options) -> Vec<OsString> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut flags = line([
        format!("--etcd-servers=unix://{}", etcd_socket(folder).display()),
        format!("--secure-port={port}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", file("tokens.pub")),
        format!("--service-account-signing-key-file={}", file("tokens.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        // Beside the plugins that are on by default.
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy")),
        format!("--audit-log-path={}", audit_log(folder).display()),
        // In one file, however long (megabytes): whoever reads it reads one.
        "--audit-log-maxsize=10240".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    flags.extend(match options.address {
        // Nobody reaches it through the `kubernetes` Service: nothing runs on the nodes.
        None => line([
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ]),
        Some(address) => line([
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={address}"),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
            format!("--kubelet-client-key={}", file("kubelet-client.key")),
        ]),
    });
    flags.extend(options.apiserver_flags.iter().map(OsString::from));
    flags
}

pub(crate) fn controller_manager(folder: &Path, options: &Options) -> Vec<OsString> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut flags = line([
        format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
        format!("--service-account-private-key-file={}", file("tokens.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        // As in production: each controller is a service account of its own, and admission sees it as such.
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // Generous, so that tests wait for Kubernetes and not for its politeness.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]);
    flags.extend(options.controller_flags.iter().map(OsString::from));
    flags
}

pub(crate) fn scheduler(folder: &Path) -> Vec<OsString> {
    line([
        format!("--kubeconfig={}", folder.join("scheduler.kubeconfig").display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ])
}

pub(crate) fn kwok(folder: &Path) -> Vec<OsString> {
    line([
        format!("--kubeconfig={}", folder.join("kwok.kubeconfig").display()),
        format!("--config={}", folder.join("stages.yaml").display()),
        "--manage-all-nodes=true".to_owned(),
        "--node-ip=10.128.0.1".to_owned(),
        "--cidr=10.129.0.0/16".to_owned(),
        "--node-lease-duration-seconds=40".to_owned(),
    ])
}

fn line<const N: usize>(flags: [String; N]) -> Vec<OsString> {
    flags.into_iter().map(OsString::from).collect()
}

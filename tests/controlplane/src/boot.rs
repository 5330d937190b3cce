//! Starting a control plane: folder, certificates, components in their order, readiness.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use crate::component::Component;
use crate::credentials::{Authority, Identity, token_key};
use crate::error::While;
use crate::{ControlPlane, Error, Options, Port, flags, http, identity};

/// How long to wait for readiness: seconds on an idle machine, more where compilers run beside the tests.
const LIMIT: Duration = Duration::from_secs(120);

/// How often to ask for what cannot be watched yet.
const PAUSE: Duration = Duration::from_millis(25);

/// How long to listen to whoever is on the port while the API server starts: it may be somebody else, who says nothing.
const STRANGER: Duration = Duration::from_secs(2);

/// A Unix socket's path has 108 bytes with its final zero.
const LONGEST_SOCKET: usize = 107;

/// The folder of one control plane.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new() -> Result<Self, Error> {
        let path = tempfile::Builder::new()
            .prefix("controlplane-")
            .tempdir()
            .doing(|| "making a temporary folder".to_owned())?
            .keep();
        let keep = std::env::var_os("CONTROLPLANE_KEEP").is_some();
        if keep {
            eprintln!("control plane: its logs stay in {}", path.display());
        }
        let folder = Self { path, keep };
        let socket = flags::etcd_socket(&folder.path);
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(Error::Io {
                what: format!("{} is too long a path for a socket: set TMPDIR to a shorter one", socket.display()),
                source: std::io::ErrorKind::InvalidInput.into(),
            });
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Gone already where etcd's supervisor was quicker.
            let _gone = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The running programs, in the order in which they are dropped: etcd last, since its supervisor removes the folder.
#[derive(Debug)]
pub(crate) struct Components {
    pub(crate) others: Vec<Component>,
    /// None while a test has stopped it.
    pub(crate) apiserver: Option<Component>,
    /// None while a test has stopped it.
    pub(crate) etcd: Option<Component>,
}

impl Components {
    fn each(&mut self) -> impl Iterator<Item = &mut Component> {
        self.etcd.iter_mut().chain(&mut self.apiserver).chain(&mut self.others)
    }

    /// An error if one of them has ended by itself.
    fn check(&mut self) -> Result<(), Error> {
        self.each().try_for_each(Component::check)
    }

    /// The last lines of all logs.
    pub(crate) fn tails(&mut self) -> String {
        let tail = |it: &mut Component| format!("--- {} ({})\n{}\n", it.name(), it.log().display(), it.tail());
        self.each().map(tail).collect()
    }
}

/// Starts the API server of the control plane in `folder`.
pub(crate) fn apiserver(folder: &Path, port: u16, options: &Options) -> Result<Component, Error> {
    Component::start("kube-apiserver", &flags::apiserver(folder, port, options), folder, false)
}

/// Starts etcd in `folder`, which its supervisor removes in the end.
pub(crate) fn etcd(folder: &Folder) -> Result<Component, Error> {
    Component::start("etcd", &flags::etcd(&folder.path), &folder.path, !folder.keep)
}

impl ControlPlane {
    pub(crate) fn start_with(options: Options) -> Result<Self, Error> {
        let port = Port::reserve()?;
        let folder = Folder::new()?;
        let path = folder.path();
        let etcd = etcd(&folder)?;
        let authority = Authority::new()?;
        let admin = authority.client("admin", Some("system:masters"))?;
        write_files(path, port.number(), &authority, &admin, &options)?;
        let apiserver = apiserver(path, port.number(), &options)?;
        let cluster = Self {
            client: http::Client::new(port.number(), &authority.pem(), &admin)?,
            port,
            authority,
            admin,
            components: Mutex::new(Components { others: Vec::new(), apiserver: Some(apiserver), etcd: Some(etcd) }),
            written: AtomicUsize::new(0),
            options,
            folder,
        };
        cluster.until_ready()?;
        cluster.start_others()?;
        Ok(cluster)
    }

    /// Waits until the API server says that it is ready.
    pub(crate) fn until_ready(&self) -> Result<(), Error> {
        let client = self.client.with_patience(STRANGER);
        self.until("readiness of the API server", || match client.ask("GET", "/readyz?verbose", None) {
            Ok(answer) if answer.code == 200 => Ok(()),
            Ok(answer) => Err(answer.body),
            Err(error) => Err(error.to_string()),
        })
    }

    fn start_others(&self) -> Result<(), Error> {
        let folder = self.folder();
        let mut others = Vec::new();
        if self.options.controllers {
            let flags = flags::controller_manager(folder, &self.options);
            others.push(Component::start("kube-controller-manager", &flags, folder, false)?);
        }
        if self.options.scheduler {
            others.push(Component::start("kube-scheduler", &flags::scheduler(folder), folder, false)?);
        }
        self.components().others = others;
        if self.options.nodes > 0 {
            let kwok = Component::start("kwok", &flags::kwok(folder), folder, false)?;
            self.components().others.push(kwok);
            for number in 0..self.options.nodes {
                self.add_node(&format!("node-{number}"))?;
            }
        }
        if self.options.controllers {
            self.until("the first work of the controllers", || {
                let path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
                self.client.must("GET", path, None, &[]).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    }

    /// Asks again and again until there is an answer; `Err` tells what there was instead.
    ///
    /// # Errors
    /// A component has ended, or there was no answer within two minutes.
    pub fn until<T>(&self, awaited: &str, ask: impl FnMut() -> Result<T, String>) -> Result<T, Error> {
        until(awaited, ask, || self.components().check(), || self.logs())
    }
}

/// Asks again and again until there is an answer; `Err` tells what there was instead. `check` says whether those who are
/// waited for still run, `logs` what they say in the end.
///
/// # Errors
/// What `check` found, or there was no answer within two minutes.
pub fn until<T>(
    awaited: &str,
    mut ask: impl FnMut() -> Result<T, String>,
    check: impl Fn() -> Result<(), Error>,
    logs: impl Fn() -> String,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        let last = match ask() {
            Ok(answer) => return Ok(answer),
            Err(last) => last,
        };
        check()?;
        if started.elapsed() > LIMIT {
            let awaited = awaited.to_owned();
            return Err(Error::Late { awaited, seconds: LIMIT.as_secs(), last, logs: logs() });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Writes what the components read: certificates, keys, kubeconfigs, policies.
fn write_files(
    folder: &Path,
    port: u16,
    authority: &Authority,
    admin: &Identity,
    options: &Options,
) -> Result<(), Error> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).doing(|| format!("writing {}", path.display()))
    };
    let address = options.address.map(|address| address.to_string());
    let mut names = vec!["127.0.0.1", "localhost", "kubernetes.default.svc", flags::FIRST_SERVICE];
    names.extend(address.as_deref());
    let server = authority.server(&names)?;
    write("apiserver.crt", &server.certificate)?;
    write("apiserver.key", &server.key)?;
    write("ca.crt", &authority.pem())?;
    let to_kubelets = authority.client("kube-apiserver", Some("system:masters"))?;
    write("kubelet-client.crt", &to_kubelets.certificate)?;
    write("kubelet-client.key", &to_kubelets.key)?;
    let (private, public) = token_key()?;
    write("tokens.key", &private)?;
    write("tokens.pub", &public)?;
    write("audit-policy", &options.audit_policy)?;
    write("stages.yaml", include_str!("../kwok/stages.yaml"))?;
    let kubeconfig = |identity: &Identity| {
        let user = identity::user_with_certificate(identity);
        identity::kubeconfig(&format!("https://127.0.0.1:{port}"), &authority.pem(), &user)
    };
    write("admin.kubeconfig", &kubeconfig(admin))?;
    for (file, user, group) in [
        ("controller-manager.kubeconfig", "system:kube-controller-manager", None),
        ("scheduler.kubeconfig", "system:kube-scheduler", None),
        ("kwok.kubeconfig", "kwok", Some("system:masters")),
    ] {
        write(file, &kubeconfig(&authority.client(user, group)?))?;
    }
    Ok(())
}

//! The connection to a cluster: where it is, who we are, and reads that answer soon or not at all.
//!
//! kube's own client retries a busy server for minutes; a verdict has no such time. Its retries are off, every read
//! here has a deadline of its own, and watches retry by themselves with a pause ([`super::watch`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use policies::object::Gvk;
use serde_json::Value;

use super::clock::{Clock, DateLayer};

/// How long one live read may take: a healthy API server answers in milliseconds, and a verdict that needs a chain
/// of three such reads still fits the webhook's own deadline.
pub const READ_DEADLINE: Duration = Duration::from_secs(1);
/// How long one attempt of a live read that a verdict waits for may take, the next after the last; the webhook's deadline ends
/// them all. What is lost once, or waits behind other things, comes with the next.
const ATTEMPTS: [Duration; 2] = [READ_DEADLINE, Duration::from_secs(2)];
/// How long a server that answers 429 has until the next attempt.
const BUSY: Duration = Duration::from_millis(100);
/// How long connecting may take, TLS included; above the read deadline, since watches connect with it too.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Where the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// As kubectl finds it (`KUBECONFIG`, `~/.kube/config`), or else as a pod does.
    #[default]
    Inferred,
    /// A kubeconfig.
    Kubeconfig {
        /// The file; none: as kubectl finds it.
        path: Option<PathBuf>,
        /// The context; none: its current one.
        context: Option<String>,
    },
    /// The pod's own ServiceAccount.
    InCluster,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A kubeconfig that cannot be read or used.
    #[error("kubeconfig {place}: {}", explain(.source))]
    Kubeconfig {
        /// Which one, for people.
        place: String,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// Not in a pod, or in one without a token.
    #[error(
        "this pod's own account cannot be used: {0}; run inside a pod that mounts its ServiceAccount token, or name a kubeconfig"
    )]
    InCluster(#[source] Box<kube::config::InClusterError>),
    /// Neither a kubeconfig nor a pod.
    #[error("no cluster is configured: no usable kubeconfig ({kubeconfig}), and no pod ({in_cluster}); set KUBECONFIG")]
    Nowhere {
        /// Why no kubeconfig.
        kubeconfig: Box<KubeconfigError>,
        /// Why no pod.
        in_cluster: Box<kube::config::InClusterError>,
    },
    /// The credentials or certificates do not make a client.
    #[error("the cluster's address or credentials cannot be used: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// A kubeconfig's problem, with what to do where the cause leaves that open.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => {
            "it has no current-context; run kubectl config use-context NAME, or name a context".into()
        }
        KubeconfigError::LoadContext(name) => {
            format!("there is no context {name:?} in it; kubectl config get-contexts lists them")
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("its context names the cluster {name:?}, which is not in it")
        }
        KubeconfigError::MissingClusterUrl => "its cluster has no server; write server: https://HOST:PORT".into(),
        KubeconfigError::FindPath => "neither KUBECONFIG nor a home folder says where it is".into(),
        KubeconfigError::ReadConfig(error, path) => format!("cannot read {}: {error}", path.display()),
        KubeconfigError::LoadClientCertificate(error) => format!("client-certificate: {error}"),
        KubeconfigError::LoadClientKey(error) => format!("client-key: {error}"),
        KubeconfigError::LoadCertificateAuthority(error) => format!("certificate-authority: {error}"),
        other => other.to_string(),
    }
}

/// A client, and the clock that listens to it.
#[derive(Clone)]
pub struct Connection {
    /// For watches, reads and writes; never retries by itself.
    pub client: Client,
    /// The API server's clock.
    pub clock: Arc<Clock>,
}

impl Connection {
    /// Reads where the cluster is. Sends nothing.
    ///
    /// # Errors
    /// When the configuration cannot be read or used.
    pub async fn open(source: &Source) -> Result<Self, ConnectError> {
        Self::from_config(load(source).await?)
    }

    /// From a configuration at hand.
    ///
    /// # Errors
    /// When its certificates or credentials cannot be used.
    pub fn from_config(mut config: Config) -> Result<Self, ConnectError> {
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_DEADLINE);
        let clock = Clock::new();
        let client = ClientBuilder::try_from(config)
            .map_err(|error| ConnectError::Client(Box::new(error)))?
            .with_layer(&DateLayer(Arc::clone(&clock)))
            .build();
        Ok(Self { client, clock })
    }
}

async fn load(source: &Source) -> Result<Config, ConnectError> {
    match source {
        Source::InCluster => Config::incluster().map_err(|error| ConnectError::InCluster(Box::new(error))),
        Source::Kubeconfig { path, context } => {
            let place = path.as_ref().map_or_else(|| "(as kubectl finds it)".into(), |path| path.display().to_string());
            kubeconfig(path.as_ref(), context.clone())
                .await
                .map_err(|source| ConnectError::Kubeconfig { place, source: Box::new(source) })
        }
        Source::Inferred => match kubeconfig(None, None).await {
            Ok(config) => Ok(config),
            // A kubeconfig that is there and bad is a mistake to name, not a reason to look elsewhere.
            Err(error) if !absent(&error) => {
                Err(ConnectError::Kubeconfig { place: "(as kubectl finds it)".into(), source: Box::new(error) })
            }
            Err(kubeconfig) => Config::incluster().map_err(|in_cluster| ConnectError::Nowhere {
                kubeconfig: Box::new(kubeconfig),
                in_cluster: Box::new(in_cluster),
            }),
        },
    }
}

async fn kubeconfig(path: Option<&PathBuf>, context: Option<String>) -> Result<Config, KubeconfigError> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    match path {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await,
        None => Config::from_kubeconfig(&options).await,
    }
}

fn absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Why a live read gave nothing to judge by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It took too long.
    #[error("the API server did not answer within {seconds} s when asked for {what}", seconds = .after.as_secs_f32())]
    Slow {
        /// What was asked for.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// Our own account may not.
    #[error("retinue's own account may not read {what}: {message}; apply retinue's RBAC again")]
    Forbidden {
        /// What was asked for.
        what: String,
        /// The server's answer.
        message: String,
    },
    /// Anything else.
    #[error("the API server did not give {what}: {message}")]
    Failed {
        /// What was asked for.
        what: String,
        /// The server's answer, or what went wrong on the way.
        message: String,
    },
    /// It was not asked: others of its sender wait.
    #[error(transparent)]
    Crowded(#[from] webhooks::Crowded),
    /// A name that cannot be a name, so that nothing was asked.
    #[error("{0:?} cannot be a name in Kubernetes")]
    NoName(String),
}

/// What a read should bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The whole object.
    Whole,
    /// `metadata` alone: what is read on a caller's behalf never carries content.
    Metadata,
}

/// The `Accept` header for metadata alone.
pub(crate) const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Reads one object live, from the server's storage rather than a cache: the freshest there is.
/// None where it does not exist.
///
/// # Errors
/// When it is not known whether it exists.
pub(crate) async fn read(
    client: &Client,
    what: &str,
    path: &str,
    detail: Detail,
) -> Result<Option<Value>, LookupError> {
    let failed = |message: String| LookupError::Failed { what: what.into(), message };
    let mut lost = LookupError::Slow { what: what.into(), after: ATTEMPTS.iter().sum() };
    for patience in ATTEMPTS {
        let mut request = http::Request::get(path);
        if detail == Detail::Metadata {
            request = request.header(http::header::ACCEPT, METADATA_ONLY);
        }
        let request = request.body(Vec::new()).map_err(|error| failed(error.to_string()))?;
        return match tokio::time::timeout(patience, client.request::<Value>(request)).await {
            Err(_) => continue,
            Ok(Ok(object)) => Ok(Some(object)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(LookupError::Forbidden { what: what.into(), message: status.message.clone() })
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 429 => {
                lost = failed(status.message.clone());
                tokio::time::sleep(BUSY).await;
                continue;
            }
            Ok(Err(error)) => Err(failed(message(&error))),
        };
    }
    Err(lost)
}

/// How the API server serves a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Plural, lower case.
    pub(crate) resource: String,
    /// What can be done with it.
    pub(crate) verbs: Vec<String>,
}

impl Served {
    /// By the list of resources of its version; none if it is not there.
    pub(crate) fn of(list: &Value, kind: &str) -> Option<Self> {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        resources.iter().filter(|resource| resource["kind"].as_str() == Some(kind)).find_map(|resource| {
            let name = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            Some(Self { resource: name.to_owned(), verbs: texts(&resource["verbs"]) })
        })
    }
}

/// How a kind is served, by discovery of its version; none if it is not.
///
/// # Errors
/// When discovery does not answer, or not soon enough.
pub(crate) async fn served(client: &Client, kind: &Gvk) -> Result<Option<Served>, String> {
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    let request = http::Request::get(format!("/{root}/{}", kind.api_version()))
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    let list: Value = match tokio::time::timeout(READ_DEADLINE, client.request(request)).await {
        Err(_) => return Err("the API server's discovery did not answer in time".into()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(None),
        Ok(Err(error)) => return Err(message(&error)),
        Ok(Ok(list)) => list,
    };
    Ok(Served::of(&list, &kind.kind))
}

/// Whether the same request may go better soon after an answer of this HTTP status; 401 does when the token is read again.
pub(crate) fn passes(code: u16) -> bool {
    matches!(code, 401 | 408 | 429 | 500..=599)
}

/// What went wrong, in the server's words where they are its own.
pub(crate) fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                let more = error.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = error.source();
            }
            text
        }
    }
}

/// The path of a namespaced object. Every segment is checked, since names reach us in tokens and references.
///
/// # Errors
/// When a segment cannot be a name.
pub(crate) fn path(
    group_version: &str,
    resource: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<String, LookupError> {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    for segment in [version, resource, name].into_iter().chain(namespace).chain((!group.is_empty()).then_some(group)) {
        if !is_name(segment) {
            return Err(LookupError::NoName(segment.chars().take(80).collect()));
        }
    }
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    Ok(match namespace {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{resource}/{name}"),
        None => format!("{root}/{resource}/{name}"),
    })
}

/// Whether `text` is safe as one segment of a path: the characters of a DNS subdomain, and neither `.` nor `..`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use super::*;

    async fn refused(text: &str, context: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let source = Source::Kubeconfig { path: Some(path), context: context.map(Into::into) };
        match Connection::open(&source).await {
            Ok(_) => panic!("{text:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    const GOOD: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
";

    #[tokio::test]
    async fn a_bad_kubeconfig_is_named_with_what_to_do() {
        for (text, context, expected) in [
            (GOOD.replace("current-context: here", ""), None, "kubectl config use-context"),
            (GOOD.into(), Some("elsewhere"), "no context \"elsewhere\""),
            (GOOD.replace("cluster: c,", "cluster: d,"), None, "the cluster \"d\""),
            (GOOD.replace("server: 'https://127.0.0.1:1'", ""), None, "server: https://"),
            ("{{{".into(), None, "YAML"),
            (
                GOOD.replace("{token: t}", "{client-certificate: /no/such/file, client-key: /no/such/file}"),
                None,
                "client certificate",
            ),
        ] {
            let message = refused(&text, context).await;
            assert!(message.contains(expected), "{expected:?} is not in: {message}");
        }
        let source = Source::Kubeconfig { path: Some("/no/such/file".into()), context: None };
        let message = Connection::open(&source).await.err().unwrap().to_string();
        assert!(message.contains("cannot read /no/such/file"), "{message}");
    }

    #[tokio::test]
    async fn threat_18_a_server_that_is_not_there_is_an_error_within_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, GOOD).unwrap();
        let source = Source::Kubeconfig { path: Some(file), context: None };
        let connection = Connection::open(&source).await.unwrap();
        let path = path("v1", "pods", Some("a"), "b").unwrap();
        let before = std::time::Instant::now();
        let error = read(&connection.client, "pod a/b", &path, Detail::Whole).await.unwrap_err();
        assert!(error.to_string().contains("pod a/b"), "{error}");
        assert!(before.elapsed() < READ_DEADLINE * 2, "no retries");
    }

    /// Of so many requests this server answers none, and then all.
    async fn read_from(silent: usize) -> Result<Option<Value>, LookupError> {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let answers = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= silent;
            async move {
                if !answers {
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(b"{\"kind\":\"Pod\"}".to_vec())))
            }
        });
        let path = path("v1", "pods", Some("a"), "b").unwrap();
        read(&Client::new(server, "a"), "pod a/b", &path, Detail::Metadata).await
    }

    #[tokio::test(start_paused = true)]
    async fn threat_18_a_read_that_is_not_answered_is_asked_again_once() {
        assert_eq!(read_from(1).await.unwrap().unwrap()["kind"], "Pod");
        let error = read_from(2).await.unwrap_err().to_string();
        assert_eq!(error, "the API server did not answer within 3 s when asked for pod a/b");
    }

    #[test]
    fn threat_15_names_that_would_leave_their_segment_are_never_asked_for() {
        assert_eq!(
            path("apps/v1", "deployments", Some("ns"), "a.b-c").unwrap(),
            "/apis/apps/v1/namespaces/ns/deployments/a.b-c",
        );
        for name in ["", ".", "..", "a/b", "a%2fb", "a?b", "A", "ä", "..a"] {
            assert!(path("v1", "pods", Some("ns"), name).is_err(), "{name}");
            assert!(path("v1", "pods", Some(name), "pod").is_err(), "{name}");
        }
    }
}

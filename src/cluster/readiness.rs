//! Whether what is known can be relied on: every watch synced, and our certificate trusted by the configurations that
//! send the API server here.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;
use webhooks::health::Readiness;

use super::Cluster;
use super::client::{Detail, path, read};
use super::masters::NotKnown;

/// How often the configurations are read while they do not trust us, and while they do.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);
/// How long they are held to trust us as before while they cannot be read: as long as a snapshot stands.
const STANDS: Duration = Duration::from_secs(60);

/// How often it is looked whether all holds, in memory: the first right answer is due 0.3 s after the start, and a
/// snapshot takes a minute to become too old.
const EAGER: Duration = Duration::from_millis(5);
const CALM: Duration = Duration::from_millis(500);

/// Says whether a bundle of CA certificates (PEM) trusts the certificate that is served now under a name (DNS name or
/// address).
pub type Trusts = Arc<dyn Fn(&[u8], &str) -> Result<(), String> + Send + Sync>;

/// Which webhook configurations must trust our certificate.
#[derive(Clone)]
pub struct Trust {
    /// The configurations.
    pub configurations: Vec<Configuration>,
    /// The check.
    pub trusts: Trusts,
}

/// A webhook configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// A MutatingWebhookConfiguration, by name.
    Mutating(String),
    /// A ValidatingWebhookConfiguration, by name.
    Validating(String),
}

impl Configuration {
    fn kind(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Mutating(name) => ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", name),
            Self::Validating(name) => ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", name),
        }
    }
}

/// Why the configurations are not known to trust us.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doubt {
    /// They could not be read.
    Unread(String),
    /// They do not.
    Distrust(String),
}

/// What is known after a look, `since` the last that was answered and good: none where there was none.
fn after(look: Result<(), Doubt>, since: Option<Duration>) -> Result<(), String> {
    match look {
        Err(Doubt::Unread(_)) if since.is_some_and(|since| since < STANDS) => Ok(()),
        Err(Doubt::Unread(reason) | Doubt::Distrust(reason)) => Err(reason),
        Ok(()) => Ok(()),
    }
}

/// Whether the configurations trust us, as of the last look.
pub struct Trusted {
    trust: Trust,
    problem: ArcSwapOption<String>,
}

impl Trusted {
    /// Not trusted until looked.
    pub fn new(trust: Trust) -> Self {
        let problem = ArcSwapOption::from_pointee("the webhook configurations have not been read yet".to_owned());
        Self { trust, problem }
    }

    pub(crate) async fn run(self: Arc<Self>, client: Client) {
        let mut good: Option<Instant> = None;
        loop {
            let look = self.look(&client).await;
            let answered = look.is_ok();
            let known = after(look, good.map(|good| good.elapsed()));
            if answered {
                good = Some(Instant::now());
            }
            let pause = if answered { LATER } else { SOON };
            self.problem.store(known.err().map(Arc::new));
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, client: &Client) -> Result<(), Doubt> {
        for configuration in &self.trust.configurations {
            let (kind, resource, name) = configuration.kind();
            let what = format!("{kind} {name}");
            let path = path("admissionregistration.k8s.io/v1", resource, None, name)
                .map_err(|error| Doubt::Distrust(error.to_string()))?;
            let found =
                read(client, &what, &path, Detail::Whole).await.map_err(|error| Doubt::Unread(error.to_string()))?;
            let absent = || Doubt::Distrust(format!("there is no {what}; apply retinue's installation"));
            self.check(&what, &found.ok_or_else(absent)?).map_err(Doubt::Distrust)?;
        }
        Ok(())
    }

    fn check(&self, what: &str, configuration: &Value) -> Result<(), String> {
        let webhooks = configuration["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
        if webhooks.is_empty() {
            return Err(format!("{what} has no webhooks; apply retinue's installation"));
        }
        for webhook in webhooks {
            let name = webhook["name"].as_str().unwrap_or_default();
            let told = |reason: String| format!("{what}, webhook {name}: {reason}");
            let client = &webhook["clientConfig"];
            let server = server(client).ok_or_else(|| told("clientConfig names neither service nor url".into()))?;
            let bundle = client["caBundle"].as_str().unwrap_or_default();
            let bundle = base64::engine::general_purpose::STANDARD.decode(bundle);
            let bundle = bundle.map_err(|error| told(format!("caBundle: {error}")))?;
            (self.trust.trusts)(&bundle, &server).map_err(told)?;
        }
        Ok(())
    }
}

/// The name that the API server expects in the certificate: `NAME.NAMESPACE.svc` of a service, the host of a url.
fn server(client: &Value) -> Option<String> {
    let service = &client["service"];
    if let (Some(name), Some(namespace)) = (service["name"].as_str(), service["namespace"].as_str()) {
        return Some(format!("{name}.{namespace}.svc"));
    }
    let url: http::Uri = client["url"].as_str()?.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}

impl Cluster {
    /// How old the oldest snapshot that verdicts need may be, for the metric; none before all were read.
    pub fn oldest_proof_of_life(&self) -> Option<Duration> {
        Some(self.templates.age()?.max(self.facts.age()?))
    }

    /// What must hold before requests are judged, and whether it does.
    pub fn conditions(&self) -> [(&'static str, Result<(), String>); 6] {
        let clock = self.clock.now().map(drop).ok_or_else(|| "the API server's clock is not known yet".to_owned());
        let masters = if self.masters.ready() { Ok(()) } else { Err(NotKnown.to_string()) };
        let dependents = match self.dependents.settling(&self.templates.last().kinds) {
            Some(kind) => Err(format!("the dependents of kind {kind} have not been read yet")),
            None => Ok(()),
        };
        let problem = self.trusted.as_ref().and_then(|trusted| trusted.problem.load_full());
        [
            ("templates", self.templates.snapshot().map(drop).map_err(|stale| stale.to_string())),
            ("facts", self.facts_known()),
            ("clock", clock),
            ("masters", masters),
            ("dependents", dependents),
            ("certificate", problem.map_or(Ok(()), |problem| Err(problem.as_ref().clone()))),
        ]
    }

    fn facts_known(&self) -> Result<(), String> {
        self.facts.snapshot().map_err(|stale| stale.to_string())?;
        // Which kinds there are, the templates say.
        if self.templates.age().is_none() {
            return Ok(());
        }
        match self.facts.settling(&self.templates.last().kinds) {
            Some(kind) => Err(format!("the CustomResourceDefinition of {kind} has not been read yet")),
            None => Ok(()),
        }
    }

    /// Whether requests can be judged now.
    ///
    /// # Errors
    /// Everything that is missing, for people.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let missing: Vec<String> = self.conditions().into_iter().filter_map(|(_, state)| state.err()).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Keeps the webhook's readiness true, for ever.
    pub(crate) async fn report(self: Arc<Self>, readiness: Readiness) {
        loop {
            for (condition, state) in self.conditions() {
                readiness.set(condition, state);
            }
            tokio::time::sleep(if readiness.ready() { CALM } else { EAGER }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn trusted() -> Trusted {
        let trusts: Trusts = Arc::new(|bundle, name| match (bundle, name) {
            (b"ours", "retinue.fledged.svc" | "127.0.0.1" | "::1") => Ok(()),
            _ => Err(format!("{name} is of another CA")),
        });
        Trusted::new(Trust { configurations: Vec::new(), trusts })
    }

    #[test]
    fn threat_36_every_webhook_of_a_configuration_must_trust_the_certificate() {
        let service = json!({"name": "retinue", "namespace": "fledged", "path": "/mutate"});
        let webhook = |bundle: &str| json!({"name": "w", "clientConfig": {"caBundle": bundle, "service": service}});
        let at = |url: &str| json!({"name": "w", "clientConfig": {"caBundle": "b3Vycw==", "url": url}});
        let check = |webhooks: Value| trusted().check("Configuration c", &json!({"webhooks": webhooks}));
        let good = webhook("b3Vycw==");
        let all = json!([good, at("https://127.0.0.1:8443/mutate"), at("https://[::1]:8443/mutate")]);
        assert_eq!(check(all), Ok(()));
        for (bad, reason) in [
            (json!([good, webhook("dGhlaXJz")]), "another CA"),
            (json!([at("https://elsewhere.example/mutate")]), "elsewhere.example"),
            (json!([webhook("!")]), "caBundle"),
            (json!([]), "no webhooks"),
            (json!([{"name": "w"}]), "neither service nor url"),
        ] {
            let problem = check(bad.clone()).unwrap_err();
            assert!(problem.contains(reason), "{bad}: {problem}");
        }
    }

    #[test]
    fn threat_58_what_cannot_be_read_for_a_moment_is_held_to_be_as_it_was() {
        let unread = || Err(Doubt::Unread("429".into()));
        let cases = [
            (Ok(()), None, Ok(())),
            (unread(), None, Err("429".to_owned())),
            (unread(), Some(STANDS / 2), Ok(())),
            (unread(), Some(STANDS), Err("429".to_owned())),
            (Err(Doubt::Distrust("another CA".into())), Some(Duration::ZERO), Err("another CA".to_owned())),
        ];
        for (look, since, known) in cases {
            assert_eq!(after(look.clone(), since), known, "{look:?} {since:?}");
        }
    }

    #[test]
    fn nothing_is_trusted_before_the_first_look() {
        assert!(trusted().problem.load_full().is_some());
    }
}

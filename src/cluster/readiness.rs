//! Whether what is known can be relied on: every watch synced, and our certificate trusted by the configurations that
//! send the API server here.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use kube::Client;
use serde_json::Value;

use super::Cluster;
use super::client::{Detail, path, read};

/// How often the configurations are read while they do not trust us, and while they do.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);

/// Says whether a bundle of CA certificates (PEM) trusts the certificate that is served now.
pub type Trusts = Arc<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

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
        loop {
            let problem = self.look(&client).await.err();
            let pause = if problem.is_some() { SOON } else { LATER };
            self.problem.store(problem.map(Arc::new));
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, client: &Client) -> Result<(), String> {
        for configuration in &self.trust.configurations {
            let (kind, resource, name) = configuration.kind();
            let what = format!("{kind} {name}");
            let path =
                path("admissionregistration.k8s.io/v1", resource, None, name).map_err(|error| error.to_string())?;
            let found = read(client, &what, &path, Detail::Whole).await.map_err(|error| error.to_string())?;
            let found = found.ok_or_else(|| format!("there is no {what}; apply retinue's installation"))?;
            self.check(&what, &found)?;
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
            let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
            let bundle = base64::engine::general_purpose::STANDARD.decode(bundle);
            let bundle = bundle.map_err(|error| format!("{what}, webhook {name}: caBundle: {error}"))?;
            (self.trust.trusts)(&bundle).map_err(|reason| format!("{what}, webhook {name}: {reason}"))?;
        }
        Ok(())
    }
}

impl Cluster {
    /// Whether requests can be judged now.
    ///
    /// # Errors
    /// Everything that is missing, for people.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut missing = Vec::new();
        missing.extend(self.templates.snapshot().err().map(|stale| stale.to_string()));
        missing.extend(self.facts.snapshot().err().map(|stale| stale.to_string()));
        if self.clock.now().is_none() {
            missing.push("the API server's clock is not known yet".into());
        }
        if !self.masters.ready() {
            missing.push("it is not known yet which accounts are masters".into());
        }
        if let Some(kind) = self.dependents.settling(&self.templates.last().kinds) {
            missing.push(format!("the dependents of kind {kind} have not been read yet"));
        }
        let trusted = self.trusted.as_ref().and_then(|trusted| trusted.problem.load_full());
        missing.extend(trusted.map(|problem| problem.as_ref().clone()));
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn trusted() -> Trusted {
        let trusts: Trusts = Arc::new(|bundle| if bundle == b"ours" { Ok(()) } else { Err("another CA".into()) });
        Trusted::new(Trust { configurations: Vec::new(), trusts })
    }

    #[test]
    fn threat_36_every_webhook_of_a_configuration_must_trust_the_certificate() {
        let webhook = |bundle: &str| json!({"name": "w", "clientConfig": {"caBundle": bundle}});
        let check = |webhooks: Value| trusted().check("Configuration c", &json!({"webhooks": webhooks}));
        assert_eq!(check(json!([webhook("b3Vycw==")])), Ok(()));
        assert!(check(json!([webhook("b3Vycw=="), webhook("dGhlaXJz")])).unwrap_err().contains("another CA"));
        assert!(check(json!([webhook("!")])).unwrap_err().contains("caBundle"));
        assert!(check(json!([])).unwrap_err().contains("no webhooks"));
        assert!(check(json!([{"name": "w"}])).is_err());
    }

    #[test]
    fn nothing_is_trusted_before_the_first_look() {
        assert!(trusted().problem.load_full().is_some());
    }
}

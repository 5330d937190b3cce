//! What an admin can choose about an installation, checked when it is built.

use policies::doctor::callers::Range;

/// Namespace of retinue unless another is chosen.
pub const NAMESPACE: &str = "retinue";
/// Image unless another is chosen.
pub const IMAGE: &str = concat!("retinue:", env!("CARGO_PKG_VERSION"));

/// How the API server reaches the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through a Service, in front of Deployments that are installed too.
    Service,
    /// At a URL such as `https://127.0.0.1:8443`; nothing is run in the cluster. For development.
    Url(String),
}

/// What happens to a master's request when the webhook does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    Fail,
    /// It passes as RBAC says. Only for trying retinue out: a guard that can be made not to answer guards nothing.
    Ignore,
}

/// Whether the in-tree policies are installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floor {
    /// Installed. Needs Kubernetes 1.36, for the policy that takes forged stamps off.
    #[default]
    On,
    /// Left out.
    Off,
}

/// Whom the webhook serves, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    /// The authorities of client certificates, PEM.
    pub bundle: String,
    /// The common name, or DNS name, of the API server's client certificate.
    pub name: String,
}

/// The values of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// The namespace of retinue itself.
    pub namespace: String,
    /// How the API server reaches the webhook.
    pub reach: Reach,
    /// The authorities that the API server trusts the webhook by, PEM. None: those of its machine, or whoever fills
    /// in `caBundle` later; until then every master is refused.
    pub ca_bundle: Option<String>,
    /// The image of both Deployments.
    pub image: String,
    /// Of the two configurations that judge masters. The one that lints is always `Ignore`.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits for the webhook, seconds, 1 to 30.
    pub timeout_seconds: u8,
    /// Replicas of the webhook.
    pub replicas: u32,
    /// The in-tree policies.
    pub floor: Floor,
    /// Where API servers call from, CIDRs, for the NetworkPolicy. Empty: from anywhere, to the one port.
    pub callers: Vec<String>,
    /// Whom the webhook serves. None: whoever reaches its port.
    pub client_ca: Option<ClientCa>,
    /// Bytes that are kept of template ConfigMaps. None: as many as without a word about it.
    pub template_memory: Option<u64>,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            namespace: NAMESPACE.into(),
            reach: Reach::Service,
            ca_bundle: None,
            image: IMAGE.into(),
            failure_policy: FailurePolicy::Fail,
            // A verdict takes milliseconds, and its slowest lookups have deadlines below this.
            timeout_seconds: 5,
            replicas: 2,
            floor: Floor::On,
            callers: Vec::new(),
            client_ca: None,
            template_memory: None,
        }
    }
}

/// Why values cannot be installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// No namespace name.
    #[error("{0:?} is no namespace: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")]
    Namespace(String),
    /// Not a URL that the API server would call.
    #[error("{0:?} is no URL for a webhook: it reads like https://127.0.0.1:8443, without path, user or query")]
    Url(String),
    /// No certificate in the bundle.
    #[error("the CA bundle holds no PEM block CERTIFICATE")]
    Bundle,
    /// Out of what the API server takes.
    #[error("a timeout of {0} s is out of what the API server takes: 1 to 30")]
    Timeout(u8),
    /// Not a range of addresses.
    #[error("--callers {given}: no range of addresses; expected a CIDR such as {example}, or auto")]
    Caller {
        /// As given.
        given: String,
        /// What may have been meant.
        example: String,
    },
    /// A range within which an address is named.
    #[error(
        "--callers {given}: host bits are set, so that it is not clear whether one address or its network is meant; expected \
         {network} or {address}"
    )]
    HostBits {
        /// As given.
        given: String,
        /// The network that the address is in.
        network: Range,
        /// The address alone.
        address: Range,
    },
    /// Several in one.
    #[error("--callers {0}: one range at a time; give --callers several times, once for each")]
    SeveralCallers(String),
    /// The webhook that is told is not in the cluster.
    #[error(
        "--url: the webhook runs outside the cluster, so that what is installed cannot tell it --client-ca; give it to the \
         webhook itself: retinue webhook --client-ca FILE --client-name NAME (retinue dev takes both too)"
    )]
    OutsideClientCa,
    /// Nothing is run in the cluster whose memory could be given.
    #[error(
        "--url: the webhook runs outside the cluster, so that what is installed cannot tell it --template-memory; give it to the \
         webhook itself: retinue webhook --template-memory QUANTITY (retinue dev takes it too)"
    )]
    OutsideTemplateMemory,
    /// There are no pods that a NetworkPolicy could hold for.
    #[error(
        "--url: the webhook runs outside the cluster, where no NetworkPolicy holds, so that --callers would do nothing; expected \
         a firewall on its machine, or a certificate of the API server (retinue webhook --client-ca)"
    )]
    OutsideCallers,
}

impl Values {
    /// Checks the values.
    ///
    /// # Errors
    /// The first [`ValuesError`].
    pub fn checked(self) -> Result<Self, ValuesError> {
        let name = self.namespace.as_str();
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty()
            || name.len() > 63
            || !name.bytes().all(inner)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return Err(ValuesError::Namespace(name.into()));
        }
        if let Reach::Url(url) = &self.reach {
            let host = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
            let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"/?#@".contains(c);
            if !host.is_some_and(|host| !host.is_empty() && host.chars().all(plain)) {
                return Err(ValuesError::Url(url.clone()));
            }
        }
        if self.ca_bundle.as_ref().is_some_and(|bundle| !bundle.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(ValuesError::Bundle);
        }
        if !(1..=30).contains(&self.timeout_seconds) {
            return Err(ValuesError::Timeout(self.timeout_seconds));
        }
        self.callers.iter().try_for_each(|caller| range(caller))?;
        match self.reach {
            Reach::Url(_) if self.client_ca.is_some() => Err(ValuesError::OutsideClientCa),
            Reach::Url(_) if self.template_memory.is_some() => Err(ValuesError::OutsideTemplateMemory),
            Reach::Url(_) if !self.callers.is_empty() => Err(ValuesError::OutsideCallers),
            Reach::Url(_) | Reach::Service => Ok(self),
        }
    }

    /// Username of an account of retinue's own.
    pub(super) fn user(&self, account: &str) -> String {
        format!("system:serviceaccount:{}:{account}", self.namespace)
    }
}

/// Checks one range of addresses.
fn range(given: &str) -> Result<(), ValuesError> {
    let one = |address: &str| Some(Range::of(address.trim().parse().ok()?));
    if given.contains(',') {
        return Err(ValuesError::SeveralCallers(given.into()));
    }
    let Some(range) = Range::parse(given) else {
        let example = one(given).map_or_else(|| "10.0.0.4/32".to_owned(), |range| range.to_string());
        return Err(ValuesError::Caller { given: given.into(), example });
    };
    let (network, address) = (range.network(), Range::of(range.address()));
    if range == network { Ok(()) } else { Err(ValuesError::HostBits { given: given.into(), network, address }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn values_that_no_server_would_take_are_refused() {
        Values::default().checked().unwrap();
        let url = |url: &str| Values { reach: Reach::Url(url.into()), ..Values::default() }.checked();
        for good in ["https://127.0.0.1:8443", "https://localhost:1/", "https://[::1]:8443"] {
            url(good).unwrap();
        }
        for bad in ["", "http://127.0.0.1", "https://", "https:///x", "https://a/path", "https://u@h", "https://h?q"] {
            assert_eq!(url(bad), Err(ValuesError::Url(bad.into())));
        }
        for bad in ["", "Retinue", "-a", "a-", "a.b", &"a".repeat(64)] {
            let values = Values { namespace: bad.into(), ..Values::default() };
            assert_eq!(values.checked(), Err(ValuesError::Namespace(bad.into())));
        }
        let values = Values { ca_bundle: Some("garbage".into()), ..Values::default() };
        assert_eq!(values.checked(), Err(ValuesError::Bundle));
        for (bad, example) in [("10.0.0.4", "10.0.0.4/32"), ("fd00::4", "fd00::4/128"), ("Auto", "10.0.0.4/32")] {
            let values = Values { callers: vec!["10.0.0.0/8".into(), bad.into()], ..Values::default() };
            let expected = ValuesError::Caller { given: bad.into(), example: example.into() };
            assert_eq!(values.checked(), Err(expected));
        }
        let client_ca = Some(ClientCa { bundle: String::new(), name: String::new() });
        let values = Values { client_ca, reach: Reach::Url("https://a".into()), ..Values::default() };
        assert_eq!(values.checked(), Err(ValuesError::OutsideClientCa));
        let values =
            Values { template_memory: Some(1 << 30), reach: Reach::Url("https://a".into()), ..Values::default() };
        assert_eq!(values.checked(), Err(ValuesError::OutsideTemplateMemory));
        let callers = vec!["10.0.0.0/8".to_owned()];
        let values = Values { callers, reach: Reach::Url("https://a".into()), ..Values::default() };
        assert_eq!(values.checked(), Err(ValuesError::OutsideCallers));
        for (bad, network, address) in
            [("10.0.0.1/16", "10.0.0.0/16", "10.0.0.1/32"), ("fd00::4/64", "fd00::/64", "fd00::4/128")]
        {
            let [network, address] = [network, address].map(|text| Range::parse(text).unwrap());
            let values = Values { callers: vec![bad.into()], ..Values::default() };
            assert_eq!(values.checked(), Err(ValuesError::HostBits { given: bad.into(), network, address }));
        }
        for good in ["0.0.0.0/0", "::/0", "10.0.0.1/32", "fd00::4/128"] {
            Values { callers: vec![good.into()], ..Values::default() }.checked().unwrap();
        }
        let values = Values { timeout_seconds: 0, ..Values::default() };
        assert_eq!(values.checked(), Err(ValuesError::Timeout(0)));
    }
}

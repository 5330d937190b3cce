//! Where API servers call a webhook from, as far as the cluster shows it, for the `from` of a NetworkPolicy; and what
//! shows that they call from somewhere else. Pure: whoever asks the cluster gives what it found.
//!
//! A wrong answer cuts every master off, so that anything that cannot be told from the cluster is a refusal with its
//! reason. Sources, each by those who met it: agents carry the calls on AKS and GKE (tigera/operator 5212); a host that
//! calls a pod through an overlay does so from its tunnel's address (tigera/operator 4739, projectcalico/calico 1987);
//! Cilium matches no node by its address (cilium/cilium 28421).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

/// A range of addresses, as a NetworkPolicy has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    address: IpAddr,
    prefix: u8,
}

impl Range {
    /// One address.
    pub fn of(address: IpAddr) -> Self {
        Self { address, prefix: width(address) }
    }

    /// `10.0.0.0/8`; none: it is no such thing.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|c| c.is_ascii_digit());
        let prefix: u8 = digits.then(|| prefix.parse().ok())??;
        (prefix <= width(address)).then_some(Self { address, prefix })
    }

    /// The address that it is written with.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The same addresses, written with the first of them: of `10.0.0.1/16` this is `10.0.0.0/16`.
    #[must_use]
    pub fn network(&self) -> Self {
        let first = bits(self.address) & self.kept();
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(first >> 96).unwrap_or_default())),
            IpAddr::V6(_) => IpAddr::V6(first.into()),
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && (bits(self.address) ^ bits(address)) & self.kept() == 0
    }

    /// The bits that all of its addresses have in common.
    fn kept(&self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An address from the highest bit on.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_bits()) << 96,
        IpAddr::V6(six) => six.to_bits(),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The EndpointSlices of the Service `default/kubernetes`.
    pub slices: &'a [Value],
    /// Every Node.
    pub nodes: &'a [Value],
    /// Deployments, DaemonSets and StatefulSets of all namespaces: their metadata is enough.
    pub workloads: &'a [Value],
    /// The ConfigMap `kube-system/cilium-config`, where there is one.
    pub cilium: Option<&'a Value>,
}

/// An address that API servers call from, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The range: one address.
    pub range: Range,
    /// Of whom.
    pub of: String,
}

/// What carries the calls of an API server into a cluster that it does not stand in.
const AGENTS: [(&str, &str); 5] = [
    ("konnectivity-agent", "konnectivity agents carry the API server's calls, as on AKS and GKE"),
    ("tunnelfront", "a tunnel of AKS carries the API server's calls"),
    ("aks-link", "a tunnel of AKS carries the API server's calls"),
    ("vpn-shoot", "a VPN of Gardener carries the API server's calls"),
    ("openvpn-client", "a VPN carries the API server's calls"),
];
/// Labels that name a workload.
const NAMES: [&str; 4] = ["app", "k8s-app", "component", "app.kubernetes.io/name"];
/// Nodes' annotations with the address of a tunnel's end.
const TUNNELS: [(&str, &str); 5] = [
    ("projectcalico.org/IPv4IPIPTunnelAddr", "its IPIP tunnel"),
    ("projectcalico.org/IPv4VXLANTunnelAddr", "its VXLAN tunnel"),
    ("projectcalico.org/IPv6VXLANTunnelAddr", "its VXLAN tunnel"),
    ("projectcalico.org/IPv4WireguardInterfaceAddr", "its WireGuard tunnel"),
    ("projectcalico.org/IPv6WireguardInterfaceAddr", "its WireGuard tunnel"),
];
const FLANNEL: &str = "flannel.alpha.coreos.com/backend-type";
const OVN: &str = "k8s.ovn.org/";

impl Facts<'_> {
    /// The addresses of API servers that are ready: the endpoints of `default/kubernetes`.
    pub fn servers(&self) -> BTreeSet<IpAddr> {
        let endpoints = self.slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
        ready
            .filter_map(|endpoint| endpoint["addresses"].as_array())
            .flatten()
            .filter_map(|address| address.as_str()?.parse().ok())
            .collect()
    }

    /// Where they call from.
    ///
    /// # Errors
    /// Every reason why that cannot be told.
    pub fn propose(&self) -> Result<Vec<Proposed>, Vec<String>> {
        let mut reasons = self.agents();
        reasons.extend(self.distributions());
        reasons.extend(self.networks());
        let servers = self.servers();
        if servers.is_empty() {
            reasons.push("the Service default/kubernetes has no endpoint that is ready".into());
        }
        let mut proposed = BTreeMap::new();
        for server in servers {
            match self.nodes.iter().find(|node| addresses(node).any(|(address, _)| address == server)) {
                Some(node) => proposed.extend(of_node(node, server)),
                None => reasons.push(format!(
                    "{server}, an endpoint of default/kubernetes, is the address of no node: of a control plane that stands \
                     elsewhere, or of a load balancer, behind which API servers call from addresses that nothing here shows"
                )),
            }
        }
        if reasons.is_empty() {
            Ok(proposed.into_iter().map(|(range, of)| Proposed { range, of }).collect())
        } else {
            Err(reasons)
        }
    }

    fn agents(&self) -> Vec<String> {
        let seen = self.workloads.iter().filter_map(|workload| {
            let metadata = &workload["metadata"];
            let labels = NAMES.iter().filter_map(|key| metadata["labels"][*key].as_str());
            let mut names = metadata["name"].as_str().into_iter().chain(labels);
            let (_, told) = names.find_map(|name| AGENTS.iter().find(|(agent, _)| *agent == name))?;
            Some(format!("{told} ({} {})", text(&workload["kind"]), full_name(metadata)))
        });
        seen.collect()
    }

    /// k3s and RKE2 bring their own tunnels, which a flag of the server turns on.
    fn distributions(&self) -> Option<String> {
        self.nodes.iter().find_map(|node| {
            let version = text(&node["status"]["nodeInfo"]["kubeletVersion"]);
            let name = if version.contains("+k3s") {
                "k3s"
            } else if version.contains("+rke2") {
                "RKE2"
            } else {
                return None;
            };
            Some(format!(
                "node {} runs {name}, whose agents may carry the API server's calls (egress-selector-mode)",
                text(&node["metadata"]["name"])
            ))
        })
    }

    /// Networks in which the address of a node is not what a policy compares.
    fn networks(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let cilium = self.workloads.iter().any(|workload| {
            text(&workload["kind"]) == "DaemonSet"
                && (text(&workload["metadata"]["name"]) == "cilium"
                    || text(&workload["metadata"]["labels"]["k8s-app"]) == "cilium")
        });
        let matches_nodes = self.cilium.is_some_and(|config| {
            text(&config["data"]["policy-cidr-match-mode"]).split([',', ' ']).any(|mode| mode == "nodes")
        });
        if (cilium || self.cilium.is_some()) && !matches_nodes {
            reasons.push(
                "Cilium matches no node by its address (policy-cidr-match-mode is not nodes): write a CiliumNetworkPolicy \
                 with fromEntities host, remote-node and kube-apiserver instead"
                    .into(),
            );
        }
        let ovn = |node: &&Value| {
            let annotations = node["metadata"]["annotations"].as_object();
            annotations.is_some_and(|annotations| annotations.keys().any(|key| key.starts_with(OVN)))
        };
        if let Some(node) = self.nodes.iter().find(ovn) {
            reasons.push(format!(
                "OVN-Kubernetes lets a host call pods from its management port (node {}), whose address is not shown",
                text(&node["metadata"]["name"])
            ));
        }
        reasons
    }

    /// API servers that a NetworkPolicy with these ranges shuts out.
    pub fn shut_out(&self, ranges: &[Range]) -> Vec<IpAddr> {
        self.servers().into_iter().filter(|server| !ranges.iter().any(|range| range.contains(*server))).collect()
    }
}

/// The addresses that the host of an API server calls pods from: its own, and the ends of its tunnels.
fn of_node(node: &Value, server: IpAddr) -> BTreeMap<Range, String> {
    let name = text(&node["metadata"]["name"]);
    let annotations = &node["metadata"]["annotations"];
    let own = addresses(node).filter(|(address, kind)| *kind == "InternalIP" || *address == server);
    let mut found: BTreeMap<Range, String> =
        own.map(|(address, kind)| (Range::of(address), format!("node {name}, {kind}"))).collect();
    for (key, what) in TUNNELS {
        if let Ok(address) = text(&annotations[key]).parse() {
            found.insert(Range::of(address), format!("node {name}, {what}"));
        }
    }
    if annotations[FLANNEL].is_string() {
        let networks = node["spec"]["podCIDRs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for network in networks.filter_map(Range::parse) {
            // Flannel's own device has the first address of the node's network, its bridge the second. Pods get others.
            found.insert(Range::of(network.address), format!("node {name}, its flannel device"));
            if let Some(second) = next(network.address) {
                found.insert(Range::of(second), format!("node {name}, its bridge"));
            }
        }
    }
    found
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(four) => Some(IpAddr::V4(four.to_bits().checked_add(1)?.into())),
        IpAddr::V6(six) => Some(IpAddr::V6(six.to_bits().checked_add(1)?.into())),
    }
}

/// The addresses in a node's status, with their kind (`InternalIP`).
fn addresses(node: &Value) -> impl Iterator<Item = (IpAddr, &str)> {
    let all = node["status"]["addresses"].as_array().into_iter().flatten();
    all.filter_map(|one| Some((one["address"].as_str()?.parse().ok()?, text(&one["type"]))))
}

fn full_name(metadata: &Value) -> String {
    format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
#[path = "callers_tests.rs"]
mod tests;

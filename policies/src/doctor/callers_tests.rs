//! Which addresses are proposed, and what keeps from proposing any.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use serde_json::json;

use super::*;

fn slice(addresses: &[&str]) -> Value {
    json!({"endpoints": addresses.iter().map(|address| json!({"addresses": [address]})).collect::<Vec<_>>()})
}

fn node(name: &str, address: &str, annotations: Value) -> Value {
    json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"podCIDRs": ["10.244.3.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        },
    })
}

fn told(nodes: &[Value], workloads: &[Value], cilium: Option<&Value>) -> Result<Vec<String>, Vec<String>> {
    let slices = [slice(&["10.0.0.4"])];
    let facts = Facts { slices: &slices, nodes, workloads, cilium };
    facts.propose().map(|all| all.into_iter().map(|one| one.range.to_string()).collect())
}

#[test]
fn api_servers_call_from_their_nodes_and_from_the_ends_of_their_tunnels() {
    let other = node("worker", "10.0.0.9", json!({"projectcalico.org/IPv4IPIPTunnelAddr": "192.168.9.9"}));
    let plain = [node("cp", "10.0.0.4", json!({})), other.clone()];
    assert_eq!(told(&plain, &[], None), Ok(vec!["10.0.0.4/32".into()]));
    let calico =
        [node("cp", "10.0.0.4", json!({"projectcalico.org/IPv4VXLANTunnelAddr": "192.168.1.0"})), other.clone()];
    assert_eq!(told(&calico, &[], None), Ok(vec!["10.0.0.4/32".into(), "192.168.1.0/32".into()]));
    let flannel = [node("cp", "10.0.0.4", json!({"flannel.alpha.coreos.com/backend-type": "vxlan"})), other];
    let expected = ["10.0.0.4/32", "10.244.3.0/32", "10.244.3.1/32"].map(String::from).to_vec();
    assert_eq!(told(&flannel, &[], None), Ok(expected));
}

#[test]
fn a_second_family_of_a_node_is_proposed_too() {
    let mut both = node("cp", "10.0.0.4", json!({}));
    let addresses = both["status"]["addresses"].as_array_mut().unwrap();
    addresses.push(json!({"type": "InternalIP", "address": "fd00::4"}));
    addresses.push(json!({"type": "ExternalIP", "address": "203.0.113.4"}));
    assert_eq!(told(&[both], &[], None), Ok(vec!["10.0.0.4/32".into(), "fd00::4/128".into()]));
}

#[test]
fn threat_58_where_agents_or_tunnels_are_seen_nothing_is_proposed() {
    let here = [node("cp", "10.0.0.4", json!({}))];
    let workload = |kind: &str, name: &str, labels: Value| {
        [json!({"kind": kind, "metadata": {"namespace": "kube-system", "name": name, "labels": labels}})]
    };
    for (workloads, word) in [
        (workload("Deployment", "konnectivity-agent", json!({})), "Deployment kube-system/konnectivity-agent"),
        (workload("DaemonSet", "ka", json!({"k8s-app": "konnectivity-agent"})), "konnectivity agents"),
        (workload("Deployment", "ka", json!({"app": "konnectivity-agent"})), "konnectivity agents"),
        (workload("Deployment", "tunnelfront", json!({})), "tunnel of AKS"),
        (workload("Deployment", "aks-link", json!({})), "tunnel of AKS"),
        (workload("Deployment", "vpn-shoot", json!({})), "Gardener"),
        (workload("DaemonSet", "cilium", json!({})), "CiliumNetworkPolicy"),
    ] {
        let reasons = told(&here, &workloads, None).unwrap_err();
        assert!(reasons.len() == 1 && reasons[0].contains(word), "{word}: {reasons:?}");
    }
    for (version, name) in [("v1.36.3+k3s1", "k3s"), ("v1.36.3+rke2r1", "RKE2")] {
        let mut node = here[0].clone();
        node["status"]["nodeInfo"]["kubeletVersion"] = json!(version);
        let reasons = told(&[node], &[], None).unwrap_err();
        assert!(reasons.len() == 1 && reasons[0].contains(name), "{reasons:?}");
    }
    let ovn = [node("cp", "10.0.0.4", json!({"k8s.ovn.org/node-subnets": "{}"}))];
    assert!(told(&ovn, &[], None).unwrap_err()[0].contains("OVN-Kubernetes"));
    // Somebody else's workload that says something like it is no agent.
    told(&here, &workload("Deployment", "not-konnectivity-agent", json!({"app": "web"})), None).unwrap();
}

#[test]
fn threat_58_an_endpoint_that_is_no_node_is_a_managed_control_plane() {
    let reasons = told(&[node("worker", "10.0.0.9", json!({}))], &[], None).unwrap_err();
    assert!(reasons.len() == 1 && reasons[0].starts_with("10.0.0.4, an endpoint of default/kubernetes"), "{reasons:?}");
    let nobody = Facts { slices: &[], nodes: &[], workloads: &[], cilium: None }.propose().unwrap_err();
    assert!(nobody[0].contains("no endpoint that is ready"), "{nobody:?}");
    let slices = [json!({"endpoints": [{"addresses": ["10.0.0.4"], "conditions": {"ready": false}}]})];
    assert!(Facts { slices: &slices, nodes: &[], workloads: &[], cilium: None }.servers().is_empty());
}

#[test]
fn cilium_that_matches_nodes_by_their_address_is_no_reason() {
    let here = [node("cp", "10.0.0.4", json!({}))];
    let config = |mode: &str| json!({"data": {"policy-cidr-match-mode": mode}});
    assert!(told(&here, &[], Some(&config("nodes"))).is_ok());
    assert!(told(&here, &[], Some(&config(""))).is_err());
}

#[test]
fn a_range_is_what_a_network_policy_takes() {
    let range = |text: &str| Range::parse(text);
    for good in ["10.0.0.4/32", "10.0.0.0/8", "0.0.0.0/0", "fd00::/64", "::/0"] {
        assert_eq!(range(good).unwrap().to_string(), good);
    }
    for bad in
        ["", "10.0.0.4", "10.0.0.4/33", "10.0.0/24", "fd00::/129", "a/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8"]
    {
        assert_eq!(range(bad), None, "{bad}");
    }
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("10.0.0.4/32", "10.0.0.4", "10.0.0.5"),
        ("0.0.0.0/0", "1.2.3.4", "::1"),
        ("fd00::/64", "fd00::1:2:3:4", "fd00:0:0:1::"),
    ] {
        let range = range(text).unwrap();
        assert!(range.contains(inside.parse().unwrap()) && !range.contains(outside.parse().unwrap()), "{text}");
    }
}

#[test]
fn an_api_server_that_a_policy_leaves_out_is_told() {
    let slices = [slice(&["10.0.0.4", "10.0.0.5"])];
    let facts = Facts { slices: &slices, nodes: &[], workloads: &[], cilium: None };
    let ranges = [Range::parse("10.0.0.4/32").unwrap()];
    assert_eq!(facts.shut_out(&ranges), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
    assert!(facts.shut_out(&[Range::parse("10.0.0.0/24").unwrap()]).is_empty());
}

//! `certs --client`, `install --client-ca` and `install --callers`: what is made and printed, and what is no input.

use std::os::unix::fs::PermissionsExt as _;

use policies::yaml;

use super::{Value, json, retinue, scratch, with_input};

#[test]
fn threat_58_what_the_api_server_needs_is_written_and_the_key_goes_nowhere_else() {
    let scratch = scratch();
    let folder = scratch.path().join("apiserver");
    let out = folder.display().to_string();
    let made = retinue(&["certs", "--client", "--out", &out, "-n", "guard", "--at", "/srv/retinue/"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("retinue-webhook.guard.svc:443") && made.out.contains("admission.yaml"), "{}", made.out);
    // The command after it is one that can be followed: without the other options it would take retinue down.
    let command = |authority: &str| {
        format!(
            "retinue install -n guard --ca-bundle FILE --image IMAGE --client-ca {authority} ... | kubectl apply \
             --server-side -f -"
        )
    };
    let admission = std::fs::read_to_string(folder.join("admission.yaml")).unwrap();
    for (text, authority) in [(&made.out, &*format!("{out}/client-ca.crt")), (&admission, "client-ca.crt")] {
        assert!(text.contains("Only then, with every option of your first install (what you leave out"), "{text}");
        assert!(text.contains(&command(authority)), "{text}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("client.key"), mode("client.crt"), mode("client-ca.crt")), (0o600, 0o644, 0o644));
    let key = read("client.key");
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    let kubeconfig = yaml::value(&read("webhook.kubeconfig")).unwrap();
    let user = json!({"client-certificate": "/srv/retinue/client.crt", "client-key": "/srv/retinue/client.key"});
    assert_eq!(kubeconfig["users"], json!([{"name": "retinue-webhook.guard.svc:443", "user": user}]));
    let plugin = |name: &str| {
        json!({"name": name, "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": "/srv/retinue/webhook.kubeconfig",
        }})
    };
    let admission = yaml::value(&read("admission.yaml")).unwrap();
    assert_eq!(admission["plugins"], json!([plugin("MutatingAdmissionWebhook"), plugin("ValidatingAdmissionWebhook")]));
    assert!(retinue(&["certs", "--client", "--out", &out]).err.contains("is there already; --force overwrites it"));
    assert_eq!(read("client.key"), key, "nothing was touched");

    // What is installed has the authority, and nothing of the rest.
    let authority = folder.join("client-ca.crt").display().to_string();
    let installed = retinue(&["install", "--client-ca", &authority, "-o", "json"]);
    assert_eq!(installed.code, 0, "{}", installed.err);
    assert!(installed.err.contains("Every API server must show one first"), "{}", installed.err);
    assert!(!installed.out.contains("PRIVATE KEY"));
    let list: Value = serde_json::from_str(&installed.out).unwrap();
    let items = list["items"].as_array().unwrap();
    let named =
        |kind: &str, name: &str| items.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    let bundle = &named("ConfigMap", "retinue-webhook-client-ca").unwrap()["data"]["ca.crt"];
    assert_eq!(bundle.as_str().unwrap(), read("client-ca.crt"));
    let args = |name: &str| {
        named("Deployment", name).unwrap()["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    let expected = r#""--client-ca","/client-ca/ca.crt","--client-name","kube-apiserver""#;
    assert!(args("retinue-webhook").contains(expected), "{}", args("retinue-webhook"));
    assert!(!args("retinue-controller").contains("client"), "{}", args("retinue-controller"));
    // Two authorities side by side, one of them from standard input.
    let both = with_input(&["install", "--client-ca", &authority, "--client-ca", "-"], &read("client-ca.crt"));
    assert_eq!(both.out.matches("BEGIN CERTIFICATE").count(), 2, "{}", both.err);
}

#[test]
fn without_a_ca_bundle_what_follows_is_told() {
    let scratch = scratch();
    let certs = scratch.path().display().to_string();
    assert_eq!(retinue(&["certs", "--out", &certs]).code, 0);
    let bare = retinue(&["install"]);
    assert_eq!(bare.code, 0, "{}", bare.err);
    for words in
        ["without --ca-bundle", "takes away the one that an earlier install put there", "master is then refused"]
    {
        assert!(bare.err.contains(words), "{words}: {}", bare.err);
    }
    let whole = retinue(&["install", "--ca-bundle", &format!("{certs}/ca.crt")]);
    assert_eq!((whole.code, whole.err.as_str()), (0, ""));
}

#[test]
fn where_the_webhook_runs_outside_it_is_told_of_the_authority_and_not_the_installation() {
    let scratch = scratch();
    let out = scratch.path().display().to_string();
    let url = "https://127.0.0.1:8443";
    let made = retinue(&["certs", "--client", "--out", &out, "--url", url, "--client-name", "api"]);
    let admission = std::fs::read_to_string(scratch.path().join("admission.yaml")).unwrap();
    for (text, authority) in [(&made.out, &*format!("{out}/client-ca.crt")), (&admission, "client-ca.crt")] {
        assert!(text.contains(&format!("retinue webhook --client-ca {authority} --client-name api")), "{text}");
        assert!(!text.contains("retinue install"), "{text}");
    }
    // What it is told by default fits what certs --client makes by default.
    for command in ["webhook", "dev", "install"] {
        let help = retinue(&[command, "--help"]).out;
        let (_, name) = help.split_once("--client-name <NAME>").unwrap();
        assert!(name.contains("[default: kube-apiserver]"), "{help}");
    }
}

#[test]
fn threat_58_what_may_cut_every_master_off_is_told_where_it_is_installed() {
    let scratch = scratch();
    let out = scratch.path().display().to_string();
    assert_eq!(retinue(&["certs", "--client", "--out", &out]).code, 0);
    let authority = format!("{out}/client-ca.crt");
    let flags = ["--callers", "10.0.0.4/32", "--callers", "fd00::/8", "--ca-bundle", &authority];
    let installed = retinue(&[&["install"][..], &flags].concat());
    assert_eq!(installed.code, 0, "{}", installed.err);
    let words = ["outside of 10.0.0.4/32, fd00::/8 will not reach the webhook", "retinue doctor, which proves"];
    assert!(words.iter().all(|words| installed.err.contains(words)), "{}", installed.err);
    // One authority on both sides is right for whoever signs for API servers with it.
    let same = retinue(&["install", "--client-ca", &authority, "--ca-bundle", &authority]);
    assert!(same.code == 0 && same.err.contains("name the same authority"), "{} {}", same.code, same.err);
}

#[test]
fn what_is_no_authority_no_folder_and_no_address_is_told() {
    let scratch = scratch();
    let out = scratch.path().display().to_string();
    let at = |name: &str| scratch.path().join(name).display().to_string();
    assert_eq!(retinue(&["certs", "--client", "--out", &out]).code, 0);
    std::fs::write(at("empty"), "nothing\n").unwrap();
    let certs = at("serving");
    assert_eq!(retinue(&["certs", "--out", &certs]).code, 0);
    let serving = format!("{certs}/ca.crt");
    let (authority, certificate, key, empty) = (at("client-ca.crt"), at("client.crt"), at("client.key"), at("empty"));
    for (args, words) in [
        (&["install", "--client-ca", &key][..], &["--client-ca", "client.key", "private key", "nowhere else"][..]),
        (
            &["install", "--client-ca", &certificate],
            &["client.crt", "certificate 1 (CN=kube-apiserver) is no authority"],
        ),
        (&["install", "--client-ca", &empty], &["empty", "no PEM block CERTIFICATE"]),
        (&["install", "--client-ca", "/nowhere/ca.crt"], &["/nowhere/ca.crt", "No such file"]),
        (&["install", "--client-name", "a"], &["--client-ca <FILE>"]),
        (&["install", "--client-ca", "x", "--client-name", ""], &["--client-name", "1 to 64 printable"]),
        (&["certs", "--client", "--out", "x", "--client-name", "a b"], &["--client-name", "1 to 64 printable"]),
        (&["webhook", "--client-ca", "x", "--client-name", "a\nb"], &["--client-name", "1 to 64 printable"]),
        (
            &["install", "--url", "https://127.0.0.1:1", "--client-ca", &authority],
            &["--url", "--client-ca", "retinue webhook --client-ca FILE --client-name NAME"],
        ),
        (
            &["install", "--url", "https://127.0.0.1:1", "--callers", "auto"],
            &["--url", "--callers", "no NetworkPolicy"],
        ),
        (
            &["install", "--url", "https://127.0.0.1:1", "--callers", "10.0.0.0/8"],
            &["--url", "--callers", "no NetworkPolicy"],
        ),
        (&["install", "--callers", "10.0.0.1/16"], &["host bits are set", "10.0.0.0/16 or 10.0.0.1/32"]),
        (
            &["install", "--callers", "10.0.0.4/32,10.0.0.5/32"],
            &["one range at a time", "give --callers several times"],
        ),
        (&["install", "--ca-bundle", "-", "--client-ca", "-"], &["only one of them can be standard input"]),
        (&["install", "--client-ca", "-", "--client-ca", "-"], &["only one of them can be standard input"]),
        (&["install", "--client-ca", &serving], &["ca.crt", "whose key is thrown away", "expected client-ca.crt"]),
        (&["install", "--callers", "10.0.0.4"], &["--callers 10.0.0.4", "a CIDR such as 10.0.0.4/32"]),
        (&["install", "--callers", "auto", "--kubeconfig", "/nowhere"], &["/nowhere"]),
        (&["certs", "--client"], &["--out <DIR>"]),
        (&["certs", "--client", "--secret", "a/b"], &["--secret"]),
        (&["certs", "--out", &out, "--url", "https://a"], &["--client"]),
        (&["certs", "--client", "--force", "--out", &out, "--at", "relative"], &["--at relative", "absolute path"]),
        (&["certs", "--client", "--force", "--out", &out, "--url", "https://a/b"], &["\"https://a/b\" is no URL"]),
        (&["webhook", "--client-name", "a"], &["--client-ca <FILE>"]),
    ] {
        let ran = retinue(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        for word in words {
            assert!(ran.err.contains(word), "{args:?}: {word} is not in {}", ran.err);
        }
    }
    // Servers tell it in their log, and end with 1.
    let ran = retinue(&["webhook", "--certs", &certs, "--client-ca", &key]);
    assert!(ran.code == 1 && ran.err.contains("private key"), "{} {}", ran.code, ran.err);
}

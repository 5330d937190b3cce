//! What an API server needs so that it shows the webhook a certificate: an entry in a kubeconfig, and two entries of its
//! AdmissionConfiguration, with where they go on kubeadm, k3s and kind.
//!
//! Sources: `ClientConfigFor` and `ClientConfigForService` in apiserver's `pkg/util/webhook/authentication.go` (which
//! entry of `users` a webhook gets), `pkg/admission/config.go` (of two plugins of one name the first counts),
//! `pkg/admission/plugin/webhook/config` (the kind is `WebhookAdmissionConfiguration`, read strictly; the path of its
//! kubeconfig is absolute), client-go's `transport/cert_rotation.go` (certificate files are read again every 5 minutes).

use serde_json::{Value, json};

use super::WEBHOOK;
use super::values::{NAMESPACE, Reach, Values};
use crate::emit;

/// The common name of the API server's client certificate, unless another is chosen.
pub const CLIENT: &str = "kube-apiserver";
/// The folder on an API server's machine, unless another is chosen.
pub const FOLDER: &str = "/etc/kubernetes/retinue";
/// The two admission plugins that call webhooks.
const PLUGINS: [&str; 2] = ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"];

/// Names of the files in that folder.
pub mod files {
    /// The client certificate.
    pub const CERTIFICATE: &str = "client.crt";
    /// Its key.
    pub const KEY: &str = "client.key";
    /// The kubeconfig with which the API server calls webhooks.
    pub const KUBECONFIG: &str = "webhook.kubeconfig";
    /// The AdmissionConfiguration.
    pub const ADMISSION: &str = "admission.yaml";
    /// The authority of the client certificate. It stays away from the API server: the webhook reads it.
    pub const AUTHORITY: &str = "client-ca.crt";
}

/// Reads the name of a client certificate (`--client-name`): 1 to 64 printable characters of ASCII without spaces. X.509
/// allows no longer common name (RFC 5280, `ub-common-name`).
///
/// # Errors
/// When it is none.
pub fn client_name(text: &str) -> Result<String, String> {
    let is_name = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "a client certificate has a name of 1 to 64 printable ASCII characters without spaces, such as kube-apiserver".into()
    })
}

/// The name in `users` of a kubeconfig that an API server looks for when it calls the webhook. With the port, which is
/// looked for before any name with a star.
pub fn user(reach: &Reach, namespace: &str) -> String {
    match reach {
        Reach::Service => format!("{WEBHOOK}.{namespace}.svc:443"),
        Reach::Url(url) => {
            let host = url.trim_start_matches("https://").trim_end_matches('/');
            let port = host.rsplit_once(':').map(|(_, port)| port);
            let has_port = port.is_some_and(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
            if has_port { host.to_owned() } else { format!("{host}:443") }
        }
    }
}

/// The kubeconfig: one user, for this webhook alone. Other webhooks are called as before.
pub fn kubeconfig(user: &str, folder: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{
            "name": user,
            "user": {
                "client-certificate": format!("{folder}/{}", files::CERTIFICATE),
                "client-key": format!("{folder}/{}", files::KEY),
            },
        }],
    });
    format!(
        "# How API servers show themselves to the webhook of retinue, and to no other: the name of the user is the address\n\
         # that they call. {} says where it goes.\n{}",
        files::ADMISSION,
        emit::to_yaml(&config)
    )
}

/// What is run once every API server shows its certificate, which has this common name. `authority` is the file with the
/// authority of that certificate.
pub fn next(values: &Values, name: &str, authority: &str) -> String {
    match values.reach {
        Reach::Service => {
            let namespace =
                if values.namespace == NAMESPACE { String::new() } else { format!(" -n {}", values.namespace) };
            let name = if name == CLIENT { String::new() } else { format!(" --client-name {name}") };
            format!(
                "Only then, with every option of your first install (what you leave out is taken away):\n  \
                 retinue install{namespace} --ca-bundle FILE --image IMAGE --client-ca {authority}{name} ... | \
                 kubectl apply --server-side -f -"
            )
        }
        Reach::Url(_) => format!(
            "Only then, with the other options that the webhook runs with (retinue dev takes both too):\n  \
             retinue webhook --client-ca {authority} --client-name {name} ..."
        ),
    }
}

/// The AdmissionConfiguration, with what is to be done with it, and what is run afterwards (see [`next`]).
pub fn admission(folder: &str, next: &str) -> String {
    let plugins: Vec<Value> = PLUGINS
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "configuration": {
                    "apiVersion": "apiserver.config.k8s.io/v1",
                    "kind": "WebhookAdmissionConfiguration",
                    "kubeConfigFile": format!("{folder}/{}", files::KUBECONFIG),
                },
            })
        })
        .collect();
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": plugins,
    });
    let next = next.replace('\n', "\n   ");
    let text = include_str!("apiserver.txt").replace("FOLDER", folder).replace("NEXT", &next);
    let comment: String = text.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    format!("{comment}{}", emit::to_yaml(&configuration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_very_address_that_is_called() {
        assert_eq!(user(&Reach::Service, "guard"), "retinue-webhook.guard.svc:443");
        for (url, expected) in [
            ("https://127.0.0.1:8443", "127.0.0.1:8443"),
            ("https://retinue.example/", "retinue.example:443"),
            ("https://[::1]:8443/", "[::1]:8443"),
        ] {
            assert_eq!(user(&Reach::Url(url.into()), "guard"), expected);
        }
    }

    #[test]
    fn the_fragment_is_yaml_for_both_plugins_and_says_where_it_goes() {
        let text = admission("/srv/retinue", "Only then:\n  this");
        let value = policies::yaml::value(&text).expect("YAML");
        for (index, name) in PLUGINS.iter().enumerate() {
            let plugin = &value["plugins"][index];
            assert_eq!(plugin["name"], *name);
            assert_eq!(plugin["configuration"]["kubeConfigFile"], "/srv/retinue/webhook.kubeconfig");
        }
        for word in ["kubeadm", "k3s", "kind", "PodSecurity", "/srv/retinue/admission.yaml", "retinue doctor"] {
            assert!(text.contains(word), "{word}");
        }
        assert!(text.contains("\n# 4. Only then:\n#      this\n"), "{text}");
        assert!(!text.contains("FOLDER") && !text.contains("NEXT"));
        let value = policies::yaml::value(&kubeconfig("a.b.svc:443", "/srv/retinue")).expect("YAML");
        assert_eq!(value["users"][0]["name"], "a.b.svc:443");
        assert_eq!(value["users"][0]["user"]["client-key"], "/srv/retinue/client.key");
    }
}

//! What the ServiceAccount plugin adds to a pod: the account, its token volume, its pull secrets.

use crate::tables::At;
use serde_json::{Value, json};

use super::{CouldNotTell, GENERATED, Situation, add, by_name, entry, list, text};

/// Where the token is mounted.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the name of the token volume begins with.
pub(crate) const VOLUME_PREFIX: &str = "kube-api-access-";
/// The account of a pod that names none.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";
/// The lists of containers that get the mount. Ephemeral containers get none.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    if text(expected, "/spec/serviceAccountName").is_none()
        && text(situation.object, "/spec/serviceAccountName") == Some(DEFAULT_ACCOUNT)
    {
        add(expected, &["spec"], "serviceAccountName", DEFAULT_ACCOUNT.into());
        add(expected, &["spec"], "serviceAccount", DEFAULT_ACCOUNT.into());
    }
    let name = text(expected, "/spec/serviceAccountName").unwrap_or(DEFAULT_ACCOUNT).to_owned();
    let account = situation.facts.account(situation.namespace, &name);
    let unknown = |why: &str| CouldNotTell::missing(&format!("the ServiceAccount {}/{name}", situation.namespace), why);

    let no_secrets = list(expected, "/spec/imagePullSecrets").is_empty();
    if no_secrets && !list(situation.object, "/spec/imagePullSecrets").is_empty() {
        match account {
            Some(account) if !account.pull_secrets.is_empty() => {
                let secrets: Vec<_> = account.pull_secrets.iter().map(|name| json!({"name": name})).collect();
                if let Some(spec) = entry(expected, &["spec"]) {
                    spec.insert("imagePullSecrets".into(), secrets.into());
                }
            }
            None if situation.told() => return Err(unknown("whether the pod has these imagePullSecrets")),
            _ => {}
        }
    }

    let Some(volume) = token_volume(expected, situation.object) else { return Ok(()) };
    let automount = match expected.at("/spec/automountServiceAccountToken").and_then(Value::as_bool) {
        Some(said) => said,
        None => match account {
            Some(account) => account.automount.unwrap_or(true),
            None if situation.told() => return Err(unknown("whether the pod has a token volume")),
            None => false,
        },
    };
    if automount {
        mount(expected, situation.object, &volume);
    }
    Ok(())
}

/// The token volume that the object shows.
struct TokenVolume {
    name: String,
    /// Whether the template brings it itself; then only mounts are added.
    written: bool,
}

fn token_volume(expected: &Value, object: &Value) -> Option<TokenVolume> {
    let names = |of: &Value| -> Vec<String> {
        let all = list(of, "/spec/volumes").iter().filter_map(|volume| text(volume, "/name"));
        all.filter(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned).collect()
    };
    let written = names(expected);
    if let Some(name) = written.into_iter().next() {
        return Some(TokenVolume { name, written: true });
    }
    let random = |name: &String| {
        name.strip_prefix(VOLUME_PREFIX)
            .is_some_and(|rest| rest.len() == 5 && rest.chars().all(|c| GENERATED.contains(c)))
    };
    let name = names(object).into_iter().find(random)?;
    Some(TokenVolume { name, written: false })
}

/// Adds the mounts that the object shows, and the volume behind them.
fn mount(expected: &mut Value, object: &Value, volume: &TokenVolume) {
    let added = json!({"name": volume.name, "readOnly": true, "mountPath": MOUNT_PATH});
    let at_path = |mount: &Value| text(mount, "/mountPath") == Some(MOUNT_PATH);
    let mut needed = false;
    for containers in CONTAINERS {
        let Some(expected) = expected.at_mut(&format!("/spec/{containers}")).and_then(Value::as_array_mut) else {
            continue;
        };
        let shown = by_name(list(object, &format!("/spec/{containers}")));
        for container in expected {
            // A mount of the template's own at that path stands in its place.
            if list(container, "/volumeMounts").iter().any(at_path) {
                continue;
            }
            needed = true;
            let name = text(container, "/name");
            let same = shown.get(&name);
            let shows = same.is_some_and(|other| {
                list(other, "/volumeMounts")
                    .iter()
                    .any(|mount| at_path(mount) && text(mount, "/name") == Some(&volume.name))
            });
            if shows
                && let Some(container) = container.as_object_mut()
                && let Some(mounts) = container.entry("volumeMounts").or_insert_with(|| json!([])).as_array_mut()
            {
                mounts.push(added.clone());
            }
        }
    }
    if needed
        && !volume.written
        && let Some(spec) = entry(expected, &["spec"])
        && let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut()
    {
        volumes.push(json!({"name": volume.name, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]}}
        ]}}));
    }
}

//! Who asks: whether what it creates becomes a dependent, and what its pod says.

use std::collections::BTreeMap;

use policies::caller::Wish;
use policies::keys;
use policies::object::NamespacedName;
use policies::request::User;
use policies::run::plan::Standing;
use policies::template::Given;
use serde_json::{Value, json};
use webhooks::Lookups;

use super::api::{Api, ApiError};
use crate::cli::caller;
use crate::cluster::callers::token::{self, Token};
use crate::cluster::callers::{Callers, Live};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Whoever the API server takes us for.
pub(super) struct Who {
    user: User,
    pub(super) standing: Standing,
}

impl Who {
    /// Asks the API server, which tells everybody who they are and what they may.
    pub(super) async fn ask(api: &Api) -> Result<Self, ApiError> {
        let told = api.review(AUTHENTICATION, "SelfSubjectReview", json!({})).await?;
        let user = user(&told["status"]["userInfo"]);
        // Accounts of kube-system are never selected.
        let account = token::account(&user.username).filter(|account| account.namespace != "kube-system");
        let standing = match account {
            // As the webhook's match conditions select: by the verb, and not by a wildcard.
            Some(account) if may(api, &account, keys::LAUNCH).await? && !may(api, &account, keys::NO_VERB).await? => {
                Standing::Master
            }
            _ => Standing::Other,
        };
        Ok(Self { user, standing })
    }

    /// Whom a refusal concerns.
    pub(super) fn name(&self) -> &str {
        &self.user.username
    }

    /// What the own pod asks for.
    pub(super) async fn wish(&self, api: &Api) -> Result<Wish, String> {
        let token = Token::of(&self.user).map_err(|_| "this is no pod".to_owned())?;
        let (namespace, name) = (&token.account.namespace, &token.pod);
        let pod = api.core(namespace, "pods", name).await;
        let pod = pod.map_err(|error| format!("pod {namespace}/{name} cannot be read: {error}"))?;
        let wish = Wish::from_annotations(&annotations(&pod), namespace).map_err(|error| error.to_string())?;
        if wish.manifests.is_empty() {
            return Err(format!("pod {name} names no ConfigMap in its annotation {}", keys::MANIFESTS));
        }
        Ok(wish)
    }

    /// What a template may take from who asks, as far as it can be found out.
    pub(super) async fn given(&self, api: &Api) -> BTreeMap<Given, String> {
        if let Ok(caller) = Callers::new(Live(api.client.clone())).identify(&self.user, &Lookups::alone()).await {
            return caller::given(&caller);
        }
        // Without the right to read its owners, a pod still knows its own names.
        let Ok(token) = Token::of(&self.user) else { return BTreeMap::new() };
        BTreeMap::from([
            (Given::MasterName, token.account.name.clone()),
            (Given::MasterNamespace, token.account.namespace.clone()),
            (Given::PodName, token.pod.clone()),
            (Given::PodUid, token.uid.clone()),
        ])
    }
}

async fn may(api: &Api, account: &NamespacedName, verb: &str) -> Result<bool, ApiError> {
    let attributes =
        json!({"namespace": account.namespace, "verb": verb, "group": keys::GROUP, "resource": "dependents"});
    let told =
        api.review(AUTHORIZATION, "SelfSubjectAccessReview", json!({ "resourceAttributes": attributes })).await?;
    Ok(told["status"]["allowed"] == true)
}

fn user(info: &Value) -> User {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let extra = info["extra"].as_object().into_iter().flatten();
    User {
        username: info["username"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&info["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

fn annotations(pod: &Value) -> BTreeMap<String, String> {
    let all = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

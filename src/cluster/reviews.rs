//! What the API server says of somebody's rights: one SubjectAccessReview, and who we are ourselves.

use kube::Client;
use policies::object::NamespacedName;
use serde_json::{Value, json};

use super::client::{READ_DEADLINE, message};

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// A ServiceAccount, with the groups that it always has.
    pub(crate) fn of_account(account: &NamespacedName) -> Self {
        let NamespacedName { namespace, name } = account;
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
        Self {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            groups: groups.map(str::to_owned).to_vec(),
        }
    }

    /// Ourselves, as the API server knows us.
    pub(super) async fn ourselves(client: &Client) -> Result<Self, String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let status = post(client, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await?;
        let user = &status["userInfo"];
        let groups = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let username = user["username"].as_str().ok_or("the API server does not say who we are")?.to_owned();
        Ok(Self { username, groups: groups.collect() })
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) group: &'a str,
    /// Plural, lower case.
    pub(crate) resource: &'a str,
    pub(crate) verb: &'a str,
    /// None: in all namespaces.
    pub(crate) namespace: Option<&'a str>,
}

/// Where SubjectAccessReviews are sent.
pub(crate) const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// Whether `user` may, as a question to the API server.
pub(crate) fn question(user: &User, deed: &Deed<'_>) -> Value {
    let Deed { group, resource, verb, namespace } = deed;
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.username,
            "groups": user.groups,
            "resourceAttributes": {"group": group, "resource": resource, "verb": verb, "namespace": namespace},
        },
    })
}

/// Whether a review's status allows it.
pub(crate) fn allowed(status: &Value) -> Result<bool, String> {
    status["allowed"].as_bool().ok_or_else(|| "no answer in the answer".into())
}

/// The status of a SubjectAccessReview.
pub(super) async fn review(client: &Client, user: &User, deed: &Deed<'_>) -> Result<Value, String> {
    post(client, REVIEWS, &question(user, deed)).await
}

/// Sends a review, within the deadline of a live read; its status.
async fn post(client: &Client, path: &str, review: &Value) -> Result<Value, String> {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(review.to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(READ_DEADLINE, client.request::<Value>(request)).await {
        Err(_) => Err("no answer in time".into()),
        Ok(Err(error)) => Err(message(&error)),
        Ok(Ok(mut review)) => Ok(review["status"].take()),
    }
}

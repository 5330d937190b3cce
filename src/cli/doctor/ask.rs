//! What the doctor asks the API server: reads, reviews, and creates with dry run. Each with a deadline, each refusal in
//! the server's own words.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use kube::Client;
use policies::doctor::{Answers, Question};
use serde_json::{Value, json};

use crate::cluster::client::{METADATA_ONLY, message};
use crate::cluster::reviews::{self, Deed, User};

/// How long a request may take: a webhook may have up to 30 s.
const DEADLINE: Duration = Duration::from_secs(35);
/// Objects per page of a list.
const PAGE: u32 = 500;
/// Requests in flight.
pub(crate) const AT_ONCE: usize = 8;

/// No answer, or a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// The HTTP status; none: nothing came.
    pub(crate) code: Option<u16>,
    /// Why.
    pub(crate) message: String,
}

/// Asks.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) client: Client,
}

impl Asker {
    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<T, NoAnswer> {
        let broken = |message: String| NoAnswer { code: None, message };
        let request = request.body(body).map_err(|error| broken(error.to_string()))?;
        match tokio::time::timeout(DEADLINE, self.client.request::<T>(request)).await {
            Err(_) => Err(broken(format!("the API server did not answer within {} s", DEADLINE.as_secs()))),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => {
                Err(NoAnswer { code: Some(status.code), message: message(&kube::Error::Api(status)) })
            }
            Ok(Err(error)) => Err(broken(message(&error))),
        }
    }

    /// Reads one object; none: there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, NoAnswer> {
        match self.send(http::Request::get(path), Vec::new()).await {
            Ok(object) => Ok(Some(object)),
            Err(NoAnswer { code: Some(404), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads text, such as what a pod answers through the API server.
    pub(crate) async fn text(&self, path: &str) -> Result<String, NoAnswer> {
        let broken = |message: String| NoAnswer { code: None, message };
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| broken(error.to_string()))?;
        match tokio::time::timeout(DEADLINE, self.client.request_text(request)).await {
            Err(_) => Err(broken(format!("nothing came within {} s", DEADLINE.as_secs()))),
            Ok(answer) => answer.map_err(|error| broken(message(&error))),
        }
    }

    /// Lists, page by page. Lists leave `kind` out of their items: it is put back. `query` begins with `&` or is empty.
    pub(crate) async fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, NoAnswer> {
        self.pages(path, query, |_| {}, Some).await
    }

    /// The same, of what `keep` makes of each: the rest is dropped page by page.
    pub(crate) async fn picked<T>(&self, path: &str, keep: impl Fn(Value) -> Option<T>) -> Result<Vec<T>, NoAnswer> {
        self.pages(path, "", |_| {}, keep).await
    }

    /// The same, of metadata alone.
    pub(crate) async fn metadata(&self, path: &str) -> Result<Vec<Value>, NoAnswer> {
        let accept = METADATA_ONLY.replace("PartialObjectMetadata;", "PartialObjectMetadataList;");
        let headers = move |headers: &mut http::HeaderMap| {
            if let Ok(value) = accept.parse() {
                headers.insert(http::header::ACCEPT, value);
            }
        };
        self.pages(path, "", headers, Some).await
    }

    async fn pages<T>(
        &self,
        path: &str,
        query: &str,
        headers: impl Fn(&mut http::HeaderMap),
        keep: impl Fn(Value) -> Option<T>,
    ) -> Result<Vec<T>, NoAnswer> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let mut request = http::Request::get(format!("{path}?limit={PAGE}{query}{token}"));
            if let Some(map) = request.headers_mut() {
                headers(map);
            }
            let mut page: Value = self.send(request, Vec::new()).await?;
            let kind = page["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).map(str::to_owned);
            let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            all.extend(items.into_iter().filter_map(|mut item| {
                if let (Some(kind), true) = (&kind, item["kind"].is_null()) {
                    item["kind"] = json!(kind);
                }
                keep(item)
            }));
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(more) => token = format!("&continue={more}"),
                None => return Ok(all),
            }
        }
    }

    /// Creates.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, NoAnswer> {
        let request = http::Request::post(path).header(CONTENT_TYPE, "application/json");
        self.send(request, object.to_string().into_bytes()).await
    }

    /// Creates as another user, who has the groups that the API server gives to such a user.
    pub(crate) async fn create_as(&self, user: &str, path: &str, object: &Value) -> Result<Value, NoAnswer> {
        let request =
            http::Request::post(path).header(CONTENT_TYPE, "application/json").header("Impersonate-User", user);
        self.send(request, object.to_string().into_bytes()).await
    }

    /// Asks what accounts may; the same question once.
    pub(crate) async fn reviews(&self, questions: Vec<Question>) -> Answers {
        let questions: BTreeSet<Question> = questions.into_iter().collect();
        let answers = stream::iter(questions).map(|question| async move {
            let answer = self.review(&question).await;
            (question, answer)
        });
        Answers(answers.buffer_unordered(AT_ONCE).collect().await)
    }

    async fn review(&self, question: &Question) -> Result<bool, String> {
        let Question { account, verb, group, resource, namespace } = question;
        let deed = Deed { group, resource, verb, namespace: Some(namespace) };
        let review = reviews::question(&User::of_account(account), &deed);
        let answer = self.create(reviews::REVIEWS, &review).await.map_err(|error| error.message)?;
        reviews::allowed(&answer["status"])
    }
}

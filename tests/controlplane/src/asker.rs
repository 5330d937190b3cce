//! Asking the API server directly, as anybody: what `kubectl` cannot send, in milliseconds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{ControlPlane, Error, http};

/// Somebody who asks the API server.
#[derive(Debug, Clone)]
pub struct Asker {
    client: http::Client,
    /// How long to ask again while a webhook answers that it could not look, and to try again.
    patience: Duration,
}

/// What the API server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status code.
    pub code: u16,
    /// The body; text that is no JSON is a JSON string.
    pub body: Value,
}

impl Reply {
    /// Whether it is a success.
    #[must_use]
    pub fn success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The message of a `Status`, or the whole body.
    #[must_use]
    pub fn message(&self) -> String {
        match self.body["message"].as_str() {
            Some(message) => message.to_owned(),
            None => self.body.to_string(),
        }
    }

    /// The same as the answer to this method, which was `asked_before` in vain: a DELETE may have been finished meanwhile.
    fn to(self, method: &str, asked_before: bool) -> Self {
        if method == "DELETE" && asked_before && self.code == 404 {
            return Self { code: 200, body: json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}) };
        }
        self
    }
}

impl ControlPlane {
    /// The admin, asking directly.
    #[must_use]
    pub fn asker(&self) -> Asker {
        Asker::of(self.client.clone())
    }

    /// Whoever holds `token`, asking directly.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn asker_with_token(&self, token: &str) -> Result<Asker, Error> {
        Ok(Asker::of(http::Client::bearer(self.port.number(), &self.ca_pem(), token)?))
    }
}

impl Asker {
    fn of(client: http::Client) -> Self {
        Self { client, patience: Duration::ZERO }
    }

    /// The same, asking again for so long while the answer is 503 and to try again: a webhook could not look at something in
    /// time, as on a machine that is busy with something else. Nothing has come of such a request, but for a DELETE with a
    /// grace period of 0: it is put to the webhooks twice, once before the deletion is written down and once before the
    /// object goes (`updateForGracefulDeletionAndFinalizers` and `Delete` of `registry/generic/registry/store.go`), and the
    /// node may finish what the first of the two allowed. Gone is then what was asked for, and a success.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, impersonating `user`, who is in these groups; for an admin.
    #[must_use]
    pub fn impersonating(&self, user: &str, groups: &[&str]) -> Self {
        let as_user = self.client.with_header("Impersonate-User", user);
        let client = groups.iter().fold(as_user, |client, group| client.with_header("Impersonate-Group", group));
        Self { client, patience: self.patience }
    }

    /// The same with an extra of the impersonated user; the key in lower case.
    #[must_use]
    pub fn with_extra(&self, key: &str, value: &str) -> Self {
        // A slash is no character of a header's name.
        let header = format!("Impersonate-Extra-{}", key.replace('/', "%2F"));
        Self { client: self.client.with_header(&header, value), patience: self.patience }
    }

    /// One request with a JSON body of this media type.
    ///
    /// # Errors
    /// No answer.
    pub fn send(&self, method: &str, path: &str, media_type: &str, body: Option<&Value>) -> Result<Reply, Error> {
        self.send_text(method, path, media_type, &body.map(ToString::to_string).unwrap_or_default())
    }

    /// One request with this text as its body, JSON or not.
    ///
    /// # Errors
    /// No answer.
    pub fn send_text(&self, method: &str, path: &str, media_type: &str, body: &str) -> Result<Reply, Error> {
        let begun = Instant::now();
        let mut asked_before = false;
        loop {
            let answer = self.client.send(method, path, media_type, body)?;
            let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
            let reply = Reply { code: answer.code, body }.to(method, asked_before);
            let busy = reply.code == 503 && reply.message().contains("try again");
            if !busy || begun.elapsed() >= self.patience {
                return Ok(reply);
            }
            asked_before = true;
        }
    }

    /// GET.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, path: &str) -> Result<Reply, Error> {
        self.send("GET", path, "application/json", None)
    }

    /// POST: create, or use a subresource.
    ///
    /// # Errors
    /// No answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send("POST", path, "application/json", Some(body))
    }

    /// PUT: replace, or create where the kind allows it.
    ///
    /// # Errors
    /// No answer.
    pub fn put(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send("PUT", path, "application/json", Some(body))
    }

    /// PATCH with a JSON merge patch.
    ///
    /// # Errors
    /// No answer.
    pub fn merge(&self, path: &str, patch: &Value) -> Result<Reply, Error> {
        self.send("PATCH", path, "application/merge-patch+json", Some(patch))
    }

    /// PATCH with a JSON patch.
    ///
    /// # Errors
    /// No answer.
    pub fn patch(&self, path: &str, operations: &Value) -> Result<Reply, Error> {
        self.send("PATCH", path, "application/json-patch+json", Some(operations))
    }

    /// Server-side apply, as field manager `test`; `path` may carry a query.
    ///
    /// # Errors
    /// No answer.
    pub fn apply(&self, path: &str, object: &Value) -> Result<Reply, Error> {
        let sign = if path.contains('?') { '&' } else { '?' };
        self.send("PATCH", &format!("{path}{sign}fieldManager=test"), "application/apply-patch+yaml", Some(object))
    }

    /// DELETE with options; none is an empty body.
    ///
    /// # Errors
    /// No answer.
    pub fn delete(&self, path: &str, options: Option<&Value>) -> Result<Reply, Error> {
        self.send("DELETE", path, "application/json", options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_a_success_for_a_delete_alone_and_only_where_it_was_asked_before() {
        let gone = || Reply { code: 404, body: json!({"message": "pods \"a\" not found"}) };
        assert!(gone().to("DELETE", true).success());
        for (method, asked_before) in [("DELETE", false), ("GET", true), ("PATCH", true)] {
            assert_eq!(gone().to(method, asked_before), gone(), "{method} {asked_before}");
        }
        let refused = || Reply { code: 403, body: json!({}) };
        assert_eq!(refused().to("DELETE", true), refused());
    }
}

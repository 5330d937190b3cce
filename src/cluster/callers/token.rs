//! What a ServiceAccount's token says of its pod: the API server's authenticator puts it into the user's extra.
//!
//! An impersonator may forge these; the live pod is checked, but who may impersonate a master may act as it (RBAC's
//! verb `impersonate` is an admin's to give).

use policies::caller::{Caller, Unidentified};
use policies::object::NamespacedName;
use policies::request::User;

/// Extra of a token bound to a pod: its name.
pub const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
/// Extra of a token bound to a pod: its uid.
pub const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// What the username of every ServiceAccount begins with.
const ACCOUNT: &str = "system:serviceaccount:";

/// The account and the pod that a token names; nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The account.
    pub account: NamespacedName,
    /// The pod's name; its namespace is the account's.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
}

impl Token {
    /// From the user of a request.
    ///
    /// # Errors
    /// When it is no ServiceAccount, or its token does not name exactly one pod.
    pub fn of(user: &User) -> Result<Self, Unidentified> {
        let account = account(&user.username).ok_or_else(|| Unidentified::NoAccount(user.username.clone()))?;
        let one = |key: &'static str| match user.extra.get(key).map(Vec::as_slice).unwrap_or_default() {
            [] => Err(Unidentified::NoPod { account: account.clone() }),
            [value] => Ok(value.clone()),
            several => Err(Unidentified::SeveralPods { account: account.clone(), key, count: several.len() }),
        };
        let (pod, uid) = (one(POD_NAME)?, one(POD_UID)?);
        if pod.is_empty() || uid.is_empty() {
            return Err(Unidentified::NoPod { account });
        }
        Ok(Self { account, pod, uid })
    }

    /// What the token of this caller names.
    pub fn of_caller(caller: &Caller) -> Self {
        Self { account: caller.account.clone(), pod: caller.pod.name.clone(), uid: caller.pod.uid.clone() }
    }

    /// The pod, with its namespace.
    pub fn pod_name(&self) -> NamespacedName {
        NamespacedName::new(&self.account.namespace, &self.pod)
    }
}

/// The account whose username this is; none for users that are no ServiceAccount.
pub fn account(username: &str) -> Option<NamespacedName> {
    let (namespace, name) = username.strip_prefix(ACCOUNT)?.split_once(':')?;
    let valid = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
    valid.then(|| NamespacedName::new(namespace, name))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    /// A user with these extras.
    pub(crate) fn user(username: &str, extra: &[(&str, &[&str])]) -> User {
        User {
            username: username.into(),
            groups: Vec::new(),
            extra: extra
                .iter()
                .map(|(key, values)| ((*key).into(), values.iter().map(|value| (*value).into()).collect()))
                .collect(),
        }
    }

    #[test]
    fn threat_24_a_token_must_name_exactly_one_pod_and_its_uid() {
        let eod = "system:serviceaccount:trading:eod";
        let token = Token::of(&user(eod, &[(POD_NAME, &["eod-1"]), (POD_UID, &["u"])])).unwrap();
        assert_eq!(token.pod_name().to_string(), "trading/eod-1");
        for (extra, fix) in [
            (vec![], "--bound-object-kind Pod"),
            (vec![(POD_NAME, &["eod-1"][..])], "--bound-object-kind Pod"),
            (vec![(POD_UID, &["u"][..])], "--bound-object-kind Pod"),
            (vec![(POD_NAME, &["eod-1"][..]), (POD_UID, &[][..])], "--bound-object-kind Pod"),
            (vec![(POD_NAME, &[""][..]), (POD_UID, &["u"][..])], "--bound-object-kind Pod"),
            (vec![(POD_NAME, &["eod-1", "eod-2"][..]), (POD_UID, &["u"][..])], "2 values"),
            (vec![(POD_NAME, &["eod-1"][..]), (POD_UID, &["u", "u"][..])], "2 values"),
        ] {
            let message = Token::of(&user(eod, &extra)).unwrap_err().to_string();
            assert!(message.contains(fix), "{extra:?}: {message}");
        }
    }

    #[test]
    fn whoever_is_no_account_is_no_master() {
        for username in [
            "jane",
            "",
            "system:serviceaccount:",
            "system:serviceaccount:a",
            "system:serviceaccount:a:",
            "system:serviceaccount::b",
            "system:serviceaccount:a:b:c",
        ] {
            assert!(matches!(Token::of(&user(username, &[])), Err(Unidentified::NoAccount(_))), "{username}");
        }
    }
}

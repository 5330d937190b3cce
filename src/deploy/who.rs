//! Who is a master, in CEL, for webhook configurations and policies alike.
//!
//! One expression, not a list of conditions: the API server evaluates every condition of a list, while `&&` stops at
//! the first that says no, and most requests are of no service account at all. Nothing in it can fail for any user:
//! an expression that errors refuses everyone, so no key of `extra` and no group is read, and the third part of a
//! username is asked for only where the prefix says that it is there.

use policies::keys::{LAUNCH, NO_VERB};

use super::{CONTROLLER, PROBE, Values, WEBHOOK};

/// True for a request of a master, and for one of whom it could not be found out.
pub(super) fn is_master(values: &Values) -> String {
    let check = |verb: &str| {
        format!(
            "authorizer.group('fledged.io').resource('dependents')\
             .namespace(request.userInfo.username.split(':')[2]).check('{verb}')"
        )
    };
    let (launch, none) = (check(LAUNCH), check(NO_VERB));
    let [webhook, controller, probe] = [WEBHOOK, CONTROLLER, PROBE].map(|account| values.user(account));
    [
        "request.userInfo.username.startsWith('system:serviceaccount:')".to_owned(),
        "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')".to_owned(),
        format!("!(request.userInfo.username in ['{webhook}', '{controller}', '{probe}'])"),
        "!(request.resource.group in ['authentication.k8s.io', 'authorization.k8s.io'])".to_owned(),
        // Asked once: an answer that is not kept is asked for again, and most who get here are no masters.
        format!("[{launch}]\n  .exists(answer, answer.allowed() || answer.errored())"),
        format!("!{none}.allowed()"),
    ]
    .join("\n&& ")
}

//! What is chosen about callers, and what is told of it.

use policies::doctor::callers::Range;
use policies::doctor::{Area, Finding, Severity};

use crate::deploy::CONFIGURATION;

/// What the API server tells where it does not trust the webhook's certificate. What a webhook says of the API server's is
/// told as "remote error: tls: ...".
const DISTRUST: &str = "x509: ";

/// Who gets an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Whoever reaches the port.
    Anybody,
    /// Holders of a certificate.
    Holders,
}

/// What is chosen about callers, as it is in the cluster.
pub(super) struct Choice {
    /// Who gets an answer; none: it could not be looked at.
    pub(super) serves: Option<Serves>,
    /// Whether the Deployment says `--client-ca`, which counts where the pods could not be asked.
    pub(super) installed: bool,
    /// The ranges of the NetworkPolicy; empty: from anywhere.
    pub(super) ranges: Vec<Range>,
}

impl Choice {
    /// Whether somebody is shut out, who must not be the API server.
    pub(super) fn restricts(&self) -> bool {
        self.asks_for_certificates() || !self.ranges.is_empty()
    }

    /// Whether the webhook serves holders of a client certificate alone.
    fn asks_for_certificates(&self) -> bool {
        self.serves.as_ref().map_or(self.installed, |serves| *serves == Serves::Holders)
    }
}

/// Notes that whoever reaches the webhook is answered.
pub(super) fn unauthenticated(choice: &Choice) -> Option<Finding> {
    if choice.serves != Some(Serves::Anybody) {
        return None;
    }
    let from =
        if choice.ranges.is_empty() { "whoever reaches its port" } else { "whoever may call by its NetworkPolicy" };
    Some(Finding::new(
        Severity::Note,
        Area::Callers,
        "reviews are not authenticated",
        format!(
            "{from} gets an answer, and learns from refusals what templates say. Nothing is created or written by that: an \
             answer counts only for the API server"
        ),
        "where the API server's flags are yours: retinue certs --client, then what it says; on a managed control plane \
         there is nothing to do (deploy/README.md, \"Who may call the webhook\")",
    ))
}

/// Judges that `/mutate` is not reached; `message` is what the API server said.
pub(super) fn unreached(message: &str, choice: &Choice) -> Finding {
    let fix = if message.contains(DISTRUST) {
        "the API server does not trust the certificate of the webhook: caBundle must name the authority that signed it, and the \
         certificate the address that is called (area certificates)"
            .to_owned()
    } else if choice.restricts() {
        let causes = [
            (
                choice.asks_for_certificates(),
                "both plugins of the AdmissionConfiguration need the kubeconfig, on every API server (retinue certs --client \
                 writes what they need); until then install without --client-ca, and with every other option",
            ),
            (
                !choice.ranges.is_empty(),
                "the addresses that API servers call from must be among --callers; until then install without --callers, \
                 and with every other option",
            ),
        ];
        let causes = causes.into_iter().filter(|(holds, _)| *holds).map(|(_, cause)| cause);
        causes.collect::<Vec<_>>().join(". Or ")
    } else {
        "look at the pods of retinue-webhook and their logs, and at the areas webhooks and certificates".to_owned()
    };
    Finding::new(
        Severity::Problem,
        Area::Callers,
        format!("MutatingWebhookConfiguration {CONFIGURATION}"),
        format!("the API server's reviews of creates do not arrive, so that every master is refused: {message}"),
        fix,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_of_calls_that_do_not_arrive_names_what_is_installed() {
        let fix = |message: &str, installed, serves, ranges: &[&str]| {
            let ranges = ranges.iter().filter_map(|range| Range::parse(range)).collect();
            unreached(message, &Choice { serves, installed, ranges }).fix
        };
        let call =
            "failed calling webhook \"mutate.retinue.fledged.io\": failed to call webhook: Post \"https://a.b.svc\": ";
        let distrust =
            format!("{call}tls: failed to verify certificate: x509: certificate signed by unknown authority");
        let refused = format!("{call}remote error: tls: certificate required");
        let range = &["10.0.0.4/32"][..];
        for serves in [None, Some(Serves::Anybody), Some(Serves::Holders)] {
            let told = fix(&distrust, true, serves, range);
            assert!(told.contains("caBundle") && told.contains("area certificates"), "{told}");
            assert!(!told.contains("AdmissionConfiguration") && !told.contains("--callers"), "{told}");
        }
        let named = |told: &str| ["AdmissionConfiguration", "--callers", "logs"].map(|word| told.contains(word));
        assert_eq!(named(&fix(&refused, true, Some(Serves::Holders), &[])), [true, false, false]);
        assert_eq!(named(&fix(&refused, true, None, &[])), [true, false, false]);
        assert_eq!(named(&fix("timeout", false, None, range)), [false, true, false]);
        assert_eq!(named(&fix("timeout", true, Some(Serves::Holders), range)), [true, true, false]);
        assert_eq!(named(&fix("timeout", true, Some(Serves::Anybody), &[])), [false, false, true]);
    }
}

//! What a webhook does whose pod is to end: its Service may name it for a moment longer.

use std::time::{Duration, Instant};

use controlplane::Options;
use story::stranger::{Stranger, review};
use story::{Installation, manifests};

use crate::house::{Cases, Way, binary, object, send, until};

/// For how long it goes on, seconds; and for how long it would.
const DELAY: &str = "2";
const FOR_LONG: &str = "300";

#[test]
fn threat_37_after_sigterm_new_connections_are_served_for_a_while_and_a_second_signal_ends_it_at_once() {
    let installation = Installation::installed(Options::api_only().start().unwrap(), binary(), &[]).unwrap();
    installation.start_webhook_with(&["--shutdown-delay", DELAY]).unwrap();
    installation.cluster.namespace_named("trading").unwrap();
    installation.cluster.apply(&manifests::post_trade("trading")).unwrap();
    let mut master = installation.bare("trading", "post-trade").unwrap();
    master.until_known(&object(&manifests::report("probe", "10m"))).unwrap();
    // Each answer counts here.
    master.api = master.api.patient(Duration::ZERO);
    let stranger = Stranger::new(installation.port(), &installation.authority().unwrap(), "localhost", None).unwrap();
    let asked = review(&object(&manifests::post_trade("trading"))).to_string();
    let good = object(&manifests::report("during", "10m"));
    let mut cases = Cases::default();

    let mut webhook = installation.take_webhook().unwrap();
    let since = Instant::now();
    webhook.terminate().unwrap();
    until("it says that it is not ready", || webhook.status("/readyz").ok().filter(|status| status.contains("503")));
    let mut served = 0;
    let closed = loop {
        let create = send(&master, Way::Post, &good, "?dryRun=All");
        let answer = stranger.post("/lint", &asked);
        let at = since.elapsed();
        match answer {
            Ok(Ok(answer)) if answer.contains("200") && create.success() => served += 1,
            other => break (at, format!("{other:?}, and a create: {}", create.message())),
        }
    };
    let (at, how) = closed;
    cases.holds(
        "new connections are served",
        at >= Duration::from_secs(2) && served > 3,
        format!("{served}, {at:?}: {how}"),
    );
    let code = webhook.ended().unwrap();
    cases.holds("it ends by itself", code == Some(0), format!("{code:?}"));
    println!("{served} served, none from {at:?} on; ended after {:?}", since.elapsed());

    installation.start_webhook_with(&["--shutdown-delay", FOR_LONG]).unwrap();
    let mut webhook = installation.take_webhook().unwrap();
    webhook.terminate().unwrap();
    until("it says that it is not ready", || webhook.status("/readyz").ok().filter(|status| status.contains("503")));
    cases.admitted("a create meanwhile", &send(&master, Way::Post, &good, "?dryRun=All"));
    let since = Instant::now();
    webhook.terminate().unwrap();
    let code = webhook.ended().unwrap();
    let took = since.elapsed();
    cases.holds(
        "a second signal ends it",
        code == Some(130) && took < Duration::from_secs(5),
        format!("{code:?} {took:?}"),
    );
    cases.finish();
}

//! Clocks that differ: what counts is the API server's.

use controlplane::Reply;
use jiff::{SignedDuration, Timestamp};
use policies::lifetime;
use serde_json::Value;

use crate::world::{World, report, until};

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap()
}

#[test]
fn threat_33_a_webhook_whose_clock_is_an_hour_off_stamps_the_api_servers_deadlines() {
    // What a webhook knows of its API server's clock comes with the answers. One that is an hour ahead there is a
    // webhook an hour behind here. The other way round the certificate, made by this machine's clock, is good for
    // minutes only: beyond them it is not valid yet, and the webhook is not ready, which is the truth.
    for minutes in [60, -4] {
        let ahead = SignedDuration::from_mins(minutes);
        let world = World::ahead(&["--no-floor"], ahead);
        let master = world.master("eod-1");
        let made = until("a report", || {
            Some(master.api.post(&master.core("configmaps"), &report("late", "info")).unwrap()).filter(Reply::success)
        });
        let created: Timestamp = text(&made.body, "/metadata/creationTimestamp").parse().unwrap();
        let deadline = lifetime::read_label(text(&made.body, "/metadata/labels/fledged.io~1expires-at")).unwrap();
        // The template grants an hour.
        let granted = deadline.duration_since(created + ahead);
        let off = (granted - SignedDuration::from_hours(1)).abs();
        assert!(off <= SignedDuration::from_secs(3), "{minutes} min ahead: {deadline} for {created}");
    }
}

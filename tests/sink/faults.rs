// SPDX-License-Identifier: MPL-2.0

//! Each fault of the service by name, against the element in a real pipeline: the messages on
//! the bus, the state of the pipeline, and that each word comes once.

mod certificates;
mod liveness;
mod outage;
mod retries;
mod row;

use crate::common::feed::{CAPS, Feed};
use crate::common::service::Service;
use row::{Failure, Row, Sees, all};

const fn row(script: &'static str, sees: Sees) -> Row {
    Row {
        script,
        properties: "",
        sees,
    }
}

const fn patient(script: &'static str, properties: &'static str, sees: Sees) -> Row {
    Row {
        script,
        properties,
        sees,
    }
}

const fn lost(reasons: &'static [&'static str], phase: &'static str) -> Sees {
    Sees::Outage(Failure::new(reasons, phase))
}

const fn closed(code: i32) -> Sees {
    Sees::Outage(Failure::closed(code))
}

const fn away(status: i32, reason: &'static [&'static str]) -> Sees {
    Sees::Outage(Failure::http(status, reason))
}

const fn refused(status: i32, reason: &'static [&'static str]) -> Sees {
    Sees::Fatal(Failure::http(status, reason))
}

/// The reasons that a broken connection may have.
const BROKEN: &[&str] = &["read", "write"];

/// Pings often enough for a test.
const QUICK_PINGS: &str = "ping-interval=200 pong-timeout=400";

#[test]
fn need_1_any_drop_is_survived() {
    all(&[
        row("reset@1s", lost(BROKEN, "session")),
        row("reset@96000b", lost(BROKEN, "session")),
        row("reset@start", lost(BROKEN, "session")),
        row("terminated@1s", lost(&["terminated"], "session")),
        row("terminated@start", lost(&["terminated"], "session")),
        row("terminated@stop", lost(&["terminated"], "session")),
        row("fin@1s", closed(1006)),
        row("fin@start", closed(1006)),
        // A first connection that fails counts like a later one.
        row("reset", lost(&["handshake", "tcp"], "connect")),
        row("fin", lost(&["handshake"], "connect")),
        row("reset@upgrade", lost(&["handshake"], "connect")),
        row("refuse=2s", lost(&["tcp"], "connect")),
        row("reset@1s refuse=2s", lost(BROKEN, "session")),
        row("reset@1s reset fin reset", lost(BROKEN, "session")),
    ]);
}

#[test]
fn c35_a_close_with_any_code_but_1008_is_followed_by_a_rejoin() {
    all(&[
        row("close=1000@1s", closed(1000)),
        row("close=1001@1s", closed(1001)),
        row("close=1005@1s", closed(1005)),
        row("fin@2s", closed(1006)),
        row("close=1009@1s", closed(1009)),
        row("close=1011@1s", closed(1011)),
        row("close=1011@start", closed(1011)),
        row("close=1012@1s", closed(1012)),
        row("close=1013@1s", closed(1013)),
        row("close=4000@1s", closed(4000)),
    ]);
}

#[test]
fn c35_after_a_close_with_1008_there_is_no_rejoin() {
    all(&[
        row("close=1008@1s", Sees::Fatal(Failure::closed(1008))),
        row("close=1008@start", Sees::Fatal(Failure::closed(1008))),
    ]);
}

#[test]
fn need_1_a_drop_while_the_stream_ends_is_survived() {
    all(&[
        row("reset@stop", lost(BROKEN, "session")),
        row("fin@stop", closed(1006)),
        row("close=1011@stop", closed(1011)),
        patient(
            "half-open@stop",
            QUICK_PINGS,
            lost(&["pong-timeout"], "session"),
        ),
        patient(
            "no-answer@stop",
            "drain-timeout=3000",
            Sees::Warning("drain-timeout"),
        ),
    ]);
}

#[test]
fn need_2_and_c39_a_socket_that_is_silently_dead_is_noticed() {
    let dead = lost(&["pong-timeout"], "session");
    all(&[
        patient("half-open@1s", QUICK_PINGS, dead),
        patient("half-open@start", QUICK_PINGS, dead),
        patient("slow-read=0@1s", QUICK_PINGS, dead),
    ]);
}

#[test]
fn need_10_a_service_that_does_not_answer_is_reported_with_the_step_that_fails() {
    let connecting = lost(&["connect-timeout"], "connect");
    let starting = lost(&["start-timeout"], "start");
    all(&[
        patient("black-hole=1s", "connect-timeout=700", connecting),
        patient("half-open", "connect-timeout=700", connecting),
        patient("no-answer", "connect-timeout=700", connecting),
        patient("no-answer@start", "connect-timeout=700", starting),
        patient("half-open@upgrade", "connect-timeout=700", connecting),
    ]);
}

#[test]
fn need_10_each_way_to_fail_has_a_reason_of_its_own() {
    std::thread::scope(|scope| {
        for (script, reason, retryable) in [
            // No host can have this name (RFC 2606).
            ("", "dns", true),
            ("refuse=1s", "tcp", true),
            ("http=503", "http", true),
            ("http=429", "limit", true),
            ("http=401", "auth", false),
            ("redirect", "handshake", false),
            ("no-answer", "connect-timeout", true),
            ("no-answer@start", "start-timeout", true),
            ("half-open@start", "pong-timeout", true),
            ("close=1011", "closed", true),
            ("huge", "protocol", true),
        ] {
            let named = std::thread::Builder::new().name(format!("{script} → {reason}"));
            let test = move || tells(script, reason, retryable);
            named.spawn_scoped(scope, test).expect("a thread");
        }
    });
}

/// Checks the fields of the first failure of a pipeline.
fn tells(script: &str, reason: &str, retryable: bool) {
    let service = Service::faulty(script);
    let url = match reason {
        "dns" => "http://nobody.invalid:1".to_owned(),
        _ => service.url(),
    };
    // Only the timeout that the test waits for is short, because the machine may be busy.
    let properties = match reason {
        "pong-timeout" => QUICK_PINGS,
        "connect-timeout" | "start-timeout" => "connect-timeout=700",
        _ => "connect-timeout=60000 pong-timeout=60000",
    };
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={url} on-fatal=warning connection-id=here {properties}"
    ));
    pipeline.play();
    feed.begin(CAPS);
    let failure = pipeline.wait_for("a failure", |message| {
        let state = message.structure().filter(|s| s.name() == "symbl/state");
        state.is_some_and(|s| s.has_field("retryable"))
    });
    let failure = failure.structure().expect("fields");
    assert_eq!(failure.get("reason"), Ok(reason), "{failure}");
    assert_eq!(failure.get("retryable"), Ok(retryable), "{failure}");
    assert_eq!(failure.has_field("retry-in"), retryable, "{failure}");
    assert!(failure.get::<i32>("attempt").is_ok(), "{failure}");
    assert_eq!(failure.get("connection-id"), Ok("here"), "{failure}");
    let state = match (retryable, failure.get::<u64>("generation")) {
        (false, _) => "failed",
        (true, Ok(1)) if reason != "start-timeout" => "reconnecting",
        (true, _) => "connecting",
    };
    assert_eq!(failure.get("state"), Ok(state), "{failure}");
}

#[test]
fn c5_and_need_14_a_failure_that_a_retry_can_help_is_retried() {
    all(&[
        row("http=408", away(408, &["http"])),
        row("http=429", away(429, &["limit"])),
        row("http=429:1s", away(429, &["limit"])),
        row("http=500", away(500, &["http"])),
        row("http=502", away(502, &["http"])),
        row("http=503", away(503, &["http"])),
        row("http=503:1s", away(503, &["http"])),
        row("http=504", away(504, &["http"])),
        row("http=500 http=502 http=503", away(500, &["http"])),
        row("reset@1s http=503 http=429", lost(BROKEN, "session")),
    ]);
}

#[test]
fn c5_and_need_14_a_failure_that_no_retry_can_help_is_an_error_at_once() {
    all(&[
        row("http=400", refused(400, &["handshake"])),
        row("http=401", refused(401, &["auth"])),
        row("http=402", refused(402, &["limit"])),
        row("http=403", refused(403, &["auth"])),
        row("http=404", refused(404, &["http"])),
        row("http=405", refused(405, &["handshake"])),
        row("reset@1s http=403", refused(403, &["auth"])),
    ]);
}

#[test]
fn c7_an_answer_that_is_no_upgrade_is_an_error_at_once() {
    all(&[
        row("redirect", refused(302, &["handshake"])),
        row("wrong-accept", refused(101, &["handshake"])),
        row("no-accept", refused(101, &["handshake"])),
    ]);
}

#[test]
fn need_20_meaningless_messages_cost_no_word() {
    all(&[
        row("not-json", Sees::Warning("protocol")),
        row("not-json@1s", Sees::Warning("protocol")),
        row("binary@1s", Sees::Nothing),
        row("unknown-type@1s", Sees::Nothing),
        row("error@1s", Sees::Nothing),
        row("error-envelope@1s", Sees::Nothing),
        row("fragments", Sees::Nothing),
        row("huge", lost(&["protocol"], "session")),
        row("huge@1s", lost(&["protocol"], "session")),
    ]);
}

#[test]
fn results_that_come_late_twice_or_turned_round_come_once() {
    all(&[
        row("delay=500ms", Sees::Nothing),
        row("delay=500ms@2s", Sees::Nothing),
        row("duplicate", Sees::Nothing),
        row("reorder", Sees::Nothing),
        // The service reads at three times real time.
        row("slow-read=96000", Sees::Nothing),
    ]);
}

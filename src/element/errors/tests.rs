// SPDX-License-Identifier: MPL-2.0

use super::*;
use std::time::Duration;

const ALL: [Reason; 19] = [
    Reason::Dns,
    Reason::Tcp,
    Reason::Tls,
    Reason::Proxy,
    Reason::Http,
    Reason::Auth,
    Reason::Limit,
    Reason::Handshake,
    Reason::ConnectTimeout,
    Reason::StartTimeout,
    Reason::PongTimeout,
    Reason::Closed,
    Reason::Read,
    Reason::Write,
    Reason::Protocol,
    Reason::Settings,
    Reason::DrainTimeout,
    Reason::WallClock,
    Reason::Internal,
];

fn report(failure: &Failure) -> Report {
    gst::init().unwrap();
    Report::new(failure)
}

fn resource(failure: &Failure) -> Option<gst::ResourceError> {
    report(failure).error.kind()
}

#[test]
fn what_kept_the_sink_from_connecting_cannot_be_opened_for_writing() {
    for reason in [
        Reason::Dns,
        Reason::Tcp,
        Reason::Tls,
        Reason::Proxy,
        Reason::Http,
        Reason::Handshake,
        Reason::ConnectTimeout,
        Reason::StartTimeout,
    ] {
        let failure = Failure::retryable(reason, "gone");
        assert_eq!(
            resource(&failure),
            Some(gst::ResourceError::OpenWrite),
            "{reason:?}"
        );
    }
}

#[test]
fn what_ended_a_session_is_a_failed_write() {
    for reason in [
        Reason::PongTimeout,
        Reason::Closed,
        Reason::Read,
        Reason::Write,
    ] {
        let failure = Failure::retryable(reason, "gone");
        assert_eq!(
            resource(&failure),
            Some(gst::ResourceError::Write),
            "{reason:?}"
        );
    }
}

#[test]
fn http_statuses_have_their_own_codes() {
    let code = |status| resource(&Failure::http(status, "", None));
    assert_eq!(code(401), Some(gst::ResourceError::NotAuthorized));
    assert_eq!(code(403), Some(gst::ResourceError::NotAuthorized));
    assert_eq!(code(404), Some(gst::ResourceError::NotFound));
    assert_eq!(code(429), Some(gst::ResourceError::Busy));
    assert_eq!(code(503), Some(gst::ResourceError::OpenWrite));
    assert_eq!(code(200), Some(gst::ResourceError::OpenWrite));
}

#[test]
fn the_other_reasons_have_a_code_each() {
    let of = |reason| report(&Failure::fatal(reason, "x")).error;
    assert!(of(Reason::Auth).matches(gst::ResourceError::NotAuthorized));
    assert!(of(Reason::Limit).matches(gst::ResourceError::Busy));
    assert!(of(Reason::Settings).matches(gst::ResourceError::Settings));
    assert!(of(Reason::DrainTimeout).matches(gst::ResourceError::Close));
    assert!(of(Reason::Protocol).matches(gst::StreamError::Format));
    assert!(of(Reason::WallClock).matches(gst::CoreError::Clock));
    assert!(of(Reason::Internal).matches(gst::CoreError::Failed));
}

#[test]
fn details_tell_a_program_all_that_is_known() {
    let mut failure = Failure::http(429, "Too Many Requests", Some(Duration::from_secs(3)));
    failure.close_code = Some(1013);
    failure.close_reason = Some("try again".into());
    let details = report(&failure).details;
    assert_eq!(details.name(), "details");
    assert_eq!(details.get::<&str>("reason"), Ok("limit"));
    assert_eq!(details.get::<&str>("phase"), Ok("connect"));
    assert_eq!(details.get::<i32>("http-status"), Ok(429));
    assert_eq!(details.get::<i32>("close-code"), Ok(1013));
    assert_eq!(details.get::<&str>("close-reason"), Ok("try again"));
    assert_eq!(details.get::<bool>("retryable"), Ok(true));
    assert_eq!(details.n_fields(), 6);
}

#[test]
fn what_is_not_known_is_left_out_of_the_details() {
    for reason in ALL {
        let details = report(&Failure::fatal(reason, "x")).details;
        assert_eq!(details.get::<&str>("reason"), Ok(reason.as_str()));
        assert_eq!(details.get::<bool>("retryable"), Ok(false));
        let phase = details.get::<&str>("phase").ok();
        let allowed = [
            None,
            Some("settings"),
            Some("connect"),
            Some("start"),
            Some("session"),
            Some("drain"),
        ];
        assert!(allowed.contains(&phase), "{phase:?}");
        assert_eq!(
            details.n_fields(),
            2 + usize::from(phase.is_some()),
            "{reason:?}"
        );
    }
}

#[test]
fn messages_carry_text_debug_details_and_source() {
    let failure = Failure::closed(1011, "internal error");
    let report = report(&failure);
    let source = gst::Bin::with_name("captions");
    let error = report.clone().into_error(&source);
    let warning = report.into_warning(&source);
    for message in [&error, &warning] {
        assert_eq!(message.src().map(|src| src.name()), Some("captions".into()));
    }
    let (gst::MessageView::Error(error), gst::MessageView::Warning(warning)) =
        (error.view(), warning.view())
    else {
        panic!("{error:?} {warning:?}");
    };
    assert_eq!(error.error().message(), failure.message);
    assert_eq!(warning.error().message(), failure.message);
    let debug = r#"reason="closed" phase="session" close-code=1011 close-reason="internal error" retryable=true"#;
    assert_eq!(error.debug().as_deref(), Some(debug));
    assert_eq!(warning.debug().as_deref(), Some(debug));
    let code =
        |details: Option<&gst::StructureRef>| details.and_then(|d| d.get::<i32>("close-code").ok());
    assert_eq!(code(error.details()), Some(1011));
    assert_eq!(code(warning.details()), Some(1011));
}

#[test]
fn a_setting_with_which_the_element_cannot_start_is_a_settings_error() {
    gst::init().unwrap();
    let failure = Failure::fatal(Reason::Settings, "ca-file x cannot be read; check the path");
    let report = Report::new(&failure);
    assert!(report.error.matches(gst::ResourceError::Settings));
    assert_eq!(report.error.message(), failure.message);
}

#[test]
fn audio_that_the_service_cannot_take_is_a_format_error() {
    gst::init().unwrap();
    let (element, bus) = (gst::Bin::new(), gst::Bus::new());
    element.set_bus(Some(&bus));
    element.post_error_message(format("channels is 2"));
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        panic!("{message:?}");
    };
    assert!(error.error().matches(gst::StreamError::Format));
    assert!(error.error().message().contains("channels is 2"));
}

#[test]
fn a_nul_character_in_a_close_reason_ends_no_text() {
    gst::init().unwrap();
    let report = Report::new(&Failure::closed(1011, "be\0fore"));
    assert_eq!(report.details.get("close-reason"), Ok("be\u{fffd}fore"));
}

// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Checks that the reader of session events takes any text without a panic, and that its
//! results keep the limits.
//!
//! An input is lines. Each is read as the packet of an event, and as the `auth` of a client
//! that connects.

use symbl_protocol::session::{MOST_ENTRIES, Request, introduction, read};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let _ = is_request(&text, false);
        // No event may have binary data.
        assert!(!is_request(&text, true));
    }
});

/// Reads an event's packet and checks the promises of what is read. Returns `true` if it is a
/// request.
fn is_request(packet: &str, has_attachments: bool) -> bool {
    let asked = read(packet, has_attachments);
    assert!(asked.error_event.ends_with("error"));
    assert!(asked.error_event.len() <= 64 + ":error".len());
    let _ = introduction(Some(packet));
    match asked.request {
        Ok(Request::Send { text, .. }) => {
            assert!(!text.trim().is_empty() && text.len() <= 8 * 1024);
            true
        }
        Ok(Request::History { limit, .. }) => {
            assert!((1..=MOST_ENTRIES).contains(&limit));
            true
        }
        Ok(_) => true,
        Err(refusal) => {
            assert!((1..300).contains(&refusal.description.len()));
            false
        }
    }
}

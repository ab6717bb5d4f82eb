// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Checks that the reader of session events takes any text without a panic, and that its
//! results keep the limits.
//!
//! An input is lines. Each is read as the packet of an event, and as the `auth` of a client
//! that connects.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let _ = symbl_service::check_event(&text, false);
        // No event may have binary data.
        assert!(!symbl_service::check_event(&text, true));
    }
});

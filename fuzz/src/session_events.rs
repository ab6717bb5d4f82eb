// SPDX-License-Identifier: MPL-2.0
#![no_main]
//! Checks that no event of a client of sessions makes `symbl-service` panic, and that what is
//! read of it keeps its limits.
//!
//! An input is lines. Each is read as the packet of an event, and as what a client says when
//! it connects.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let _ = symbl_service::check_event(&text, false);
        // No event may have binary data.
        assert!(!symbl_service::check_event(&text, true));
    }
});

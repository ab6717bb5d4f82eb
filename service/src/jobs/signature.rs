// SPDX-License-Identifier: MPL-2.0

//! The signature of a webhook: `t=SECONDS,v1=HEX`, where `HEX` is the HMAC-SHA256 of
//! `SECONDS.BODY`. The time in it lets a receiver refuse what was recorded and sent again.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// Returns the signature of a body at a time, in seconds since the Unix epoch.
pub(crate) fn sign(secret: &[u8], seconds: i64, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{seconds}.{body}").as_bytes());
    let mut signature = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing into a string does not fail.
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_openssl() {
        // printf '1700000000.{"jobId":"1","status":"completed"}' | openssl dgst -sha256 -hmac secret
        let body = r#"{"jobId":"1","status":"completed"}"#;
        assert_eq!(
            sign(b"secret", 1_700_000_000, body),
            "t=1700000000,v1=6c460e9ad60d6116dcab2aa0d70d394f3017c0e333203f5fa95b5ae5a3c7a870"
        );
    }
}

// SPDX-License-Identifier: MPL-2.0

//! Services over TLS: which certificates are trusted, and faults below the handshake.

use super::row::{Failure, Row, Sees};
use crate::common::feed::{CAPS, Feed};
use crate::common::service::{Misbehave, Service};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::path::PathBuf;
use symbl_service::tls_config;
use tempfile::TempDir;

/// A certificate for 127.0.0.1 in files.
struct Identity {
    folder: TempDir,
}

impl Identity {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let this = Self { folder };
        std::fs::write(this.certificate(), certificate.pem()).expect("written");
        std::fs::write(this.key(), key.serialize_pem()).expect("written");
        this
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Starts a service with this certificate.
    fn serve(&self, script: &str) -> Service {
        let tls = tls_config(&self.certificate(), &self.key()).expect("a certificate and its key");
        Service::with(|config| {
            config.misbehave(script);
            config.tls = Some(tls);
        })
    }

    /// Plays a row with a service of this certificate.
    fn play(&self, properties: &str, script: &'static str, sees: Sees) {
        let properties = properties.replace("ca-file=own", &self.trusted());
        let row = Row {
            script,
            properties: Box::leak(properties.into_boxed_str()),
            sees,
        };
        row.play(Some(self.serve(script)));
    }

    fn trusted(&self) -> String {
        format!("ca-file={}", self.certificate().display())
    }
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
}

fn of_another_host(params: &mut CertificateParams) {
    *params = CertificateParams::new(["other.example".to_owned()]).expect("a name");
}

fn good(_: &mut CertificateParams) {}

#[test]
fn c6_a_certificate_that_does_not_verify_ends_the_dial() {
    let refused = Sees::Fatal(Failure::new(&["tls"], "connect"));
    // Only the certificate of this connection is wrong.
    Identity::new(expired).play("ca-file=own", "none", refused);
    Identity::new(of_another_host).play("ca-file=own", "none", refused);
    // The issuer is unknown.
    Identity::new(good).play("", "none", refused);
}

#[test]
fn c6_a_certificate_that_verifies_or_need_not_is_taken() {
    Identity::new(good).play("ca-file=own", "none", Sees::Nothing);
    Identity::new(expired).play("tls-verify=false", "none", Sees::Nothing);
}

#[test]
fn need_1_drops_over_tls_are_survived() {
    let identity = Identity::new(good);
    let broken = Failure::new(&["read", "write", "closed"], "session");
    std::thread::scope(|scope| {
        for (script, failure) in [
            ("reset@1s", broken),
            ("fin@1s", broken),
            ("reset", Failure::new(&["tls", "tcp"], "connect")),
            ("fin", Failure::new(&["tls"], "connect")),
            ("close=1012@1s", Failure::closed(1012)),
        ] {
            let identity = &identity;
            let named = std::thread::Builder::new().name(format!("{script} over TLS"));
            let play = move || identity.play("ca-file=own", script, Sees::Outage(failure));
            named.spawn_scoped(scope, play).expect("a thread");
        }
    });
}

#[test]
fn a_tls_handshake_that_is_never_answered_is_given_up() {
    Identity::new(good).play(
        "ca-file=own connect-timeout=700",
        "half-open",
        Sees::Outage(Failure::new(&["connect-timeout"], "connect")),
    );
}

#[test]
fn a_service_without_tls_is_reported_as_such() {
    let service = Service::start();
    let url = service.url().replace("http:", "https:");
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={url}"));
    pipeline.play();
    feed.begin(CAPS);
    let error = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = error.view() else {
        unreachable!()
    };
    let details = error.details().expect("details");
    assert_eq!(details.get("reason"), Ok("tls"), "{details}");
    assert!(error.error().message().contains("http://"), "{details}");
}

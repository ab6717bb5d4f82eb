// SPDX-License-Identifier: MPL-2.0

//! Tests which services are trusted over TLS, and what the failures for the others
//! say.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server's certificate and key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn self_signed(host: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    fn serve(&self, script: Script) -> Peer {
        let chain: Vec<CertificateDer> = vec![self.certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Peer::start_tls(script, config)
    }
}

/// Dials `peer` with these certificates in the CA file.
async fn dial(peer: &Peer, roots: &[&rcgen::Certificate]) -> Result<Socket, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = endpoint(peer.base_url());
    if !roots.is_empty() {
        let path = folder.path().join("ca.pem");
        let pem: String = roots.iter().map(|root| root.pem()).collect();
        std::fs::write(&path, pem).unwrap();
        endpoint.ca_file = Some(path);
    }
    connect(&endpoint).await
}

async fn refusal(identity: &Identity, roots: &[&rcgen::Certificate]) -> Failure {
    let peer = identity.serve(Script::listening());
    let failure = dial(&peer, roots).await.err().unwrap();
    assert_eq!(failure.reason, Reason::Tls, "{}", failure.message);
    assert!(failure.message.contains(&peer.address().to_string()));
    // An untrusted peer got no byte of the request, and so no token.
    assert!(peer.wait_for(|records| records[0].ended, SOON));
    assert_eq!(peer.records()[0].request, None);
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, retryable: bool, words: &[&str]) {
    assert_eq!(failure.retryable, retryable, "{}", failure.message);
    for word in words {
        assert!(
            failure.message.contains(word),
            "{word}: {}",
            failure.message
        );
    }
}

#[tokio::test]
async fn a_self_signed_service_is_unknown_until_its_certificate_is_the_ca_file() {
    let identity = Identity::self_signed("127.0.0.1", |_| ());
    let failure = refusal(&identity, &[]).await;
    assert_says(&failure, false, &["issuer that is not trusted", "ca-file"]);
    let peer = identity.serve(Script::listening());
    let mut socket = dial(&peer, &[&identity.certificate]).await.unwrap();
    assert!(socket.get_ref().tcp().nodelay().unwrap());
    say(&mut socket, "start_request").await;
    assert_eq!(next(&mut socket).await, peer::started_listening());
    assert_eq!(head(&peer).header("x-api-key"), Some(TOKEN));
}

#[tokio::test]
async fn a_private_ca_is_believed_when_it_is_in_the_ca_file() {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let identity = Identity { certificate, key };
    let other = Identity::self_signed("other.example", |_| ());
    let peer = identity.serve(Script::listening());
    assert!(dial(&peer, &[&other.certificate, &ca]).await.is_ok());
    assert!(dial(&peer, &[&other.certificate]).await.is_err());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_told_with_its_names() {
    let identity = Identity::self_signed("other.example", |_| ());
    let failure = refusal(&identity, &[&identity.certificate]).await;
    assert_says(
        &failure,
        false,
        &["not for this host", "other.example", "base-url"],
    );
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told_with_the_date() {
    let expired = Identity::self_signed("127.0.0.1", |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let failure = refusal(&expired, &[&expired.certificate]).await;
    assert_says(&failure, false, &["expired on Mon, 01 Jan 2001", "renew"]);
    let early = Identity::self_signed("127.0.0.1", |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    let failure = refusal(&early, &[&early.certificate]).await;
    assert_says(&failure, true, &["not valid before", "4000", "clock"]);
}

#[tokio::test]
async fn a_ca_certificate_in_place_of_the_hosts_is_explained() {
    let identity = Identity::self_signed("127.0.0.1", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let failure = refusal(&identity, &[&identity.certificate]).await;
    assert_says(&failure, false, &["CA:FALSE"]);
}

#[tokio::test]
async fn anyone_is_believed_only_when_verification_is_off() {
    let identity = Identity::self_signed("other.example", |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let peer = identity.serve(Script::listening());
    let mut endpoint = endpoint(peer.base_url());
    endpoint.tls_verify = false;
    assert!(connect(&endpoint).await.is_ok());
    endpoint.tls_verify = true;
    assert!(connect(&endpoint).await.is_err());
}

#[tokio::test]
async fn a_service_without_tls_is_told_apart_from_one_that_is_not_believed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        tcp
    });
    let failure = connect(&endpoint(format!("https://{address}")))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.reason, Reason::Tls);
    assert_says(&failure, false, &["does not speak TLS", "http://"]);
    drop(server.join().unwrap());
}

#[tokio::test]
async fn a_connection_that_breaks_off_in_the_handshake_may_be_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let failure = connect(&endpoint(format!("https://{address}")))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.reason, Reason::Tls);
    assert_says(&failure, true, &[&address.to_string(), "broke"]);
    server.join().unwrap();
}

#[tokio::test]
async fn the_default_provider_of_the_process_is_left_alone() {
    let identity = Identity::self_signed("127.0.0.1", |_| ());
    let peer = identity.serve(Script::listening());
    dial(&peer, &[&identity.certificate]).await.unwrap();
    assert!(tokio_rustls::rustls::crypto::CryptoProvider::get_default().is_none());
}

// SPDX-License-Identifier: MPL-2.0

//! The TLS configuration of a dial: which certificates are trusted.
//!
//! The roots are those of the platform, the bundled Mozilla roots and the user's
//! `ca-file`, all together. So a container without a certificate store reaches public
//! services, and a private CA needs no change to the machine. Verification is off
//! only if the user said so. This module must never touch the process's default
//! crypto provider, which belongs to the host application.

use super::files;
use crate::session::{Failure, Reason};
use rustls_platform_verifier::Verifier;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Reads the roots and returns the configuration. Blocks on the file system, so call
/// it where that is allowed.
///
/// # Errors
///
/// Returns a failure if `ca_file` cannot be read or contains no usable certificate.
pub fn client_config(ca_file: Option<&Path>, verify: bool) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if verify {
        let own = ca_file.map(read_roots).transpose()?.unwrap_or_default();
        let roots = TLS_SERVER_ROOT_CERTS.iter().cloned().chain(own);
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(|error| unusable(ca_file, &error.to_string()))?;
        Arc::new(verifier)
    } else {
        Arc::new(Unverified(Arc::clone(&provider)))
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::fatal(Reason::Internal, format!("no TLS version: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // The WebSocket upgrade exists only in HTTP/1.1. Without this, a gateway may
    // choose HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = files::ca_file(path).map_err(|error| unusable(Some(path), &error.to_string()))?;
    let roots = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(Some(path), &error.to_string()))?;
    if roots.is_empty() {
        return Err(unusable(Some(path), "there is no certificate in it"));
    }
    Ok(roots)
}

fn unusable(ca_file: Option<&Path>, why: &str) -> Failure {
    let message = match ca_file {
        Some(path) => format!(
            "cannot use ca-file {}: {why}; it has to be a readable PEM file of CA certificates",
            path.display()
        ),
        None => format!("cannot set up the trusted roots: {why}"),
    };
    Failure::fatal(Reason::Settings, message)
}

/// Returns the failure for a TLS handshake with `place` (host:port).
pub fn failure(place: &str, error: &std::io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let (retryable, why, hint) = match tls {
        Some(Error::InvalidCertificate(error)) => return certificate_failure(place, error),
        Some(Error::InvalidMessage(_)) => (
            false,
            "it does not speak TLS".to_owned(),
            "use http:// in base-url if the service has no TLS, or check the port",
        ),
        Some(error) => (true, error.to_string(), "check the service's TLS setup"),
        None => (
            true,
            format!("the connection broke: {error}"),
            "check that the service speaks TLS on this port",
        ),
    };
    Failure {
        retryable,
        ..Failure::retryable(
            Reason::Tls,
            format!("TLS with {place} failed: {why}; {hint}"),
        )
    }
}

fn certificate_failure(place: &str, error: &CertificateError) -> Failure {
    use CertificateError as E;
    let (retryable, why, hint) = match error {
        E::Expired => (false, "has expired".to_owned(), RENEW),
        E::ExpiredContext { not_after, .. } => {
            (false, format!("has expired on {}", date(*not_after)), RENEW)
        }
        E::NotValidYet => (true, "is not valid yet".to_owned(), CLOCK),
        E::NotValidYetContext { not_before, .. } => (
            true,
            format!("is not valid before {}", date(*not_before)),
            CLOCK,
        ),
        E::NotValidForName => (false, "is not for this host".to_owned(), NAME),
        E::NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() {
                "it names no host".to_owned()
            } else {
                let few: Vec<_> = presented
                    .iter()
                    .take(MAX_NAMES)
                    .map(String::as_str)
                    .collect();
                format!("it is for {}", few.join(", "))
            };
            (false, format!("is not for this host ({names})"), NAME)
        }
        E::UnknownIssuer => (
            false,
            "comes from an issuer that is not trusted here (a private CA or self-signed)"
                .to_owned(),
            "give the issuer's certificate as ca-file",
        ),
        E::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => (
            false,
            "is that of a CA, which cannot stand for a host".to_owned(),
            "give the service a certificate with basicConstraints CA:FALSE",
        ),
        other => (
            false,
            format!("is not acceptable ({other})"),
            "check the service's certificate",
        ),
    };
    Failure {
        retryable,
        ..Failure::retryable(
            Reason::Tls,
            format!("TLS with {place} failed: its certificate {why}; {hint}"),
        )
    }
}

/// Maximum number of host names shown. A certificate may have hundreds.
const MAX_NAMES: usize = 3;

const RENEW: &str = "renew it on the service, and check this machine's clock";
const CLOCK: &str = "check the clocks of this machine and of the service";
const NAME: &str = "use a host name of the certificate in base-url";

fn date(time: UnixTime) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())) {
        // httpdate accepts no year after 9999.
        Some(at) if time.as_secs() < 253_402_300_800 => httpdate::fmt_http_date(at),
        _ => "a date far away".to_owned(),
    }
}

/// Accepts any certificate, but only if the peer has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::{client_config, date};
    use crate::session::Reason;
    use std::time::Duration;
    use tokio_rustls::rustls::pki_types::UnixTime;

    #[test]
    fn the_roots_of_platform_and_bundle_are_enough_without_a_ca_file() {
        assert!(client_config(None, true).is_ok());
        assert!(client_config(None, false).is_ok());
    }

    #[test]
    fn an_unusable_ca_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for content in [None, Some(""), Some("no PEM"), Some(BROKEN), Some(CUT)] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let failure = client_config(Some(&path), true).unwrap_err();
            assert_eq!(failure.reason, Reason::Settings);
            assert!(!failure.retryable);
            assert!(failure.message.contains(path.to_str().unwrap()));
        }
    }

    const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const CUT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n";

    #[test]
    fn a_date_beyond_all_calendars_does_not_panic() {
        let year_2000 = UnixTime::since_unix_epoch(Duration::from_secs(946_684_800));
        assert_eq!(date(year_2000), "Sat, 01 Jan 2000 00:00:00 GMT");
        for seconds in [253_402_300_800, u64::MAX] {
            let far = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(date(far), "a date far away");
        }
    }
}

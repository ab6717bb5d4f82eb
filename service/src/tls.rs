// SPDX-License-Identifier: MPL-2.0

//! Certificate and key from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}; a PEM file with {wanted} is needed", path.display())]
pub struct TlsError {
    path: PathBuf,
    wanted: &'static str,
    reason: String,
}

/// What [`crate::ServerConfig::tls`] takes, of PEM files: the certificate with
/// those up to its issuer, and its key.
///
/// # Errors
///
/// A file that cannot be read, or of another content; a key of another certificate.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let failed = |path: &Path, wanted| {
        let path = path.to_owned();
        move |reason: String| TlsError {
            path,
            wanted,
            reason,
        }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(certificate, "certificates")(error.to_string()))?;
    let wanted = "the key of the certificate";
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| failed(key, wanted)(error.to_string()))?;
    // The process's default provider belongs to whoever runs us.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|error| failed(key, wanted)(error.to_string()))?;
    Ok(Arc::new(config))
}

// SPDX-License-Identifier: MPL-2.0

//! Certificate and key from files, which can be read again while the service runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}; a PEM file with {wanted} is needed", path.display())]
pub struct TlsError {
    path: PathBuf,
    wanted: &'static str,
    reason: String,
}

/// A certificate with its key, of PEM files.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// What new connections are served with.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Tls {
    /// Reads the certificate, with those up to its issuer, and its key.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or of another content; a key of another certificate.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        // The process's default provider is for the host program to choose.
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(RwLock::new(read(certificate, key, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError {
                path: certificate.to_owned(),
                wanted: "certificates",
                reason: error.to_string(),
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current,
            config: Arc::new(config),
        })
    }

    /// Returns what [`crate::ServerConfig::tls`] takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the files again; connections that come from now on are served with what is
    /// in them. Those that are open go on.
    ///
    /// # Errors
    ///
    /// As [`Tls::open`]; the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = read(&self.certificate, &self.key, self.config.crypto_provider())?;
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }
}

fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
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
    if chain.is_empty() {
        return Err(failed(certificate, "certificates")(
            "none is in it".to_owned(),
        ));
    }
    let wanted = "the key of the certificate";
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| failed(key, wanted)(error.to_string()))?;
    CertifiedKey::from_der(chain, private, provider)
        .map(Arc::new)
        .map_err(|error| failed(key, wanted)(error.to_string()))
}

/// Returns what [`crate::ServerConfig::tls`] takes, of PEM files: the certificate with
/// those up to its issuer, and its key.
///
/// # Errors
///
/// A file that cannot be read, or of another content; a key of another certificate.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    Ok(Tls::open(certificate, key)?.config())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    /// Writes a new certificate for localhost with its key.
    fn write(folder: &Path) -> (PathBuf, PathBuf) {
        let Made { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, cert.pem()).expect("room");
        std::fs::write(&key, signing_key.serialize_pem()).expect("room");
        (certificate, key)
    }

    #[test]
    fn a_certificate_is_read_again_and_a_bad_one_leaves_the_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = write(folder.path());
        let tls = Tls::open(&certificate, &key).expect("good files");
        let served = || {
            let current = tls.current.0.read().expect("no panic");
            current.cert.first().expect("a certificate").to_vec()
        };
        let first = served();
        write(folder.path());
        assert_eq!(served(), first, "not before it is asked for");
        tls.reload().expect("good files");
        let second = served();
        assert_ne!(second, first);
        let other = std::fs::read(&key).expect("a key");
        write(folder.path());
        std::fs::write(&key, other).expect("room");
        let error = tls.reload().expect_err("the key of another certificate");
        assert!(error.to_string().contains("key.pem"), "{error}");
        std::fs::write(&certificate, "").expect("room");
        let error = tls.reload().expect_err("no certificate");
        assert!(error.to_string().contains("cert.pem"), "{error}");
        assert_eq!(served(), second);
    }
}

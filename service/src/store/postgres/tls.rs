// SPDX-License-Identifier: MPL-2.0

//! TLS to the database, as the URL says with `sslmode`, `sslrootcert`, `sslcert` and `sslkey`.
//!
//! The names are those of PostgreSQL's own clients. `require` checks more than theirs does,
//! and is the same as `verify-full` here: without a check, a program between a node and the
//! database can read everything.

use percent_encoding::percent_decode_str;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

/// Parameters of PostgreSQL's own clients that are not honoured here. To leave them out
/// without a word could mean less safety than was asked for.
const UNKNOWN: [&str; 14] = [
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "passfile",
    "require_auth",
    "requirepeer",
    "requiressl",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
];

/// What is checked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// TLS is not used.
    Off,
    /// TLS is used if the server has it, and nothing is checked.
    Nothing,
    /// That its certificate is of a trusted authority.
    Authority,
    /// That, and that the certificate is for its host.
    Host,
}

/// What a URL says about TLS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    check: Check,
    /// Certificates of trusted authorities; `None`: those that the system trusts.
    roots: Option<PathBuf>,
    /// The certificate of this client and its key.
    own: Option<(PathBuf, PathBuf)>,
}

impl Wanted {
    /// Returns that TLS is not used.
    pub(super) fn none() -> Self {
        Self {
            check: Check::Off,
            roots: None,
            own: None,
        }
    }

    /// Takes what a URL says about TLS out of it. Returns the rest, and that.
    ///
    /// # Errors
    ///
    /// It says something that is not honoured. The text shows no part of the URL.
    pub(super) fn take(url: &str) -> Result<(String, Self), String> {
        // Everything up to the first @ is the user and the password.
        let begin = url.find('@').unwrap_or(0);
        let Some(query) = url.get(begin..).and_then(|rest| rest.find('?')) else {
            let check = Check::Nothing;
            return Ok((
                url.to_owned(),
                Self {
                    check,
                    ..Self::none()
                },
            ));
        };
        let (before, query) = url.split_at(begin + query);
        let query = query.trim_start_matches('?');
        let (mut mode, mut roots) = (None, None);
        let (mut certificate, mut key) = (None, None);
        let mut rest = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name.as_ref() {
                "sslmode" => mode = Some(value),
                "sslrootcert" => roots = Some(value),
                "sslcert" => certificate = Some(PathBuf::from(value)),
                "sslkey" => key = Some(PathBuf::from(value)),
                other => match UNKNOWN.iter().find(|unknown| **unknown == other) {
                    Some(unknown) => return Err(format!("{unknown} is not known here")),
                    None => rest.push(parameter),
                },
            }
        }
        let check = match mode.as_deref() {
            Some("disable") => Check::Off,
            Some("prefer") => Check::Nothing,
            Some("verify-ca") => Check::Authority,
            Some("require" | "verify-full") => Check::Host,
            Some(_) => {
                return Err(
                    "sslmode is none of disable, prefer, require, verify-ca, verify-full"
                        .to_owned(),
                );
            }
            // A URL that names authorities wants them to be asked.
            None if roots.is_some() => Check::Host,
            None => Check::Nothing,
        };
        let roots = roots.filter(|roots| roots != "system").map(PathBuf::from);
        if roots.is_some() && matches!(check, Check::Off | Check::Nothing) {
            return Err("sslrootcert has no effect with this sslmode; say verify-full".to_owned());
        }
        if roots.is_none() && check == Check::Authority {
            // Every host on the internet can have a certificate of an authority that the
            // system trusts.
            return Err("verify-ca needs sslrootcert=FILE; without it, say verify-full".to_owned());
        }
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("sslcert and sslkey are needed together".to_owned()),
        };
        let url = match rest.is_empty() {
            true => before.to_owned(),
            false => format!("{before}?{}", rest.join("&")),
        };
        Ok((url, Self { check, roots, own }))
    }
}

/// How connections are made.
#[derive(Clone)]
pub(super) struct Tls {
    wanted: Arc<Wanted>,
    /// With what the files had at the start.
    first: MakeRustlsConnect,
}

impl Tls {
    /// Reads the files that are named, or the certificates of the system.
    ///
    /// # Errors
    ///
    /// Says which file cannot be used, and why.
    pub(super) fn open(wanted: Wanted) -> Result<Self, String> {
        let first = read(&wanted)?;
        let wanted = Arc::new(wanted);
        Ok(Self { wanted, first })
    }

    /// Returns whether TLS is used, for the driver.
    pub(super) fn mode(&self) -> SslMode {
        match self.wanted.check {
            Check::Off => SslMode::Disable,
            Check::Nothing => SslMode::Prefer,
            Check::Authority | Check::Host => SslMode::Require,
        }
    }

    /// Returns what makes the next connection secure. Files are read again, since
    /// certificates are replaced while a service runs.
    pub(super) fn connector(&self) -> MakeRustlsConnect {
        if self.wanted.roots.is_none() && self.wanted.own.is_none() {
            return self.first.clone();
        }
        read(&self.wanted).unwrap_or_else(|reason| {
            tracing::warn!(reason, "the files for TLS to the database are as they were");
            self.first.clone()
        })
    }
}

/// Reads the certificates of a file.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(file);
    let all = all.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!(
            "{}: no certificate is in it; a PEM file with certificates is needed",
            file.display()
        )),
        Err(reason) => Err(format!(
            "{}: {reason}; a PEM file with certificates is needed",
            file.display()
        )),
    }
}

/// Reads what is needed to make connections secure.
fn read(wanted: &Wanted) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let mut pinned = Vec::new();
    let mut authorities = None;
    if matches!(wanted.check, Check::Authority | Check::Host) {
        let mut roots = RootCertStore::empty();
        match &wanted.roots {
            Some(file) => {
                pinned = certificates(file)?;
                roots.add_parsable_certificates(pinned.clone());
            }
            None => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
            }
        }
        let roots = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        let roots = roots.build().map_err(|_| match &wanted.roots {
            Some(file) => format!("{}: no certificate in it can be used", file.display()),
            None => "this system trusts no certificate; install its package of them \
                     (ca-certificates), or give sslrootcert=FILE in the URL of the database"
                .to_owned(),
        })?;
        authorities = Some(roots);
    }
    let verifier = Verifier {
        provider: provider.clone(),
        authorities,
        pinned,
        checks_host: wanted.check == Check::Host,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &wanted.own {
        None => config.with_no_client_auth(),
        Some((certificate, file)) => {
            let failed = |reason: String| {
                let file = file.display();
                format!("{file}: {reason}; a PEM file with the unencrypted key is needed")
            };
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(file).map_err(|e| failed(e.to_string()))?;
            let config = config.with_client_auth_cert(chain, key);
            config.map_err(|error| failed(error.to_string()))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Checks who the server is. That it has the key of its certificate is always checked.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that were named: a server that has one of them itself is known by it.
    pinned: Vec<CertificateDer<'static>>,
    checks_host: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        status: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.pinned.iter().any(|pinned| pinned == certificate) {
            if self.checks_host {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, host)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match authorities.verify_server_cert(certificate, between, host, status, now) {
            // The host is checked last, when everything else is found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}

/// Returns what to try after an error of TLS, if it is one.
pub(super) fn remedy(error: &tokio_postgres::Error) -> Option<&'static str> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.to_string() == "server does not support TLS" {
            return Some(
                "set ssl = on there; or say sslmode=disable, if nobody else is in the network",
            );
        }
        let io = inner.downcast_ref::<std::io::Error>();
        let tls = io.and_then(std::io::Error::get_ref);
        let tls = tls.and_then(|tls| tls.downcast_ref::<Error>());
        match tls.or_else(|| inner.downcast_ref::<Error>()) {
            None => {}
            Some(Error::InvalidCertificate(found)) => return Some(certificate_remedy(found)),
            Some(Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown,
            )) => {
                return Some("it wants a certificate of its clients: give sslcert and sslkey");
            }
            Some(_) => return Some("see the log of the database"),
        }
        cause = inner.source();
    }
    None
}

fn certificate_remedy(found: &CertificateError) -> &'static str {
    match found {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "give sslrootcert=FILE with the certificate of the authority that has signed the \
             one of the server"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "name the host as its certificate does, which has to have it as a subjectAltName"
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "renew the certificate of the server, or set the clock of this machine"
        }
        _ => "give the server a certificate of its own, signed by the one in sslrootcert",
    }
}

// SPDX-License-Identifier: MPL-2.0

//! Reads the files that settings name, without blocking a sink: `access-token-file`,
//! `ca-file` and the trusted roots of the platform.
//!
//! Only regular files are accepted. A pipe (a FIFO, `<(…)` of a shell) gives its
//! content once, but these files are read again at every dial; and a pipe without a
//! writer would block forever. `/dev/stdin` and `/proc/self/fd/N` are accepted if
//! they stand for a regular file.
//!
//! A mount that hangs blocks its reader for good, and no option of `open` changes
//! that. So files are read on threads of a pool, each file by one thread at a time,
//! and a waiting dial gives up after a while.

use super::endpoint::{Endpoint, TokenSource, sendable};
use super::flights::Flights;
use super::secret::Secret;
use super::threads::{Rule, ThreadPool, Undone, no_thread};
use super::tls;
use crate::session::{Failure, Reason};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

/// Maximum size of a token file, in bytes. Larger than any token.
const MAX_TOKEN_FILE: u64 = 64 * 1024;

/// Maximum size of a file of roots, in bytes. That of a platform has 250 kB.
const MAX_CA_FILE: u64 = 4 << 20;

/// Time after which a read no longer delays the next one.
const PATIENCE: Duration = Duration::from_millis(250);

/// Maximum time that a dial waits for a file.
const DIAL_BOUND: Duration = Duration::from_secs(5);

/// Maximum time that a state change waits for the files. After that, the dial reports
/// what is wrong with them.
const CHECK_BOUND: Duration = Duration::from_millis(200);

/// What one job reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Token(PathBuf),
    /// Only to check that it can be read.
    CaFile(PathBuf),
    Tls {
        ca_file: Option<PathBuf>,
        verify: bool,
    },
}

#[derive(Clone)]
enum Content {
    Token(Secret),
    Tls(Arc<ClientConfig>),
    Nothing,
}

static FILES: LazyLock<Flights<What, Result<Content, Failure>>> = LazyLock::new(|| {
    let pool = ThreadPool::new(Rule {
        name: "symbl-file",
        prompt: 8,
        patience: PATIENCE,
        most: 32,
        newest_first: true,
        keeps_one: false,
    });
    Flights::new(pool, PATIENCE)
});

/// Returns the current token.
///
/// # Errors
///
/// Returns the errors of [`TokenSource::read`], and a failure if the file is not read
/// in time or the system gives no thread to read it.
pub(super) async fn read_token(source: &TokenSource) -> Result<Option<Secret>, Failure> {
    let TokenSource::File(path) = source else {
        return source.read();
    };
    match get(What::Token(path.clone())).await? {
        Content::Token(token) => Ok(Some(token)),
        Content::Tls(_) | Content::Nothing => Err(mixed_up()),
    }
}

/// Returns the TLS configuration with the current roots.
///
/// # Errors
///
/// Returns the errors of [`tls::client_config`], and a failure if the roots are not
/// read in time or the system gives no thread to read them.
pub(super) async fn tls_config(
    ca_file: Option<PathBuf>,
    verify: bool,
) -> Result<Arc<ClientConfig>, Failure> {
    match get(What::Tls { ca_file, verify }).await? {
        Content::Tls(config) => Ok(config),
        Content::Token(_) | Content::Nothing => Err(mixed_up()),
    }
}

/// Checks that the files of `endpoint` can be used, as far as that is known within
/// 200 ms. Blocks no longer than that, whatever the files are.
///
/// # Errors
///
/// Returns a failure if a file cannot be used. An empty token file is accepted: the
/// dial reads it again.
pub fn check(endpoint: &Endpoint) -> Result<(), Failure> {
    let ca_file = endpoint.ca_file.clone().map(What::CaFile);
    let token = match &endpoint.token {
        TokenSource::File(path) => Some(What::Token(path.clone())),
        source => {
            source.read()?;
            None
        }
    };
    for what in token.into_iter().chain(ca_file) {
        let reads = what.clone();
        match FILES.get_within(CHECK_BOUND, what, move || read(&reads)) {
            Some(Ok(Err(failure))) if !failure.retryable => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

async fn get(what: What) -> Result<Content, Failure> {
    let reads = what.clone();
    let content = FILES.get(what.clone(), move || read(&reads));
    match tokio::time::timeout(DIAL_BOUND, content).await {
        Ok(Ok(content)) => content,
        Ok(Err(Undone::NoThread(error))) => Err(no_thread(&format!("read {what}"), &error)),
        Ok(Err(Undone::Panicked(_))) => Err(mixed_up()),
        Err(_) => Err(Failure::retryable(
            Reason::Settings,
            format!(
                "{what} could not be read within {} s; check the file system that it is on",
                DIAL_BOUND.as_secs()
            ),
        )),
    }
}

fn mixed_up() -> Failure {
    Failure::fatal(
        Reason::Internal,
        "reading a file for the connection failed; please report this",
    )
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(path) => write!(f, "access-token-file {}", path.display()),
            Self::CaFile(path)
            | Self::Tls {
                ca_file: Some(path),
                ..
            } => write!(f, "ca-file {}", path.display()),
            Self::Tls { ca_file: None, .. } => write!(f, "the trusted roots of this machine"),
        }
    }
}

/// Reads a file. Blocks on the file system.
fn read(what: &What) -> Result<Content, Failure> {
    match what {
        What::Token(path) => token_file(path).map(Content::Token),
        What::CaFile(path) => match ca_file(path) {
            Ok(_) => Ok(Content::Nothing),
            Err(error) => Err(Failure::fatal(
                Reason::Settings,
                format!(
                    "cannot read ca-file {}: {error}; check the path and who may read it",
                    path.display()
                ),
            )),
        },
        What::Tls { ca_file, verify } => tls::client_config(ca_file.as_deref(), *verify)
            .map(|config| Content::Tls(Arc::new(config))),
    }
}

/// Reads a token file. Blocks on the file system.
///
/// # Errors
///
/// Returns a fatal failure if the file cannot be read or the token does not fit into
/// an HTTP header. An empty file gives a retryable failure, because its renewal may
/// be in progress.
pub(super) fn token_file(path: &Path) -> Result<Secret, Failure> {
    let shown = path.display();
    let text = regular(path, MAX_TOKEN_FILE).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text in UTF-8"))
    });
    let text = text.map_err(|error| {
        Failure::fatal(
            Reason::Settings,
            format!(
                "cannot read access-token-file {shown}: {error}; \
                 check the path and who may read it"
            ),
        )
    })?;
    if text.trim().is_empty() {
        return Err(Failure::retryable(
            Reason::Settings,
            format!("access-token-file {shown} is empty; write the token into it"),
        ));
    }
    sendable(&text, &format!("access-token-file {shown}"))
}

/// Reads a file of roots. Blocks on the file system.
pub(super) fn ca_file(path: &Path) -> io::Result<Vec<u8>> {
    regular(path, MAX_CA_FILE)
}

/// Reads a regular file of at most `most` bytes.
fn regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(io::Error::other(
            "it is no regular file, and it is read again at every dial; write it to a file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens a file without waiting for a writer, which a FIFO may never have.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::transport::Proxy;
    use std::sync::mpsc;

    fn endpoint(token: TokenSource, ca_file: Option<PathBuf>) -> Endpoint {
        Endpoint {
            base_url: "https://127.0.0.1:1".into(),
            streaming_path: "/v1/streaming".into(),
            connection_id: "abc".into(),
            token,
            token_in_query: false,
            ca_file,
            tls_verify: true,
            proxy: Proxy::default(),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// Runs the check on a thread of its own, which is abandoned if it hangs.
    fn checked(endpoint: Endpoint) -> Result<(), Failure> {
        let (done, result) = mpsc::channel();
        std::thread::spawn(move || done.send(check(&endpoint)));
        let result = result.recv_timeout(Duration::from_secs(20));
        result.expect("an end of the check in time")
    }

    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    #[test]
    fn a_pipe_is_refused_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(&folder);
        let none = PathBuf::from("/dev/null");
        for path in [&fifo, &none, &folder.path().to_owned()] {
            let token = endpoint(TokenSource::File(path.clone()), None);
            let roots = endpoint(TokenSource::None, Some(path.clone()));
            for endpoint in [token, roots] {
                let failure = checked(endpoint).unwrap_err();
                assert_eq!(failure.reason, Reason::Settings);
                let text = &failure.message;
                assert!(
                    text.contains("regular file") && text.contains(path.to_str().unwrap()),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_link_to_an_open_regular_file_is_accepted() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "token").unwrap();
        let file = File::open(&path).unwrap();
        let link = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        assert_eq!(token_file(&link).unwrap(), Secret::new("token"));
    }

    #[test]
    fn a_huge_file_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let failure = token_file(&path).unwrap_err();
        assert!(failure.message.contains("65536 bytes"), "{failure:?}");
    }
}

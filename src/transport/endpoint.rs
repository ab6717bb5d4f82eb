// SPDX-License-Identifier: MPL-2.0

//! Where a service is and who we are to it: settings become an address.
//!
//! Must never show a token: neither `Debug` nor [`Endpoint::display`] nor a
//! failure holds one, and none holds what a user may have put into `base-url`
//! by mistake (a password, a query). No sockets here; the only I/O is reading
//! the token file.
//!
//! Facts: Symbl Streaming API reference, sections on the endpoint, the
//! connection id and authentication. A connection id is any text; common forms
//! are UUID, hex and base64, and the last has `+`, `/` and `=`.

use super::secret::Secret;
use crate::session::{Failure, Reason};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use url::Url;

/// What stays as it is in the segment of the connection id: RFC 3986 "unreserved".
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// More than any token; bounds the read of a file that is not a token.
const MAX_TOKEN_FILE: u64 = 64 * 1024;

/// Where the access token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TokenSource {
    /// The service asks for none.
    #[default]
    None,
    /// Given by the application.
    Value(Secret),
    /// Read at each dial, so that a token can be renewed behind our back.
    File(PathBuf),
}

impl TokenSource {
    /// The token of now, without the white space around it; `None` where there is none.
    /// Blocks on the file system for [`TokenSource::File`].
    ///
    /// # Errors
    ///
    /// A file that cannot be read (fatal) or is empty (retryable: it may be in
    /// the middle of its renewal); a token that cannot stand in an HTTP header.
    pub fn read(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::None => Ok(None),
            Self::Value(value) if value.is_blank() => Ok(None),
            Self::Value(value) => sendable(value.expose(), "access-token").map(Some),
            Self::File(path) => read_file(path).map(Some),
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, Failure> {
    let shown = path.display();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE).read_to_string(&mut text))
        .map_err(|error| {
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

/// A token has to pass through an HTTP header unchanged.
fn sendable(text: &str, origin: &str) -> Result<Secret, Failure> {
    let token = text.trim();
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(token))
    } else {
        Err(Failure::fatal(
            Reason::Settings,
            format!(
                "the token of {origin} has spaces, line breaks or letters outside ASCII in it; \
                 give the token alone"
            ),
        ))
    }
}

/// Everything that is needed to dial. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http`, `https`, `ws` or `wss`, a host, perhaps a port and a path prefix.
    pub base_url: String,
    /// Path of the streaming service below `base_url`.
    pub streaming_path: String,
    /// Names the connection; any text, sent as one percent-encoded path segment.
    pub connection_id: String,
    /// The token, sent in the header `X-API-KEY`, or in the query.
    pub token: TokenSource,
    /// Send the token as `access_token` in the URL and not in the header, for
    /// services that look only there. URLs end up in the logs of others.
    pub token_in_query: bool,
    /// PEM file of further trusted roots.
    pub ca_file: Option<PathBuf>,
    /// Whether the service has to prove who it is. False only on explicit request.
    pub tls_verify: bool,
}

impl Endpoint {
    /// The address to dial. With `token_in_query` it holds the token: never show it,
    /// show [`Endpoint::display`]. Blocks on the file system for a token file.
    ///
    /// # Errors
    ///
    /// As [`TokenSource::read`]; and when `base_url` or `connection_id` cannot make an address.
    pub fn url(&self) -> Result<Url, Failure> {
        let token = if self.token_in_query {
            self.token.read()?
        } else {
            None
        };
        self.url_with(token.as_ref())
    }

    /// [`Endpoint::url`] with a token that was read before.
    pub(super) fn url_with(&self, token: Option<&Secret>) -> Result<Url, Failure> {
        let mut url = self.location()?;
        if let Some(token) = token.filter(|_| self.token_in_query) {
            url.query_pairs_mut()
                .append_pair("access_token", token.expose());
        }
        Ok(url)
    }

    /// The address without any secret, for logs.
    pub fn display(&self) -> String {
        match self.location() {
            Ok(url) => url.into(),
            Err(_) => format!("(no address from base-url {})", shown(&self.base_url)),
        }
    }

    fn location(&self) -> Result<Url, Failure> {
        let refuse = |why: &str| {
            Failure::fatal(
                Reason::Settings,
                format!(
                    "base-url {} {why}; it should look like http://127.0.0.1:8787 or https://host",
                    shown(&self.base_url)
                ),
            )
        };
        let mut url = Url::parse(self.base_url.trim())
            .map_err(|error| refuse(&format!("is no address: {error}")))?;
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            _ => return Err(refuse("is neither http, https, ws nor wss")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "has a user name in it, which would not be sent: use access-token",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse(
                "has a query in it: use access-token, token-in-query and connection-id",
            ));
        }
        if matches!(self.connection_id.as_str(), "" | "." | "..") {
            return Err(Failure::fatal(
                Reason::Settings,
                "connection-id is empty or only dots and cannot stand in an address; \
                 give another, or none for a new one",
            ));
        }
        let path = format!(
            "{}/{}/{}",
            url.path().trim_end_matches('/'),
            self.streaming_path.trim_matches('/'),
            utf8_percent_encode(&self.connection_id, SEGMENT)
        );
        url.set_path(&path);
        url.set_scheme(scheme)
            .map_err(|()| refuse("cannot become a WebSocket address"))?;
        Ok(url)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.display())
            .field("token", &self.token)
            .field("token_in_query", &self.token_in_query)
            .field("ca_file", &self.ca_file)
            .field("tls_verify", &self.tls_verify)
            .finish()
    }
}

/// What of a `base-url` can be shown even when it is malformed: nothing before
/// an `@` and nothing after a `?` or `#`.
fn shown(base_url: &str) -> String {
    let head = base_url.split(['?', '#']).next().unwrap_or_default();
    match head.rsplit_once('@') {
        Some((_, host)) => format!("\"***@{host}\""),
        None => format!("\"{head}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, TokenSource};
    use crate::session::Reason;
    use crate::transport::secret::Secret;

    const TOKEN: &str = "s3cr3t-t0ken";

    fn endpoint(base_url: &str) -> Endpoint {
        Endpoint {
            base_url: base_url.into(),
            streaming_path: "/v1/streaming".into(),
            connection_id: "abc".into(),
            token: TokenSource::Value(Secret::new(TOKEN)),
            token_in_query: false,
            ca_file: None,
            tls_verify: true,
        }
    }

    fn url(base_url: &str) -> String {
        endpoint(base_url).url().unwrap().into()
    }

    #[test]
    fn the_websocket_address_derives_from_the_base_url() {
        assert_eq!(url("http://h:8787"), "ws://h:8787/v1/streaming/abc");
        assert_eq!(url("ws://h"), "ws://h/v1/streaming/abc");
        assert_eq!(url("https://h/"), "wss://h/v1/streaming/abc");
        assert_eq!(url("wss://[::1]:9"), "wss://[::1]:9/v1/streaming/abc");
    }

    #[test]
    fn a_path_prefix_of_the_base_url_is_kept() {
        assert_eq!(url("https://h/a/b"), "wss://h/a/b/v1/streaming/abc");
        assert_eq!(url("https://h/a/b/"), "wss://h/a/b/v1/streaming/abc");
    }

    #[test]
    fn a_connection_id_is_one_segment_whatever_is_in_it() {
        let mut endpoint = endpoint("http://h");
        for (id, segment) in [
            ("a+b/c==", "a%2Bb%2Fc%3D%3D"),
            ("-wAmKVF9z8gEKXuVl28dOQ", "-wAmKVF9z8gEKXuVl28dOQ"),
            ("a?b#c%41", "a%3Fb%23c%2541"),
            ("../..", "..%2F.."),
            ("Ü x", "%C3%9C%20x"),
        ] {
            endpoint.connection_id = id.into();
            let url = endpoint.url().unwrap();
            assert_eq!(url.path(), format!("/v1/streaming/{segment}"));
        }
        for id in ["", ".", ".."] {
            endpoint.connection_id = id.into();
            assert_eq!(endpoint.url().unwrap_err().reason, Reason::Settings);
        }
    }

    #[test]
    fn the_token_is_in_the_query_only_on_request() {
        let mut endpoint = endpoint("http://h");
        assert_eq!(endpoint.url().unwrap().query(), None);
        endpoint.token_in_query = true;
        let query = format!("access_token={TOKEN}");
        assert_eq!(endpoint.url().unwrap().query(), Some(query.as_str()));
        endpoint.token = TokenSource::None;
        assert_eq!(endpoint.url().unwrap().query(), None);
    }

    #[test]
    fn nothing_that_is_shown_has_a_secret() {
        let mut endpoint = endpoint("http://h");
        endpoint.token_in_query = true;
        for base_url in [
            "http://h",
            "http://user:s3cr3t-t0ken@h",
            "http://h/?access_token=s3cr3t-t0ken",
            "h?access_token=s3cr3t-t0ken",
            "http://h:port/#s3cr3t-t0ken",
            "user:s3cr3t-t0ken@h",
        ] {
            endpoint.base_url = base_url.into();
            let error = endpoint.url().err().map(|failure| failure.message);
            assert_eq!(error.is_some(), base_url != "http://h", "{base_url}");
            let shown = format!("{endpoint:?} {} {error:?}", endpoint.display());
            assert!(!shown.contains(TOKEN), "{shown}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_an_example() {
        for base_url in ["", "127.0.0.1:8787", "localhost:8787", "ftp://h", "http://"] {
            let failure = endpoint(base_url).url().unwrap_err();
            assert_eq!(failure.reason, Reason::Settings);
            assert!(!failure.retryable);
            assert!(failure.message.contains("http://127.0.0.1:8787"));
        }
    }

    #[test]
    fn a_token_file_is_read_anew_each_time_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::File(path.clone());
        for token in ["first", "second"] {
            std::fs::write(&path, format!("  {token}\n")).unwrap();
            assert_eq!(source.read().unwrap(), Some(Secret::new(token)));
        }
    }

    #[test]
    fn a_token_file_that_is_no_help_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::File(path.clone());
        let refused = |retryable: bool| {
            let failure = source.read().unwrap_err();
            assert_eq!(failure.reason, Reason::Settings);
            assert_eq!(failure.retryable, retryable);
            assert!(failure.message.contains(path.to_str().unwrap()));
            assert!(!failure.message.contains(TOKEN), "{}", failure.message);
        };
        refused(false);
        std::fs::write(&path, "\n").unwrap();
        refused(true);
        std::fs::write(&path, format!("{TOKEN}\nanother line")).unwrap();
        refused(false);
        std::fs::write(&path, [b's', 0xff, b'\n']).unwrap();
        refused(false);
    }

    #[test]
    fn a_blank_token_is_no_token() {
        assert_eq!(TokenSource::Value(Secret::new(" ")).read(), Ok(None));
        assert_eq!(TokenSource::None.read(), Ok(None));
    }
}

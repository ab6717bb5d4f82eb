// SPDX-License-Identifier: MPL-2.0

//! The address of a service and our identity there: turns settings into an address.
//!
//! This module must never show a token: not in `Debug`, not in [`Endpoint::display`]
//! and not in a failure. None of these shows what a user may have put into `base-url`
//! by mistake (a password, a query). There are no sockets here. The only I/O is
//! reading the token file, by [`files`].
//!
//! Sources: Symbl Streaming API reference, sections on the endpoint, the connection
//! id, authentication and the Conversation API. A connection id is any text. UUID,
//! hex and base64 are common, and base64 contains `+`, `/` and `=`.

use super::files;
use super::proxy::Proxy;
use super::secret::Secret;
use crate::session::{Failure, Reason};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use symbl_protocol::timestamp::format_rfc3339;
use url::Url;

/// The characters that stay as they are in the path segment of the connection id:
/// "unreserved" in RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The credentials of an application, which the service exchanges for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCredentials {
    /// The id. Not secret.
    pub id: String,
    /// The secret. It is sent to the service's token endpoint and nowhere else.
    pub secret: Secret,
}

/// Where the access token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TokenSource {
    /// There is no token.
    #[default]
    None,
    /// The application gave the token.
    Value(Secret),
    /// A file, which is read at each dial, so that another program can renew the
    /// token.
    File(PathBuf),
    /// The service generates the token for these credentials.
    App(AppCredentials),
}

impl TokenSource {
    /// Returns the current token without white space around it; `None` if there is
    /// none, or if only the service can give one ([`TokenSource::App`]). Blocks on
    /// the file system for [`TokenSource::File`].
    ///
    /// # Errors
    ///
    /// Returns a fatal failure if a file cannot be read or a token does not fit into
    /// an HTTP header. An empty file gives a retryable failure, because its renewal
    /// may be in progress.
    pub fn read(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::None | Self::App(_) => Ok(None),
            Self::Value(value) if value.is_blank() => Ok(None),
            Self::Value(value) => sendable(value.expose(), "access-token").map(Some),
            Self::File(path) => files::token_file(path).map(Some),
        }
    }
}

/// Returns a token that passes through an HTTP header unchanged, or a failure that
/// names its origin.
pub(super) fn sendable(text: &str, origin: &str) -> Result<Secret, Failure> {
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

/// Everything that is needed for a dial. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http`, `https`, `ws` or `wss`, a host, and optionally a port and a path
    /// prefix.
    pub base_url: String,
    /// Path of the streaming service below `base_url`.
    pub streaming_path: String,
    /// Id of the connection: any text, sent as one percent-encoded path segment.
    pub connection_id: String,
    /// The token. It is sent in the header `X-API-KEY`, or in the query.
    pub token: TokenSource,
    /// Send the token as `access_token` in the URL and not in the header, for
    /// services that accept only that. URLs end up in the logs of other parties.
    pub token_in_query: bool,
    /// PEM file with additional trusted root certificates.
    pub ca_file: Option<PathBuf>,
    /// Verify the service's certificate. `false` only on explicit request.
    pub tls_verify: bool,
    /// The proxy on the way to the service.
    pub proxy: Proxy,
    /// Maximum time for one request to the Conversation API.
    pub request_timeout: Duration,
}

impl Endpoint {
    /// Returns the address to dial. With `token_in_query` it contains the token:
    /// never show it, show [`Endpoint::display`] instead. Blocks on the file system
    /// for a token file.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TokenSource::read`], and a failure if `base_url` or
    /// `connection_id` cannot make an address.
    pub fn url(&self) -> Result<Url, Failure> {
        let token = if self.token_in_query {
            self.token.read()?
        } else {
            None
        };
        self.url_with(token.as_ref())
    }

    /// Returns the address to dial with a token that was read before.
    pub(super) fn url_with(&self, token: Option<&Secret>) -> Result<Url, Failure> {
        let mut url = self.location()?;
        if let Some(token) = token.filter(|_| self.token_in_query) {
            url.query_pairs_mut()
                .append_pair("access_token", token.expose());
        }
        Ok(url)
    }

    /// Returns the address without any secret, for logs.
    pub fn display(&self) -> String {
        match self.location() {
            Ok(url) => url.into(),
            Err(_) => format!("(no address from base-url {})", shown(&self.base_url)),
        }
    }

    /// Returns the address that generates tokens.
    pub(super) fn token_url(&self) -> Result<Url, Failure> {
        let mut url = self.base()?;
        url.set_path(&below(&url, "oauth2/token:generate"));
        Ok(url)
    }

    /// Returns the address of a conversation's messages.
    pub(super) fn messages_url(&self, conversation_id: &str, since: i64) -> Result<Url, Failure> {
        let mut url = self.conversation_url(conversation_id, "messages")?;
        url.query_pairs_mut()
            .append_pair("verbose", "true")
            .append_pair("startTime", &format_rfc3339(since));
        Ok(url)
    }

    /// Returns the address of a part of a conversation.
    pub(super) fn conversation_url(
        &self,
        conversation_id: &str,
        part: &str,
    ) -> Result<Url, Failure> {
        if matches!(conversation_id, "" | "." | "..") {
            return Err(Failure::fatal(
                Reason::Protocol,
                format!(
                    "the service named its conversation \"{conversation_id}\", which cannot stand in an address"
                ),
            ));
        }
        let id = utf8_percent_encode(conversation_id, SEGMENT);
        let mut url = self.base()?;
        url.set_path(&below(&url, &format!("v1/conversations/{id}/{part}")));
        Ok(url)
    }

    /// Returns the address of the list of conversations.
    pub(super) fn conversations_url(&self) -> Result<Url, Failure> {
        let mut url = self.base()?;
        url.set_path(&below(&url, "v1/conversations"));
        Ok(url)
    }

    fn location(&self) -> Result<Url, Failure> {
        let mut url = self.base()?;
        if matches!(self.connection_id.as_str(), "" | "." | "..") {
            return Err(Failure::fatal(
                Reason::Settings,
                "connection-id is empty or only dots and cannot stand in an address; \
                 give another, or none for a new one",
            ));
        }
        let path = format!(
            "{}/{}",
            self.streaming_path.trim_matches('/'),
            utf8_percent_encode(&self.connection_id, SEGMENT)
        );
        url.set_path(&below(&url, &path));
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| self.refuse("cannot become a WebSocket address"))?;
        Ok(url)
    }

    fn refuse(&self, why: &str) -> Failure {
        Failure::fatal(
            Reason::Settings,
            format!(
                "base-url {} {why}; it should look like http://127.0.0.1:8787 or https://host",
                shown(&self.base_url)
            ),
        )
    }

    /// Returns the base URL as an HTTP address.
    fn base(&self) -> Result<Url, Failure> {
        let mut url = Url::parse(self.base_url.trim())
            .map_err(|error| self.refuse(&format!("is no address: {error}")))?;
        let scheme = match url.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return Err(self.refuse("is neither http, https, ws nor wss")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                self.refuse("has a user name in it, which would not be sent: use access-token")
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(self
                .refuse("has a query in it: use access-token, token-in-query and connection-id"));
        }
        url.set_scheme(scheme)
            .map_err(|()| self.refuse("cannot become an HTTP address"))?;
        Ok(url)
    }
}

/// Returns `path` below the path of `base`.
fn below(base: &Url, path: &str) -> String {
    format!("{}/{path}", base.path().trim_end_matches('/'))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.display())
            .field("token", &self.token)
            .field("token_in_query", &self.token_in_query)
            .field("ca_file", &self.ca_file)
            .field("tls_verify", &self.tls_verify)
            .field("proxy", &self.proxy)
            .field("request_timeout", &self.request_timeout)
            .finish()
    }
}

/// Returns the part of a `base-url` that may be shown even if it is malformed:
/// nothing before an `@` and nothing after a `?` or `#`.
fn shown(base_url: &str) -> String {
    let head = base_url.split(['?', '#']).next().unwrap_or_default();
    match head.rsplit_once('@') {
        Some((_, host)) => format!("\"***@{host}\""),
        None => format!("\"{head}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::{AppCredentials, Endpoint, Proxy, TokenSource};
    use crate::session::Reason;
    use crate::transport::secret::Secret;
    use std::time::Duration;

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
            proxy: Proxy::default(),
            request_timeout: Duration::from_secs(10),
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
    fn the_addresses_of_tokens_and_conversations_derive_from_the_base_url() {
        for (base_url, stem) in [
            ("http://h:8787", "http://h:8787"),
            ("wss://h/a/", "https://h/a"),
        ] {
            let endpoint = endpoint(base_url);
            let token: String = endpoint.token_url().unwrap().into();
            assert_eq!(token, format!("{stem}/oauth2/token:generate"));
            let messages: String = endpoint.messages_url("a/b", 0).unwrap().into();
            let expected = format!(
                "{stem}/v1/conversations/a%2Fb/messages\
                 ?verbose=true&startTime=1970-01-01T00%3A00%3A00.000Z"
            );
            assert_eq!(messages, expected);
        }
        for id in ["", ".", ".."] {
            let failure = endpoint("http://h").messages_url(id, 0).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol);
        }
    }

    #[test]
    fn credentials_give_no_token_and_show_no_secret() {
        let mut endpoint = endpoint("http://h");
        endpoint.token = TokenSource::App(AppCredentials {
            id: "app".into(),
            secret: Secret::new(TOKEN),
        });
        assert_eq!(endpoint.token.read(), Ok(None));
        assert!(!format!("{endpoint:?}").contains(TOKEN));
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
    fn nothing_that_is_shown_contains_a_secret() {
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
    fn an_unusable_token_file_is_named() {
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

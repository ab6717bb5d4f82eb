// SPDX-License-Identifier: MPL-2.0

//! The page: the files of `service/web`, which are in the program, at `/`, `/live/{id}` and
//! `/web/`.
//!
//! They are the same for every client and contain nothing of any conversation, so they need
//! no token. What the page shows, its scripts ask the API and a socket for, with the rules
//! of those. This module must never put anything of a request into an answer.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::LazyLock;

/// What the page may do: run the scripts and styles of this service, and talk to it. A text
/// that becomes markup by mistake could run nothing and send nothing, and no other page can
/// have this one in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Has a browser ask each time if a file is another one, so that pages and scripts of two
/// releases never meet.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file with its name below `service/web`.
macro_rules! file {
    ($name:literal, $kind:expr) => {
        (
            $name,
            $kind,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $name)) as &[u8],
        )
    };
}

/// All files, the first of which is the page itself.
const FILES: &[(&str, &str, &[u8])] = &[
    file!("index.html", HTML),
    file!("about.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("captions.js", SCRIPT),
    file!("connection.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("icon.svg", PICTURE),
    file!("main.js", SCRIPT),
    file!("model.js", SCRIPT),
    file!("outbox.js", SCRIPT),
    file!("store.js", SCRIPT),
    file!("style.css", STYLE),
    file!("vendor/socket.io.LICENSE", TEXT),
    file!("vendor/socket.io.esm.min.js", SCRIPT),
    file!("views/captions.js", SCRIPT),
    file!("views/conversation.js", SCRIPT),
    file!("views/dialogs.js", SCRIPT),
    file!("views/dom.js", SCRIPT),
    file!("views/list.js", SCRIPT),
    file!("views/panels.js", SCRIPT),
    file!("views/rows.js", SCRIPT),
    file!("views/settings.js", SCRIPT),
    file!("views/signin.js", SCRIPT),
    file!("views/transcript.js", SCRIPT),
    file!("views/windowed.js", SCRIPT),
];

/// A file as it is sent.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    compressed: Bytes,
    tag: HeaderValue,
}

/// Compressed once, when a client asks for the first file.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let made = FILES.iter().map(|(name, kind, plain)| Asset {
        name,
        kind,
        plain,
        compressed: compressed(plain),
        tag: tag(plain),
    });
    made.collect()
});

/// Returns a text in gzip.
fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    // A vector takes every write. An empty one is not sent.
    written.map(Bytes::from).unwrap_or_default()
}

/// Returns the tag of a file. It is weak, since it is the same for both encodings.
fn tag(plain: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(plain);
    let short: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{short}\"")).unwrap_or(REVALIDATE)
}

/// Returns the paths of the page.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = || get(|headers: HeaderMap| async move { answer(ASSETS.first(), &headers) });
    Router::new()
        .route("/", page())
        .route("/live/{id}", page())
        .route("/web/{*name}", get(file))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(ASSETS.iter().find(|asset| asset.name == name), &headers)
}

fn answer(asset: Option<&Asset>, asked: &HeaderMap) -> Response {
    let Some(asset) = asset else {
        return crate::door::http::error(StatusCode::NOT_FOUND, "The page has no such file.");
    };
    let mut response = if is_known(asked, &asset.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(asked) && !asset.compressed.is_empty() {
        let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (encoding, asset.compressed.clone()).into_response()
    } else {
        Bytes::from_static(asset.plain).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(ETAG, asset.tag.clone());
    headers.insert(CACHE_CONTROL, REVALIDATE);
    headers.append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns `true` if the client has the file with this tag.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let ours = tag.to_str().map(strong).unwrap_or_default();
    let given = asked.get_all(IF_NONE_MATCH).iter();
    given
        .filter_map(|given| given.to_str().ok())
        .flat_map(|given| given.split(','))
        .any(|given| given.trim() == "*" || strong(given) == ours)
}

/// Returns `true` if the client takes a body in gzip.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let given = asked.get_all(ACCEPT_ENCODING).iter();
    given
        .filter_map(|given| given.to_str().ok())
        .flat_map(|given| given.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().unwrap_or(0.0) > 0.0
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    /// Largest sum of all files as they are sent, in bytes.
    const HEAVIEST: usize = 150_000;

    /// The release of socket.io-client that `vendor` has, byte for byte.
    const SOCKET_IO: (&str, &str) = (
        "vendor/socket.io.esm.min.js",
        "771c3872e7d9bf81020615fda67ef0fd2aa61fcaf1990100714a46fa2c39f8a1",
    );

    fn asset(name: &str) -> &'static Asset {
        let mut all = ASSETS.iter();
        all.find(|asset| asset.name == name).expect("a file")
    }

    fn names_below(folder: &std::path::Path, prefix: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let entries = entries.map(|entry| entry.expect("an entry").path());
        let names = entries.flat_map(|path| {
            let own = path.file_name().expect("a name").to_str().expect("UTF-8");
            let name = format!("{prefix}{own}");
            match path.is_dir() {
                true => names_below(&path, &format!("{name}/")),
                false => BTreeSet::from([name]),
            }
        });
        names.collect()
    }

    #[test]
    fn every_file_of_the_page_is_in_the_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let known: BTreeSet<String> = FILES.iter().map(|file| file.0.to_owned()).collect();
        assert_eq!(known, names_below(&folder, ""));
        assert_eq!(FILES[0].0, "index.html");
    }

    #[test]
    fn the_page_names_all_its_scripts_so_that_a_browser_asks_for_them_at_once() {
        let page = std::str::from_utf8(FILES[0].2).expect("UTF-8");
        for (name, kind, _) in FILES {
            let is_named = page.contains(&format!("\"/web/{name}\""));
            let is_needed = [SCRIPT, STYLE, PICTURE].contains(kind);
            assert_eq!(is_named, is_needed, "{name}");
        }
    }

    #[test]
    fn the_page_is_light() {
        let weight: usize = ASSETS.iter().map(|asset| asset.compressed.len()).sum();
        println!("{weight} bytes in {} files", ASSETS.len());
        assert!(ASSETS.iter().all(|asset| !asset.compressed.is_empty()));
        assert!(weight <= HEAVIEST, "{weight} bytes");
    }

    #[test]
    fn the_vendored_client_is_the_published_one() {
        let digest = Sha256::digest(asset(SOCKET_IO.0).plain);
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(digest, SOCKET_IO.1);
        let licence = asset("vendor/socket.io.LICENSE").plain;
        assert!(licence.starts_with(b"The MIT License"));
    }

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let file = asset("main.js");
        let asked = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, tag.parse().expect("a header"));
            answer(Some(file), &headers).status()
        };
        let tag = file.tag.to_str().expect("text");
        assert_eq!(asked(tag), StatusCode::NOT_MODIFIED);
        assert_eq!(asked(&format!("\"x\", {tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(asked("W/\"x\""), StatusCode::OK);
        assert_ne!(file.tag, asset("model.js").tag);
    }

    #[test]
    fn gzip_goes_only_to_clients_that_take_it() {
        let encoding = |accepted: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(accepted) = accepted {
                headers.insert(ACCEPT_ENCODING, accepted.parse().expect("a header"));
            }
            let response = answer(Some(asset("style.css")), &headers);
            response.headers().get(CONTENT_ENCODING).cloned()
        };
        for accepted in ["gzip", "br, GZIP;q=0.5", "gzip, deflate, br, zstd"] {
            assert_eq!(encoding(Some(accepted)).expect(accepted), "gzip");
        }
        for accepted in [None, Some("br"), Some("gzip;q=0"), Some("gzip; q=0, br")] {
            assert_eq!(encoding(accepted), None, "{accepted:?}");
        }
    }
}

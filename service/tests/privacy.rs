// SPDX-License-Identifier: MPL-2.0

//! What a service hides is in none of its files, in none of its answers and in nothing that it
//! logs. The test looks from outside: into the raw bytes. It is alone in its process, so that
//! the log is its own.

mod common;

use common::secrets::*;
use common::*;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

/// Returns all that this process logs, at the finest level.
fn logged() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(Arc::clone(&log));
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .init();
        log
    });
    Arc::clone(log)
}

const PATHS: &[&str] = &[
    "messages?verbose=true",
    "topics",
    "questions",
    "action-items",
    "follow-ups",
    "entities",
    "trackers",
    "members",
    "",
];

#[tokio::test]
async fn what_is_hidden_is_in_no_file_no_answer_and_no_log() {
    let log = logged();
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(Some(data.path()), everything()).await;
    let opened = Client::started(&server, "call", &request()).await;
    let (first, _) = opened;
    let path = "/v1/subscribe/call";
    let (mut listener, _) = Client::open(&server, path, &[]).await.expect("an upgrade");
    listener.until("subscription_started").await;
    let (id, heard) = call(&server, "call", &request()).await;
    let told: Vec<String> = heard.iter().map(|heard| format!("{heard:?}")).collect();
    has_no_secret("what the speaker was sent", told.join("\n").as_bytes());
    assert!(told.iter().any(|told| told.contains("****")), "{told:?}");
    drop(first);
    let told: Vec<String> = listener
        .rest()
        .await
        .iter()
        .map(|heard| format!("{heard:?}"))
        .collect();
    has_no_secret("what the subscriber was sent", told.join("\n").as_bytes());
    for plain in PLAIN {
        assert!(
            told.iter().any(|told| told.contains(plain)),
            "{plain} is hidden"
        );
    }
    for path in PATHS {
        let (head, body) = http(&server, &format!("GET /v1/conversations/{id}/{path}"), "").await;
        let path = path.trim_end_matches('/');
        assert!(!head.starts_with("http/1.1 5"), "{path}: {head}");
        has_no_secret(path, body.as_bytes());
    }
    let before = files(data.path());
    assert!(
        before.iter().any(|(name, _)| name.ends_with("-wal")),
        "{before:?}"
    );
    for (name, bytes) in before {
        has_no_secret(&name, &bytes);
    }
    server.shutdown().await;
    let mut stored = Vec::new();
    for (name, bytes) in files(data.path()) {
        has_no_secret(&name, &bytes);
        stored.extend(bytes);
    }
    let stored = String::from_utf8_lossy(&stored).into_owned();
    for plain in PLAIN.iter().chain(&["****"]) {
        assert!(stored.contains(plain), "{plain} is not stored");
    }
    has_no_secret("the log", &log.lock().expect("no panic"));
}

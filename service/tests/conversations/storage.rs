// SPDX-License-Identifier: MPL-2.0

//! The database as an operator treats it: looked into, copied, deleted, on a full disk.
//! The service is the command, and another process touches its files.

use crate::common::process::Process as Service;
use crate::common::sqlite::sqlite;
use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{silence, speech};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Service {
    /// Starts the service on a directory of its own.
    fn on(data: &Path) -> Self {
        Self::start(|command| {
            command.args(["--log", "off", "--data"]).arg(data);
        })
    }

    /// Ends it as an operator does, and waits for its end.
    fn stop(mut self) {
        run("kill", &["-TERM", &self.child.id().to_string()]);
        assert!(self.child.wait().expect("an end").success());
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (head, body) = http(&self.address, &format!("GET {path}"), "").await;
        let code = head.split(' ').nth(1).expect("a status");
        (
            code.parse().expect("a number"),
            serde_json::from_str(&body).expect("JSON"),
        )
    }

    /// Asks for its health until that is `expected`.
    async fn until_health(&self, expected: u16) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let (code, body) = self.get("/healthz").await;
            if code == expected {
                return body;
            }
            assert!(Instant::now() < until, "{code} {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Holds a conversation, and returns its id.
    async fn hold(&self, name: &str, words: std::ops::Range<u16>) -> String {
        let (mut client, id) = Client::started(&self.address, name, &request(name)).await;
        client.send_audio(&said(words)).await;
        client.until("message_response").await;
        client.stop().await;
        assert_eq!(client.rest().await.last(), Some(&Heard::Closed(Some(1000))));
        id
    }

    async fn texts_of(&self, conversation: &str) -> Vec<String> {
        let path = format!("/v1/conversations/{conversation}/messages");
        let (code, body) = self.get(&path).await;
        assert_eq!(code, 200, "{body}");
        let messages = body["messages"].as_array().expect("messages");
        let text = |message: &Value| message["text"].as_str().expect("a text").to_owned();
        messages.iter().map(text).collect()
    }
}

fn request(name: &str) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{name}@example.org"), "name": name});
    request["config"]["meetingTitle"] = format!("about {name}").into();
    request["trackers"] = json!([{"name": format!("tracker of {name}"), "vocabulary": ["w1"]}]);
    request
}

/// Returns words and the pause that ends an utterance.
fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

fn run(program: &str, arguments: &[&str]) -> String {
    let hint = "run scripts/install-deps.sh test";
    let output = Command::new(program).args(arguments).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap_or_else(|error| panic!("{program}: {error}; {hint}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(stdout).expect("text").trim().to_owned()
}

/// As programs that show a database open it: look, take the lock of the writer, let go.
const BROWSER: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('PRAGMA journal_mode').fetchall()
database.execute('SELECT * FROM sqlite_master').fetchall()
database.execute('BEGIN IMMEDIATE')
database.execute('SELECT * FROM message').fetchall()
database.execute('ROLLBACK')
database.close()
";

type Outsider = fn(&Path, &Path);

const OUTSIDERS: [(&str, Outsider); 6] = [
    ("a query", |database, _| {
        sqlite(database, "SELECT count(*) FROM message");
    }),
    ("a backup", |database, copy| {
        sqlite(database, &format!(".backup '{}'", copy.display()));
    }),
    ("a browser", |database, _| {
        run(
            "python3",
            &["-c", BROWSER, database.to_str().expect("UTF-8")],
        );
    }),
    ("a checkpoint", |database, _| {
        sqlite(database, "PRAGMA wal_checkpoint(TRUNCATE)");
    }),
    ("a copy of all files", |database, copy| {
        let directory = database.parent().expect("a directory");
        let (from, to) = (
            format!("{}/.", directory.display()),
            copy.display().to_string(),
        );
        run("cp", &["-r", &from, &to]);
    }),
    ("a second service", |database, _| {
        let second = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--recognizer",
                "scripted",
                "--data",
            ])
            .arg(database.parent().expect("a directory"))
            .output();
        assert!(!second.expect("run").status.success());
    }),
];

#[tokio::test]
async fn what_is_said_after_an_outsider_looked_into_the_database_is_there_after_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let mut held = Vec::new();
    let mut service = Service::on(data.path());
    for (k, (outsider, look)) in OUTSIDERS.into_iter().enumerate() {
        held.push((outsider, service.hold("before", 0..2).await));
        look(
            &data.path().join("symbl.db"),
            &copies.path().join(k.to_string()),
        );
        held.push((outsider, service.hold("after", 2..4).await));
        service.stop();
        service = Service::on(data.path());
        for (outsider, conversation) in &held {
            let path = format!("/v1/conversations/{conversation}/messages");
            let (code, body) = service.get(&path).await;
            let messages = body["messages"].as_array().map(Vec::len);
            assert_eq!((code, messages), (200, Some(1)), "after {outsider}");
        }
    }
    let database = data.path().join("symbl.db");
    assert_eq!(sqlite(&database, "PRAGMA integrity_check"), "ok");
}

#[tokio::test]
async fn the_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(&data.path().join("made"));
    service.hold("modes", 0..2).await;
    let files = std::fs::read_dir(data.path().join("made")).expect("a directory");
    for file in files.map(|file| file.expect("a file")) {
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}: {mode:o}", file.file_name());
    }
}

#[tokio::test]
async fn a_service_whose_directory_was_deleted_is_unhealthy_and_tells_nothing_that_is_lost() {
    let data = tempfile::tempdir().expect("a directory");
    for (deleted, restored) in [("", false), ("symbl.db", true), ("symbl.db-wal", true)] {
        let directory = data.path().join(format!("data{}", deleted.len()));
        let service = Service::on(&directory);
        let (mut client, _) = Client::started(&service.address, "x", &request("x")).await;
        client.send_audio(&said(0..2)).await;
        client.until("message_response").await;
        assert_eq!(service.until_health(200).await, json!({"status": "ok"}));

        let (victim, aside) = (directory.join(deleted), data.path().join("aside"));
        std::fs::rename(&victim, &aside).expect("moved away");
        client.send_audio(&said(2..4)).await;
        let heard = client.until("error").await;
        assert_eq!(heard.json()["code"], "storage_failed", "{deleted}");
        let unhealthy = service.until_health(503).await;
        assert_eq!(unhealthy["status"], "failing");
        let reason = unhealthy["reason"].as_str().expect("a reason");
        assert!(reason.contains("symbl.db"), "{reason}");

        // In its place again, it is the file that the service has open.
        if restored {
            std::fs::rename(&aside, &victim).expect("moved back");
            service.until_health(200).await;
            service.hold("y", 4..6).await;
        } else {
            std::fs::remove_dir_all(&aside).expect("deleted");
            assert_eq!(service.get("/healthz").await.0, 503);
        }
    }
}

#[tokio::test]
async fn on_a_full_disk_the_stream_fails_the_service_is_unhealthy_and_recovers_with_room() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(data.path());
    let pid = service.child.id().to_string();
    let limit = |bytes: &str| {
        run(
            "prlimit",
            &["--pid", &pid, &format!("--fsize={bytes}:unlimited")],
        );
    };
    let (mut client, conversation) = Client::started(&service.address, "x", &request("x")).await;
    client.send_audio(&said(0..2)).await;
    client.until("message_response").await;
    service.until_health(200).await;

    limit("4096");
    until_not_stored(&mut client, 2..4).await;
    let unhealthy = service.until_health(503).await;
    assert_eq!(unhealthy["status"], "failing");

    limit("unlimited");
    service.until_health(200).await;
    let next = service.hold("y", 4..6).await;
    drop(client);
    service.stop();
    let service = Service::on(data.path());
    assert_eq!(service.texts_of(&conversation).await.len(), 1);
    assert_eq!(service.texts_of(&next).await.len(), 1);
}

/// Speaks until the stream fails, and checks that it was told none of the words that are
/// not stored.
async fn until_not_stored(client: &mut Client, words: std::ops::Range<u16>) {
    client.send_audio(&said(words)).await;
    let mut told = Vec::new();
    loop {
        let heard = client.next().await;
        if heard.kind() == "error" {
            assert_eq!(heard.json()["code"], "storage_failed");
            break;
        }
        told.push(heard);
    }
    assert!(final_words(&told).is_empty(), "{told:?}");
    assert!(!kinds(&told).contains(&"message_response"), "{told:?}");
}

#[tokio::test]
async fn a_service_without_a_table_that_streams_write_to_is_unhealthy_until_it_is_back() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(data.path());
    let (mut client, _) = Client::started(&service.address, "x", &request("x")).await;
    client.send_audio(&said(0..2)).await;
    client.until("message_response").await;
    let database = data.path().join("symbl.db");
    let rename = |from: &str, to: &str| {
        let sql = format!("PRAGMA legacy_alter_table = on; ALTER TABLE {from} RENAME TO {to}");
        sqlite(&database, &sql);
    };
    rename("message", "aside");
    until_not_stored(&mut client, 2..4).await;
    service.until_health(503).await;
    // Each question makes a write of its own.
    for _ in 0..3 {
        assert_eq!(service.get("/healthz").await.0, 503);
    }
    rename("aside", "message");
    service.until_health(200).await;
    service.hold("y", 4..6).await;
}

#[tokio::test]
async fn a_service_whose_database_was_emptied_tells_nothing_that_is_lost() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(data.path());
    let (mut client, _) = Client::started(&service.address, "x", &request("x")).await;
    client.send_audio(&said(0..2)).await;
    client.until("message_response").await;
    let database = data.path().join("symbl.db");
    let file = std::fs::File::options().write(true).open(&database);
    file.expect("opened").set_len(0).expect("emptied");
    until_not_stored(&mut client, 2..4).await;
    for _ in 0..3 {
        let (code, body) = service.get("/healthz").await;
        assert_eq!(code, 503);
        let reason = body["reason"].as_str().expect("a reason");
        assert!(reason.contains("symbl.db"), "{reason}");
    }
}

#[tokio::test]
async fn a_service_whose_database_is_corrupt_is_unhealthy_to_its_end() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(data.path());
    service.hold("x", 0..2).await;
    let database = data.path().join("symbl.db");
    service.stop();
    // The page on which the table of messages begins.
    let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'message'";
    let page: u64 = sqlite(&database, sql).parse().expect("a number");
    let file = std::fs::File::options().write(true).open(&database);
    let file = file.expect("opened");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 4096], (page - 1) * 4096)
        .expect("written");
    let service = Service::on(data.path());
    let (mut client, _) = Client::started(&service.address, "y", &request("y")).await;
    until_not_stored(&mut client, 2..4).await;
    service.until_health(503).await;
    for _ in 0..3 {
        assert_eq!(service.get("/healthz").await.0, 503);
    }
}

#[tokio::test]
async fn the_database_file_alone_is_a_whole_backup_in_silence_and_after_a_stop() {
    let data = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let database = data.path().join("symbl.db");
    let service = Service::on(data.path());
    let first = service.hold("first", 0..2).await;
    let copy = copies.path().join("at-rest.db");
    let until = Instant::now() + PATIENCE;
    loop {
        std::fs::copy(&database, &copy).expect("copied");
        let counted = Command::new("sqlite3")
            .arg(&copy)
            .arg("SELECT count(*) FROM message")
            .output()
            .expect("sqlite3; run scripts/install-deps.sh test");
        if counted.stdout == b"1\n" {
            break;
        }
        assert!(Instant::now() < until, "{counted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // A speaker is active while this copy is made.
    let (mut client, second) = Client::started(&service.address, "second", &request("x")).await;
    client.send_audio(&said(2..4)).await;
    client.until("message_response").await;
    let live = copies.path().join("live.db");
    sqlite(&database, &format!(".backup '{}'", live.display()));
    drop(client);
    service.stop();
    let stopped = copies.path().join("stopped.db");
    std::fs::copy(&database, &stopped).expect("copied");

    for backup in [live, stopped] {
        let restored = tempfile::tempdir().expect("a directory");
        std::fs::copy(&backup, restored.path().join("symbl.db")).expect("restored");
        let service = Service::on(restored.path());
        for conversation in [&first, &second] {
            let texts = service.texts_of(conversation).await;
            assert_eq!(texts.len(), 1, "{}: {texts:?}", backup.display());
        }
        service.hold("third", 4..6).await;
    }
}

/// Returns those of `words` that are in a file of the directory or below it, in any case.
fn left_in(directory: &Path, words: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    for file in std::fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            left.extend(left_in(&path, words));
            continue;
        }
        let bytes = std::fs::read(&path).expect("read");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let found = words.iter().filter(|word| text.contains(word.as_str()));
        left.extend(found.map(|word| format!("{word} in {}", path.display())));
    }
    left
}

#[tokio::test]
async fn deleted_words_are_in_no_file_of_the_directory() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::on(data.path());
    // Two conversations whose rows share pages; one of them has utterances of any length.
    let (mut gone, id) = Client::started(&service.address, "gone", &request("secretary")).await;
    let (mut kept, other) = Client::started(&service.address, "kept", &request("chair")).await;
    let mut words = vec!["secretary".to_owned()];
    for k in 0..12u16 {
        let spoken = 1000 + 50 * k..1000 + 50 * k + 1 + 7 * (k % 4);
        words.extend(spoken.clone().map(|word| format!("w{word}")));
        gone.send_audio(&said(spoken)).await;
        gone.until("message_response").await;
        kept.send_audio(&said(2000 + k..2001 + k)).await;
        kept.until("message_response").await;
    }
    gone.stop().await;
    gone.rest().await;
    let stored = left_in(data.path(), &words);
    let missing = |word: &&String| !stored.iter().any(|left| left.starts_with(*word));
    assert_eq!(words.iter().find(missing), None, "{stored:?}");
    let delete = format!("DELETE /v1/conversations/{id}");
    let until = Instant::now() + PATIENCE;
    loop {
        let (head, body) = http(&service.address, &delete, "").await;
        if head.starts_with("http/1.1 200") {
            break;
        }
        // Its end may not be stored yet.
        assert!(head.starts_with("http/1.1 409"), "{head} {body}");
        assert!(Instant::now() < until);
    }
    assert_eq!(left_in(data.path(), &words), Vec::<String>::new());
    assert_eq!(service.texts_of(&other).await.len(), 12);
    let kept_words: Vec<String> = (0..12).map(|k| format!("w{}", 2000 + k)).collect();
    kept.stop().await;
    kept.rest().await;
    service.stop();
    assert_eq!(left_in(data.path(), &words), Vec::<String>::new());
    assert_eq!(left_in(data.path(), &kept_words).len(), kept_words.len());
}

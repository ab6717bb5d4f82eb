// SPDX-License-Identifier: MPL-2.0

//! Jobs that their client cancels: while they wait, while they run, and once they have ended.

use crate::common::annotated::each;
use crate::common::jobs::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{Scripted, silence, speech};
use symbl_service::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

const RATE: u32 = 16_000;

/// An engine that takes half as long as the audio lasts.
struct Slow;

struct SlowStream(Box<dyn RecognizerStream>);

impl Recognizer for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(SlowStream(Scripted.open(options)?)))
    }
}

impl RecognizerStream for SlowStream {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        for part in samples.chunks(RATE as usize / 50) {
            self.0.push(part, out)?;
            // This is the work of the engine.
            let length = Duration::from_secs(part.len() as u64) / RATE;
            std::thread::sleep(length / 2);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.0.finish(out)
    }
}

/// Returns the configuration of a service that runs one job at a time, slowly.
fn slow(data: &std::path::Path) -> ServerConfig {
    let mut config = with_decoder();
    config.recognizer = Arc::new(Slow);
    config.data = Some(data.to_owned());
    config.jobs.parallel = 1;
    config
}

/// Returns a recording that takes a minute of work, and begins with these words.
fn long(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, RATE);
    samples.extend(silence(Duration::from_secs(120), RATE));
    wav(&[samples])
}

fn id<'a>(made: &'a Value, name: &str) -> &'a str {
    made[name].as_str().expect("an id")
}

async fn cancel(server: &Server, made: &Value) -> (u16, Value) {
    let request = format!("DELETE /v1/job/{}", id(made, "jobId"));
    ask(server, &request, "").await
}

/// Waits until a path has this status. Returns the last answer.
async fn until_status(server: &Server, path: &str, expected: u16) -> Value {
    let begun = Instant::now();
    loop {
        let (status, answer) = get(server, path, "").await;
        if status == expected {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {status} {answer}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a job has said something.
async fn until_said(server: &Server, made: &Value, count: usize) {
    let begun = Instant::now();
    while messages(server, made, "").await.len() < count {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_job_that_runs_or_waits_is_cancelled_and_leaves_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::bind(slow(data.path())).await.expect("a server");
    let (_, runs) = upload(&server, "POST /v1/process/audio", &long(0..20)).await;
    until_said(&server, &runs, 1).await;
    let (_, waits) = upload(&server, "POST /v1/process/audio", &long(20..30)).await;
    let (_, next) = upload(
        &server,
        "POST /v1/process/audio",
        &wav(&[speech(7..9, RATE)]),
    )
    .await;
    assert_eq!(spooled(data.path()).len(), 3);
    for made in [&waits, &runs] {
        let (status, answer) = cancel(&server, made).await;
        assert_eq!(status, 202, "{answer}");
        let begun = Instant::now();
        until_status(&server, &format!("/v1/job/{}", id(made, "jobId")), 404).await;
        let path = format!("/v1/conversations/{}", id(made, "conversationId"));
        until_status(&server, &path, 404).await;
        println!("gone after {:?}", begun.elapsed());
        assert_eq!(cancel(&server, made).await.0, 404, "it is gone");
    }
    // Its worker is free: the job before would have had it for a minute.
    assert_eq!(ended(&server, &next).await["status"], "completed");
    assert_eq!(words(&messages(&server, &next, "").await).len(), 2);
    assert_eq!(spooled(data.path()), Vec::<String>::new());
    // A job that has ended is not cancelled.
    let (status, answer) = cancel(&server, &next).await;
    assert_eq!(status, 409, "{answer}");
    let message = answer["message"].as_str().expect("a message");
    assert!(message.contains("completed"), "{message}");
    assert_eq!(messages(&server, &next, "").await.len(), 1);
    let (status, _) = ask(&server, "DELETE /v1/job/none", "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_a_cancelled_job_has_said_in_the_conversation_of_others_is_removed() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::bind(slow(data.path())).await.expect("a server");
    let text = json!({"messages": [
        {"payload": {"content": "The pump leaks."}, "from": {"name": "Ada"}}]});
    let (_, first) = ask(&server, "POST /v1/process/text", &text.to_string()).await;
    assert_eq!(ended(&server, &first).await["status"], "completed");
    let base = format!("/v1/conversations/{}", id(&first, "conversationId"));
    let put = format!("PUT /v1/process/audio/{}", id(&first, "conversationId"));
    let (status, more) = upload(&server, &put, &long(0..40)).await;
    assert_eq!(status, 201, "{more}");
    until_said(&server, &first, 3).await;
    let (_, before) = get(&server, &format!("{base}/members"), "").await;
    assert_eq!(before["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(cancel(&server, &more).await.0, 202);
    until_status(&server, &format!("/v1/job/{}", id(&more, "jobId")), 404).await;
    let all = messages(&server, &first, "").await;
    assert_eq!(all.len(), 1, "{all:?}");
    let (_, members) = get(&server, &format!("{base}/members"), "").await;
    assert_eq!(each(&members, "members", "name"), ["Ada"]);
    let (_, events) = get(&server, &format!("{base}/events"), "").await;
    let told = events["events"].to_string();
    assert!(
        told.contains("The pump leaks.") && !told.contains("w1"),
        "{told}"
    );
    let (_, job) = get(&server, &format!("/v1/job/{}", id(&first, "jobId")), "").await;
    assert_eq!(job["status"], "completed", "{job}");
    // The conversation goes on behind it.
    let put = format!("PUT /v1/process/text/{}", id(&first, "conversationId"));
    let (_, more) = ask(&server, &put, &text.to_string()).await;
    assert_eq!(ended(&server, &more).await["status"], "completed");
    assert_eq!(messages(&server, &first, "").await.len(), 2);
    let (_, events) = get(&server, &format!("{base}/events"), "").await;
    let numbers = each(&events, "events", "seq");
    let mut sorted: Vec<u64> = numbers
        .iter()
        .map(|n| n.parse().expect("a number"))
        .collect();
    sorted.dedup();
    assert_eq!(sorted.len(), 2, "{events}");
}

#[tokio::test]
async fn a_job_that_was_cancelled_before_a_restart_is_removed_after_it() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = slow(data.path());
    // It runs no recording, so this one waits.
    config.jobs.parallel = 0;
    let server = Server::bind(config).await.expect("a server");
    let (_, made) = upload(&server, "POST /v1/process/audio", &long(0..5)).await;
    let path = format!("/v1/conversations/{}", id(&made, "conversationId"));
    until_status(&server, &path, 200).await;
    server.shutdown().await;
    // As a service that is killed just then leaves it.
    let file = rusqlite::Connection::open(data.path().join("symbl.db")).expect("a database");
    let changed = file.execute("UPDATE job SET status = 'cancelled', request = ''", []);
    assert_eq!(changed.expect("changed"), 1);
    drop(file);
    let server = Server::bind(slow(data.path())).await.expect("a server");
    until_status(&server, &path, 404).await;
    until_status(&server, &format!("/v1/job/{}", id(&made, "jobId")), 404).await;
    assert_eq!(spooled(data.path()), Vec::<String>::new());
}

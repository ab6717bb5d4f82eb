// SPDX-License-Identifier: MPL-2.0

//! Jobs whose service is killed, and the webhooks that tell of them.

use crate::common::jobs::*;
use crate::common::process::{Process, keep, token};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{silence, speech};

const SECRET: &str = "0123456789abcdef-webhooks";

/// Starts the service with a directory, which may send webhooks to this receiver.
fn service(data: &Path, receiver: &Receiver) -> Process {
    Process::start(|command| {
        keep(command, data, "app");
        command
            .args(["--webhook-host", &format!("http://{}", receiver.address)])
            .env("SYMBL_WEBHOOK_SECRET", SECRET);
    })
}

/// Checks the signature as the documentation says.
fn verify(received: &Received) {
    let signature = received.header("X-Symbl-Signature").expect("a signature");
    let (time, signature) = signature.split_once(",v1=").expect("two parts");
    let time = time.strip_prefix("t=").expect("a time");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{time}.{}", received.body).as_bytes());
    let expected = mac.finalize().into_bytes();
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, expected);
}

#[tokio::test]
async fn a_job_whose_service_is_killed_goes_on_and_has_each_word_and_webhook_once() {
    let data = tempfile::tempdir().expect("a directory");
    // The first attempt of each fails, as does the whole first service.
    let receiver = Receiver::start(|number| match number {
        0 => (500, String::new(), Vec::new()),
        _ => (200, String::new(), Vec::new()),
    })
    .await;
    let first = service(data.path(), &receiver);
    let token = token(&first, "app", "hush").await;
    let count = 1500_u16;
    let recording = wav(&[speech(0..count, 16_000)]);
    let path = format!(
        "POST /v1/process/audio?webhookUrl=http://{}/hook",
        receiver.address
    );
    let (status, made) = upload_for(&first, &path, &token, &recording).await;
    assert_eq!(status, 201, "{made}");
    let id = made["jobId"].as_str().expect("an id");
    let mut running = first;
    let mut known = 0;
    for round in 0..3 {
        // It has got further than the last one.
        let begun = std::time::Instant::now();
        loop {
            let now = messages(&running, &made, &token).await.len();
            if now > known {
                known = now;
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "round {round}: {now} messages");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let (_, job) = get(&running, &format!("/v1/job/{id}"), &token).await;
        assert_eq!(job["status"], "in_progress", "round {round}: {job}");
        running.kill();
        running = service(data.path(), &receiver);
    }
    let is_over =
        |job: &serde_json::Value| job["status"] == "completed" || job["status"] == "failed";
    let job = until(&running, id, &token, is_over).await;
    assert_eq!(job["status"], "completed", "{job}");
    let all = messages(&running, &made, &token).await;
    let found: Vec<String> = words(&all).into_iter().map(|(_, word)| word).collect();
    let expected: Vec<String> = (0..count).map(|word| format!("w{word}")).collect();
    assert_eq!(found, expected, "each word once");
    // The times are those of one recording, whatever was heard in which attempt.
    let zero = all[0]["timeOffset"].as_f64().expect("a time");
    for (number, message) in all.iter().enumerate() {
        let text = message["text"].as_str().expect("a text").to_lowercase();
        let first: f64 = text
            .split_whitespace()
            .next()
            .and_then(|word| {
                word.trim_matches(|c: char| !c.is_ascii_digit())
                    .parse()
                    .ok()
            })
            .expect("a word");
        let offset = message["timeOffset"].as_f64().expect("a time") - zero;
        assert!(
            (offset - first * 0.2).abs() < 0.05,
            "message {number} is at {offset}: {text}"
        );
    }
    assert!(spooled(data.path()).is_empty());

    let is_told = |all: &[Received]| {
        all.iter()
            .any(|one| one.body.contains("completed") && one.answer == 200)
    };
    let received = receiver.until(is_told).await;
    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in &received {
        verify(one);
        let body: serde_json::Value = serde_json::from_str(&one.body).expect("JSON");
        assert_eq!(body["jobId"], id);
        let status = body["status"].as_str().expect("a status").to_owned();
        let key = one.header("Idempotency-Key").expect("a key").to_owned();
        taken.entry(status).or_default().push(key);
    }
    assert_eq!(
        taken.keys().collect::<Vec<_>>(),
        ["completed", "in_progress"]
    );
    for (status, mut keys) in taken {
        keys.dedup();
        assert_eq!(
            keys.len(),
            1,
            "{status}: one key, however often it was sent"
        );
    }
    let is_delivered = |job: &serde_json::Value| {
        let hooks = job["webhooks"].as_array().cloned().unwrap_or_default();
        hooks.len() == 2 && hooks.iter().all(|hook| hook["state"] == "delivered")
    };
    until(&running, id, &token, is_delivered).await;
}

#[tokio::test]
async fn channels_whose_service_is_killed_have_each_word_once_and_in_the_order_of_time() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, String::new(), Vec::new())).await;
    let mut running = service(data.path(), &receiver);
    let token = token(&running, "app", "hush").await;
    let count = 600_u16;
    let mut right = silence(Duration::from_millis(700), 16_000);
    right.extend(speech(count..2 * count, 16_000));
    let call = wav(&[speech(0..count, 16_000), right]);
    let path = "POST /v1/process/audio?enableSeparateRecognitionPerChannel=true";
    let (status, made) = upload_for(&running, path, &token, &call).await;
    assert_eq!(status, 201, "{made}");
    let id = made["jobId"].as_str().expect("an id");
    let mut known = 0;
    for round in 0..2 {
        let begun = Instant::now();
        loop {
            let now = messages(&running, &made, &token).await.len();
            if now > known {
                known = now;
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "round {round}: {now} messages");
            tokio::task::yield_now().await;
        }
        running.kill();
        running = service(data.path(), &receiver);
    }
    let is_over =
        |job: &serde_json::Value| job["status"] == "completed" || job["status"] == "failed";
    let job = until(&running, id, &token, is_over).await;
    assert_eq!(job["status"], "completed", "{job}");
    let all = messages(&running, &made, &token).await;
    let times: Vec<f64> = all
        .iter()
        .map(|one| one["timeOffset"].as_f64().expect("a time"))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let found = words(&all).into_iter().map(|(_, word)| word);
    let mut found: Vec<u16> = found
        .map(|word| word.trim_start_matches('w').parse().expect("a word"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..2 * count).collect::<Vec<_>>(), "each word once");
}

#[tokio::test]
async fn a_text_whose_service_is_killed_has_each_message_once() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, String::new(), Vec::new())).await;
    let first = service(data.path(), &receiver);
    let token = token(&first, "app", "hush").await;
    // All at the same time: only their order tells them apart.
    let message = |number: usize| {
        json!({
            "payload": {"content": format!("This is number {number}.")},
            "from": {"name": format!("Speaker {}", number % 3)},
            "duration": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:01Z"},
        })
    };
    let text = json!({"messages": (0..600).map(message).collect::<Vec<_>>()}).to_string();
    let request =
        format!("POST /v1/process/text HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let (status, made) = ask(&first, &request, &text).await;
    assert_eq!(status, 201, "{made}");
    let id = made["jobId"].as_str().expect("an id");
    let is_on_its_way =
        |job: &serde_json::Value| job["progress"]["messages"].as_u64().is_some_and(|n| n > 10);
    let job = until(&first, id, &token, is_on_its_way).await;
    assert_eq!(job["status"], "in_progress", "{job}");
    first.kill();
    let second = service(data.path(), &receiver);
    let is_over =
        |job: &serde_json::Value| job["status"] == "completed" || job["status"] == "failed";
    let job = until(&second, id, &token, is_over).await;
    assert_eq!(job["status"], "completed", "{job}");
    let all = messages(&second, &made, &token).await;
    let found: Vec<&str> = all.iter().filter_map(|one| one["text"].as_str()).collect();
    let expected: Vec<String> = (0..600).map(|n| format!("This is number {n}.")).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_webhook_that_is_refused_for_good_is_kept_and_sent_again_on_request() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|number| match number {
        0 => (410, String::new(), Vec::new()),
        _ => (204, String::new(), Vec::new()),
    })
    .await;
    let service = service(data.path(), &receiver);
    let token = token(&service, "app", "hush").await;
    let text = json!({"messages": [{"payload": {"content": "Hello."}}],
        "webhookUrl": format!("http://{}/hook?x=1", receiver.address)});
    let request =
        format!("POST /v1/process/text HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let (status, made) = ask(&service, &request, &text.to_string()).await;
    assert_eq!(status, 201, "{made}");
    receiver.until(|all| all.len() == 2).await;
    let begun = std::time::Instant::now();
    let dead = loop {
        let (_, dead) = get(&service, "/v1/webhooks?state=failed", &token).await;
        if dead["webhooks"]
            .as_array()
            .is_some_and(|list| list.len() == 1)
        {
            break dead["webhooks"][0].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{dead}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(
        (&dead["attempts"], &dead["state"]),
        (&json!(1), &json!("failed")),
        "{dead}"
    );
    assert!(
        dead["message"].as_str().expect("a reason").contains("410"),
        "{dead}"
    );
    let key = dead["id"].as_str().expect("an id");
    let again = format!(
        "POST /v1/webhooks/{key}/retry HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:"
    );
    assert_eq!(ask(&service, &again, "").await.0, 202);
    let all = receiver.until(|all| all.len() == 3).await;
    assert_eq!(all[2].header("Idempotency-Key"), Some(key));
    assert!(
        all[2].head.starts_with("POST /hook?x=1 HTTP/1.1"),
        "{}",
        all[2].head
    );
    assert_eq!(all[0].body, all[2].body);
}

// SPDX-License-Identifier: MPL-2.0

//! Several services that share one PostgreSQL. Each test has a database of its own.

#![cfg(feature = "cluster")]

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code)] // Other tests use all of it.
#[path = "../sessions/raw.rs"]
mod raw;

#[allow(dead_code)] // Other tests use all of it.
#[path = "../sessions/driver.rs"]
mod driver;

mod bus;
mod closing;
mod copy;
mod crowd;
mod documented;
mod draining;
mod failures;
mod frozen;
mod going;
mod jobs;
mod kills;
mod latency;
mod ledger;
mod links;
mod lossy;
mod measure;
mod metrics;
mod moves;
mod mutations;
mod order;
mod outages;
mod pauses;
mod quota;
mod rolling;
mod rooms;
mod secrets;
mod sessions;
mod tls;
mod upgrade;
mod valve;
mod voice;

use common::process::Process;
use common::*;
use ledger::{Ear, Ledger};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Auth, ClusterUrl, Server, ServerConfig};
use symbl_testkit::postgres::Postgres;
use voice::{Places, Plan, Voice};

/// Returns a configuration of a node of this database.
pub fn configured(url: &str) -> ServerConfig {
    let mut config = config();
    config.cluster = Some(ClusterUrl::from(url.to_owned()));
    config
}

/// Starts a node of this database in this process.
pub async fn node(url: &str) -> Server {
    Server::bind(configured(url)).await.expect("a node")
}

/// Starts a node of this database as a process of its own. It ends without a drain, of which
/// `draining` has the tests.
pub fn process(url: &str) -> Process {
    Process::start(|command| {
        command
            .args(["--log", "warn", "--drain-wait", "0", "--drain-time", "0"])
            .env("SYMBL_CLUSTER", url);
    })
}

/// Sends a signal to a node.
pub fn signal(node: &Process, signal: Signal) {
    let id = i32::try_from(node.child.id()).expect("an id");
    kill(Pid::from_raw(id), signal).expect("a process");
}

/// Waits until a statement of the database has this answer.
pub async fn until_it_says(postgres: &Postgres, url: &str, sql: &str, answer: &str) {
    in_time(async {
        while postgres.ask(url, sql) != answer {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Returns a plan for a speaker with a conversation of its own.
pub fn plan(name: &str, utterances: u16) -> Plan {
    Plan {
        name: name.to_owned(),
        room: name.to_owned(),
        first: 0,
        utterances,
        pace: Duration::from_millis(300),
        patience: Duration::from_secs(3),
        live: false,
    }
}

/// Returns words of 200 ms each, and the pause of 600 ms that ends an utterance.
pub fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

/// Returns a start request of this speaker, for whom the conversation waits `keep` seconds.
pub fn start_as(name: &str, keep: u64) -> Value {
    let mut request = start_request();
    request["noConnectionTimeout"] = keep.into();
    request["speaker"] = json!({"userId": format!("{name}@example.org"), "name": name});
    request
}

/// Returns a start request of a stream of this speaker that is sent again from a position.
pub fn start_at(name: &str, attempt: u64, ms: u64) -> Value {
    let mut request = start_as(name, 60);
    let position = ms * 1_000_000;
    request["x_stream"] = json!({"id": name, "attempt": attempt, "position": position});
    request
}

/// Opens the socket of a subscriber.
pub async fn subscriber(place: &impl Place, id: &str) -> Client {
    let path = format!("/v1/subscribe/{id}");
    let opened = Client::open(place, &path, &[]).await;
    let (mut client, _) = opened.expect("an upgrade");
    client.until("subscription_started").await;
    client
}

/// Returns the number and the text of the next message of a subscriber.
pub async fn message(client: &mut Client) -> (u64, String) {
    let heard = client.until("message_response").await;
    let heard = heard.json();
    let number = heard["sequenceNumber"].as_u64().expect("a number");
    let text = heard["messages"][0]["payload"]["content"].as_str();
    (number, text.expect("a text").to_owned())
}

/// Returns the words of a text, in lower case and without punctuation.
pub fn words_of(text: &str) -> Vec<String> {
    let words = text.split_whitespace();
    let bare = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    bare.map(str::to_lowercase).collect()
}

/// Returns the texts of a conversation, as the Conversation API of a node has them.
pub async fn history(place: &impl Place, id: &str) -> Vec<String> {
    let path = format!("/v1/conversations/{id}/messages");
    let (_, body) = common::jobs::get(place, &path, "").await;
    let messages = body["messages"].as_array().expect("messages").iter();
    let texts = messages.map(|message| message["text"].as_str().expect("a text").to_owned());
    texts.collect()
}

// SPDX-License-Identifier: MPL-2.0

//! Clients that number their streams (`x_stream`) and send audio again after a cut: each word
//! is said once to subscribers and in the Conversation API, and the speaker misses none.

use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Server, ServerConfig};
use tokio_tungstenite::tungstenite::Message;

/// Bytes of audio in a millisecond: 16 kHz, 16 bits.
const BYTES: usize = 32;

/// Returns words of 200 ms each, and the pause of 600 ms that ends an utterance.
fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

/// Returns a start request of the stream `s` whose audio begins at this many milliseconds.
fn start_at(attempt: u64, ms: u64) -> Value {
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
    let position = ms * 1_000_000;
    request["x_stream"] = json!({"id": "s", "attempt": attempt, "position": position});
    request
}

async fn subscriber(server: &Server, path: &str) -> Client {
    let path = format!("/v1/subscribe/{path}");
    let opened = Client::open(server, &path, &[]).await;
    let (mut client, _) = opened.expect("an upgrade");
    client.until("subscription_started").await;
    client
}

async fn history(server: &Server, id: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let page = format!("limit=50&offset={}", all.len());
        let path = format!("GET /v1/conversations/{id}/messages?{page}");
        let (_, body) = http(server, &path, "").await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let page = body["messages"].as_array().expect("messages");
        if page.is_empty() {
            return all;
        }
        all.extend_from_slice(page);
    }
}

/// Returns the next final.
async fn final_of(client: &mut Client) -> Heard {
    loop {
        let result = client.until("recognition_result").await;
        if result.json()["message"]["isFinal"] == true {
            return result;
        }
    }
}

/// Returns the words of a text, in lower case and without punctuation.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split_whitespace();
    let bare = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    bare.map(str::to_lowercase).collect()
}

fn content(message: &Value) -> Vec<String> {
    let text = message["messages"][0]["payload"]["content"].as_str();
    words_of(text.expect("a text"))
}

fn id_of(message: &Value) -> &str {
    message["messages"][0]["id"].as_str().expect("an id")
}

#[tokio::test]
async fn what_is_sent_again_is_said_once_and_its_speaker_hears_what_it_missed() {
    let server = server().await;
    let (mut ada, id) = Client::started(&server, "again", &start_at(1, 0)).await;
    let mut listener = subscriber(&server, "again").await;
    let mut told = Vec::new();
    for words in [0..3, 10..13] {
        ada.send_audio(&said(words)).await;
        told.push(listener.until("message_response").await.json().clone());
    }
    // She is cut off, and heard the first ones only: the first three words, and one more.
    drop(ada);
    let (mut ada, same) = Client::started(&server, "again", &start_at(2, 1400)).await;
    assert_eq!(same, id);
    let rest = said(10..13).split_off(200 * BYTES);
    ada.send_audio(&rest).await;
    let again = [
        final_of(&mut ada).await,
        ada.until("message_response").await,
    ];
    assert_eq!(texts(&final_words(&again)), ["w11", "w12"]);
    let message = again[1].json();
    assert_eq!(content(message), ["w11", "w12"]);
    assert_eq!(id_of(message), id_of(&told[1]));
    assert_eq!(message["sequenceNumber"], told[1]["sequenceNumber"]);
    ada.send_audio(&said(20..23)).await;
    told.push(listener.until("message_response").await.json().clone());
    assert_eq!(content(&told[2]), ["w20", "w21", "w22"]);
    let after = ada.until("message_response").await;
    assert_eq!(id_of(after.json()), id_of(&told[2]));
    let numbers: Vec<&Value> = told.iter().map(|told| &told["sequenceNumber"]).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let stored = history(&server, &id).await;
    let stored: Vec<&str> = stored.iter().filter_map(|m| m["id"].as_str()).collect();
    let live: Vec<&str> = told.iter().map(id_of).collect();
    assert_eq!(stored, live);
}

#[tokio::test]
async fn a_message_says_its_place_in_the_stream_and_the_same_when_it_is_told_again() {
    let place = |message: &Value| message["messages"][0]["x_place"].clone();
    // The recogniser measures to some milliseconds.
    let near = |place: &Value, from_ms: u64, until_ms: u64| {
        assert_eq!(place["stream"], symbl_protocol::StreamPlace::tag("s"));
        for (edge, ms) in [("from", from_ms), ("until", until_ms)] {
            let nanos = place[edge].as_u64().expect("a number");
            assert!(nanos.abs_diff(ms * 1_000_000) <= 10_000_000, "{place}");
        }
    };
    let server = server().await;
    let (mut ada, _) = Client::started(&server, "place", &start_at(1, 0)).await;
    let mut told = Vec::new();
    for words in [0..3, 10..13] {
        ada.send_audio(&said(words)).await;
        told.push(ada.until("message_response").await.json().clone());
    }
    near(&place(&told[0]), 0, 600);
    near(&place(&told[1]), 1200, 1800);
    drop(ada);
    // All of the second one, and then what is left of it behind its first word.
    for (attempt, from) in [(2, 1000), (3, 1400)] {
        let request = start_at(attempt, from);
        let (mut ada, _) = Client::started(&server, "place", &request).await;
        let all = [
            silence(Duration::from_millis(200), 16_000),
            speech(10..13, 16_000),
        ];
        let all = linear16(&all.concat());
        let skipped = usize::try_from(from - 1000).expect("a few") * BYTES;
        ada.send_audio(&all[skipped..]).await;
        let again = ada.until("message_response").await;
        assert_eq!(id_of(again.json()), id_of(&told[1]));
        near(&place(again.json()), from.max(1200), 1800);
        assert_eq!(place(again.json())["until"], place(&told[1])["until"]);
    }
    // A client that does not name its stream is told no place.
    let (mut bob, _) = Client::started(&server, "elsewhere", &start_request()).await;
    bob.send_audio(&said(0..3)).await;
    let message = bob.until("message_response").await;
    assert_eq!(place(message.json()), Value::Null);
}

#[tokio::test]
async fn what_is_still_to_be_sent_again_holds_the_progress_back() {
    let server = server().await;
    let (mut ada, _) = Client::started(&server, "owed", &start_at(1, 0)).await;
    let mut listener = subscriber(&server, "owed").await;
    // Two finals: ten words of two seconds, and three more behind a pause.
    for words in [0..10, 10..13] {
        ada.send_audio(&said(words)).await;
        listener.until("message_response").await;
    }
    drop(ada);
    let mut request = start_at(2, 0);
    request["config"]["recognitionProgress"] = true.into();
    let (mut ada, _) = Client::started(&server, "owed", &request).await;
    // The recogniser hears nothing of that this time.
    let quiet = silence(Duration::from_secs(6), 16_000);
    ada.send_audio(&linear16(&quiet)).await;
    ada.stop().await;
    let mut told = 0.0;
    let mut finals = 0;
    for heard in ada.rest().await {
        match heard.kind() {
            "recognition_progress" => {
                told = heard.json()["message"]["audioTime"]
                    .as_f64()
                    .expect("a time");
            }
            _ => {
                if let Some((_, start, _)) = final_words(&[heard]).first() {
                    finals += 1;
                    assert!(*start as f64 >= told * 1_000.0, "{start} ms after {told} s");
                }
            }
        }
    }
    assert_eq!((finals, told), (2, 6.0));
}

#[tokio::test]
async fn an_utterance_of_which_a_part_was_said_goes_on_behind_it() {
    let server = server().await;
    let (mut ada, id) = Client::started(&server, "part", &start_at(1, 0)).await;
    let mut listener = subscriber(&server, "part").await;
    ada.send_audio(&said(0..2)).await;
    listener.until("message_response").await;
    drop(ada);
    // The recogniser puts the pause elsewhere this time, and hears one long utterance.
    let (mut ada, _) = Client::started(&server, "part", &start_at(2, 0)).await;
    let mut audio = linear16(&speech(0..5, 16_000));
    audio.extend(linear16(&silence(Duration::from_millis(600), 16_000)));
    ada.send_audio(&audio).await;
    let told = listener.until("message_response").await;
    assert_eq!(content(told.json()), ["w2", "w3", "w4"]);
    let stored = history(&server, &id).await;
    let stored = stored.iter().filter_map(|m| m["text"].as_str());
    let stored: Vec<String> = stored.flat_map(words_of).collect();
    assert_eq!(stored, ["w0", "w1", "w2", "w3", "w4"]);
}

#[tokio::test]
async fn a_socket_that_hangs_is_closed_when_its_stream_goes_on_elsewhere() {
    let server = server().await;
    let (mut hanging, id) = Client::started(&server, "hang", &start_at(1, 0)).await;
    hanging.send_audio(&linear16(&speech(0..2, 16_000))).await;
    let (mut ada, _) = Client::started(&server, "hang", &start_at(2, 0)).await;
    let end = hanging.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(4103))), "{end:?}");
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    assert_eq!(history(&server, &id).await.len(), 1);
    // A request that was on its way for long comes behind the one that followed it.
    let mut late = Client::connect(&server, "hang").await;
    late.send_json(&start_at(1, 0)).await;
    let told = late.rest().await;
    let error = told.iter().find(|heard| heard.kind() == "error");
    assert_eq!(error.expect("an error").json()["code"], "superseded");
    assert_eq!(told.last(), Some(&Heard::Closed(Some(4103))));
    // And the stream goes on.
    ada.send_audio(&said(5..6)).await;
    ada.until("message_response").await;
}

#[tokio::test]
async fn a_start_request_that_was_there_before_is_refused_when_its_socket_is_lost() {
    let server = server().await;
    let (lost, id) = Client::started(&server, "lost", &start_at(1, 0)).await;
    drop(lost);
    let mut again = Client::connect(&server, "lost").await;
    again.send_json(&start_at(1, 0)).await;
    let told = again.rest().await;
    let error = told.iter().find(|heard| heard.kind() == "error");
    assert_eq!(error.expect("an error").json()["code"], "superseded");
    assert_eq!(told.last(), Some(&Heard::Closed(Some(4103))));
    let (_, same) = Client::started(&server, "lost", &start_at(2, 0)).await;
    assert_eq!(same, id);
}

#[tokio::test]
async fn a_stream_without_a_number_and_another_stream_are_not_taken_for_it() {
    let server = server().await;
    let mut listener = None;
    for (attempt, name) in [(1, "s"), (1, "t"), (1, "")] {
        let mut request = start_at(attempt, 0);
        request["x_stream"]["id"] = name.into();
        if name.is_empty() {
            request
                .as_object_mut()
                .expect("an object")
                .remove("x_stream");
        }
        let (mut ada, _) = Client::started(&server, "two", &request).await;
        let listener = match &mut listener {
            Some(listener) => listener,
            None => listener.insert(subscriber(&server, "two").await),
        };
        ada.send_audio(&said(0..2)).await;
        let told = listener.until("message_response").await;
        assert_eq!(content(told.json()), ["w0", "w1"], "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_is_named_wrongly_is_refused() {
    let server = server().await;
    for (member, value) in [
        ("id", json!("a b")),
        ("id", json!("")),
        ("id", json!(7)),
        ("attempt", json!(0)),
        ("position", json!(-1)),
    ] {
        let mut client = Client::connect(&server, "wrong").await;
        let mut request = start_at(1, 0);
        request["x_stream"][member] = value.clone();
        client.send_json(&request).await;
        let error = client.until("error").await;
        let details = error.json()["details"].as_str().expect("a text");
        let path = format!("x_stream.{member}");
        assert!(details.contains(&path), "{value}: {details}");
    }
}

/// Returns all text messages up to the message response with this number, and those after
/// it up to the interim of the next words.
async fn told_until(client: &mut Client, last: u64) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let Ok(Message::Text(text)) = client.next_message().await else {
            panic!("closed: {told:?}")
        };
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let is_final = value["message"]["isFinal"] == true;
        if is_final || value["type"] != "message" {
            told.push(text.to_string());
        }
        if value["type"] == "message_response" && value["sequenceNumber"] == last {
            return told;
        }
    }
}

#[tokio::test]
async fn a_late_subscriber_is_sent_what_the_earlier_ones_were_sent() {
    let server = server().await;
    let (mut ada, id) = Client::started(&server, "late", &start_at(1, 0)).await;
    let mut listener = subscriber(&server, "late").await;
    for n in 0..3 {
        ada.send_audio(&said(10 * n..10 * n + 2)).await;
        ada.until("message_response").await;
    }
    let live = told_until(&mut listener, 2).await;
    assert_eq!(live.len(), 6, "{live:?}");
    let mut from_the_start = subscriber(&server, "late?after=-1").await;
    assert_eq!(told_until(&mut from_the_start, 2).await, live);
    let mut from_the_second = subscriber(&server, "late?after=0").await;
    assert_eq!(told_until(&mut from_the_second, 2).await, live[2..]);
    let mut from_now = subscriber(&server, "late?after=2").await;
    let mut from_the_future = subscriber(&server, "late?after=99").await;
    ada.send_audio(&said(90..91)).await;
    let next = told_until(&mut listener, 3).await;
    for late in [
        &mut from_the_start,
        &mut from_the_second,
        &mut from_now,
        &mut from_the_future,
    ] {
        assert_eq!(told_until(late, 3).await, next);
    }
    let stored = history(&server, &id).await;
    assert_eq!(stored.len(), 4);
    for wrong in ["after=-2", "after=x", "after="] {
        let path = format!("/v1/subscribe/late?{wrong}");
        assert!(Client::open(&server, &path, &[]).await.is_err(), "{wrong}");
    }
}

fn config_at(data: &Path) -> ServerConfig {
    let mut config = config();
    config.data = Some(data.to_owned());
    config
}

#[tokio::test]
async fn what_is_told_after_a_restart_is_what_was_told_before() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::bind(config_at(data.path()))
        .await
        .expect("a server");
    let mut request = start_at(1, 0);
    request["insightTypes"] = json!(["question", "action_item", "follow_up", "topic"]);
    request["config"]["detectEntities"] = true.into();
    request["trackers"] = json!([{"name": "Ones", "vocabulary": ["w1"]}]);
    let (mut ada, _) = Client::started(&server, "back", &request).await;
    let mut listener = subscriber(&server, "back").await;
    for n in 0..5 {
        ada.send_audio(&said(n..n + 2)).await;
        ada.until("message_response").await;
    }
    let live = told_until(&mut listener, 4).await;
    drop((ada, listener));
    server.shutdown().await;
    let server = Server::bind(config_at(data.path()))
        .await
        .expect("a server");
    let mut late = subscriber(&server, "back?after=-1").await;
    assert_eq!(told_until(&mut late, 4).await, live);
    // And the numbers go on.
    let mut request = start_at(2, 1_000_000);
    request["speaker"] = json!({"userId": "ada@example.org"});
    let (mut ada, _) = Client::started(&server, "back", &request).await;
    ada.send_audio(&said(7..8)).await;
    told_until(&mut late, 5).await;
}

/// Draws numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// The audio of a long talk: groups of words, each with the pause that ends it.
struct Talk {
    audio: Vec<u8>,
    words: Vec<String>,
    /// Milliseconds after which it is known that an utterance is over: 400 of its pause.
    ends: Vec<u64>,
}

impl Talk {
    fn new(groups: u64, dice: &mut Dice) -> Self {
        let (mut audio, mut words, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 0;
        for _ in 0..groups {
            let until = next + 1 + u16::try_from(dice.draw(4)).expect("few");
            audio.extend(said(next..until));
            ends.push(u64::try_from(audio.len() / BYTES).expect("short") - 200);
            words.extend((next..until).map(|word| format!("w{word}")));
            next = if until > 900 { 0 } else { until };
        }
        Self { audio, words, ends }
    }
}

#[tokio::test]
async fn a_thousand_cuts_lose_no_word_and_double_none() {
    const CUTS: u64 = 1000;
    let mut dice = Dice(7);
    let server = server().await;
    let talk = Talk::new(700, &mut dice);
    let mut listener = None;
    let (mut heard, mut told) = (Vec::<String>::new(), Vec::<String>::new());
    let mut unheard = 0;
    // Milliseconds of the talk that this client knows to be finalised.
    let mut known = 0;
    let mut conversation = String::new();
    for attempt in 1..=CUTS {
        let (mut ada, id) = Client::started(&server, "cuts", &start_at(attempt, known)).await;
        if listener.is_none() {
            listener = Some(subscriber(&server, "cuts").await);
            conversation = id;
        }
        let from = usize::try_from(known).expect("small") * BYTES;
        let rest = talk.audio.get(from..).unwrap_or_default();
        let most = usize::try_from(200 * (1 + dice.draw(12))).expect("small") * BYTES;
        let is_last = attempt == CUTS;
        let sent = if is_last {
            rest.len()
        } else {
            most.min(rest.len())
        };
        ada.send_audio(&rest[..sent]).await;
        if is_last {
            ada.stop().await;
            heard.extend(words_heard(&ada.rest().await).0);
            break;
        }
        let sent = known + u64::try_from(sent / BYTES).expect("short");
        if !talk
            .ends
            .iter()
            .any(|end| (known + 500..=sent).contains(end))
        {
            continue;
        }
        match dice.draw(3) {
            // It waits for a result, and knows how far it has come.
            0 => {
                let (words, until) = words_heard(&[final_of(&mut ada).await]);
                heard.extend(words);
                known += until;
            }
            // It is cut off when others have heard the result, and it has not.
            1 => {
                let others = listener.as_mut().expect("it came");
                while told.len() <= heard.len() {
                    told.extend(content(others.until("message_response").await.json()));
                }
                unheard += 1;
            }
            _ => {}
        }
    }
    let stored = history(&server, &conversation).await;
    let stored = stored.iter().filter_map(|message| message["text"].as_str());
    let stored: Vec<String> = stored.flat_map(words_of).collect();
    assert_eq!(stored, talk.words, "stored");
    assert_eq!(heard, talk.words, "heard by the speaker");
    assert!(unheard > CUTS / 10, "{unheard} results were not heard");
    let mut listener = listener.expect("it came");
    while told.len() < talk.words.len() {
        let message = listener.until("message_response").await;
        told.extend(content(message.json()));
    }
    assert_eq!(told, talk.words, "told to a subscriber");
}

/// Returns the words of finals, and the end of the last one in milliseconds.
fn words_heard(heard: &[Heard]) -> (Vec<String>, u64) {
    let words = final_words(heard);
    let until = words.last().map_or(0, |(_, _, until)| *until);
    (words.into_iter().map(|(text, ..)| text).collect(), until)
}

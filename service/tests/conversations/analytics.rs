// SPDX-License-Identifier: MPL-2.0

//! `GET …/analytics` of calls whose times are known.

use crate::common::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::timestamp::parse_rfc3339;
use symbl_service::recognizer::scripted::silence;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

/// Says the words of a call at their times, as the language of the stream says which: each
/// utterance as words with a start and an end in milliseconds.
struct Script;

type Utterance = &'static [(&'static str, u64, u64)];

const ADA: &[Utterance] = &[
    &[("hello", 500, 900), ("there", 900, 1300)],
    // A pause of 600 ms within an utterance.
    &[
        ("are", 2000, 2200),
        ("you", 2800, 3000),
        ("sure", 3000, 3500),
    ],
    &[("we", 6000, 6500), ("move", 6500, 7500), ("on", 7500, 8000)],
];

/// Overlaps with Ada from 3.2 s to 3.5 s, and interrupts her at 7 s.
const BOB: &[Utterance] = &[
    &[("yes", 3200, 3700), ("i", 3700, 3800), ("am", 3800, 4200)],
    &[
        ("wait", 7000, 7600),
        ("a", 7600, 8500),
        ("moment", 8500, 9500),
    ],
];

struct Line {
    utterances: std::slice::Iter<'static, Utterance>,
    samples: u64,
}

impl Recognizer for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        let is_ada = options.vocabulary.iter().any(|word| word == "ada");
        let utterances = if is_ada { ADA } else { BOB }.iter();
        Ok(Box::new(Line {
            utterances,
            samples: 0,
        }))
    }
}

impl RecognizerStream for Line {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.samples += samples.len() as u64;
        loop {
            let Some(utterance) = self.utterances.as_slice().first() else {
                return Ok(());
            };
            let end = utterance.last().map_or(0, |word| word.2);
            if self.samples < end * 16 {
                return Ok(());
            }
            self.utterances.next();
            let words = utterance.iter().map(|(text, start, end)| RecognisedWord {
                text: (*text).to_owned(),
                start: Duration::from_millis(*start),
                end: Duration::from_millis(*end),
                confidence: 1.0,
            });
            out.push(Recognition::bare(words.collect()));
        }
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

fn request(name: &str) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{name}@example.org"), "name": name});
    request["customVocabulary"] = json!([name]);
    request
}

/// Holds the call. Returns the id of the conversation.
async fn call(server: &Server) -> String {
    let (mut ada, id) = Client::started(server, "call", &request("ada")).await;
    let (mut bob, other) = Client::started(server, "call", &request("bob")).await;
    assert_eq!(id, other);
    let audio = linear16(&silence(Duration::from_secs(10), 16_000));
    ada.send_audio(&audio).await;
    ada.stop().await;
    ada.rest().await;
    bob.send_audio(&audio).await;
    bob.stop().await;
    bob.rest().await;
    id
}

async fn get(server: &Server, path: &str) -> (String, Value) {
    let (head, body) = http(server, &format!("GET /v1/conversations/{path}"), "").await;
    (head, serde_json::from_str(&body).expect(&body))
}

/// Fails if two figures differ by more than a hundredth of the larger one.
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().expect("a number");
    let most = 0.01 * found.abs().max(expected.abs());
    assert!((found - expected).abs() <= most, "{found}, not {expected}");
}

/// Returns who speaks in each millisecond, by the times of the words in the list of messages.
async fn grid(server: &Server, id: &str) -> BTreeMap<i64, BTreeSet<String>> {
    let (_, messages) = get(server, &format!("{id}/messages?verbose=true")).await;
    let time = |word: &Value, name: &str| {
        let time = parse_rfc3339(word[name].as_str().expect("a time")).expect("RFC 3339");
        time / 1_000_000
    };
    let mut grid: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for message in messages["messages"].as_array().expect("a list") {
        let name = message["from"]["name"].as_str().expect("a name");
        for word in message["words"].as_array().expect("words") {
            for cell in time(word, "startTime")..time(word, "endTime") {
                grid.entry(cell).or_default().insert(name.to_owned());
            }
        }
    }
    grid
}

#[tokio::test]
async fn analytics_are_those_of_the_call() {
    let server = Server::bind(ServerConfig::new(Arc::new(Script)))
        .await
        .expect("a free port");
    let id = call(&server).await;
    let (_, found) = get(&server, &format!("{id}/analytics")).await;
    let grid = grid(&server, &id).await;
    let count = |test: &dyn Fn(&BTreeSet<String>) -> bool| {
        grid.values().filter(|cell| test(cell)).count() as f64 / 1000.0
    };
    let (talk, overlap) = (grid.len() as f64 / 1000.0, count(&|cell| cell.len() > 1));
    assert!(overlap > 0.1, "they speak at once");
    let (_, conversation) = get(&server, &id).await;
    let zero = conversation["startTime"]
        .as_str()
        .and_then(parse_rfc3339)
        .expect("a time");
    let end = grid.keys().last().expect("words") + 1;
    let length = (end - zero / 1_000_000) as f64 / 1000.0;
    let metrics = found["metrics"].as_array().expect("a list");
    for (kind, seconds, percent) in [
        ("total_silence", length - talk, (length - talk) / length),
        ("total_talk_time", talk, talk / length),
        ("total_overlap", overlap, overlap / talk),
    ] {
        let metric = metrics
            .iter()
            .find(|metric| metric["type"] == kind)
            .expect(kind);
        near(&metric["seconds"], seconds);
        near(&metric["percent"], percent * 100.0);
    }
    let members = found["members"].as_array().expect("a list");
    let member = |name: &str| {
        members
            .iter()
            .find(|member| member["name"] == name)
            .expect("known")
    };
    for (name, other, own, words, messages) in
        [("ada", "bob", 3.7, 8, 3), ("bob", "ada", 3.5, 6, 2)]
    {
        let told = member(name);
        assert_eq!(told["userId"], format!("{name}@example.org"));
        near(&told["talkTime"]["seconds"], own);
        near(&told["talkTime"]["percentage"], own / talk * 100.0);
        near(&told["listenTime"]["seconds"], talk - own);
        near(
            &told["listenTime"]["percentage"],
            (talk - own) / talk * 100.0,
        );
        near(&told["pace"]["wpm"], f64::from(words) * 60.0 / own);
        assert_eq!(
            (&told["x_words"], &told["x_messages"]),
            (&json!(words), &json!(messages))
        );
        near(&told["overlap"]["overlapDuration"], overlap);
        let with = &told["overlap"]["overlappingMembers"][0];
        assert_eq!(with["name"], other);
        assert_eq!(with["id"], member(other)["id"]);
        near(&with["seconds"], overlap);
        near(&with["percent"], overlap / 7.2 * 100.0);
    }
    // "Are you sure?"
    assert_eq!(
        (&member("ada")["x_questions"], &member("bob")["x_questions"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn who_says_nothing_listens_and_an_unknown_conversation_has_no_analytics() {
    let server = Server::bind(ServerConfig::new(Arc::new(Script)))
        .await
        .expect("a free port");
    let (mut ada, id) = Client::started(&server, "call", &request("ada")).await;
    let (mut bob, _) = Client::started(&server, "call", &request("bob")).await;
    let audio = linear16(&silence(Duration::from_secs(10), 16_000));
    ada.send_audio(&audio).await;
    ada.stop().await;
    ada.rest().await;
    bob.stop().await;
    bob.rest().await;
    let (_, found) = get(&server, &format!("{id}/analytics")).await;
    let members = found["members"].as_array().expect("a list");
    let bob = members
        .iter()
        .find(|member| member["name"] == "bob")
        .expect("Bob");
    near(&bob["listenTime"]["seconds"], 3.7);
    near(&bob["listenTime"]["percentage"], 100.0);
    assert_eq!(bob["talkTime"]["seconds"], 0.0);
    assert_eq!(bob["pace"]["wpm"], 0);
    assert_eq!(bob["overlap"]["overlappingMembers"], json!([]));
    let (head, _) = get(&server, "1234567890123456/analytics").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[tokio::test]
async fn a_speaker_that_asks_is_told_the_figures_while_it_speaks_and_no_other_client_is() {
    let server = Server::bind(ServerConfig::new(Arc::new(Script)))
        .await
        .expect("a free port");
    let mut asking = request("ada");
    asking["config"]["analytics"] = true.into();
    let (mut ada, id) = Client::started(&server, "call", &asking).await;
    let (mut bob, _) = Client::started(&server, "call", &request("bob")).await;
    let audio = linear16(&silence(Duration::from_secs(10), 16_000));
    bob.send_audio(&audio).await;
    bob.stop().await;
    let others = bob.rest().await;
    ada.send_audio(&audio).await;
    ada.stop().await;
    let own = ada.rest().await;
    let kind = "analytics_response";
    assert!(!kinds(&others).contains(&kind) && !kinds(&others).contains(&"warning"));
    let told: Vec<&Value> = own
        .iter()
        .filter(|heard| heard.kind() == kind)
        .map(Heard::json)
        .collect();
    let last = *told.last().expect("figures");
    // The last ones are those of the Conversation API.
    let (_, found) = get(&server, &format!("{id}/analytics")).await;
    assert_eq!(last["metrics"], found["metrics"]);
    assert_eq!(last["x_sentiment"], found["x_sentiment"]);
    let by_id = |of: &Value| {
        let members = of["members"].as_array().expect("a list").iter();
        let named = members.map(|one| (one["id"].to_string(), one.clone()));
        named.collect::<BTreeMap<String, Value>>()
    };
    let (live, found) = (by_id(last), by_id(&found));
    assert_eq!(live.len(), 2);
    assert_eq!(live, found);
}

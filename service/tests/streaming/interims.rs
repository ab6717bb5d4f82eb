// SPDX-License-Identifier: MPL-2.0

//! Words, times and stable words of interims, from the engine to the sockets.

use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

/// An interim: its text, how many words are stable, and whether the times are known.
type Look = (&'static str, usize, bool);

/// Says its interims as soon as audio comes, and the last one as a final.
struct Listener(&'static [Look]);

impl Recognizer for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Listening(self.0)))
    }
}

struct Listening(&'static [Look]);

impl RecognizerStream for Listening {
    fn push(&mut self, _: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let looks = std::mem::take(&mut self.0);
        out.extend(
            looks
                .iter()
                .map(|(text, stable, timed)| Recognition::Interim {
                    words: words(text, *timed),
                    stable: *stable,
                }),
        );
        if let Some((text, ..)) = looks.last() {
            out.push(Recognition::bare(words(text, true)));
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

/// Returns words of 100 ms each from 200 ms on, or all of them at 200 ms.
fn words(text: &str, timed: bool) -> Vec<RecognisedWord> {
    let words = text.split(' ').zip(2u32..);
    let words = words.map(|(word, n)| {
        let unit = Duration::from_millis(100);
        let (start, end) = if timed { (n, n + 1) } else { (2, 2) };
        RecognisedWord {
            text: word.to_owned(),
            start: start * unit,
            end: end * unit,
            confidence: 1.0,
        }
    });
    words.collect()
}

/// Returns all that a client with a tracker for "budget" is told.
async fn told(looks: &'static [Look]) -> Vec<Heard> {
    let mut request = start_request();
    request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget"]}]);
    request["config"]["trackers"] = json!({"interimResults": true});
    told_to(&request, looks).await
}

/// Returns all that a client with this request is told.
async fn told_to(request: &Value, looks: &'static [Look]) -> Vec<Heard> {
    let config = ServerConfig::new(Arc::new(Listener(looks)));
    let server = Server::bind(config).await.expect("a free port");
    let (mut client, _) = Client::started(&server, "interims", request).await;
    let audio = linear16(&silence(Duration::from_millis(600), 16_000));
    client.send_audio(&audio).await;
    client.stop().await;
    client.rest().await
}

/// Returns the first alternatives of the interims.
fn alternatives(heard: &[Heard]) -> Vec<Value> {
    let results = heard
        .iter()
        .filter(|heard| heard.kind() == "recognition_result");
    let messages = results.map(|result| &result.json()["message"]);
    let interims = messages.filter(|message| message["isFinal"] == false);
    interims
        .map(|message| message["payload"]["raw"]["alternatives"][0].clone())
        .collect()
}

/// Returns which interims came before each interim match of a tracker.
fn interim_matches(heard: &[Heard]) -> Vec<usize> {
    let mut interims = 0;
    let mut matches = Vec::new();
    for heard in heard {
        match heard.kind() {
            "recognition_result" if heard.json()["message"]["isFinal"] == false => interims += 1,
            "tracker_response" if heard.json()["isFinal"] == false => matches.push(interims),
            _ => {}
        }
    }
    matches
}

#[tokio::test]
async fn interims_have_the_times_of_their_words_and_say_how_many_are_stable() {
    let heard = told(&[("the budge", 0, true), ("the budget is", 2, true)]).await;
    let interims = alternatives(&heard);
    let time = |ms: u32| json!({"seconds": "0", "nanos": format!("{ms:03}000000")});
    let word = |word: &str, start| json!({"word": word, "startTime": time(start), "endTime": time(start + 100)});
    let first = json!([word("the", 200), word("budge", 300)]);
    let second = json!([word("the", 200), word("budget", 300), word("is", 400)]);
    assert_eq!(interims[0]["words"], first);
    assert_eq!(interims[0].get("x_stableWords"), None);
    assert_eq!(interims[1]["words"], second);
    assert_eq!(interims[1]["x_stableWords"], 2);
    assert_eq!(interims[1]["startTime"], time(200));
    assert_eq!(interims[1]["transcript"], "the budget is");
}

#[tokio::test]
async fn an_interim_without_word_times_may_still_promise_words() {
    let heard = told(&[("the budget is", 2, false)]).await;
    let interims = alternatives(&heard);
    assert_eq!(interims[0]["words"], json!([]));
    assert_eq!(interims[0]["x_stableWords"], 2);
}

#[tokio::test]
async fn a_promise_of_more_words_than_there_are_is_cut() {
    let heard = told(&[("the budget", 7, true)]).await;
    assert_eq!(alternatives(&heard)[0]["x_stableWords"], 2);
}

#[tokio::test]
async fn a_tracker_is_reported_when_its_words_are_stable() {
    let heard = told(&[
        ("well", 1, true),
        ("well budget", 1, true),
        ("well but", 0, true),
        ("well but the budget", 3, true),
        ("well but the budget is", 4, true),
    ])
    .await;
    assert_eq!(interim_matches(&heard), [5]);
}

#[tokio::test]
async fn interims_of_an_engine_that_promises_nothing_are_searched_as_a_whole() {
    let heard = told(&[("well", 0, true), ("well budget", 0, true)]).await;
    assert_eq!(interim_matches(&heard), [2]);
}

#[tokio::test]
async fn a_client_that_wants_finals_only_has_no_interims_of_any_engine() {
    let mut request = start_request();
    let looks: &[Look] = &[("one", 1, true), ("one two", 2, true)];
    let all = told_to(&request, looks).await;
    request["config"]["speechRecognition"]["interimResults"] = false.into();
    let finals = told_to(&request, looks).await;
    assert_eq!(
        (alternatives(&all).len(), alternatives(&finals).len()),
        (2, 0)
    );
    let said = final_words(&all);
    assert_eq!((said.len(), final_words(&finals)), (2, said));
    assert!(!kinds(&finals).contains(&"warning"), "{finals:?}");
}

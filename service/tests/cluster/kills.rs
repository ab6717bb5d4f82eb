// SPDX-License-Identifier: MPL-2.0

//! Nodes that are killed.

use super::*;

/// Speakers, each in a conversation of its own.
const SPEAKERS: usize = 6;

/// Utterances of each speaker, of two words.
const UTTERANCES: u16 = 12;

/// Milliseconds of an utterance of two words with its pause.
const LONG: u64 = 1000;

/// A speaker that keeps what it says until it hears the final of it.
struct Speaker {
    name: String,
    client: Client,
    id: String,
    attempt: u64,
    /// Number of utterances of which it has heard the final.
    heard: u16,
}

impl Speaker {
    async fn new(place: &Process, n: usize) -> Self {
        let name = format!("speaker-{n}");
        let request = start_at(&name, 1, 0);
        let (client, id) = Client::started(place, &name, &request).await;
        Self {
            name,
            client,
            id,
            attempt: 1,
            heard: 0,
        }
    }

    fn audio(n: u16) -> Vec<u8> {
        said(10 * n..10 * n + 2)
    }

    /// Says all utterances from the next one on, and hears the finals of those up to `until`.
    async fn speaks(&mut self, until: u16) {
        for n in self.heard..UTTERANCES {
            self.client.send_audio(&Self::audio(n)).await;
        }
        while self.heard < until {
            self.client.until("message_response").await;
            self.heard += 1;
        }
    }

    /// Goes on at another node behind what it has heard.
    async fn comes_back(&mut self, place: &Process) {
        self.attempt += 1;
        let position = u64::from(self.heard) * LONG;
        let request = start_at(&self.name, self.attempt, position);
        let (client, id) = Client::started(place, &self.name, &request).await;
        assert_eq!(id, self.id, "the same conversation");
        self.client = client;
    }
}

#[tokio::test]
async fn a_node_that_is_killed_loses_no_word_and_doubles_none() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [process(&url), process(&url)];
    let mut speakers = Vec::new();
    let mut listeners = Vec::new();
    for n in 0..SPEAKERS {
        speakers.push(Speaker::new(&a, n).await);
        listeners.push(subscriber(&b, &format!("speaker-{n}")).await);
    }
    // Each has heard another number of finals when the node is killed in the midst.
    for (n, speaker) in speakers.iter_mut().enumerate() {
        speaker.speaks(u16::try_from(n % 4).expect("few")).await;
    }
    a.kill();
    for speaker in &mut speakers {
        speaker.comes_back(&b).await;
        speaker.speaks(UTTERANCES).await;
    }
    let expected: Vec<String> = (0..UTTERANCES)
        .flat_map(|n| [format!("w{}", 10 * n), format!("w{}", 10 * n + 1)])
        .collect();
    for (speaker, listener) in speakers.iter().zip(&mut listeners) {
        let mut words = Vec::new();
        let mut numbers = Vec::new();
        while words.len() < expected.len() {
            let (number, text) = message(listener).await;
            numbers.push(number);
            words.extend(words_of(&text));
        }
        assert_eq!(words, expected, "{} as it was told", speaker.name);
        let all: Vec<u64> = (0..numbers.len() as u64).collect();
        assert_eq!(numbers, all);
        let texts = history(&b, &speaker.id).await;
        let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
        assert_eq!(words, expected, "{} as it is stored", speaker.name);
    }
}

#[tokio::test]
async fn what_only_a_killed_node_had_is_over_in_time() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [process(&url), process(&url)];
    let (mut ada, _) = Client::started(&a, "orphan", &start_as("Ada", 2)).await;
    let mut listener = subscriber(&b, "orphan").await;
    ada.send_audio(&said(0..2)).await;
    assert_eq!(message(&mut listener).await.0, 0);
    a.kill();
    // Its lease of five seconds, and two that its speaker is waited for.
    listener.until("conversation_completed").await;
}

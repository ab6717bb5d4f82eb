// SPDX-License-Identifier: MPL-2.0

//! One event of each kind, with all fields set.

use super::*;

pub fn event(kind: EventKind) -> Event {
    Event {
        generation: 2,
        conversation_id: Some("5751229838262272".into()),
        placement: None,
        json: None,
        kind,
    }
}

pub fn said(kind: EventKind) -> Event {
    Event {
        placement: Some(Placement {
            from: 0,
            until: 300,
            running_time: Some(1_000),
            stream_time: Some(2_000),
            duration: Some(300),
            utc: Some(1_664_999_221_463_000_000),
            delay: Some(Duration::from_nanos(400)),
            replayed: true,
        }),
        json: Some(r#"{"a":1}"#.into()),
        ..event(kind)
    }
}

pub fn speaker() -> Participant {
    Participant {
        id: Some("uuid".into()),
        user_id: Some("u@example.com".into()),
        name: Some("U".into()),
    }
}

pub fn words() -> Vec<PlacedWord> {
    vec![
        PlacedWord {
            word: "say \"hi\"".into(),
            audio: 0..5,
            running_time: Some(10),
            duration: Some(5),
        },
        PlacedWord {
            word: "there".into(),
            audio: 5..300,
            running_time: None,
            duration: None,
        },
    ]
}

pub fn transcript() -> Event {
    said(EventKind::Transcript {
        text: "Hi there.".into(),
        is_final: true,
        utterance_id: "u1".into(),
        confidence: Some(0.75),
        speaker: Some(speaker()),
        words: words(),
        stable_words: 0,
    })
}

pub fn interim() -> Event {
    said(EventKind::Transcript {
        text: "Say \"hi\" there".into(),
        is_final: false,
        utterance_id: "u1".into(),
        confidence: Some(0.0),
        speaker: Some(speaker()),
        words: words(),
        stable_words: 1,
    })
}

pub fn message() -> Event {
    said(EventKind::Message {
        id: Some("m".into()),
        text: "Hi there.".into(),
        original_text: Some("hi there".into()),
        utterance_id: Some("u1".into()),
        speaker: Some(Participant {
            user_id: None,
            ..speaker()
        }),
        words: words().split_off(1),
        sentiment: Some(-0.5),
    })
}

pub fn insight() -> Event {
    said(EventKind::Insight(Insight {
        id: Some("i".into()),
        kind: "action_item".into(),
        text: "Call Bob.".into(),
        confidence: Some(1.0),
        message_id: Some("m".into()),
        assignee: Some(speaker()),
        from: Some(speaker()),
        due_by: Some("2022-10-06T00:00:00Z".into()),
        json: "{}".into(),
    }))
}

pub fn tracker() -> Event {
    let found = TrackerMatch {
        id: Some("1".into()),
        name: "Price".into(),
        kind: Some("vocabulary".into()),
        value: "how much".into(),
        message_id: Some("m".into()),
        text: Some("How much is it?".into()),
        offset: Some(-1),
        json: "{}".into(),
    };
    said(EventKind::Tracker {
        found,
        is_final: true,
    })
}

pub fn topic() -> Event {
    said(EventKind::Topic(Topic {
        id: Some("t".into()),
        text: "budget".into(),
        score: Some(0.25),
        message_ids: vec!["m".into()],
        json: "{}".into(),
    }))
}

pub fn entity() -> Event {
    said(EventKind::Entity(Entity {
        kind: "location".into(),
        sub_type: Some("city".into()),
        category: Some("General".into()),
        value: "Paris".into(),
        message_id: Some("m".into()),
        json: "{}".into(),
    }))
}

pub fn analytics() -> Event {
    let mut event = event(EventKind::Analytics {
        talk_time: Some(Duration::from_millis(7_300)),
        silence: Some(Duration::from_millis(2_100)),
        overlap: Some(Duration::from_millis(300)),
    });
    event.json = Some("{}".into());
    event
}

pub fn state_after_a_failure() -> Event {
    let mut failure = Failure::closed(1011, "boom");
    failure.http_status = Some(503);
    event(EventKind::State {
        state: Session::Reconnecting,
        previous: Session::Listening,
        failure: Some(failure),
        attempt: 3,
        retry_in: Some(Duration::from_millis(250)),
    })
}

pub fn session(event_kind: SessionEvent, previous: Option<&str>) -> Event {
    event(EventKind::Session {
        event: event_kind,
        previous_conversation_id: previous.map(Into::into),
    })
}

pub fn gap() -> Event {
    let mut event = said(EventKind::Gap {
        reason: GapReason::BufferFull,
    });
    event.json = None;
    event
}

pub fn drained() -> Event {
    event(EventKind::Drained {
        complete: false,
        unconfirmed: 1_500_000_000,
    })
}

pub fn error() -> Event {
    let mut event = event(EventKind::Error {
        message: Some("bad".into()),
        details: Some("very".into()),
        fatal: true,
    });
    event.json = Some("{}".into());
    event
}

pub fn raw() -> Event {
    let mut event = event(EventKind::Raw {
        kind: "news_response".into(),
    });
    event.json = Some("{}".into());
    event
}

// SPDX-License-Identifier: MPL-2.0

//! The suite that every store passes. This part is about the log; [`records`] is about
//! what the Conversation API reads, [`notes`] and [`search`] are about what clients add to
//! conversations and find in them.

mod measure;
mod notes;
mod random;
mod records;
mod search;
mod speakers;

use crate::conversation::entry::{Body, Entry, Message, Part, Sent, Speaker, Transcribed, Word};
use crate::conversation::log::{
    Begun, Log, Sending, SessionRecord, StartRecord, StreamPosition, Verdict,
};
use crate::conversation::memory::MemoryLog;
use crate::ids::new_id;
use crate::limits::Limits;
use crate::store::sqlite::Store;
use std::sync::{Arc, Mutex};

/// Runs a test with each log.
fn with_each(test: impl Fn(&dyn Log)) {
    test(&MemoryLog::default());
    test(&Store::open(None, &Limits::default()).expect("memory"));
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(directory.path()), &Limits::default());
    test(&store.expect("a database"));
    if let Some(store) = cluster() {
        test(&store);
    }
}

/// Returns a store in a new database of a PostgreSQL, where one is installed.
#[cfg(feature = "cluster")]
fn cluster() -> Option<crate::store::postgres::Store> {
    let url = symbl_testkit::postgres::Postgres::shared()?.database();
    Some(crate::store::postgres::Store::open(&url).expect("a cluster"))
}

/// Returns no store, because the feature is off.
#[cfg(not(feature = "cluster"))]
fn cluster() -> Option<Store> {
    None
}

fn speaker(id: &str) -> Speaker {
    Speaker {
        id: id.to_owned(),
        ..Speaker::default()
    }
}

fn start(conversation: i64, stream_position: Option<StreamPosition>) -> StartRecord {
    StartRecord {
        conversation,
        account: "app".to_owned(),
        connection_id: "room".to_owned(),
        session: format!("session-{conversation}"),
        title: Some("Talk".to_owned()),
        at: 1,
        keep: 10,
        speaker: Some(speaker("ada")),
        ends: None,
        stream_position,
    }
}

fn position(attempt: u64, position: u64) -> Option<StreamPosition> {
    Some(StreamPosition {
        stream: "s".to_owned(),
        attempt,
        position,
    })
}

/// Returns a final of one word, with the attempt of its stream and the position at which
/// it ends.
fn said(text: &str, part: Option<(u64, u64)>) -> Transcribed {
    Transcribed {
        start: 5,
        speaker: speaker("ada"),
        text: text.to_owned(),
        words: vec![Word {
            text: text.to_owned(),
            start: 0,
            end: 1,
        }],
        messages: vec![Message {
            id: new_id(),
            text: text.to_owned(),
            original_text: text.to_owned(),
            words: 0..1,
        }],
        part: part.map(|(attempt, until)| Part {
            stream: "s".to_owned(),
            attempt,
            base: 0,
            from: until.saturating_sub(1),
            until,
        }),
        ..Transcribed::default()
    }
}

fn begin(log: &dyn Log, conversation: i64, stream_position: Option<StreamPosition>) -> Begun {
    let begun = log.begin(start(conversation, stream_position), Box::new(|_| {}));
    begun.expect("begun")
}

fn append(log: &dyn Log, conversation: i64, said: Transcribed) -> Verdict {
    let verdict = log.append(conversation, said, Box::new(|_| {}));
    verdict.expect("an answer")
}

/// Ends a conversation, and waits until that is in the log.
fn finish(log: &dyn Log, conversation: i64, at: i64) {
    let (tell, told) = std::sync::mpsc::channel();
    let committed = move |_: &[Arc<Entry>]| tell.send(()).expect("awaited");
    log.finish(conversation, at, Box::new(committed));
    let told = told.recv_timeout(std::time::Duration::from_secs(60));
    assert_ne!(told, Err(std::sync::mpsc::RecvTimeoutError::Timeout));
}

fn read(log: &dyn Log, conversation: i64) -> Vec<Arc<Entry>> {
    log.read(conversation, 0, usize::MAX).expect("entries")
}

fn kinds(log: &dyn Log, conversation: i64) -> Vec<&'static str> {
    let entries = read(log, conversation);
    let numbers = entries.iter().map(|entry| entry.seq);
    let expected: Vec<u64> = (1..=entries.len() as u64).collect();
    assert_eq!(numbers.collect::<Vec<_>>(), expected, "no hole");
    entries.iter().map(|entry| entry.body.kind()).collect()
}

#[test]
fn a_log_has_what_happened_in_order_and_each_final_its_number() {
    with_each(|log| {
        begin(log, 1, None);
        begin(log, 1, None);
        assert_eq!(append(log, 1, said("a", None)), Verdict::Stored(3));
        log.close(1, i64::MAX);
        assert_eq!(append(log, 1, said("b", None)), Verdict::Stored(5));
        finish(log, 1, 9);
        assert_eq!(append(log, 1, said("c", None)), Verdict::Over);
        let expected = ["opened", "member", "said", "closed", "said", "left", "over"];
        assert_eq!(kinds(log, 1), expected);
        let entries = read(log, 1);
        let finals: Vec<&Transcribed> = entries.iter().filter_map(|e| e.body.said()).collect();
        let numbers: Vec<_> = finals.iter().map(|said| (said.number, said.zero)).collect();
        assert_eq!(numbers, [(0, 5), (1, 5)]);
        let opened = entries.first().map(|entry| entry.body.clone());
        let title = Some("Talk".to_owned());
        assert_eq!(opened, Some(Body::Opened { title }));
        let found: Vec<u64> = (-1..=2)
            .map(|n| log.entry_of(1, n).expect("read"))
            .collect();
        assert_eq!(found, [0, 3, 5, 5]);
        let later = log.read(1, 3, 1).expect("read");
        let later: Vec<u64> = later.iter().map(|entry| entry.seq).collect();
        assert_eq!(later, [4]);
    });
}

#[test]
fn what_is_read_is_what_was_appended() {
    with_each(|log| {
        begin(log, 1, position(1, 0));
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let committed = Box::new(move |entries: &[Arc<Entry>]| {
            heard.lock().expect("a lock").extend_from_slice(entries);
        });
        let mut final_ = said("Grüße, \"Welt\"\u{2028}", Some((1, 7)));
        final_.insights.push(Default::default());
        final_.insights[0].message = final_.messages[0].id;
        final_.insights[0].id = new_id();
        log.append(1, final_.clone(), committed).expect("stored");
        final_.zero = 5;
        let told = told.lock().expect("a lock");
        let read = read(log, 1);
        assert_eq!(told.as_slice(), read.get(2..).expect("a final"));
        assert_eq!(told[0].body.said(), Some(&final_));
    });
}

#[test]
fn audio_that_comes_again_is_said_once_and_told_to_its_speaker() {
    with_each(|log| {
        let first = begin(log, 1, position(1, 0));
        let nothing = Begun::Here {
            said_until: 0,
            unheard: Vec::new(),
        };
        assert_eq!(first, nothing);
        append(log, 1, said("a", Some((1, 10))));
        append(log, 1, said("b", Some((1, 20))));
        // The client has received the first final and not the second one.
        let again = begin(log, 1, position(2, 10));
        let Begun::Here {
            said_until,
            unheard,
        } = again
        else {
            panic!("{again:?}")
        };
        assert_eq!(said_until, 20);
        let texts: Vec<&str> = unheard
            .iter()
            .filter_map(|entry| entry.body.said())
            .map(|said| said.text.as_str())
            .collect();
        assert_eq!(texts, ["b"]);
        assert_eq!(append(log, 1, said("b", Some((2, 20)))), Verdict::Already);
        assert_eq!(append(log, 1, said("c", Some((2, 30)))), Verdict::Stored(5));
        assert_eq!(kinds(log, 1), ["opened", "member", "said", "said", "said"]);
    });
}

#[test]
fn within_one_attempt_nothing_comes_twice_however_an_engine_times_it() {
    with_each(|log| {
        begin(log, 1, position(1, 0));
        let mut timeless = said("a", Some((1, 0)));
        assert_eq!(append(log, 1, timeless.clone()), Verdict::Stored(3));
        timeless.messages[0].id = new_id();
        assert_eq!(append(log, 1, timeless), Verdict::Stored(4));
        assert_eq!(append(log, 1, said("b", Some((1, 20)))), Verdict::Stored(5));
        assert_eq!(append(log, 1, said("c", Some((1, 10)))), Verdict::Stored(6));
        let Begun::Here { said_until, .. } = begin(log, 1, position(2, 0)) else {
            panic!("superseded")
        };
        assert_eq!(said_until, 20);
    });
}

#[test]
fn a_start_that_is_not_the_last_one_of_its_stream_says_nothing_more() {
    with_each(|log| {
        begin(log, 1, position(1, 0));
        begin(log, 1, position(3, 0));
        let late = append(log, 1, said("a", Some((1, 10))));
        assert_eq!(late, Verdict::Superseded);
        // Start requests may arrive in another order than they were sent.
        for attempt in [1, 2, 3] {
            assert_eq!(begin(log, 1, position(attempt, 0)), Begun::Superseded);
        }
        assert_eq!(append(log, 1, said("a", Some((3, 10)))), Verdict::Stored(3));
        // This stream has had no start request.
        begin(log, 2, None);
        let unknown = append(log, 2, said("a", Some((1, 10))));
        assert_eq!(unknown, Verdict::Superseded);
        assert_eq!(kinds(log, 2), ["opened", "member"]);
    });
}

#[test]
fn sixteen_writers_leave_no_hole_and_are_told_in_the_order_of_the_log() {
    const EACH: usize = 50;
    with_each(|log| {
        let told = Mutex::new(Vec::new());
        let told = Arc::new(told);
        begin(log, 1, None);
        std::thread::scope(|scope| {
            for writer in 0..16 {
                let told = Arc::clone(&told);
                scope.spawn(move || {
                    for n in 0..EACH {
                        let told = Arc::clone(&told);
                        let committed = Box::new(move |entries: &[Arc<Entry>]| {
                            let numbers = entries.iter().map(|entry| entry.seq);
                            told.lock().expect("a lock").extend(numbers);
                        });
                        let said = said(&format!("{writer} {n}"), None);
                        log.append(1, said, committed).expect("stored");
                    }
                });
            }
        });
        let all = 2 + 16 * EACH;
        assert_eq!(kinds(log, 1).len(), all);
        let told = told.lock().expect("a lock");
        let expected: Vec<u64> = (3..=all as u64).collect();
        assert_eq!(*told, expected);
        let entries = read(log, 1);
        let numbers = entries.iter().filter_map(|entry| entry.body.said());
        let numbers: Vec<u64> = numbers.map(|said| said.number).collect();
        let expected: Vec<u64> = (0..numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
    });
}

#[test]
fn who_may_be_come_back_to_is_found_again() {
    with_each(|log| {
        begin(log, 1, None);
        begin(log, 2, None);
        finish(log, 2, 1);
        append(log, 1, said("a", None));
        log.close(1, i64::MAX);
        // The calls that do not block take effect before the next one that does.
        begin(log, 3, None);
        let open = log.still_open().expect("read");
        let one = open.iter().find(|open| open.id == 1).expect("it is open");
        assert_eq!((one.head, one.zero, one.ends), (4, Some(5), i64::MAX));
        assert_eq!(one.members, [speaker("ada")]);
        assert!(!open.iter().any(|open| open.id == 2), "it is over");
    });
}

#[test]
fn a_final_of_a_conversation_that_is_not_known_is_an_error() {
    with_each(|log| {
        let refused = log.append(404, said("a", None), Box::new(|_| panic!("nothing is new")));
        assert!(refused.is_err(), "{refused:?}");
        assert!(read(log, 404).is_empty());
    });
}

fn sent(client_id: &str, corrects: Option<i64>) -> Sent {
    Sent {
        client_id: client_id.to_owned(),
        from: speaker("operator"),
        text: format!("text of {client_id}"),
        corrects,
    }
}

fn send(log: &dyn Log, conversation: i64, sent: Sent) -> Sending {
    let sending = log.send(conversation, sent, None, Box::new(|_| {}));
    sending.expect("an answer")
}

#[test]
fn a_text_is_stored_once_however_often_it_is_sent() {
    with_each(|log| {
        begin(log, 1, None);
        assert_eq!(send(log, 1, sent("a", None)), Sending::Stored(3));
        assert_eq!(send(log, 1, sent("b", None)), Sending::Stored(4));
        assert_eq!(send(log, 1, sent("a", None)), Sending::Already(3));
        let another = Sent {
            text: "another text".to_owned(),
            ..sent("a", None)
        };
        assert_eq!(send(log, 1, another), Sending::Taken);
        assert_eq!(send(log, 1, sent("a", Some(7))), Sending::Taken);
        // The ids of another conversation are others.
        begin(log, 2, None);
        assert_eq!(send(log, 2, sent("a", None)), Sending::Stored(3));
        finish(log, 1, 9);
        assert_eq!(send(log, 1, sent("c", None)), Sending::Over);
        // Its client has not received the answer.
        assert_eq!(send(log, 1, sent("b", None)), Sending::Already(4));
        let expected = ["opened", "member", "sent", "sent", "left", "over"];
        assert_eq!(kinds(log, 1), expected);
        let stored = read(log, 1);
        assert_eq!(stored[2].body, Body::Sent(sent("a", None)));
    });
}

#[test]
fn a_correction_is_of_a_message_of_its_conversation() {
    with_each(|log| {
        begin(log, 1, None);
        begin(log, 2, None);
        let said = said("a", None);
        let message = said.messages[0].id;
        append(log, 1, said.clone());
        let of_it = |id: &str| sent(id, Some(message));
        assert_eq!(send(log, 1, of_it("a")), Sending::Stored(4));
        assert_eq!(send(log, 1, of_it("b")), Sending::Stored(5));
        assert_eq!(send(log, 2, of_it("c")), Sending::NoSuchMessage);
        let unknown = sent("d", Some(message ^ 1));
        assert_eq!(send(log, 1, unknown), Sending::NoSuchMessage);
        // The original stays.
        let text = read(log, 1)[2].body.said().map(|said| said.text.clone());
        assert_eq!(text.as_deref(), Some("a"));
    });
}

#[test]
fn a_conversation_is_found_by_its_session_and_account() {
    with_each(|log| {
        let open = StartRecord {
            conversation: 7,
            account: "app".to_owned(),
            connection_id: "seven".to_owned(),
            session: "session-7".to_owned(),
            title: Some("Talk".to_owned()),
            at: 1,
            keep: 10,
            speaker: None,
            ends: Some(i64::MAX),
            stream_position: None,
        };
        log.begin(open, Box::new(|_| {})).expect("stored");
        begin(log, 1, None);
        let found = |account: &str, session: &str| log.session(account, session).expect("read");
        let mut seven = SessionRecord {
            conversation: 7,
            connection_id: "seven".to_owned(),
            opened: 1,
            over: None,
            head: 1,
        };
        assert_eq!(found("app", "session-7").as_ref(), Some(&seven));
        assert_eq!(
            found("app", "session-1").map(|found| found.conversation),
            Some(1)
        );
        for (account, session) in [("other", "session-7"), ("app", "session-8"), ("app", "")] {
            assert_eq!(found(account, session), None, "{account} {session}");
        }
        let open = log.still_open().expect("read");
        let open = open.iter().find(|open| open.id == 7).expect("open");
        assert_eq!(
            (open.session.as_str(), open.opened, open.ends),
            ("session-7", 1, i64::MAX)
        );
        finish(log, 7, 9);
        // The end is written when a later write is.
        assert_eq!(append(log, 7, said("late", None)), Verdict::Over);
        (seven.over, seven.head) = (Some(9), 2);
        assert_eq!(found("app", "session-7"), Some(seven));
        assert_eq!(kinds(log, 7), ["opened", "over"]);
    });
}

#[test]
fn a_text_postpones_the_end_of_a_conversation_without_speakers() {
    with_each(|log| {
        begin(log, 1, None);
        let soon = i64::MAX - 9;
        let later = |ends| {
            let sent = sent(&format!("until {ends}"), None);
            log.send(1, sent, Some(ends), Box::new(|_| {}))
                .expect("stored");
            let open = log.still_open().expect("read");
            open[0].ends
        };
        // A speaker is there, and if that is lost it is waited for as long as it asked.
        later(i64::MAX);
        log.close(1, soon);
        assert_eq!(later(soon - 1), soon);
        assert_eq!(later(soon + 1), soon + 1);
    });
}

/// Returns who came and who left in a conversation, in order.
fn presence(log: &dyn Log, conversation: i64) -> Vec<(&'static str, String)> {
    let entries = read(log, conversation);
    let presence = entries.iter().filter_map(|entry| match &entry.body {
        Body::Member(speaker) | Body::Left(speaker) => {
            Some((entry.body.kind(), speaker.id.clone()))
        }
        _ => None,
    });
    presence.collect()
}

#[test]
fn a_speaker_leaves_once_and_is_a_member_anew_when_it_is_back() {
    with_each(|log| {
        let comes = |id: &str| {
            let mut start = start(1, None);
            start.speaker = Some(speaker(id));
            log.begin(start, Box::new(|_| {})).expect("begun");
        };
        let leave = |here: &[&str]| {
            let (tell, told) = std::sync::mpsc::channel();
            let committed = move |entries: &[Arc<Entry>]| {
                let kinds = entries.iter().map(|entry| entry.body.kind());
                tell.send(kinds.collect::<Vec<_>>()).expect("awaited");
            };
            let here = here.iter().map(|id| (*id).to_owned()).collect();
            log.left(1, here, Box::new(committed));
            told.recv_timeout(std::time::Duration::from_secs(60))
                .expect("an answer")
        };
        comes("ada");
        comes("bob");
        assert!(leave(&["bob", "ada"]).is_empty(), "both are here");
        assert_eq!(leave(&["bob"]), ["left"]);
        assert!(leave(&["bob"]).is_empty(), "she left before");
        comes("ada");
        comes("ada");
        assert_eq!(leave(&["ada"]), ["left"]);
        let (tell, told) = std::sync::mpsc::channel();
        let over = move |entries: &[Arc<Entry>]| tell.send(entries.len()).expect("awaited");
        log.finish(1, 9, Box::new(over));
        let told = told.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(told, Ok(2), "ada and the end");
        assert!(leave(&[]).is_empty(), "it is over");
        let expected = [
            ("member", "ada"),
            ("member", "bob"),
            ("left", "ada"),
            ("member", "ada"),
            ("left", "bob"),
            ("left", "ada"),
        ];
        let expected = expected.map(|(kind, id)| (kind, id.to_owned()));
        assert_eq!(presence(log, 1), expected);
        assert_eq!(kinds(log, 1).last(), Some(&"over"));
        let last = read(log, 1).pop().expect("an entry");
        assert_eq!(last.at, 9);
    });
}

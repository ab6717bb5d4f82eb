// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::session::{EventKind, SessionConfig};
use crate::transport::Proxy;
use symbl_protocol::reply::{self, SpokenWord};
use symbl_protocol::{ClientMessage, Encoding, StartRequest, StreamFormat, StreamPlace};
use symbl_testkit::peer::{Message, Peer, Record, Script, close};

const SOON: Duration = Duration::from_secs(20);
/// Bytes of a chunk of 100 ms.
const CHUNK: usize = 3200;

impl Host for Mutex<Vec<Event>> {
    fn event(&self, event: Event) {
        let mut told = self.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(event);
    }
}

fn format() -> StreamFormat {
    StreamFormat::new(Encoding::Linear16, 16_000).unwrap()
}

/// Returns a session that has not begun.
pub fn session() -> Session {
    Session::new(SessionConfig::new(StartRequest::new(format())))
}

/// Returns the endpoint of a service without TLS and without tokens.
pub fn endpoint(base_url: String) -> Endpoint {
    Endpoint {
        base_url,
        streaming_path: "/".into(),
        connection_id: "id".into(),
        token: TokenSource::None,
        token_in_query: false,
        ca_file: None,
        tls_verify: true,
        proxy: Proxy::default(),
        request_timeout: Duration::from_secs(60),
    }
}

/// Returns a connection with paced audio to a service that is ready, and its events.
fn listening(peer: &Peer) -> (Connection, Arc<Mutex<Vec<Event>>>) {
    let host: Arc<Mutex<Vec<Event>>> = Arc::default();
    let weak: Weak<dyn Host> = Arc::downgrade(&(Arc::clone(&host) as Arc<dyn Host>));
    let connection = Connection::open(session(), endpoint(peer.base_url()), weak).unwrap();
    connection.set_format(AudioFormat::new(format()));
    until("listening and asleep", || {
        let locked = connection.shared.lock();
        locked.session.state() == State::Listening && locked.sleep.is_some()
    });
    (connection, host)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < SOON, "{what}");
        std::thread::yield_now();
    }
}

/// Pushes a chunk whose content is its number, and returns the content.
fn push(connection: &Connection, number: u32) -> Vec<u8> {
    let data: Vec<u8> = number.to_le_bytes().repeat(CHUNK / 4);
    let audio = Audio {
        data: &data,
        instants: Instants::default(),
        duration: None,
        speed: 1.0,
    };
    connection.push_audio(&audio);
    data
}

#[test]
fn paced_audio_is_sent_although_the_network_thread_is_busy() {
    let peer = Peer::start(Script::listening());
    let (connection, _host) = listening(&peer);
    let (busy, is_busy) = mpsc::sync_channel(1);
    let (release, released) = mpsc::channel::<()>();
    runtime::runtime().unwrap().spawn(async move {
        busy.send(()).unwrap();
        let _ = released.recv_timeout(SOON);
    });
    is_busy.recv_timeout(SOON).unwrap();
    let sent = [push(&connection, 1), push(&connection, 2)].concat();
    // At most half of the time for which the network thread is busy.
    assert!(peer.wait_for(|records| records[0].audio() == sent, SOON / 2));
    drop(release);
}

#[test]
fn frames_stay_in_order_when_the_streaming_thread_sends_for_the_task() {
    const CHUNKS: u32 = 6000;
    let peer = Peer::start(Script::listening());
    let (connection, host) = listening(&peer);
    let sent = std::thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        let (peer, connection) = (&peer, &connection);
        // Meanwhile results keep the task awake, with sleeps in between.
        scope.spawn(move || {
            let topic = r#"{"type":"topic_response","topics":[{"id":"1","phrases":"a pump"}]}"#;
            while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
                peer.say(0, Message::text(topic));
                std::thread::yield_now();
            }
        });
        let sent: Vec<Vec<u8>> = (0..CHUNKS)
            .map(|number| {
                connection.wait_for_room(connection.interruptions());
                push(connection, number)
            })
            .collect();
        drop(end);
        sent.concat()
    });
    let all = CHUNKS as usize;
    assert!(peer.wait_for(|records| records[0].audio_messages().len() == all, SOON));
    assert!(peer.records()[0].audio() == sent, "another order");
    let is_topic = |event: &Event| matches!(event.kind, EventKind::Topic(_));
    assert!(host.lock().unwrap().iter().any(is_topic));
}

#[test]
fn an_output_that_is_no_frame_is_left_to_the_task() {
    let peer = Peer::start(Script::listening());
    let (connection, _host) = listening(&peer);
    let before = push(&connection, 1);
    connection.set_speaker(Speaker {
        user_id: None,
        name: Some("Another".into()),
    });
    // The conversation continues with another start, on another connection.
    push(&connection, 2);
    let goes_on = |records: &[Record]| records[0].ended && records.len() > 1;
    assert!(peer.wait_for(goes_on, SOON));
    let records = peer.records();
    assert_eq!(records[0].close_code(), Some(1001));
    assert_eq!(records[0].audio(), before);
}

#[test]
fn audio_after_a_close_frame_does_not_hide_the_close_code() {
    let peer = Peer::start(Script::listening());
    let (connection, host) = listening(&peer);
    peer.say(0, close(1008));
    let mut number = 0;
    let mut code = None;
    until("the session has failed", || {
        number += 1;
        push(&connection, number);
        let told = host.lock().unwrap();
        code = told.iter().find_map(|event| match &event.kind {
            EventKind::Failed(failure) => Some(failure.close_code),
            _ => None,
        });
        code.is_some()
    });
    assert_eq!(code, Some(Some(1008)));
}

/// Returns the text of the start request on this connection, once it has come.
fn start_request(record: &Record) -> Option<&str> {
    record.frames.iter().find_map(|frame| match frame {
        Message::Text(text) if text.contains("start_request") => Some(text.as_str()),
        _ => None,
    })
}

fn place(record: &Record) -> Option<StreamPlace> {
    match ClientMessage::parse(start_request(record)?) {
        Ok(ClientMessage::Start(request)) => request.stream,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_that_does_not_announce_itself_is_told_nothing_of_the_stream() {
    let peer = Peer::start(Script::listening());
    let _held = listening(&peer);
    let records = peer.records();
    let text = start_request(&records[0]).unwrap();
    assert!(!text.contains("x_stream"), "{text}");
}

#[test]
fn a_service_that_announces_itself_is_told_where_replayed_audio_stands() {
    let peer = Peer::start(Script::listening().announcing("1"));
    let (connection, _host) = listening(&peer);
    let first = place(&peer.records()[0]).unwrap();
    assert_eq!((first.attempt, first.position), (1, 0));
    let chunks: Vec<_> = (1..=5).map(|number| push(&connection, number)).collect();
    assert!(peer.wait_for(|records| records[0].audio() == chunks.concat(), SOON));

    // Two chunks are finalised, and the others are sent again.
    let word = SpokenWord {
        text: "pump",
        start: Duration::ZERO,
        end: Duration::from_millis(200),
    };
    let message = reply::Message {
        id: "1",
        from: reply::Person::default(),
        text: word.text,
        original_text: word.text,
        timezone_offset: 0,
        words: std::slice::from_ref(&word),
        stream_offset: Duration::ZERO,
        conversation_start: 0,
        stream: None,
        entities: &[],
        sentiment: None,
        phrases: None,
    };
    let message = reply::message_response(std::slice::from_ref(&message), 0);
    let words = std::slice::from_ref(&word);
    let transcript = reply::final_result(word.text, words, 0.9, None, 0);
    peer.say(0, Message::text(transcript));
    peer.say(0, Message::text(message));
    peer.say(0, close(1012));
    let replayed = chunks[2..].concat();
    let again = |records: &[Record]| records.get(1).is_some_and(|r| r.audio() == replayed);
    assert!(peer.wait_for(again, SOON), "another replay");
    let second = place(&peer.records()[1]).unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!((second.attempt, second.position), (2, 200_000_000));
}

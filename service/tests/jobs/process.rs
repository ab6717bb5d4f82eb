// SPDX-License-Identifier: MPL-2.0

//! The Async API from outside: texts, recordings, and what a client may get wrong.

use crate::common::jobs::*;
use crate::common::*;
use serde_json::json;
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const RATE: u32 = 16_000;

fn named(words: std::ops::Range<u16>, name: &str) -> Vec<(String, String)> {
    words
        .map(|word| (name.to_owned(), format!("w{word}")))
        .collect()
}

#[tokio::test]
async fn a_text_becomes_a_conversation_and_more_of_it_comes_behind() {
    let server = server().await;
    let text = json!({
        "name": "Business Meeting", "detectEntities": "true", "confidenceThreshold": 0.6,
        "metadata": {"case": "7"}, "trackers": [{"name": "Report", "vocabulary": ["the report"]}],
        "messages": [
            {"payload": {"content": "Hello. I will send the report by Friday."},
             "from": {"name": "John", "userId": "john@example.com"},
             "duration": {"startTime": "2020-07-21T16:04:19.99Z", "endTime": "2020-07-21T16:04:21.99Z"}},
            {"payload": {"content": "Thank you."}, "from": {"name": "Ada"}},
        ],
    });
    let (status, made) = ask(&server, "POST /v1/process/text", &text.to_string()).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["warnings"].is_null(), "{made}");
    let job = ended(&server, &made).await;
    assert_eq!(
        (&job["status"], &job["id"]),
        (&json!("completed"), &made["jobId"])
    );
    assert_eq!(job["progress"], json!({"messages": 2, "of": 2}));
    let all = messages(&server, &made, "").await;
    let brief = |m: &serde_json::Value| json!([m["text"], m["from"]["name"], m["startTime"]]);
    assert_eq!(
        all.iter().map(brief).collect::<Vec<_>>(),
        [
            json!(["Hello.", "John", "2020-07-21T16:04:19.990Z"]),
            json!([
                "I will send the report by Friday.",
                "John",
                "2020-07-21T16:04:20.240Z"
            ]),
            json!(["Thank you.", "Ada", "2020-07-21T16:04:21.990Z"]),
        ]
    );
    let base = format!(
        "/v1/conversations/{}",
        made["conversationId"].as_str().expect("an id")
    );
    let (_, conversation) = get(&server, &base, "").await;
    assert_eq!(conversation["name"], "Business Meeting");
    // It ends with what was said last, not when the job was done.
    assert_eq!(conversation["endTime"], "2020-07-21T16:04:22.790Z");
    assert_eq!(conversation["x_status"], "over");
    let (_, items) = get(&server, &format!("{base}/action-items"), "").await;
    assert_eq!(
        items["actionItems"][0]["dueBy"], "2020-07-24T00:00:00.000Z",
        "{items}"
    );
    let (_, trackers) = get(&server, &format!("{base}/trackers-detected"), "").await;
    assert!(trackers.to_string().contains("Report"), "{trackers}");

    let id = made["conversationId"].as_str().expect("an id");
    let more =
        json!({"messages": [{"payload": {"content": "One more thing."}, "from": {"name": "Ada"}}]});
    let (status, again) = ask(
        &server,
        &format!("PUT /v1/process/text/{id}"),
        &more.to_string(),
    )
    .await;
    assert_eq!(
        (status, &again["conversationId"]),
        (201, &made["conversationId"])
    );
    assert_eq!(ended(&server, &again).await["status"], "completed");
    let all = messages(&server, &made, "").await;
    assert_eq!(all.len(), 4);
    // It begins where the conversation ended, not years later.
    assert!(
        all[3]["timeOffset"].as_f64().is_some_and(|at| at < 10.0),
        "{}",
        all[3]
    );
    let (_, members) = get(&server, &format!("{base}/members"), "").await;
    assert_eq!(
        members["members"].as_array().map(Vec::len),
        Some(2),
        "{members}"
    );
}

#[tokio::test]
async fn the_channels_of_a_call_are_its_speakers() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = with_decoder();
    config.data = Some(data.path().to_owned());
    let server = Server::bind(config).await.expect("a server");
    let mut left = speech(0..15, RATE);
    left.extend(silence(Duration::from_secs(4), RATE));
    let mut right = silence(Duration::from_millis(3500), RATE);
    right.extend(speech(100..112, RATE));
    let call = wav(&[left, right]);
    let channels = "%5B%7B%22channel%22%3A1%2C%22speaker%22%3A%7B%22name%22%3A%22Ada%22%2C%22email%22\
                    %3A%22ada%40example.org%22%7D%7D%2C%7B%22channel%22%3A2%2C%22speaker%22%3A%7B\
                    %22name%22%3A%22Bob%22%7D%7D%5D";
    let path = format!(
        "POST /v1/process/audio?name=Call&enableSeparateRecognitionPerChannel=true&channelMetadata={channels}"
    );
    let (status, made) = upload(&server, &path, &call).await;
    assert_eq!(status, 201, "{made}");
    let job = ended(&server, &made).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["progress"]["audioSeconds"], 7.0, "{job}");
    let all = messages(&server, &made, "").await;
    let mut found = words(&all);
    found.sort();
    let mut expected = [named(0..15, "Ada"), named(100..112, "Bob")].concat();
    expected.sort();
    assert_eq!(found, expected);
    let ada = all
        .iter()
        .find(|m| m["from"]["name"] == "Ada")
        .expect("Ada");
    assert_eq!(ada["from"]["email"], "ada@example.org");
    // Both channels count from the beginning of the recording.
    let bob = all
        .iter()
        .find(|m| m["from"]["name"] == "Bob")
        .expect("Bob");
    let offset = bob["timeOffset"].as_f64().expect("a time");
    assert!((3.4..3.6).contains(&offset), "{offset}");
    assert!(
        spooled(data.path()).is_empty(),
        "{:?}",
        spooled(data.path())
    );

    // Without the parameter the channels are mixed into one speaker.
    let one = wav(&[speech(7..12, RATE), Vec::new()]);
    let (_, made) = upload(&server, "POST /v1/process/video", &one).await;
    assert_eq!(ended(&server, &made).await["status"], "completed");
    assert_eq!(words(&messages(&server, &made, "").await), named(7..12, ""));

    // And more of the same conversation.
    let id = made["conversationId"].as_str().expect("an id");
    let (status, more) = upload(
        &server,
        &format!("PUT /v1/process/audio/{id}"),
        &wav(&[speech(20..23, RATE)]),
    )
    .await;
    assert_eq!(status, 201, "{more}");
    assert_eq!(ended(&server, &more).await["status"], "completed");
    let all = messages(&server, &made, "").await;
    assert_eq!(words(&all), [named(7..12, ""), named(20..23, "")].concat());
}

/// Returns what a pipeline makes, as a FLAC file.
fn flac(directory: &std::path::Path, source: &str) -> Vec<u8> {
    let file = directory.join("made.flac");
    let pipeline = format!("{source} ! flacenc ! filesink");
    let made = std::process::Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split(' '))
        .arg(format!("location={}", file.display()))
        .status();
    assert!(made.expect("gst-launch-1.0").success());
    std::fs::read(file).expect("a file")
}

#[tokio::test]
async fn what_is_no_recording_fails_with_the_reason_and_leaves_no_file() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = with_decoder();
    config.data = Some(data.path().to_owned());
    config.jobs.duration = Duration::from_secs(10);
    let server = Server::bind(config).await.expect("a server");
    std::fs::write(data.path().join("a.wav"), wav(&[speech(0..40, RATE)])).expect("written");
    let source = format!(
        "filesrc location={} ! wavparse",
        data.path().join("a.wav").display()
    );
    let whole = flac(data.path(), &source);
    let (cut, mut broken) = (&whole[..whole.len() / 2], whole.clone());
    let middle = whole.len() / 2..whole.len() / 2 + 5000;
    broken[middle].fill(0x5a);
    let text = "This is a text and no recording at all.\n".repeat(100);
    let garbage: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let playlist =
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n".repeat(20);
    let silent = wav(&[Vec::new()]);
    // Two hours of silence in a file that is a thousand times smaller.
    let silence = "audiotestsrc wave=silence samplesperbuffer=160000 num-buffers=720";
    let bomb = flac(
        data.path(),
        &format!("{silence} ! audio/x-raw,rate=16000,channels=1"),
    );
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    for (what, file, expected) in [
        ("text", text.as_bytes(), "cannot be decoded"),
        ("garbage", &garbage, "cannot be decoded"),
        ("playlist", &playlist, "cannot be decoded"),
        ("no audio", &silent, "no audio"),
        (
            "bomb",
            &bomb,
            "more than 10 s of audio (--max-job-duration)",
        ),
    ] {
        let (status, made) = upload(&server, "POST /v1/process/audio", file).await;
        assert_eq!(status, 201, "{what}: {made}");
        let job = ended(&server, &made).await;
        assert_eq!(job["status"], "failed", "{what}: {job}");
        let why = job["message"].as_str().expect("a reason");
        assert!(why.contains(expected), "{what}: {why}");
        assert!(!why.contains(data.path().to_str().expect("UTF-8")), "{why}");
    }
    // What can be decoded of a file that is cut short or damaged is there.
    for file in [cut, &broken] {
        let (_, made) = upload(&server, "POST /v1/process/audio", file).await;
        ended(&server, &made).await;
        let found = words(&messages(&server, &made, "").await);
        assert_eq!(found[..10], named(0..10, ""), "{found:?}");
    }
    assert!(
        spooled(data.path()).is_empty(),
        "{:?}",
        spooled(data.path())
    );
}

#[tokio::test]
async fn a_wav_file_that_was_cut_off_is_done_and_its_job_says_so() {
    let server = Server::bind(with_decoder()).await.expect("a server");
    let whole = wav(&[speech(0..20, RATE)]);
    let cut = &whole[..44 + (whole.len() - 44) / 2 / 2 * 2];
    // Its header does not say how long it is, as of a writer that could not go back.
    let mut open = whole.clone();
    open[40..44].fill(0xff);
    for (file, heard, expected) in [
        (&whole[..], 20, None),
        (cut, 10, Some(())),
        (&open, 20, None),
    ] {
        let (status, made) = upload(&server, "POST /v1/process/audio", file).await;
        assert_eq!(status, 201, "{made}");
        let job = ended(&server, &made).await;
        assert_eq!(job["status"], "completed", "{job}");
        let warning = job["x_warning"].as_str();
        assert_eq!(warning.map(drop), expected, "{job}");
        if let Some(warning) = warning {
            let (said, there) = (whole.len() - 44, file.len() - 44);
            let numbers = format!("announces {said} bytes of audio, and {there} are there");
            assert!(warning.contains(&numbers), "{warning}");
        }
        let found = words(&messages(&server, &made, "").await);
        // The word in which it ends may be another one.
        let sure = heard - usize::from(expected.is_some());
        assert_eq!(found[..sure], named(0..sure as u16, ""), "{found:?}");
        assert!(found.len() <= heard + 1, "{found:?}");
    }
}

/// Returns a WAV file of these samples of 16 bits, in another format.
fn converted(samples: &[i16], rate: u32, bits: u16, format: hound::SampleFormat) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: bits,
        sample_format: format,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a header");
    for sample in samples {
        match format {
            hound::SampleFormat::Float => writer.write_sample(f32::from(*sample) / 32_768.0),
            hound::SampleFormat::Int => writer.write_sample(i32::from(*sample) << (bits - 16)),
        }
        .expect("a sample");
    }
    writer.finalize().expect("a file");
    file.into_inner()
}

#[tokio::test]
async fn recordings_of_other_sample_formats_are_converted() {
    let server = Server::bind(with_decoder()).await.expect("a server");
    for (rate, bits, format) in [
        (44_100, 24, hound::SampleFormat::Int),
        (48_000, 32, hound::SampleFormat::Int),
        (16_000, 32, hound::SampleFormat::Float),
    ] {
        let file = converted(&speech(0..10, rate), rate, bits, format);
        let (status, made) = upload(&server, "POST /v1/process/audio", &file).await;
        assert_eq!(status, 201, "{made}");
        let job = ended(&server, &made).await;
        assert_eq!(job["status"], "completed", "{bits} bits: {job}");
        let found = words(&messages(&server, &made, "").await);
        assert_eq!(found, named(0..10, ""), "{bits} bits");
    }
}

/// Returns a job about a text, with this receiver as its webhook.
fn telling(address: std::net::SocketAddr) -> String {
    let message = json!({"payload": {"content": "Hello."}});
    json!({"webhookUrl": format!("http://{address}/hook"), "messages": [message]}).to_string()
}

#[tokio::test]
async fn a_receiver_that_never_answers_does_not_delay_the_others() {
    let mut config = with_decoder();
    config.jobs.webhook_hosts = vec!["http://127.0.0.1".parse().expect("a rule")];
    let server = Server::bind(config).await.expect("a server");
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = dead.local_addr().expect("an address");
    let (count, mut counted) = tokio::sync::watch::channel(0_usize);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = dead.accept().await {
            held.push(stream);
            count.send_replace(held.len());
        }
    });
    // More than are sent at the same time.
    let mut waiting = Vec::new();
    for _ in 0..24 {
        let (status, made) = ask(&server, "POST /v1/process/text", &telling(address)).await;
        assert_eq!(status, 201, "{made}");
        waiting.push(made);
    }
    in_time(counted.wait_for(|count| *count > 0))
        .await
        .expect("a call");
    for made in &waiting {
        assert_eq!(ended(&server, made).await["status"], "completed");
    }
    let good = Receiver::start(|_| (204, String::new(), Vec::new())).await;
    let (_, made) = ask(&server, "POST /v1/process/text", &telling(good.address)).await;
    let received = good.until(|all| all.len() >= 2).await;
    assert!(
        received[1]
            .body
            .contains(made["jobId"].as_str().expect("an id"))
    );
    // No call of the other one has ended yet, and it has few at a time.
    assert_eq!(*counted.borrow(), 2);
    for made in &waiting {
        let path = format!("/v1/job/{}", made["jobId"].as_str().expect("an id"));
        let (_, job) = get(&server, &path, "").await;
        let hooks = job["webhooks"].as_array().expect("webhooks").iter();
        assert!(hooks.clone().all(|hook| hook["attempts"] == 0), "{job}");
        assert_eq!(hooks.count(), 2);
    }
}

#[tokio::test]
async fn a_client_is_told_what_it_got_wrong() {
    let mut config = with_decoder();
    config.jobs.upload = 1000;
    config.jobs.waiting = 1;
    let server = Server::bind(config).await.expect("a server");
    let id = "1234567890123456";
    for (request, body, expected, about) in [
        ("POST /v1/process/text".to_owned(), "no JSON", 400, "JSON"),
        ("POST /v1/process/text".to_owned(), "{}", 400, "messages"),
        (
            format!("PUT /v1/process/text/{id}"),
            "{\"messages\":[{\"payload\":{\"content\":\"x\"}}]}",
            404,
            "conversation",
        ),
        (
            "POST /v1/process/audio/url".to_owned(),
            "{\"url\":\"https://example.org/a.wav\"}",
            501,
            "--fetch-host",
        ),
        (
            "POST /v1/process/video/url".to_owned(),
            "{}",
            501,
            "--fetch-host",
        ),
        (
            "POST /v1/process/audio?redaction=true".to_owned(),
            "x",
            501,
            "redaction",
        ),
        (
            "POST /v1/process/audio?mode=radio".to_owned(),
            "x",
            400,
            "mode",
        ),
        (
            "POST /v1/process/audio?languageCode=%22".to_owned(),
            "x",
            400,
            "languageCode",
        ),
        (
            "POST /v1/process/audio?webhookUrl=http://example.org/".to_owned(),
            "x",
            400,
            "webhookUrl",
        ),
        (
            "POST /v1/process/audio?webhookUrl=https://10.0.0.1/".to_owned(),
            "x",
            400,
            "private",
        ),
        (
            "POST /v1/process/audio?webhookUrl=https://bob:pw@example.org/".to_owned(),
            "x",
            400,
            "password",
        ),
        (
            "POST /v1/process/text".to_owned(),
            "{\"metadata\":{\"a\":1},\"messages\":[{\"payload\":{\"content\":\"x\"}}]}",
            400,
            "metadata.a",
        ),
        (
            "POST /v1/process/text".to_owned(),
            "{\"messages\":[{\"payload\":{\"content\":\"x\"},\"from\":\"Ada\"}]}",
            400,
            "messages[0].from",
        ),
        ("POST /v1/process/audio".to_owned(), "", 400, "empty"),
        (
            format!("PUT /v1/process/audio/{id}"),
            "x",
            404,
            "conversation",
        ),
        (format!("GET /v1/job/{id}"), "", 404, "job"),
        ("GET /v1/webhooks".to_owned(), "", 400, "state"),
        (format!("POST /v1/webhooks/{id}/retry"), "", 404, "webhook"),
        ("GET /v1/process/text".to_owned(), "", 405, "method"),
    ] {
        let (status, answer) = ask(&server, &request, body).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status, expected, "{request}: {answer}");
        assert!(message.contains(about), "{request}: {message}");
    }
    let (status, answer) = upload(&server, "POST /v1/process/audio", &[0; 1001]).await;
    assert_eq!(status, 413, "{answer}");
    let form = "POST /v1/process/audio HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nX-Rest:";
    let (status, answer) = ask(&server, form, "x").await;
    assert_eq!(status, 415, "{answer}");
}

#[tokio::test]
async fn a_full_disk_and_a_full_queue_are_told() {
    let mut config = with_decoder();
    config.jobs.reserve = u64::MAX / 2;
    let server = Server::bind(config).await.expect("a server");
    let (status, answer) = upload(
        &server,
        "POST /v1/process/audio",
        &wav(&[speech(0..3, RATE)]),
    )
    .await;
    assert_eq!(status, 507, "{answer}");
    let mut config = with_decoder();
    config.jobs.waiting = 0;
    let server = Server::bind(config).await.expect("a server");
    let (status, answer) = upload(
        &server,
        "POST /v1/process/audio",
        &wav(&[speech(0..3, RATE)]),
    )
    .await;
    assert_eq!(status, 429, "{answer}");
}

#[tokio::test]
async fn an_upload_may_take_long_while_it_goes_on_and_leaves_nothing_when_it_is_cut() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = with_decoder();
    config.data = Some(data.path().to_owned());
    config.limits.request = Duration::from_millis(400);
    let server = Server::bind(config).await.expect("a server");
    let file = wav(&[speech(0..5, RATE)]);
    let open = async |length: usize| {
        let mut stream = TcpStream::connect(server.address())
            .await
            .expect("connected");
        let head = format!(
            "POST /v1/process/audio HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        stream
    };
    // More than three times as long as any other connection may live.
    let mut slow = open(file.len()).await;
    for piece in file.chunks(file.len() / 20 + 1) {
        slow.write_all(piece).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, made) = answer(&mut slow).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(ended(&server, &made).await["status"], "completed");

    let mut stalled = open(1 << 20).await;
    stalled.write_all(&file).await.expect("taken");
    let (status, why) = answer(&mut stalled).await;
    assert_eq!(status, 408, "{why}");

    let mut cut = open(1 << 20).await;
    cut.write_all(&file).await.expect("taken");
    in_time(async {
        while spooled(data.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(cut);
    in_time(async {
        while !spooled(data.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

// SPDX-License-Identifier: MPL-2.0

//! Transcripts of conversations, as files and as Symbl's API has them.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use subtp::srt::SubRip;
use subtp::vtt::{VttBlock, WebVtt};
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Auth, Server, ServerConfig};

const LINES: &[&str] = &[
    "can you send me the budget report",
    "i will check the budget report tomorrow",
];

async fn server() -> Server {
    let config = ServerConfig::new(Arc::new(Prompter(LINES)));
    Server::bind(config).await.expect("a free port")
}

/// Says all lines as a speaker, under a title.
async fn says(server: &Server, connection: &str, name: &str, title: &str) -> String {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{name}@example.org"), "name": name});
    request["config"]["meetingTitle"] = title.into();
    request["insightTypes"] = json!(["action_item"]);
    let (mut client, id) = Client::started(server, connection, &request).await;
    let audio = linear16(&silence(Duration::from_millis(1100), 16_000));
    client.send_audio(&audio).await;
    client.stop().await;
    client.rest().await;
    id
}

/// Asks for a path below a conversation. Returns the status, the head and the body.
async fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let request = format!("{method} /v1/conversations/{path}");
    let (head, body) = http(server, &request, body).await;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect(&head), head, body)
}

async fn download(server: &Server, id: &str, format: &str) -> (String, String) {
    let path = format!("{id}/transcript?format={format}");
    let (status, head, body) = ask(server, "GET", &path, "").await;
    assert_eq!(status, 200, "{body}");
    (head, body)
}

#[tokio::test]
async fn every_format_is_a_file_with_speakers_in_which_nothing_is_markup() {
    let server = server().await;
    let name = "A*d*a <b>&\u{202e} {x}";
    let id = says(&server, "x", name, "../Hand\"over\" <1>").await;
    let shown = "Can you send me the budget report?";
    for (format, kind) in [
        ("srt", "application/x-subrip; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("md", "text/markdown; charset=utf-8"),
        ("txt", "text/plain; charset=utf-8"),
        ("json", "application/json"),
    ] {
        let (head, body) = download(&server, &id, format).await;
        assert!(
            head.contains(&format!("content-type: {kind}\r\n")),
            "{head}"
        );
        let file =
            format!("content-disposition: attachment; filename=\"hand-over-1-{id}.{format}\"\r\n");
        assert!(head.contains(&file), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert_eq!(body.matches("budget report").count(), 2, "{body}");
        if !["json", "txt"].contains(&format) {
            assert!(
                !body.contains("<b>") && !body.contains('\u{202e}'),
                "{body}"
            );
        }
    }
    let srt = SubRip::parse(&download(&server, &id, "srt").await.1).expect("SubRip");
    let texts: Vec<String> = srt.subtitles.iter().map(|cue| cue.text.join(" ")).collect();
    assert!(texts[0].starts_with("A*d*a <\u{2060}b>"), "{texts:?}");
    assert!(texts.join(" ").contains(shown), "{texts:?}");
    let vtt = WebVtt::parse(&download(&server, &id, "vtt").await.1).expect("WebVTT");
    let cues = vtt.blocks.iter().filter_map(|block| match block {
        VttBlock::Que(cue) => Some(cue.payload.join(" ")),
        _ => None,
    });
    let cues: Vec<String> = cues.collect();
    assert_eq!(cues.len(), 2, "{cues:?}");
    assert!(cues[0].starts_with("<v A*d*a &lt;b&gt;&amp;"), "{cues:?}");
    let text = download(&server, &id, "txt").await.1;
    assert!(text.starts_with("[00:00.0] A*d*a <b>"), "{text}");
    let markdown = download(&server, &id, "md").await.1;
    assert!(
        markdown.starts_with("# ../Hand\"over\" \\<1\\>\n\n*"),
        "{markdown}"
    );
    assert!(
        markdown.contains("\n\n**A\\*d\\*a \\<b\\>\\&"),
        "{markdown}"
    );
    let read: Value = serde_json::from_str(&download(&server, &id, "json").await.1).expect("JSON");
    assert_eq!(read["conversationId"], id.as_str());
    assert_eq!(read["messages"][0]["speaker"], name);
    assert_eq!(read["messages"][0]["text"], shown);
    assert_eq!(read["messages"][0]["words"][0]["word"], "Can");
}

#[tokio::test]
async fn two_speakers_are_told_apart_and_a_new_name_is_in_the_next_download() {
    let server = server().await;
    let mut first = start_request();
    first["speaker"] = json!({"name": "Ada"});
    let (mut ada, id) = Client::started(&server, "x", &first).await;
    let mut second = start_request();
    second["speaker"] = json!({"userId": "bob@example.org"});
    let (mut bob, _) = Client::started(&server, "x", &second).await;
    let line = linear16(&silence(Duration::from_millis(500), 16_000));
    ada.send_audio(&line).await;
    ada.until("message_response").await;
    bob.send_audio(&line).await;
    // Each socket gets what both say.
    for _ in 0..2 {
        bob.until("message_response").await;
    }
    // The conversation runs; what was said so far is there.
    let text = download(&server, &id, "txt").await.1;
    let names = text.lines().map(|line| line.split(' ').nth(1));
    let names: Vec<&str> = names.flatten().collect();
    assert_eq!(names, ["Ada:", "bob@example.org:"], "{text}");
    let members = ask(&server, "GET", &format!("{id}/members"), "").await.2;
    let members: Value = serde_json::from_str(&members).expect("JSON");
    let member = members["members"].as_array().expect("a list").iter();
    let member = member.clone().find(|member| member["name"] != "Ada");
    let member = member.expect("Bob")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("{id}/members/{member}");
    let (status, ..) = ask(&server, "PUT", &path, r#"{"name": "Bob"}"#).await;
    assert_eq!(status, 200);
    let markdown = download(&server, &id, "md").await.1;
    assert!(markdown.contains("**Ada** (0:00:00) Can you"), "{markdown}");
    assert!(markdown.contains("**Bob** (0:00:0"), "{markdown}");
}

#[tokio::test]
async fn a_transcript_is_created_as_symbls_reference_has_it() {
    let server = server().await;
    let id = says(&server, "x", "Ada", "Handover").await;
    let path = format!("{id}/transcript");
    let create = async |body: Value| {
        let (status, head, answer) = ask(&server, "POST", &path, &body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        assert!(head.contains("content-type: application/json"), "{head}");
        serde_json::from_str::<Value>(&answer).expect("JSON")
    };
    let (one, two) = (
        "Can you send me the budget report?",
        "I will check the budget report tomorrow.",
    );
    assert_eq!(
        create(
            json!({"contentType": "text/markdown", "createParagraphs": false,
                      "showSpeakerSeparation": false})
        )
        .await,
        json!({"transcript": {"payload": format!("{one} {two}"),
                              "contentType": "text/markdown"}})
    );
    let told = create(json!({
        "contentType": "text/markdown",
        "createParagraphs": "true",
        "phrases": {"highlightOnlyInsightKeyPhrases": true, "highlightAllKeyPhrases": true},
        "showSpeakerSeparation": "true",
    }))
    .await;
    // Both are requests in the form of the reference's rules.
    let two = "I will <mark>check the budget report</mark> tomorrow.";
    let payload = told["transcript"]["payload"].as_str().expect("text");
    let ends = payload.ends_with(&format!("<br/><br/>Ada: {two}"));
    assert!(payload.starts_with("Ada: Can you ") && ends, "{payload}");
    let srt = create(json!({"contentType": "text/srt"})).await;
    assert_eq!(srt["transcript"]["contentType"], "text/srt");
    assert_eq!(srt["transcript"]["payload"]["contentType"], "text/srt");
    let content = &srt["transcript"]["payload"]["content"];
    let content = content.as_str().expect("text");
    assert!(!content.contains("Ada"), "{content}");
    let read = SubRip::parse(content).expect("SubRip").subtitles;
    assert_eq!(read.len(), 2, "{content}");
    let named = json!({"contentType": "text/vtt", "showSpeakerSeparation": true});
    let vtt = create(named).await["transcript"]["payload"].clone();
    assert!(
        vtt.as_str().expect("text").contains("<v Ada>Can you"),
        "{vtt}"
    );
    let text = create(json!({"contentType": "text/plain"})).await;
    let text = text["transcript"]["payload"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(text.starts_with("[00:00.0] Can you"), "{text}");
}

#[tokio::test]
async fn what_is_no_transcript_is_refused_with_a_message_that_helps() {
    let server = server().await;
    let id = says(&server, "x", "Ada", "Handover").await;
    for (method, path, body, status, part) in [
        (
            "GET",
            format!("{id}/transcript"),
            "",
            400,
            "srt, vtt, md, txt, json",
        ),
        (
            "GET",
            format!("{id}/transcript?format=doc"),
            "",
            400,
            "\\\"doc\\\"",
        ),
        ("POST", format!("{id}/transcript"), "", 400, "`contentType`"),
        (
            "POST",
            format!("{id}/transcript"),
            r#"{"contentType": "text/html"}"#,
            400,
            "text/markdown",
        ),
        (
            "GET",
            "1234567890123456/transcript?format=srt".into(),
            "",
            404,
            "known",
        ),
        (
            "POST",
            "x/transcript".into(),
            r#"{"contentType": "text/srt"}"#,
            404,
            "known",
        ),
        ("DELETE", format!("{id}/transcript"), "", 405, "method"),
    ] {
        let (code, _, answer) = ask(&server, method, &path, body).await;
        assert_eq!(code, status, "{method} {path}: {answer}");
        assert!(answer.contains(part), "{answer}");
        serde_json::from_str::<Value>(&answer).expect("JSON");
    }
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    config.auth = Auth::App {
        id: "a".into(),
        secret: "s".into(),
    };
    let guarded = Server::bind(config).await.expect("a free port");
    for (method, query) in [("GET", "?format=srt"), ("POST", "")] {
        let path = format!("{id}/transcript{query}");
        assert_eq!(ask(&guarded, method, &path, "{}").await.0, 401);
    }
}

// SPDX-License-Identifier: MPL-2.0

use super::*;

const SECOND: i64 = 1_000_000_000;
const ZERO: i64 = 1_700_000_000 * SECOND;

/// Returns a sentence that begins this many seconds after the conversation and lasts one.
fn said(speaker: Option<&str>, at: i64, text: &str) -> Sentence {
    let start = ZERO + at * SECOND;
    Sentence {
        id: 1_000_000_000_000_000 + at,
        text: text.to_owned(),
        original: None,
        speaker: speaker.map(str::to_owned),
        member: String::new(),
        phrases: false,
        task: false,
        start,
        stop: start + SECOND,
        stored: start + 2 * SECOND,
        words: vec![(text.to_owned(), start, start + SECOND)],
    }
}

fn style(form: Form) -> Style {
    Style {
        form,
        names: true,
        paragraphs: true,
        titled: true,
        highlight: Highlight::None,
    }
}

/// Writes a transcript in parts of this many sentences.
fn in_parts(style: Style, size: usize, sentences: &[Sentence]) -> String {
    let mut telling = Telling {
        scribe: Scribe::new(style, 7, Some("A *title*"), ZERO).expect("written"),
        envelope: None,
        begun: false,
    };
    let mut text = Vec::new();
    let last = sentences.chunks(size).count().saturating_sub(1);
    for (at, part) in sentences.chunks(size).enumerate() {
        text.append(&mut telling.part(part, at == last).expect("written"));
    }
    if sentences.is_empty() {
        text = telling.part(&[], true).expect("written");
    }
    String::from_utf8(text).expect("UTF-8")
}

fn talk() -> Vec<Sentence> {
    vec![
        said(Some("Ada"), 1, "Hello."),
        said(Some("Ada"), 2, "1. is no list."),
        said(Some("B*b"), 3, "<b>No</b> markup."),
        said(None, 4, "Who is that?"),
        said(None, 3700, "Later."),
    ]
}

#[test]
fn markdown_has_a_title_and_a_paragraph_for_each_turn_and_after_a_pause() {
    let expected = "# A \\*title\\*\n\n*2023-11-14T22:13:20.000Z*\n\n\
                    **Ada** (0:00:01) Hello. 1\\. is no list.\n\n\
                    **B\\*b** (0:00:03) \\<b\\>No\\</b\\> markup.\n\n\
                    (0:00:04) Who is that?\n\n\
                    Later.\n";
    assert_eq!(in_parts(style(Form::Markdown), 100, &talk()), expected);
    let bare = Style {
        names: false,
        titled: false,
        ..style(Form::Markdown)
    };
    assert_eq!(
        in_parts(bare, 100, &talk()),
        "Hello.<br/><br/>1\\. is no list.<br/><br/>\\<b\\>No\\</b\\> markup.<br/><br/>\
         Who is that?<br/><br/>Later."
    );
    let named = Style {
        names: true,
        ..bare
    };
    assert_eq!(
        in_parts(named, 100, &talk()[1..4]),
        "Ada: 1\\. is no list.<br/><br/>B\\*b: \\<b\\>No\\</b\\> markup.<br/><br/>Who is that?"
    );
    let one = Style {
        paragraphs: false,
        ..bare
    };
    assert_eq!(
        in_parts(one, 100, &talk()),
        "Hello. 1\\. is no list. \\<b\\>No\\</b\\> markup. Who is that? Later."
    );
    let long: Vec<Sentence> = (0..100).map(|at| said(None, at, "Twelve chars")).collect();
    let titled = Style {
        titled: true,
        ..bare
    };
    // One more after the title and the date each.
    let paragraphs = in_parts(titled, 100, &long).matches("\n\n").count();
    assert_eq!(paragraphs, 3);
}

#[test]
fn phrases_are_marked_if_they_are_asked_for_and_nothing_else_is() {
    let text = "I'll <b>send</b> the *report*, now.";
    let mut insight = said(None, 1, text);
    insight.task = true;
    let mut message = said(None, 2, "Please send it.");
    message.phrases = true;
    let talk = [insight, message, said(None, 3, "Please call us.")];
    let marked = |highlight| {
        let style = Style {
            names: false,
            titled: false,
            highlight,
            ..style(Form::Markdown)
        };
        in_parts(style, 2, &talk)
    };
    let none = marked(Highlight::None);
    assert!(!none.contains("mark"), "{none}");
    let (some, all) = (marked(Highlight::Insights), marked(Highlight::All));
    assert_eq!(some.matches("<mark>").count(), 1, "{some}");
    assert_eq!(all.matches("<mark>").count(), 2, "{all}");
    assert!(
        all.contains("Please <mark>send it</mark>.<br/><br/>"),
        "{all}"
    );
    assert!(all.ends_with("Please call us."), "{all}");
    // Without the marks, it is what it was.
    assert_eq!(all.replace("<mark>", "").replace("</mark>", ""), none);
}

#[test]
fn the_parts_of_a_transcript_are_the_whole_whatever_their_size() {
    for (form, ..) in FORMS {
        let whole = in_parts(style(form), 100, &talk());
        assert!(whole.contains("Hello."), "{whole}");
        for size in 1..5 {
            assert_eq!(in_parts(style(form), size, &talk()), whole, "{form:?}");
        }
    }
}

#[test]
fn a_conversation_in_which_nothing_was_said_is_an_empty_file_of_its_format() {
    for (form, expected) in [
        (Form::Srt, ""),
        (Form::Vtt, "WEBVTT\n\n"),
        (Form::Text, ""),
        (
            Form::Markdown,
            "# A \\*title\\*\n\n*2023-11-14T22:13:20.000Z*\n\n",
        ),
        (
            Form::Json,
            r#"{"conversationId":"7","name":"A *title*","startTime":"2023-11-14T22:13:20.000Z","messages":[]}"#,
        ),
    ] {
        assert_eq!(in_parts(style(form), 1, &[]), expected);
    }
}

#[test]
fn json_has_every_sentence_with_its_words_in_seconds() {
    let text = in_parts(style(Form::Json), 2, &talk());
    let read: Value = serde_json::from_str(&text).expect("JSON");
    let messages = read["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), 5);
    assert_eq!(
        messages[4],
        json!({"id": "1000000000003700", "speaker": null, "start": 3700.0, "end": 3701.0,
               "startTime": "2023-11-14T23:15:00.000Z", "text": "Later.",
               "words": [{"word": "Later.", "start": 3700.0, "end": 3701.0}]})
    );
}

#[test]
fn a_corrected_sentence_is_told_apart_in_json_and_has_its_new_text_everywhere() {
    let mut talk = talk();
    talk[0].original = Some("Hallo.".to_owned());
    let text = in_parts(style(Form::Json), 2, &talk);
    let read: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read["messages"][0]["text"], "Hello.");
    assert_eq!(read["messages"][0]["x_originalText"], "Hallo.");
    assert_eq!(read["messages"][0]["x_corrected"], true);
    assert!(read["messages"][1].get("x_corrected").is_none());
    for form in [Form::Srt, Form::Vtt, Form::Markdown, Form::Text] {
        let text = in_parts(style(form), 2, &talk);
        assert!(
            text.contains("Hello.") && !text.contains("Hallo."),
            "{text}"
        );
    }
}

#[test]
fn the_name_of_a_file_is_no_path_and_no_option_and_says_which_conversation() {
    for (title, expected) in [
        (None, "attachment; filename=\"conversation-7.srt\""),
        (Some("Handover"), "attachment; filename=\"Handover-7.srt\""),
        (
            Some("../../etc/pass wd\0\r\nX: y"),
            "attachment; filename=\"etc-pass-wd-X-y-7.srt\"",
        ),
        (
            Some("-rf \"; filename=\"a.exe"),
            "attachment; filename=\"rf-filename-a-exe-7.srt\"",
        ),
        (Some(".htaccess"), "attachment; filename=\"htaccess-7.srt\""),
        (
            Some("Über uns"),
            "attachment; filename=\"ber-uns-7.srt\"; filename*=UTF-8''%C3%9Cber-uns-7.srt",
        ),
        (
            Some("会議\u{202e}txt"),
            "attachment; filename=\"txt-7.srt\"; filename*=UTF-8''%E4%BC%9A%E8%AD%B0-txt-7.srt",
        ),
        (Some("🎉"), "attachment; filename=\"conversation-7.srt\""),
    ] {
        assert_eq!(disposition(title, 7, "srt"), expected, "{title:?}");
    }
    let long = "a".repeat(1000);
    let expected = format!("attachment; filename=\"{}-7.srt\"", "a".repeat(60));
    assert_eq!(disposition(Some(&long), 7, "srt"), expected.as_str());
}

#[test]
fn a_request_says_what_it_wants_and_what_is_wrong_with_it() {
    let (style, kind, unhonoured) = wanted(
        br#"{"contentType": "text/markdown", "createParagraphs": "true",
             "phrases": {"highlightAllKeyPhrases": true, "highlightOnlyInsightKeyPhrases": false},
             "showSpeakerSeparation": true}"#,
    )
    .expect("understood");
    assert_eq!((style.form, kind), (Form::Markdown, "text/markdown"));
    assert!(style.names && style.paragraphs && !style.titled);
    assert_eq!(
        (style.highlight, unhonoured.fields().len()),
        (Highlight::All, 0)
    );
    let body = br#"{"contentType": "text/vtt", "phrases": {"highlightAllKeyPhrases": true}}"#;
    let (_, _, unhonoured) = wanted(body).expect("understood");
    assert_eq!(unhonoured.fields(), ["phrases.highlightAllKeyPhrases"]);
    let (style, _, unhonoured) = wanted(br#"{"contentType": "text/srt"}"#).expect("understood");
    assert!(!style.names && !style.paragraphs && unhonoured.fields().is_empty());
    for (body, part) in [
        (
            r#"{"contentType": "text/html"}"#,
            "text/srt, text/vtt, text/markdown, text/plain",
        ),
        (r#"{"contentType": "text/html"}"#, "\"text/html\""),
        (r#"{}"#, "is missing"),
        ("[]", "JSON object"),
        ("{", "JSON object"),
        (
            r#"{"contentType": "text/srt", "createParagraphs": 1}"#,
            "`createParagraphs` must be true or false",
        ),
        (
            r#"{"contentType": "text/srt", "phrases": {"highlightAllKeyPhrases": "x"}}"#,
            "`phrases.highlightAllKeyPhrases`",
        ),
    ] {
        let Err(message) = wanted(body.as_bytes()) else {
            panic!("{body}")
        };
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_unknown_format_is_named_with_those_that_there_are() {
    let of = |pairs: &[(&str, &str)]| {
        let asked = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string()));
        Form::of_query(&asked.collect::<Vec<_>>())
    };
    assert_eq!(of(&[("format", "vtt")]), Ok(Form::Vtt));
    assert_eq!(of(&[("format", "x"), ("format", "md")]), Ok(Form::Markdown));
    let all = "must be one of srt, vtt, md, txt, json.";
    let missing = format!("The parameter `format` is missing; it {all}");
    assert_eq!(of(&[("Format", "md")]), Err(missing));
    let unknown = format!("The parameter `format` is \"SRT\"; it {all}");
    assert_eq!(of(&[("format", "SRT")]), Err(unknown));
}

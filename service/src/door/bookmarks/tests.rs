// SPDX-License-Identifier: MPL-2.0

use super::*;

#[test]
fn a_bookmark_has_a_label_and_a_time_or_messages() {
    for (sent, says) in [
        (json!([]), "must be a JSON object"),
        (json!({}), "`label` must be a text of 1 to 9 bytes"),
        (json!({"label": "0123456789"}), "`label`"),
        (
            json!({"label": "a"}),
            "needs `beginTimeOffset` and `duration`",
        ),
        (
            json!({"label": "a", "messageRefs": []}),
            "needs `beginTimeOffset`",
        ),
        (
            json!({"label": "a", "messageRefs": [1]}),
            "1 to 1000 objects",
        ),
        (
            json!({"label": "a", "messageRefs": [{"id": "x"}]}),
            "1 to 1000 objects",
        ),
        (
            json!({"label": "a", "messageRefs": vec!["1"; 1001]}),
            "1 to 1000 objects",
        ),
        (
            json!({"label": "a", "beginTimeOffset": 1}),
            "`duration` must be",
        ),
        (
            json!({"label": "a", "duration": 1}),
            "`beginTimeOffset` must be",
        ),
        (
            json!({"label": "a", "beginTimeOffset": -1, "duration": 1}),
            "`beginTimeOffset`",
        ),
        (
            json!({"label": "a", "beginTimeOffset": 1, "duration": 0}),
            "`duration`",
        ),
        (
            json!({"label": "a", "beginTimeOffset": "1", "duration": 1}),
            "`beginTimeOffset`",
        ),
        (
            json!({"label": "a", "beginTimeOffset": 1e30, "duration": 1}),
            "`beginTimeOffset`",
        ),
        (
            json!({"label": "a", "beginTimeOffset": 1, "duration": 1, "messageRefs": ["1"]}),
            "has a time or messages",
        ),
        (json!({"label": "a", "user": 1}), "`user` must be"),
        (json!({"label": "a", "user": {"name": 1}}), "`user.name`"),
    ] {
        let refused = mark(&sent, 9).unwrap_err();
        assert!(refused.contains(says), "{sent}: {refused}");
    }
    let time = json!({"label": "a", "beginTimeOffset": 1.5, "duration": 30,
                      "messageRefs": [], "user": {"name": "Ada", "x": 1}});
    let Mark { extent, user, .. } = mark(&time, 9).unwrap();
    let (begin, duration) = (1_500_000_000, 30_000_000_000);
    assert_eq!(extent, Extent::Time { begin, duration });
    assert_eq!(Value::Object(user), json!({"name": "Ada"}));
    let messages = json!({"label": "a", "messageRefs": [{"id": "7", "text": "x"}, "8"]});
    let Mark { extent, .. } = mark(&messages, 9).unwrap();
    assert_eq!(extent, Extent::Messages(vec![7, 8]));
}

#[test]
fn what_says_most_about_a_passage_is_chosen_and_short_answers_are_quoted() {
    let sentence = |(id, text): (i64, &str)| Sentence {
        id,
        text: text.to_owned(),
        original: None,
        speaker: None,
        member: String::new(),
        start: 0,
        stop: 0,
        stored: 0,
        phrases: false,
        task: false,
        words: Vec::new(),
    };
    let passage = |texts: &[&str]| -> Vec<Sentence> {
        (1..).zip(texts.iter().copied()).map(sentence).collect()
    };
    let talk = passage(&[
        "Good morning to everybody on this lovely day.",
        "The cooling pump of line four leaks at the gland seal.",
        "The gland seal of the cooling pump was ordered on Monday.",
        "Line four waits for the cooling pump and its gland seal.",
    ]);
    let chosen_ids =
        |talk: &[Sentence]| -> Vec<i64> { chosen(talk).iter().map(|(_, one)| one.id).collect() };
    let ids = chosen_ids(&talk);
    assert!(!ids.is_empty() && ids.len() < 4, "{ids:?}");
    assert!(!ids.contains(&1), "a greeting says nothing: {ids:?}");
    let answers = passage(&["Yes.", "No.", "Maybe.", "Fine."]);
    assert_eq!(chosen_ids(&answers), [1, 2, 3]);
    assert_eq!(chosen_ids(&[]), [0; 0]);
}

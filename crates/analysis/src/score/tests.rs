// SPDX-License-Identifier: MPL-2.0

use super::*;

const SECOND: i64 = 1_000_000_000;

/// A call: who says what, each for four seconds, ten seconds after the one before.
const CALL: &[(&str, &str)] = &[
    ("Ada", "Good morning, thank you for calling."),
    ("Bob", "Hello, my router is broken."),
    ("Ada", "May I have your account number?"),
    ("Bob", "Four seven one one."),
    ("Ada", "It costs twenty dollars a month."),
    ("Bob", "That is your fault, I want a refund."),
    ("Ada", "I will send the refund, have a nice day."),
];

fn score(criterion: &str) -> Score {
    let checklist = format!("{{\"criteria\": [{criterion}]}}");
    let checklist = Checklist::parse(checklist.as_bytes()).expect("a checklist");
    let mut scorer = Scorer::new(&checklist);
    for ((speaker, text), at) in CALL.iter().zip(0_i64..) {
        let address = format!("{}@support.example", speaker.to_lowercase());
        scorer.take(Heard {
            message: at + 1,
            text,
            speaker: &["id", speaker, &address],
            at: at * 10 * SECOND,
            length: (4 + at % 2) * SECOND,
        });
    }
    let talk = [(vec!["Ada"], 30 * SECOND), (vec!["Bob"], 10 * SECOND)];
    scorer.finish(&talk, 40 * SECOND)
}

/// Returns `true` if the criterion is met, and the messages that are quoted.
fn verdict(criterion: &str) -> (bool, Vec<i64>) {
    let score = score(criterion);
    let verdict = &score.verdicts[0];
    assert_eq!(score.percent, if verdict.met { 100.0 } else { 0.0 });
    let quoted = verdict.quotes.iter().map(|quote| quote.message);
    (verdict.met, quoted.collect())
}

#[test]
fn each_type_is_met_or_not_by_what_was_said_and_says_where() {
    for (criterion, expected) in [
        (
            r#""type": "phrase", "phrases": ["thanks for calling", "thank you for calling"]"#,
            (true, vec![1]),
        ),
        (
            r#""type": "phrase", "phrases": ["how may I help"]"#,
            (false, vec![]),
        ),
        // Inflections, as those of trackers.
        (
            r#""type": "phrase", "phrases": ["refunds"]"#,
            (true, vec![6, 7]),
        ),
        (
            r#""type": "absence", "phrases": ["your fault"]"#,
            (false, vec![6]),
        ),
        (
            r#""type": "absence", "phrases": ["your fault"], "speaker": "ada""#,
            (true, vec![]),
        ),
        (
            r#""type": "absence", "phrases": ["your fault"], "speaker": "b*""#,
            (false, vec![6]),
        ),
        (
            r#""type": "phrase", "phrases": ["refund"], "speaker": "ADA@*""#,
            (true, vec![7]),
        ),
        (
            r#""type": "phrase", "phrases": ["refund"], "speaker": "*@sales.example""#,
            (false, vec![]),
        ),
        (
            r#""type": "order", "steps": [["good morning"], ["account number"], ["refund"]]"#,
            (true, vec![1, 3, 6]),
        ),
        (
            r#""type": "order", "steps": [["refund"], ["account number"]]"#,
            (false, vec![6]),
        ),
        (
            r#""type": "timing", "phrases": ["dollars"], "after": 30"#,
            (true, vec![5]),
        ),
        (
            r#""type": "timing", "phrases": ["dollars"], "before": 30"#,
            (false, vec![]),
        ),
        (
            r#""type": "timing", "phrases": ["refund"], "after": 20, "before": 50"#,
            (true, vec![6]),
        ),
        (
            r#""type": "talk_ratio", "speaker": "Ada", "max": 0.75"#,
            (true, vec![1]),
        ),
        (
            r#""type": "talk_ratio", "speaker": "Bob", "min": 0.3"#,
            (false, vec![2]),
        ),
    ] {
        let found = verdict(&format!("{{\"name\": \"x\", {criterion}}}"));
        assert_eq!(found, expected, "{criterion}");
    }
}

#[test]
fn two_steps_in_one_sentence_count_in_its_order() {
    let steps = r#"{"name": "x", "type": "order", "steps": [["refund"], ["nice day"]]}"#;
    assert_eq!(verdict(steps), (true, vec![6, 7]));
    let steps = r#"{"name": "x", "type": "order", "steps": [["thank you"], ["good morning"]]}"#;
    assert_eq!(verdict(steps), (false, vec![1]));
}

#[test]
fn the_score_is_the_part_of_the_weights_that_is_met() {
    let met = r#"{"name": "a", "weight": 3, "type": "phrase", "phrases": ["good morning"]}"#;
    let not = r#"{"name": "b", "type": "absence", "phrases": ["refund"]}"#;
    let score = score(&format!("{met}, {not}"));
    assert_eq!(score.percent, 75.0);
    let quote = &score.verdicts[0].quotes[0];
    assert_eq!(
        (quote.phrase.as_str(), quote.offset, quote.at),
        ("good morning", 0, 0)
    );
    assert_eq!(score.verdicts[1].quotes.len(), 2);
}

#[test]
fn what_is_no_checklist_is_refused_with_what_is_wrong() {
    let many = vec![r#"{"name": "x", "type": "phrase", "phrases": ["a"]}"#; 101].join(",");
    let long = "a ".repeat(200);
    for (criteria, part) in [
        ("", "0 entries"),
        (many.as_str(), "101 entries"),
        (r#"{"name": "x"}"#, "type"),
        (r#"{"name": "x", "type": "mood"}"#, "mood"),
        (
            r#"{"name": " ", "type": "phrase", "phrases": ["a"]}"#,
            "`name`",
        ),
        (r#"{"name": "x", "type": "phrase", "phrases": []}"#, "empty"),
        (
            r#"{"name": "x", "type": "phrase", "phrases": ["?!"]}"#,
            "a word",
        ),
        (
            &format!(r#"{{"name": "x", "type": "phrase", "phrases": ["{long}"]}}"#),
            "256 bytes",
        ),
        (
            r#"{"name": "x", "weight": 0, "type": "phrase", "phrases": ["a"]}"#,
            "`weight`",
        ),
        (
            r#"{"name": "x", "weight": -1, "type": "phrase", "phrases": ["a"]}"#,
            "`weight`",
        ),
        (
            r#"{"name": "x", "type": "order", "steps": [["a"]]}"#,
            "at least two",
        ),
        (
            r#"{"name": "x", "type": "timing", "phrases": ["a"]}"#,
            "`after` or `before`",
        ),
        (
            r#"{"name": "x", "type": "timing", "phrases": ["a"], "after": -1}"#,
            "seconds",
        ),
        (
            r#"{"name": "x", "type": "talk_ratio", "speaker": "a"}"#,
            "`min` or `max`",
        ),
        (
            r#"{"name": "x", "type": "talk_ratio", "speaker": "a", "min": 30}"#,
            "0 to 1",
        ),
        (
            r#"{"name": "x", "type": "talk_ratio", "min": 0.3}"#,
            "`speaker`",
        ),
        (
            r#"{"name": "x", "type": "phrase", "phrases": ["a"]}, {"name": "x", "type": "absence", "phrases": ["a"]}"#,
            "same name",
        ),
    ] {
        let text = format!("{{\"criteria\": [{criteria}]}}");
        let Err(message) = Checklist::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        assert!(message.contains(part), "{message}");
    }
    let misspelt =
        br#"{"criteria": [{"name": "x", "type": "phrase", "phrases": ["a"], "speeker": "b"}]}"#;
    let message = Checklist::parse(misspelt).expect_err("refused");
    assert!(
        message.contains("\"speeker\"") && message.contains("speaker"),
        "{message}"
    );
    assert!(Checklist::parse(b"[]").is_err() && Checklist::parse(b"").is_err());
    assert!(Checklist::parse(br#"{"criteria": [], "more": 1}"#).is_err());
}

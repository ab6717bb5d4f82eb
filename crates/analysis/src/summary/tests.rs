// SPDX-License-Identifier: MPL-2.0

use super::*;

fn summary(texts: &[&str]) -> Vec<Line> {
    let mut vocabulary = Vocabulary::default();
    texts.iter().for_each(|text| vocabulary.count(text));
    let mut candidates = Candidates::new(vocabulary);
    for (id, text) in (1..).zip(texts) {
        candidates.take(id, text);
    }
    candidates.lines()
}

const TALK: &[&str] = &[
    "Good morning.",
    "The budget report for the new warehouse is late.",
    "My cat slept on a blue sofa in the kitchen yesterday evening.",
    "Yes.",
    "The late budget report stops the new warehouse.",
    "Marketing presents the spring campaign to the board on Friday.",
    "Okay, thank you.",
    "The board wants the campaign of marketing to begin in spring.",
    "We build the new warehouse when the budget report is done.",
];

#[test]
fn lines_are_what_was_said_about_what_comes_back_and_do_not_repeat_each_other() {
    let lines = summary(TALK);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert_eq!(TALK[line.message as usize - 1], line.text);
        assert!(line.references.contains(&line.message), "{line:?}");
        assert!(line.references.is_sorted(), "{line:?}");
    }
    let about = |word: &str| lines.iter().filter(|line| line.text.contains(word)).count();
    assert!(
        about("warehouse") == 1 && about("campaign") == 1,
        "{lines:?}"
    );
    assert_eq!(about("cat"), 0, "{lines:?}");
    assert!(lines.is_sorted_by_key(|line| line.message));
    assert_eq!(summary(TALK), lines);
}

#[test]
fn a_line_stands_for_those_that_say_the_same() {
    let same = "The delivery of the green pumps is late.";
    let lines = summary(&[same, "Yes.", same, "All right then.", same]);
    assert_eq!(lines[0].references, [1, 3, 5]);
}

#[test]
fn small_talk_has_no_summary() {
    assert!(summary(&[]).is_empty());
    assert!(summary(&["Hello.", "How are you?", "", "123"]).is_empty());
}

#[test]
fn a_long_message_is_taken_apart() {
    let long = "The warehouse budget is late this quarter. ".repeat(20);
    let lines = summary(&[&long]);
    assert_eq!(lines[0].text, "The warehouse budget is late this quarter.");
    assert_eq!(lines[0].references, [1]);
}

#[test]
fn a_long_conversation_keeps_a_bounded_number_of_words_and_sentences() {
    // Each sentence has nine words of its own.
    let texts: Vec<String> = (0..6_000)
        .map(|at| {
            let own = (0..9).map(|word| format!("word{}x", letters(at * 9 + word)));
            let own = own.collect::<Vec<_>>().join(" ");
            format!("The {own} came to the harbour on ships.")
        })
        .collect();
    let mut vocabulary = Vocabulary::default();
    texts.iter().for_each(|text| vocabulary.count(text));
    assert_eq!(vocabulary.words.len(), MOST_WORDS);
    let mut candidates = Candidates::new(vocabulary);
    for (id, text) in (0..).zip(&texts) {
        candidates.take(id, text);
        assert!(candidates.best.len() < 2 * CANDIDATES);
    }
    assert!((1..=MOST_LINES).contains(&candidates.lines().len()));
}

/// Returns a number in letters.
fn letters(mut number: usize) -> String {
    let mut text = String::new();
    for _ in 0..4 {
        text.push((b'a' + (number % 26) as u8) as char);
        number /= 26;
    }
    text
}

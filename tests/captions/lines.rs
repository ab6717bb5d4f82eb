// SPDX-License-Identifier: MPL-2.0

//! The lines of roll-up captions, from the screens that a decoder shows.

use crate::talk::Timed;

/// Returns the lines that appeared at the bottom of the screens, in order: the text of each,
/// when its first letter came, and when it was whole.
///
/// The screens are those after each change, so that the bottom line grows letter by letter.
pub fn rolled(screens: &[Timed]) -> Vec<Timed> {
    let mut lines: Vec<Timed> = Vec::new();
    for screen in screens {
        let Some(bottom) = screen.text.lines().last() else {
            continue;
        };
        match lines.last_mut() {
            Some(line) if line.text == bottom => {}
            Some(line) if bottom.starts_with(&line.text) => {
                bottom.clone_into(&mut line.text);
                line.end = screen.start;
            }
            _ => lines.push(Timed::new(bottom, screen.start, screen.start)),
        }
    }
    lines
}

/// Returns the words of these lines.
pub fn words(lines: &[Timed]) -> Vec<String> {
    let words = lines.iter().flat_map(|line| line.text.split_whitespace());
    words.map(str::to_owned).collect()
}

/// Returns for each word of the screens after each change when it was whole, in milliseconds.
/// A word is whole when the screen shows it with all its letters for the first time.
pub fn whole(screens: &[Timed]) -> Vec<(String, u64)> {
    let lines = rolled(screens);
    let mut found = Vec::new();
    let mut screens = screens.iter().peekable();
    for line in &lines {
        let mut shown = 0;
        let words: Vec<&str> = line.text.split_whitespace().collect();
        // The screens of this line: from its first letter until it is whole.
        while let Some(screen) = screens.next_if(|screen| screen.start <= line.end) {
            let bottom = screen.text.lines().last().unwrap_or_default();
            if screen.start < line.start || !line.text.starts_with(bottom) {
                continue;
            }
            let complete = bottom.split_whitespace().zip(&words);
            let complete = complete.take_while(|(seen, word)| seen == *word).count();
            for word in &words[shown..complete.max(shown)] {
                found.push(((*word).to_owned(), screen.start));
            }
            shown = shown.max(complete);
        }
    }
    found
}

#[test]
fn lines_roll_and_words_become_whole_letter_by_letter() {
    let screens = [
        Timed::new("You ha", 1000, 1200),
        Timed::new("You have", 1200, 1400),
        Timed::new("You have", 1400, 1600),
        Timed::new("You have\nOne", 1600, 1800),
        Timed::new("You have\nOne two", 1800, 2000),
    ];
    assert_eq!(
        rolled(&screens),
        [
            Timed::new("You have", 1000, 1200),
            Timed::new("One two", 1600, 1800)
        ]
    );
    let whole = whole(&screens);
    let expected = [("You", 1000), ("have", 1200), ("One", 1600), ("two", 1800)];
    assert_eq!(whole, expected.map(|(word, at)| (word.to_owned(), at)));
}

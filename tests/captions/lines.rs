// SPDX-License-Identifier: MPL-2.0

//! The lines of roll-up captions, from the screens that a decoder shows.

use crate::talk::Timed;

/// Returns the lines that appeared at the bottom of the screens, in order: the text of each,
/// when its first letter came, and when it was whole.
///
/// The screens are those after each change, so that the bottom line grows letter by letter.
/// The decoder looks each 0.2 s, so the last letters of a line may be seen when it has rolled
/// up already.
pub fn rolled(screens: &[Timed]) -> Vec<Timed> {
    let mut lines: Vec<Timed> = Vec::new();
    for screen in screens {
        let mut rows = screen.text.lines().rev();
        let Some(bottom) = rows.next() else {
            continue;
        };
        if let Some(line) = lines.last_mut() {
            if grows(line, bottom, screen.start) {
                continue;
            }
            if let Some(above) = rows.next() {
                grows(line, above, screen.start);
            }
        }
        lines.push(Timed::new(bottom, screen.start, screen.start));
    }
    lines
}

/// Gives a line the text of a row that shows it at a time, in milliseconds. Returns `false` if
/// the row shows another line.
fn grows(line: &mut Timed, row: &str, at: u64) -> bool {
    let shows = row.starts_with(&line.text);
    if shows && row != line.text {
        row.clone_into(&mut line.text);
        line.end = at;
    }
    shows
}

/// Returns the words of these lines.
pub fn words(lines: &[Timed]) -> Vec<String> {
    let words = lines.iter().flat_map(|line| line.text.split_whitespace());
    words.map(str::to_owned).collect()
}

/// Returns for each word of the screens after each change when it was whole, in milliseconds.
/// A word is whole when the screen shows it with all its letters for the first time.
pub fn whole(screens: &[Timed]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for line in rolled(screens) {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        let mut shown = 0;
        let its_own = |screen: &&Timed| (line.start..=line.end).contains(&screen.start);
        for screen in screens.iter().filter(its_own) {
            let mut rows = screen.text.lines();
            let row = rows.rfind(|row| line.text.starts_with(row));
            let seen = row.unwrap_or_default().split_whitespace();
            let complete = seen.zip(&words).take_while(|(seen, word)| seen == *word);
            for word in words.iter().take(complete.count()).skip(shown) {
                found.push(((*word).to_owned(), screen.start));
                shown += 1;
            }
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
        Timed::new("You have\nOne tw", 1800, 2000),
        Timed::new("One two\nThree", 2000, 2200),
    ];
    assert_eq!(
        rolled(&screens),
        [
            Timed::new("You have", 1000, 1200),
            Timed::new("One two", 1600, 2000),
            Timed::new("Three", 2000, 2000)
        ]
    );
    let whole = whole(&screens);
    let expected = [
        ("You", 1000),
        ("have", 1200),
        ("One", 1600),
        ("two", 2000),
        ("Three", 2000),
    ];
    assert_eq!(whole, expected.map(|(word, at)| (word.to_owned(), at)));
}

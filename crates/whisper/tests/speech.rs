// SPDX-License-Identifier: MPL-2.0

//! Recognises recorded prompts and words of flite with tiny.en, through the public
//! interface.

mod support;

use std::sync::OnceLock;
use support::{PROMPTS, RATE, VOICE, bare, flite, has_loop, prompt, voiced, word_errors};
use symbl_whisper::{Draft, End, LoadOptions, Look, Looks, Model, Request, TimedWord, Transcript};

/// Returns the model that all tests of this program share.
fn model() -> Option<&'static Model> {
    static MODEL: OnceLock<Option<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let folder = symbl_testkit::model::model("tiny.en")?;
        Some(Model::load(&folder, LoadOptions::default()).unwrap())
    });
    model.as_ref()
}

fn request(model: &Model) -> Request {
    model.request("en", &[]).unwrap().0
}

fn transcribe(model: &Model, samples: &[f32], request: &Request) -> Transcript {
    model.transcribe(samples, &voiced(samples), request, &Draft::default())
}

/// Returns the words in lower case without punctuation.
fn bare_words(words: &[TimedWord]) -> Vec<String> {
    words.iter().map(|word| bare(&word.text)).collect()
}

/// Checks what holds for the words of every utterance.
fn check_words(words: &[TimedWord], samples: usize, name: &str) {
    let mut reached = 0;
    for word in words {
        assert!(
            word.start >= reached,
            "{name}: {word:?} starts before {reached}"
        );
        assert!(word.end > word.start, "{name}: {word:?}");
        // A frame of 20 ms may reach over the end.
        assert!(
            word.end <= samples + 320,
            "{name}: {word:?} ends after {samples}"
        );
        assert!((0.0..=1.0).contains(&word.confidence), "{name}: {word:?}");
        assert!(!word.text.is_empty() && !word.text.contains(char::is_whitespace));
        reached = word.start;
    }
}

/// Returns silence.
fn silence(samples: usize) -> Vec<f32> {
    vec![0.0; samples]
}

#[test]
fn isolated_words_are_answered() {
    let Some(model) = model() else { return };
    let request = request(model);
    let mut wrong = Vec::new();
    for voice in ["slt", "rms", "awb"] {
        for word in ["yes", "no", "stop", "hello", "thank you", "operator"] {
            let Some(said) = flite(voice, word) else {
                return;
            };
            let samples = [silence(RATE / 4), said, silence(RATE / 2)].concat();
            let found = transcribe(model, &samples, &request);
            check_words(&found.words, samples.len(), word);
            assert!(
                !found.words.is_empty(),
                "{voice}: \"{word}\" is not answered"
            );
            if bare_words(&found.words).join(" ") != word {
                wrong.push((voice, word, bare_words(&found.words)));
            }
        }
    }
    // "Yes" and "no" exactly, and of the others as many as the research found: 9 of 10.
    assert!(
        wrong
            .iter()
            .all(|(_, word, _)| !matches!(*word, "yes" | "no")),
        "{wrong:?}"
    );
    assert!(wrong.len() <= 2, "{wrong:?}");
}

#[test]
fn times_of_words_are_those_of_a_known_layout() {
    const WORDS: [&str; 24] = [
        "yellow", "window", "table", "garden", "morning", "water", "paper", "summer", "market",
        "doctor", "river", "dinner", "picture", "winter", "letter", "mountain", "orange",
        "kitchen", "monday", "music", "office", "engine", "silver", "corner",
    ];
    let Some(model) = model() else { return };
    let request = request(model);
    let mut errors = Vec::new();
    let mut said = 0;
    for (voice, turn) in [
        ("slt", 0),
        ("rms", 7),
        ("slt", 5),
        ("awb", 11),
        ("rms", 13),
        ("slt", 18),
        ("rms", 2),
        ("slt", 9),
    ] {
        let mut samples = silence(RATE / 4);
        let mut layout = Vec::new();
        for place in 0..8 {
            let word = WORDS[(turn + place * 5) % WORDS.len()];
            let Some(audio) = flite(voice, word) else {
                return;
            };
            // The synthesiser begins and ends with silence of its own.
            let is_loud = |sample: &f32| sample.abs() > 0.02;
            let first = audio.iter().position(is_loud).unwrap();
            let last = audio.iter().rposition(is_loud).unwrap();
            let audio = audio[first..=last].to_vec();
            layout.push((word, samples.len()));
            samples.extend(audio);
            // Gaps of 30 to 300 ms.
            samples.extend(silence(
                RATE * (30 + 270 * ((turn + place * 3) % 8) / 7) / 1000,
            ));
        }
        samples.extend(silence(RATE / 2));
        let voiced = voiced(&samples);
        let found = model.transcribe(&samples, &voiced, &request, &Draft::default());
        check_words(&found.words, samples.len(), voice);
        // A word that begins with the voice ends with it.
        let last = (voiced.iter().rposition(|voiced| *voiced).unwrap() + 1) * VOICE;
        for word in found.words.iter().filter(|word| word.start < last) {
            assert!(
                word.end <= last + 320,
                "{voice}: {word:?} ends after {last}"
            );
        }
        // Each word of the layout with the first of that text that was not taken yet.
        let mut from = 0;
        said += layout.len();
        for (word, start) in layout {
            let rest = &found.words[from..];
            if let Some(at) = rest.iter().position(|found| bare(&found.text) == word) {
                errors.push(rest[at].start.abs_diff(start) as f64 / RATE as f64);
                from += at + 1;
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    let p95 = errors[errors.len() * 95 / 100];
    // As in the research: 278 of 320 words without a sentence around them.
    assert!(errors.len() * 4 >= said * 3, "{} of {said}", errors.len());
    println!("single words: median {median:.3} s, p95 {p95:.3} s");
    // Measured: 0.02 and 0.63 s. Single words with no sentence around them are the hardest
    // case.
    assert!(
        median <= 0.05 && p95 <= 0.7,
        "median {median}, p95 {p95}: {errors:?}"
    );
}

#[test]
fn sentences_begin_where_their_voice_does() {
    let Some(model) = model() else { return };
    let request = request(model);
    let mut errors = Vec::new();
    for group in PROMPTS.chunks(5) {
        // Prompts with pauses of 120 to 360 ms between them.
        let mut samples = silence(RATE / 4);
        let mut starts = Vec::new();
        for (place, name) in group.iter().enumerate() {
            let Some(audio) = prompt(name) else { return };
            let voiced = voiced(&audio);
            let first = voiced.iter().position(|voiced| *voiced).unwrap() * VOICE;
            let last = voiced.iter().rposition(|voiced| *voiced).unwrap() * VOICE;
            let audio = &audio[first..audio.len().min(last + VOICE)];
            let alone = [silence(RATE / 4), audio.to_vec(), silence(RATE / 2)].concat();
            let words = transcribe(model, &alone, &request).words;
            starts.push((samples.len(), bare_words(&words)));
            samples.extend(audio);
            samples.extend(silence(RATE * (120 + 60 * place) / 1000));
        }
        samples.extend(silence(RATE / 2));
        let found = transcribe(model, &samples, &request).words;
        // Where two words of a prompt follow each other for the first time.
        let texts = bare_words(&found);
        let mut from = 0;
        for (start, words) in starts {
            let head = &words[..words.len().min(2)];
            let at = texts[from..]
                .windows(head.len())
                .position(|pair| pair == head);
            if let Some(at) = at {
                let error = found[from + at].start.abs_diff(start);
                errors.push(error as f64 / RATE as f64);
                from += at + 1;
            }
        }
    }
    let right = errors.iter().filter(|error| **error <= 0.05).count();
    println!("{right} of 30 sentences begin within 50 ms of their voice");
    // Measured: 27; by the attention alone, 4.
    assert!(right >= 25, "{right}: {errors:?}");
}

/// Returns what a series of looks finds: one every half second.
fn look_at(model: &Model, samples: &[f32], request: &Request) -> (Vec<Look>, Draft) {
    let voiced = voiced(samples);
    let mut looks = Looks::default();
    let found = (RATE / 2..samples.len())
        .step_by(RATE / 2)
        .map(|n| looks.look(model, &samples[..n], &voiced[..n / VOICE], request))
        .collect();
    (found, looks.draft())
}

/// Checks what holds for the looks at every utterance.
fn check_looks(looks: &[Look], name: &str) {
    let mut kept: Vec<String> = Vec::new();
    for (i, look) in looks.iter().enumerate() {
        let words = bare_words(&look.words);
        let texts: Vec<String> = look.words.iter().map(|word| word.text.clone()).collect();
        assert!(!has_loop(&words), "{name}: look {i}: {words:?}");
        assert!(look.stable <= words.len(), "{name}: look {i}");
        assert!(
            texts.starts_with(&kept),
            "{name}: look {i} rewrites {kept:?}: {texts:?}"
        );
        assert!(look.stable >= kept.len(), "{name}: look {i}");
        check_words(&look.words, (i + 1) * RATE / 2, name);
        kept = texts[..look.stable].to_vec();
    }
}

#[test]
fn looks_keep_what_they_agreed_on_and_draft_the_final() {
    let Some(model) = model() else { return };
    let request = request(model);
    let (mut stable, mut said) = (0, 0);
    for name in &PROMPTS[..20] {
        let Some(samples) = prompt(name) else { return };
        let (looks, draft) = look_at(model, &samples, &request);
        check_looks(&looks, name);
        stable += looks.last().map_or(0, |look| look.stable);
        // The final is the same with a draft as without, to the last bit.
        let voiced = voiced(&samples);
        let plain = model.transcribe(&samples, &voiced, &request, &Draft::default());
        let drafted = model.transcribe(&samples, &voiced, &request, &draft);
        assert_eq!(drafted, plain, "{name}");
        check_words(&plain.words, samples.len(), name);
        assert_eq!(plain.end, End::Finished, "{name}");
        said += plain.words.len();
    }
    // The looks showed something: many words were stable before the end (81 of 163).
    assert!(stable * 5 > said * 2, "{stable} of {said}");
}

#[test]
fn looks_show_words_soon_and_change_few_of_them() {
    let Some(model) = model() else { return };
    let request = request(model);
    let (mut said, mut rewritten, mut stable, mut broken) = (0, 0, 0, 0);
    // Audio from the end of a word to the look that first has it in its place, in samples.
    let mut delays = Vec::new();
    for name in &PROMPTS[..20] {
        let Some(samples) = prompt(name) else { return };
        let (looks, draft) = look_at(model, &samples, &request);
        let plain = model.transcribe(&samples, &voiced(&samples), &request, &draft);
        let last = bare_words(&plain.words);
        said += last.len();
        let shown: Vec<Vec<String>> = looks.iter().map(|look| bare_words(&look.words)).collect();
        for (look, words) in looks.iter().zip(&shown) {
            stable += look.stable;
            let pairs = words[..look.stable].iter().enumerate();
            broken += pairs.filter(|(n, word)| last.get(*n) != Some(word)).count();
        }
        let all = shown.iter().chain(std::iter::once(&last));
        for (before, after) in shown.iter().zip(all.skip(1)) {
            let pairs = before.iter().enumerate();
            rewritten += pairs
                .filter(|(n, word)| after.get(*n) != Some(word))
                .count();
        }
        for (n, word) in last.iter().enumerate() {
            let first = shown.iter().position(|words| words.get(n) == Some(word));
            // A look comes each half second, and the final at the end.
            let at = first.map_or(samples.len(), |look| (look + 1) * RATE / 2);
            delays.push(at.saturating_sub(plain.words[n].end));
        }
    }
    delays.sort_unstable();
    let (p50, p95) = (delays[delays.len() / 2], delays[delays.len() * 95 / 100]);
    println!(
        "of {said} words {rewritten} were rewritten; of {stable} stable ones {broken} are not those \
         of the final; shown {p50} and {p95} samples after their end (p50, p95)"
    );
    assert!(rewritten * 10 <= said * 4, "{rewritten} of {said}");
    assert!(broken * 100 <= stable * 15, "{broken} of {stable}");
    assert!(p50 <= RATE * 7 / 10 && p95 <= RATE * 13 / 10, "{p50} {p95}");
}

#[test]
fn looks_are_a_function_of_the_samples() {
    let Some(model) = model() else { return };
    let request = request(model);
    let (Some(one), Some(two)) = (prompt("conf-onlyone"), prompt("agent-newlocation")) else {
        return;
    };
    let (first, _) = look_at(model, &one, &request);
    let (other, _) = look_at(model, &two, &request);
    assert!(first.last().unwrap().words.len() > 3);
    // Again in two threads, in turns on one, and with samples that are not looked at yet.
    let (again, also) = std::thread::scope(|scope| {
        let again = scope.spawn(|| look_at(model, &one, &request).0);
        let also = scope.spawn(|| look_at(model, &two, &request).0);
        (again.join().unwrap(), also.join().unwrap())
    });
    assert_eq!(again, first);
    assert_eq!(also, other);
    let (mut looks, mut others) = (Looks::default(), Looks::default());
    for (i, (first, other)) in first.iter().zip(&other).enumerate() {
        let n = (i + 1) * RATE / 2;
        let mut grown = Vec::with_capacity(n * 3);
        for chunk in one[..n].chunks(1 + 997 * i) {
            grown.extend_from_slice(chunk);
        }
        // The detector's answer to what comes later does not count.
        let (a, b) = (voiced(&one), voiced(&two));
        assert_eq!(looks.look(model, &grown, &a[..n / VOICE], &request), *first);
        assert_eq!(
            others.look(model, &two[..n], &b[..n / VOICE], &request),
            *other
        );
    }
}

#[test]
fn a_long_utterance_is_looked_at_to_its_end() {
    let Some(model) = model() else { return };
    let request = request(model);
    let mut samples = Vec::new();
    for name in [
        "agent-alreadyon",
        "agent-newlocation",
        "conf-getconfno",
        "auth-incorrect",
        "agent-user",
    ] {
        let Some(prompt) = prompt(name) else { return };
        samples.extend(prompt);
    }
    assert!(samples.len() > 20 * RATE);
    let (looks, draft) = look_at(model, &samples, &request);
    check_looks(&looks, "a long utterance");
    let plain = transcribe(model, &samples, &request);
    assert_eq!(
        model.transcribe(&samples, &voiced(&samples), &request, &draft),
        plain
    );
    // The first words are still in the list, and few differ from the final's.
    let (shown, found) = (
        bare_words(&looks.last().unwrap().words),
        bare_words(&plain.words),
    );
    assert_eq!(shown[..4], found[..4]);
    let errors = word_errors(&found[..shown.len().min(found.len())], &shown);
    assert!(
        errors * 10 <= shown.len(),
        "{errors}: {shown:?}, not {found:?}"
    );
}

#[test]
fn an_empty_or_a_broken_utterance_is_survived() {
    let Some(model) = model() else { return };
    let request = request(model);
    let transcribe = |samples: &[f32], voiced: &[bool]| {
        let found = model.transcribe(samples, voiced, &request, &Draft::default());
        check_words(&found.words, samples.len(), "broken");
        let mut looks = Looks::default();
        let look = looks.look(model, samples, voiced, &request);
        check_words(&look.words, samples.len(), "broken");
        found
    };
    assert_eq!(transcribe(&[], &[]).words, []);
    assert_eq!(transcribe(&[], &[true; 40]).words, []);
    assert_eq!(transcribe(&[0.1], &[true]).words, []);
    assert_eq!(transcribe(&silence(RATE), &[]).words, []);
    assert_eq!(transcribe(&silence(RATE), &[true; 63]).words, []);
    let all = [true; 63];
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 2.0,
        -1e30,
    ] {
        assert_eq!(transcribe(&vec![value; RATE], &all).words, []);
        let mut samples = silence(RATE);
        samples[RATE / 2] = value;
        assert_eq!(transcribe(&samples, &all).words, []);
    }
    // More detector's frames than samples, and fewer.
    let Some(samples) = prompt(PROMPTS[0]) else {
        return;
    };
    let many = transcribe(&samples, &vec![true; samples.len()]);
    assert!(many.words.len() > 8);
    transcribe(&samples, &[true; 10]);
}

#[test]
fn the_next_utterance_forgets_a_broken_one() {
    let Some(model) = model() else { return };
    let request = request(model);
    let Some(samples) = prompt("conf-kicked") else {
        return;
    };
    let before = transcribe(model, &samples, &request);
    model.transcribe(&[f32::NAN; RATE], &[true; 63], &request, &Draft::default());
    assert_eq!(transcribe(model, &samples, &request), before);
    assert!(before.words.len() > 4);
}

/// Names that the model does not know.
const NAMES: [&str; 20] = [
    "Digium",
    "Zyxar",
    "Kovalent",
    "Brumwick",
    "Ostrava",
    "Felnor",
    "Quibbex",
    "Tarvish",
    "Molvane",
    "Drexton",
    "Yandell",
    "Plimsoll",
    "Vantrix",
    "Gorbal",
    "Thessaly",
    "Hexalon",
    "Rivendale",
    "Cobalis",
    "Nuvigo",
    "Symbl",
];

#[test]
fn a_vocabulary_finds_rare_names_and_leaves_other_words_alone() {
    let Some(model) = model() else { return };
    let none = request(model);
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let (terms, left_out) = model.request("en", &names).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    let (mut with, mut without) = (0, 0);
    for (place, name) in NAMES.iter().enumerate() {
        let sentence = match place % 4 {
            0 => format!("I would like to speak to {name} about the order."),
            1 => format!("Please call the people at {name} tomorrow morning."),
            2 => format!("We have bought three machines from {name} this year."),
            _ => format!("The meeting with {name} is on Friday at noon."),
        };
        for voice in ["slt", "rms"] {
            let Some(said) = flite(voice, &sentence) else {
                return;
            };
            let has = |request| {
                let found = transcribe(model, &said, request);
                bare_words(&found.words).contains(&name.to_lowercase())
            };
            let (a, b) = (has(&terms), has(&none));
            with += usize::from(a);
            without += usize::from(b);
        }
    }
    assert!(with >= 12, "{with} of 40 with the names, {without} without");
    assert!(
        with >= without + 6,
        "{with} with the names, {without} without"
    );

    // Speech in which no name comes.
    let (mut errors, mut said) = (0, 0);
    for name in &PROMPTS[..14] {
        let Some(samples) = prompt(name) else { return };
        let plain = bare_words(&transcribe(model, &samples, &none).words);
        let boosted = bare_words(&transcribe(model, &samples, &terms).words);
        said += plain.len();
        errors += word_errors(&plain, &boosted);
    }
    assert!(errors * 100 <= said, "{errors} of {said} words changed");
}

#[test]
fn any_vocabulary_is_taken() {
    let Some(model) = model() else { return };
    let Some(samples) = prompt("conf-kicked") else {
        return;
    };
    let plain = bare_words(&transcribe(model, &samples, &request(model)).words);
    // 10,000 terms: what is too much is told.
    let many: Vec<String> = (0..10_000).map(|i| format!("Company{i}")).collect();
    let (request, left_out) = model.request("en", &many).unwrap();
    assert_eq!(left_out, (200..10_000).collect::<Vec<_>>());
    let found = transcribe(model, &samples, &request);
    assert!(found.words.len() > 3, "{found:?}");
    // Nothing to say, control characters, marks, and a term that is too long.
    let mut odd: Vec<String> = [
        "",
        " ",
        "\u{0}",
        "\u{7}\u{1b}[31m",
        "\n\n",
        "\u{202e}",
        "\u{feff}",
        "…",
    ]
    .map(str::to_owned)
    .to_vec();
    odd.push("long ".repeat(1000));
    odd.push("\u{10ffff}".repeat(20));
    let (request, left_out) = model.request("en", &odd).unwrap();
    for place in [0, 1, 4, 8, 9] {
        assert!(left_out.contains(&place), "{place} of {left_out:?}");
    }
    let found = transcribe(model, &samples, &request);
    assert_eq!(bare_words(&found.words), plain);
}

#[test]
fn a_language_that_the_model_does_not_know_is_refused() {
    let Some(model) = model() else { return };
    assert_eq!(model.languages(), ["en"]);
    for code in ["de", "", "EN", "en-US", "<|en|>"] {
        let error = model.request(code, &[]).unwrap_err();
        assert_eq!(error.asked, code);
        assert_eq!(error.known, ["en"]);
        assert_eq!(
            error.to_string(),
            format!("the model knows en, not \"{code}\"")
        );
    }
}

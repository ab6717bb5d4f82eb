// SPDX-License-Identifier: MPL-2.0

//! A language model and a dictionary of the user's: what they do to recorded
//! speech, and what is said about bad ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use symbl_service::recognizer::pocketsphinx::{Pocketsphinx, PocketsphinxConfig};
use symbl_service::recognizer::{Recognition, Recognizer, StreamOptions};
use symbl_testkit::documented;
use symbl_testkit::speech::{Sample, absent, audio, samples, word_errors};
use tempfile::TempDir;

/// Returns a bigram model of these sentences in ARPA form, with absolute discounting.
fn arpa(sentences: &[&str]) -> String {
    let mut counts: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    let mut unigrams: BTreeMap<&str, f64> = BTreeMap::new();
    for sentence in sentences {
        let words: Vec<&str> = ["<s>"]
            .into_iter()
            .chain(sentence.split_whitespace())
            .chain(["</s>"])
            .collect();
        for pair in words.windows(2) {
            *counts
                .entry(pair[0])
                .or_default()
                .entry(pair[1])
                .or_default() += 1.0;
            *unigrams.entry(pair[1]).or_default() += 1.0;
        }
    }
    let all: f64 = unigrams.values().sum();
    unigrams.insert("<s>", 0.0);
    let bigrams: usize = counts.values().map(BTreeMap::len).sum();
    let mut text = format!(
        "\\data\\\nngram 1={}\nngram 2={bigrams}\n\n\\1-grams:\n",
        unigrams.len()
    );
    for (word, count) in &unigrams {
        let probability = if *count > 0.0 {
            (count / all).log10()
        } else {
            -99.0
        };
        let left = counts.get(word).map_or(1.0, |after| {
            0.5 * after.len() as f64 / after.values().sum::<f64>()
        });
        text += &format!("{probability:.4} {word} {:.4}\n", left.log10());
    }
    text += "\n\\2-grams:\n";
    for (first, after) in &counts {
        let sum: f64 = after.values().sum();
        for (second, count) in after {
            text += &format!("{:.4} {first} {second}\n", ((count - 0.5) / sum).log10());
        }
    }
    text + "\n\\end\\\n"
}

/// Returns the samples as through a telephone, without anything above 4 kHz.
fn telephone(samples: &[i16]) -> Vec<i16> {
    let run = |from: &str, to: &str, input: Vec<u8>| {
        let mut child = Command::new("ffmpeg")
            .args([
                "-v", "error", "-f", "s16le", "-ac", "1", "-ar", from, "-i", "-",
            ])
            .args(["-f", "s16le", "-ac", "1", "-ar", to, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        output.stdout
    };
    let bytes = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    run("8000", "16000", run("16000", "8000", bytes))
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn word_error_rate(engine: &Pocketsphinx, prompts: &[(Sample, Vec<i16>)]) -> f64 {
    let (mut errors, mut spoken) = (0, 0);
    for (sample, samples) in prompts {
        let mut stream = engine.open(&StreamOptions::default()).unwrap();
        let mut heard = Vec::new();
        stream.push(samples, &mut heard).unwrap();
        stream.finish(&mut heard).unwrap();
        let mut words = Vec::new();
        for found in heard {
            if let Recognition::Final { words: more, .. } = found {
                words.extend(more.into_iter().map(|w| w.text));
            }
        }
        errors += word_errors(sample.reference, &words.join(" "));
        spoken += sample.reference.split_whitespace().count();
    }
    errors as f64 / spoken as f64
}

fn open(lm: Option<PathBuf>, dict: Option<PathBuf>) -> Result<Pocketsphinx, String> {
    Pocketsphinx::open(PocketsphinxConfig {
        lm,
        dict,
        ..PocketsphinxConfig::default()
    })
    .map_err(|error| error.to_string())
}

#[test]
fn a_model_of_the_domain_hears_what_the_general_one_cannot() {
    let general = match open(None, None) {
        Ok(engine) => engine,
        Err(error) => return absent(&error),
    };
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    let samples = samples("dev");
    let samples = &samples[..8];
    for sample in samples {
        let Some(samples) = audio(sample) else { return };
        narrow.push((sample.clone(), telephone(&samples)));
        wide.push((sample.clone(), samples));
    }
    let folder = TempDir::new().unwrap();
    let lm = folder.path().join("prompts.lm");
    let sentences: Vec<&str> = samples.iter().map(|sample| sample.reference).collect();
    std::fs::write(&lm, arpa(&sentences)).unwrap();
    let closed = open(Some(lm), None).unwrap();
    let mut rates = Vec::new();
    for (name, prompts) in [("16 kHz", &wide), ("8 kHz", &narrow)] {
        let general = word_error_rate(&general, prompts);
        let closed = word_error_rate(&closed, prompts);
        println!(
            "{name}: {:.1} % of words wrong, with --lm {:.1} %",
            100.0 * general,
            100.0 * closed
        );
        rates.push((general, closed));
    }
    assert!(rates[0].1 <= 0.10, "{rates:?}");
    assert!(
        rates[1].1 <= 0.30 && rates[1].1 < rates[1].0 / 2.0,
        "{rates:?}"
    );
}

#[test]
fn a_file_that_cannot_work_is_named_with_its_reason() {
    if let Err(error) = open(None, None) {
        return absent(&error);
    }
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = arpa(&["hello"]);
    let lm = |name: &str, text: &str| open(Some(file(name, text)), None).err().unwrap_or_default();
    let dict =
        |name: &str, text: &str| open(None, Some(file(name, text))).err().unwrap_or_default();
    for (error, says) in [
        (
            lm("garbage.lm", "garbage"),
            "garbage.lm: the library refused it",
        ),
        (lm("cut.lm", &good[..60]), "cut.lm: the library refused it"),
        (lm("empty.lm", ""), "or it is empty"),
        (
            lm("case.lm", &good.replace("hello", "HELLO")),
            "such as `HELLO`",
        ),
        (lm("none.lm", &arpa(&[""])), "none.lm: it has no words"),
        (
            dict("garbage.dict", "garbage"),
            "garbage.dict: it has no words",
        ),
        (dict("phones.dict", "hello XX YY"), "such as `hello`"),
        (
            open(None, Some(folder.path().to_owned())).err().unwrap(),
            "no dictionary at",
        ),
    ] {
        assert!(error.contains(says), "{error:?} does not say {says:?}");
    }
    let both = (
        file("ok.lm", &good),
        file("ok.dict", "hello HH AH L OW\nxqzzy XX\n"),
    );
    open(Some(both.0), Some(both.1)).unwrap();
}

#[test]
fn the_service_starts_with_a_menu_as_documented() {
    if let Err(error) = open(None, None) {
        return absent(&error);
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("menu.lm"), arpa(&["hello"])).unwrap();
    std::fs::write(folder.path().join("menu.dict"), "hello HH AH L OW\n").unwrap();
    let service = env!("CARGO_BIN_EXE_symbl-service");
    let script = format!("exec '{service}' --listen 127.0.0.1:0 \"$@\"");
    documented::stand_in(folder.path(), "symbl-service", &script);
    let code = documented::block(
        "docs/recognizers.md",
        "service/tests/recognizers/closed_domain.rs",
    );
    let mut command = documented::bash(&code, folder.path());
    documented::until_it_listens(command.current_dir(folder.path()));
}

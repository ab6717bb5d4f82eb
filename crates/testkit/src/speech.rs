// SPDX-License-Identifier: MPL-2.0
//! Recorded speech for tests: sound files that Debian packages install, with their
//! transcripts. The repository holds no audio.
//!
//! `tests/fixtures/speech-samples.tsv` of the workspace lists the files.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use symbl_service::recognizer::SAMPLE_RATE;

/// One row of the list.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `smoke` (comes out exactly), `dev`, `testdata` or `alsa`, or `talk` of the demo.
    pub set: &'static str,
    /// The name of the sample in messages of tests.
    pub id: &'static str,
    /// The Debian package that has the file.
    pub package: &'static str,
    /// The sound file.
    pub path: &'static str,
    /// The transcript: lower case, no punctuation, numbers as words.
    pub reference: &'static str,
}

/// Returns the rows of `set`, in order.
pub fn samples(set: &str) -> Vec<Sample> {
    include_str!("../../../tests/fixtures/speech-samples.tsv")
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            Sample {
                set: columns[0],
                id: columns[1],
                package: columns[2],
                path: columns[3],
                reference: columns[8],
            }
        })
        .filter(|sample| sample.set == set)
        .collect()
}

/// Returns the prompts of the demo's talk, `examples/talk/prompts.tsv`, in the order in which
/// they are said.
pub fn talk_prompts() -> Vec<Sample> {
    include_str!("../../../examples/talk/prompts.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, reference)| Sample {
            set: "talk",
            id: path.rsplit('/').next().unwrap_or(path),
            package: "asterisk-core-sounds-en-g722",
            path,
            reference,
        })
        .collect()
}

/// Returns the prompts one after the other, with a pause before each and behind the last,
/// and where each of them lies; `None` where a package is absent.
pub fn talk(prompts: &[Sample], pause: Duration) -> Option<(Vec<i16>, Vec<Range<usize>>)> {
    let mut talk = silence(pause);
    let mut places = Vec::new();
    for prompt in prompts {
        let start = talk.len();
        talk.extend(audio(prompt)?);
        places.push(start..talk.len());
        talk.extend(silence(pause));
    }
    Some((talk, places))
}

/// Fails the test if speech is required (by `CI` or `SYMBL_REQUIRE_SPEECH`), because `what`
/// is absent. Else prints that a test is skipped.
pub fn absent(what: &str) {
    let required = |name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1");
    assert!(
        !required("CI") && !required("SYMBL_REQUIRE_SPEECH"),
        "no test may be skipped here: {what}; scripts/install-deps.sh installs what is missing"
    );
    // The test runner captures `eprintln!`, and a skipped test must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// Returns the sample's audio at 16 kHz mono, or `None` if its package is absent.
pub fn audio(sample: &Sample) -> Option<Vec<i16>> {
    if !Path::new(sample.path).is_file() {
        absent(&format!(
            "no {} (Debian package {})",
            sample.path, sample.package
        ));
        return None;
    }
    let rate = SAMPLE_RATE.to_string();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin"]);
    if sample.path.ends_with(".g722") {
        ffmpeg.args(["-f", "g722"]);
    } else if sample.path.ends_with(".raw") {
        ffmpeg.args(["-f", "s16le", "-ar", &rate, "-ac", "1"]);
    }
    ffmpeg.args([
        "-i",
        sample.path,
        "-ar",
        &rate,
        "-ac",
        "1",
        "-f",
        "s16le",
        "-",
    ]);
    let output = match ffmpeg.output() {
        Ok(output) => output,
        Err(error) => {
            absent(&format!("ffmpeg: {error}"));
            return None;
        }
    };
    assert!(
        output.status.success(),
        "{}: {}",
        sample.path,
        String::from_utf8_lossy(&output.stderr)
    );
    let pairs = output.stdout.chunks_exact(2);
    Some(
        pairs
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect(),
    )
}

/// Returns digital silence.
pub fn silence(duration: Duration) -> Vec<i16> {
    vec![0; samples_in(duration)]
}

/// Returns the number of samples in `duration`.
pub fn samples_in(duration: Duration) -> usize {
    (duration.as_millis() as usize) * SAMPLE_RATE as usize / 1000
}

/// Returns the time of a sample.
pub fn time_of(sample: usize) -> Duration {
    Duration::from_micros(sample as u64 * 1_000_000 / u64::from(SAMPLE_RATE))
}

/// Returns the smallest number of substitutions, insertions and deletions of words that
/// turn `reference` into `hypothesis`.
pub fn word_errors(reference: &str, hypothesis: &str) -> usize {
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (i, expected) in reference.split_whitespace().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, heard) in hypothesis.iter().enumerate() {
            let substituted = diagonal + usize::from(expected != *heard);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[hypothesis.len()]
}

use super::super::{Effort, WhisperConfig};
use super::*;
use symbl_testkit::model::model;
use symbl_testkit::speech::{audio, talk_prompts};
use symbl_whisper::{LoadOptions, Model};

/// Opens an engine with one worker; `None` where there is no model.
fn engine(every_look: bool) -> Option<Arc<Shared>> {
    let folder = model("tiny.en")?;
    let model = Model::load(&folder, LoadOptions::default()).expect("a model");
    let config = WhisperConfig {
        every_look,
        ..WhisperConfig::new(folder)
    };
    Some(Arc::new(Shared {
        model,
        workers: Workers::start(1).expect("a thread"),
        bulk: Workers::start(1).expect("a thread"),
        effort: Effort::default(),
        config,
    }))
}

fn stream(shared: &Arc<Shared>) -> WhisperStream {
    let (request, _) = shared.model.request("en", &[]).expect("English");
    let options = StreamOptions {
        interim: true,
        ..StreamOptions::default()
    };
    WhisperStream::open(Arc::clone(shared), request, &options)
}

/// Returns "You are currently the only participant in the conference", with a pause behind it.
fn speech() -> Option<Vec<i16>> {
    let mut speech = audio(&talk_prompts()[2])?;
    speech.extend([0; SAMPLE_RATE as usize]);
    Some(speech)
}

fn interims(out: &[Recognition]) -> Vec<&[RecognisedWord]> {
    let interims = out.iter().filter_map(|heard| match heard {
        Recognition::Interim { words, .. } => Some(words.as_slice()),
        _ => None,
    });
    interims.collect()
}

fn finals(out: &[Recognition]) -> Vec<String> {
    let finals = out.iter().filter_map(|heard| match heard {
        Recognition::Final { words, .. } => Some(crate::recognizer::text_of(words)),
        _ => None,
    });
    finals.collect()
}

/// Waits until the worker has begun all that waits.
fn all_begun(shared: &Shared) {
    while shared.workers.waiting() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_look_that_waits_is_replaced_by_the_next_one_that_is_due() {
    let Some((shared, speech)) = engine(false).zip(speech()) else {
        return;
    };
    let mut stream = stream(&shared);
    let release = shared.workers.occupied();
    let mut out = Vec::new();
    // Two seconds and a half: four looks or more are due.
    for frame in speech[..SAMPLE_RATE as usize * 5 / 2].chunks(FRAME) {
        stream.push(frame, &mut out).expect("taken");
        assert!(shared.workers.waiting() <= 1);
    }
    assert_eq!(shared.workers.waiting(), 1);
    assert_eq!(out, []);
    drop(release);
    while interims(&out).is_empty() {
        stream.bell.wait();
        stream.poll(&mut out).expect("a look");
    }
    // It saw what was said while it waited.
    let words = interims(&out)[0];
    assert!(words.len() >= 4, "{words:?}");
}

#[test]
fn an_utterance_that_is_decoded_holds_up_the_audio_behind_it() {
    let Some((shared, speech)) = engine(false).zip(speech()) else {
        return;
    };
    let mut stream = stream(&shared);
    let mut out = Vec::new();
    let release = shared.workers.occupied();
    stream.push(&speech, &mut out).expect("taken");
    assert!(stream.awaited.is_some());
    assert!(stream.is_ready());
    // All came at once, so it is ahead of its time and not late.
    assert_eq!(stream.behind(), Duration::ZERO);
    let awaited = stream.awaited.as_mut().expect("a final");
    awaited.since = Instant::now() - Duration::from_secs(5);
    assert!(stream.behind() >= Duration::from_secs(5));
    stream.push(&[0; BACKLOG], &mut out).expect("taken");
    assert!(!stream.is_ready());
    drop(release);
    while !stream.is_ready() {
        stream.bell.wait();
        stream.poll(&mut out).expect("a final");
    }
    stream.finish(&mut out).expect("the end");
    assert_eq!(finals(&out).len(), 1, "{out:?}");
    assert_eq!(stream.behind(), Duration::ZERO);
}

#[test]
fn every_look_comes_even_if_the_audio_ends_when_it_is_due() {
    let Some((shared, speech)) = engine(true).zip(speech()) else {
        return;
    };
    let mut stream = stream(&shared);
    let mut out = Vec::new();
    let mut frames = speech.chunks(FRAME);
    // The second look: it has words.
    let mut release = None;
    for look in 0..3 {
        while stream.looking.is_none() {
            let frame = frames.next().expect("more speech");
            if look == 2 && release.is_none() {
                release = Some(shared.workers.occupied());
            }
            stream.push(frame, &mut out).expect("taken");
        }
        if look < 2 {
            while stream.looking.is_some() {
                stream.bell.wait();
                stream.poll(&mut out).expect("a look");
            }
        }
    }
    let before = interims(&out).len();
    assert!(stream.poll_finish(&mut out).expect("going on").is_pending());
    drop(release);
    stream.finish(&mut out).expect("the end");
    assert_eq!(interims(&out).len(), before + 1, "{out:?}");
    assert!(matches!(out.last(), Some(Recognition::Final { .. })));
}

#[test]
fn a_look_at_an_utterance_that_was_cut_says_nothing_about_the_next_one() {
    let Some((shared, speech)) = engine(false).zip(speech()) else {
        return;
    };
    let mut stream = stream(&shared);
    let mut out = Vec::new();
    let release = shared.workers.occupied();
    let two_seconds = SAMPLE_RATE as usize * 2;
    stream
        .push(&speech[..two_seconds], &mut out)
        .expect("taken");
    // The look is begun, and not done before the utterance has become too long.
    let looks = Arc::clone(&stream.following.looks);
    let looks = looks.lock().expect("no panic");
    drop(release);
    all_begun(&shared);
    let start = stream.segmenter.current().expect("speech").start;
    let voiced = &speech[two_seconds / 2..two_seconds];
    while stream.segmenter.current().expect("speech").start == start {
        stream.push(voiced, &mut out).expect("taken");
        assert!(
            stream.looking.is_some(),
            "one that was begun is not dropped"
        );
    }
    let cut = stream.segmenter.current().expect("speech").start;
    assert!(stream.awaited.is_some());
    assert_eq!(out, []);
    drop(looks);
    while stream.looking.is_some() {
        stream.bell.wait();
        stream.poll(&mut out).expect("a look");
    }
    let cut = Duration::from_micros(cut * 1_000_000 / u64::from(SAMPLE_RATE));
    for words in interims(&out) {
        assert!(words[0].start < cut, "{words:?} after {cut:?}");
    }
}

#[test]
fn a_stream_that_waits_fails_when_the_engine_is_closed() {
    let Some((shared, speech)) = engine(false).zip(speech()) else {
        return;
    };
    let mut stream = stream(&shared);
    let mut out = Vec::new();
    let release = shared.workers.occupied();
    stream.push(&speech, &mut out).expect("taken");
    shared.workers.close();
    let error = stream.finish(&mut out).expect_err("no result");
    assert!(error.to_string().contains("closed"), "{error}");
    assert_eq!(out, []);
    drop(release);
    // So does one that says something afterwards.
    let mut late = self::stream(&shared);
    let error = late
        .push(&speech, &mut out)
        .and_then(|()| late.finish(&mut out));
    assert!(error.expect_err("no result").to_string().contains("closed"));
}

#[test]
fn a_stream_that_is_dropped_while_it_waits_leaves_the_others_as_they_are() {
    let Some((shared, speech)) = engine(false).zip(speech()) else {
        return;
    };
    let mut alone = Vec::new();
    let mut stream = self::stream(&shared);
    stream.push(&speech, &mut alone).expect("taken");
    stream.finish(&mut alone).expect("a final");
    let release = shared.workers.occupied();
    let mut out = Vec::new();
    let mut gone = self::stream(&shared);
    gone.push(&speech, &mut out).expect("taken");
    let mut stays = self::stream(&shared);
    stays.push(&speech, &mut out).expect("taken");
    assert_eq!(shared.workers.waiting(), 2);
    drop(gone);
    drop(release);
    stays.finish(&mut out).expect("a final");
    assert_eq!(finals(&out), finals(&alone));
    assert_eq!(finals(&out).len(), 1);
}

/// Returns words that follow each other, each 0.5 s long.
fn half_seconds(texts: &[&str]) -> Vec<TimedWord> {
    let words = texts.iter().enumerate().map(|(at, text)| TimedWord {
        text: (*text).to_owned(),
        start: at * 8_000,
        end: (at + 1) * 8_000,
        confidence: 1.0,
    });
    words.collect()
}

#[test]
fn an_utterance_is_cut_behind_a_sentence_or_at_the_quietest_place_between_words() {
    let mut samples = vec![1_000; 3 * 16_000];
    let words = half_seconds(&["a", "b", "c", "d", "e", "f"]);
    // Behind "c", where it is quiet for three frames.
    samples[93 * FRAME..96 * FRAME].fill(0);
    assert_eq!(place_of_cut(&words, &samples), Some((3, 94)));
    // It is also quiet behind "e", which may not be complete.
    samples[155 * FRAME..158 * FRAME].fill(0);
    samples[93 * FRAME..96 * FRAME].fill(1);
    assert_eq!(place_of_cut(&words, &samples), Some((3, 94)));
    // A sentence ends with "d".
    let words = half_seconds(&["a.", "b", "c", "d.", "e", "f"]);
    let (count, frame) = place_of_cut(&words, &samples).expect("a place");
    assert_eq!(count, 4);
    assert!((120..=130).contains(&frame), "{frame}");
    // No word is complete.
    assert_eq!(place_of_cut(&[], &samples), None);
    let mut long = half_seconds(&["a"]);
    long[0].end = samples.len();
    assert_eq!(place_of_cut(&long, &samples), None);
}

#[test]
fn words_before_a_cut_are_removed_by_what_they_are_or_else_by_their_times() {
    let before = half_seconds(&["a", "b"]);
    let context = Context {
        samples: vec![0; 16_000],
        voiced: vec![true; 16_000 / FRAME],
        last: before.last().cloned(),
    };
    let left = |texts: &[&str], earlier: usize| {
        let mut words = half_seconds(texts);
        for word in &mut words {
            word.start = word.start.saturating_sub(earlier);
            word.end -= earlier;
        }
        context.remove(&mut words);
        let first = words.first().map(|word| word.start);
        let texts: Vec<String> = words.into_iter().map(|word| word.text).collect();
        (texts.join(" "), first)
    };
    let behind = ("c d".to_owned(), Some(0));
    assert_eq!(left(&["a", "B,", "c", "d"], 0), behind);
    // All times are too early, so that most of "c" seems to be before the cut.
    assert_eq!(left(&["a", "b", "c", "d"], 4_800), behind);
    // It heard another word this time.
    assert_eq!(left(&["a", "x", "c", "d"], 0), behind);
    assert_eq!(left(&["a", "b"], 0), (String::new(), None));
    let mut words = before.clone();
    Context::default().remove(&mut words);
    assert_eq!(words, before);
}

#[test]
fn audio_of_a_file_is_ahead_of_its_time_and_live_audio_is_not() {
    let second = SAMPLE_RATE as usize;
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let mut file = Clock::default();
    file.push(60 * second, now);
    assert_eq!(file.time_of(0), at(60));
    assert_eq!(file.time_of(50 * second), at(10));
    let mut live = Clock::default();
    live.push(second, now);
    live.push(second, at(1));
    assert_eq!(live.time_of(0), at(2));
    // After a pause of its client it does not count as late.
    live.push(second, at(3600));
    assert_eq!(live.time_of(second), at(3600));
}

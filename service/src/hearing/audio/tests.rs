// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::hearing::recognizer::scripted::{Scripted, silence, speech};
use crate::hearing::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerStream, StreamOptions,
};
use ::opus::{Application, Bitrate, Channels, Encoder};
use audio_codec_algorithms::encode_ulaw;
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use symbl_protocol::StreamFormat;
use tokio::sync::mpsc;

#[path = "../../../tests/common/flac.rs"]
mod flac_writer;

struct Hearing {
    stream: Box<dyn RecognizerStream>,
    out: Vec<Recognition>,
    samples: Vec<i16>,
    complaints: Vec<String>,
}

impl Hearing {
    /// Hears what was decoded.
    fn hear(&mut self, decoded: &mut Decoded) -> Result<(), StreamError> {
        let Decoded {
            samples,
            complaints,
        } = std::mem::take(decoded);
        let complaints = complaints.iter().map(AudioError::to_string);
        self.complaints.extend(complaints);
        self.samples.extend_from_slice(&samples);
        Ok(self.stream.push(&samples, &mut self.out)?)
    }

    /// Hears all that is in a queue whose sender is gone.
    fn hear_all(&mut self, queue: &mut Queue) -> Result<End, StreamError> {
        let mut context = Context::from_waker(Waker::noop());
        let mut decoded = Decoded::default();
        loop {
            let Poll::Ready(taken) = queue.poll_next(&mut context, &mut decoded) else {
                panic!("the sender is gone")
            };
            self.hear(&mut decoded)?;
            if let Taken::End(end) = taken? {
                return Ok(end);
            }
        }
    }

    fn words(&self) -> Vec<RecognisedWord> {
        let mut words = Vec::new();
        for recognition in &self.out {
            if let Recognition::Final { words: more, .. } = recognition {
                words.extend(more.iter().cloned());
            }
        }
        words
    }
}

fn format(encoding: Encoding, rate: u32) -> StreamFormat {
    StreamFormat::new(encoding, rate).unwrap()
}

/// Runs a whole stream through decoder and recogniser.
fn run(first: StreamFormat, inputs: Vec<Input>) -> (Hearing, Result<End, StreamError>) {
    let (sender, receiver) = mpsc::channel(inputs.len().max(1));
    for input in inputs {
        sender.try_send((Instant::now(), input)).unwrap();
    }
    drop(sender);
    let mut hearing = hearing();
    let mut queue = Queue::new(receiver, Arc::default(), first);
    let end = hearing.hear_all(&mut queue);
    hearing.stream.finish(&mut hearing.out).unwrap();
    (hearing, end)
}

fn hearing() -> Hearing {
    Hearing {
        stream: Scripted.open(&StreamOptions::default()).unwrap(),
        out: Vec::new(),
        samples: Vec::new(),
        complaints: Vec::new(),
    }
}

/// Cuts bytes into messages of the given size and ends the stream.
fn messages(bytes: &[u8], size: usize) -> Vec<Input> {
    let mut inputs: Vec<Input> = bytes
        .chunks(size)
        .map(|chunk| Input::Audio(Bytes::copy_from_slice(chunk)))
        .collect();
    inputs.push(Input::Stop);
    inputs
}

fn linear16(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Returns 13 words, half a second of silence, and one more word.
fn talk(rate: u32) -> Vec<i16> {
    let mut samples = speech(500..513, rate);
    samples.extend(silence(Duration::from_millis(500), rate));
    samples.extend(speech([77], rate));
    samples
}

/// Asserts that each word of [`talk`] was heard once, in order, and within 10 ms of where
/// it was spoken plus the encoder's own delay.
fn assert_talk(words: &[RecognisedWord], encoder_delay: Duration) {
    let expected = (0..13).map(|k| (500 + k, 200 * k)).chain([(77, 3100)]);
    let texts: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
    let spoken: Vec<String> = expected.clone().map(|(n, _)| format!("w{n}")).collect();
    assert_eq!(texts, spoken);
    for (word, (_, at)) in words.iter().zip(expected) {
        let start = Duration::from_millis(at) + encoder_delay;
        let end = start + Duration::from_millis(200);
        for (heard, spoken) in [(word.start, start), (word.end, end)] {
            let error = heard.abs_diff(spoken);
            assert!(
                error <= Duration::from_millis(10),
                "{word:?}: off by {error:?}"
            );
        }
    }
}

#[test]
fn words_keep_their_times_at_every_sample_rate() {
    for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000] {
        let bytes = linear16(&talk(rate));
        let (hearing, end) = run(format(Encoding::Linear16, rate), messages(&bytes, 3200));
        assert_eq!(end.unwrap(), End::Stopped);
        assert_talk(&hearing.words(), Duration::ZERO);
    }
}

#[test]
fn the_size_of_messages_does_not_change_a_sample() {
    let bytes = linear16(&talk(44_100)[..44_100]);
    let whole = run(
        format(Encoding::Linear16, 44_100),
        messages(&bytes, bytes.len()),
    )
    .0;
    for size in [1, 3, 882, 8191] {
        let pieces = run(format(Encoding::Linear16, 44_100), messages(&bytes, size)).0;
        assert_eq!(pieces.samples, whole.samples, "messages of {size} bytes");
    }
}

#[test]
fn resampling_keeps_length_and_place() {
    for rate in [8_000u32, 44_100, 48_000] {
        let mut samples = vec![0i16; rate as usize];
        // A narrow bump at half a second.
        let centre = rate as usize / 2;
        let reach = rate as usize / 1000;
        for i in 0..=2 * reach {
            let phase = (i as f64 / reach as f64 - 1.0) * std::f64::consts::PI;
            samples[centre - reach + i] = (10_000.0 * (1.0 + phase.cos())) as i16;
        }
        let bytes = linear16(&samples);
        let heard = run(format(Encoding::Linear16, rate), messages(&bytes, 4000))
            .0
            .samples;
        assert_eq!(heard.len(), 16_000);
        let peak = (0..heard.len()).max_by_key(|&i| heard[i]).unwrap();
        assert!(peak.abs_diff(8_000) <= 1, "{rate} Hz: peak at {peak}");
    }
}

#[test]
fn mulaw_is_understood() {
    let bytes: Vec<u8> = talk(8_000).iter().map(|&s| encode_ulaw(s)).collect();
    for size in [1, 160, 8192] {
        let (hearing, _) = run(format(Encoding::Mulaw, 8_000), messages(&bytes, size));
        assert_talk(&hearing.words(), Duration::ZERO);
    }
}

#[test]
fn flac_is_understood_however_it_is_cut() {
    for (rate, size) in [(16_000, 1), (16_000, 4096), (44_100, 1000), (48_000, 8192)] {
        let bytes = flac_writer::encode(&talk(rate), rate, 1152).concat();
        let (hearing, end) = run(format(Encoding::Flac, rate), messages(&bytes, size));
        assert_eq!(end.unwrap(), End::Stopped);
        assert_talk(&hearing.words(), Duration::ZERO);
    }
}

/// Returns packets of 20 ms and the encoder's look-ahead.
fn opus_packets(samples: &[i16], bitrate: i32, channels: Channels) -> (Vec<Bytes>, Duration) {
    let mut encoder = Encoder::new(48_000, channels, Application::Audio).unwrap();
    encoder.set_bitrate(Bitrate::Bits(bitrate)).unwrap();
    let lookahead = encoder.get_lookahead().unwrap() as u64;
    let mut padded = samples.to_vec();
    padded.resize(samples.len().next_multiple_of(960) + 960, 0);
    let packets = padded
        .chunks(960)
        .map(|frame| {
            let frame: Vec<i16> = frame
                .iter()
                .flat_map(|&s| std::iter::repeat_n(s, channels as usize))
                .collect();
            encoder.encode_vec(&frame, 4000).unwrap().into()
        })
        .collect();
    (packets, Duration::from_nanos(lookahead * 1_000_000 / 48))
}

#[test]
fn opus_is_understood_from_32_kbit_for_one_channel_up() {
    for (bitrate, channels) in [
        (32_000, Channels::Mono),
        (64_000, Channels::Mono),
        (96_000, Channels::Stereo),
    ] {
        let (packets, delay) = opus_packets(&talk(48_000), bitrate, channels);
        let mut inputs: Vec<Input> = packets.into_iter().map(Input::Audio).collect();
        inputs.push(Input::Stop);
        let (hearing, _) = run(format(Encoding::Opus, 48_000), inputs);
        assert_talk(&hearing.words(), delay);
        assert!(hearing.complaints.is_empty());
    }
}

#[test]
fn a_damaged_opus_packet_costs_no_time_and_no_word() {
    let (mut packets, delay) = opus_packets(&talk(48_000), 64_000, Channels::Mono);
    // In the middle of the third word: a code 3 packet without its frame count.
    packets[24] = Bytes::from_static(&[0xfb]);
    let mut inputs: Vec<Input> = packets.into_iter().map(Input::Audio).collect();
    inputs.push(Input::Stop);
    let (hearing, _) = run(format(Encoding::Opus, 48_000), inputs);
    assert_talk(&hearing.words(), delay);
}

#[test]
fn an_ogg_page_is_refused_once_with_a_reason_and_the_stream_goes_on() {
    let (packets, delay) = opus_packets(&talk(48_000), 64_000, Channels::Mono);
    let page = Bytes::from_static(b"OggS\0\x02");
    let mut inputs = vec![Input::Audio(page.clone()), Input::Audio(page)];
    inputs.extend(packets.into_iter().map(Input::Audio));
    inputs.push(Input::Stop);
    let (hearing, end) = run(format(Encoding::Opus, 48_000), inputs);
    assert_eq!(end.unwrap(), End::Stopped);
    assert_eq!(hearing.complaints.len(), 1);
    assert!(hearing.complaints[0].contains("raw packets"));
    assert_talk(&hearing.words(), delay);
}

#[test]
fn a_format_change_takes_effect_between_two_bytes_and_time_goes_on() {
    let mut inputs = messages(&linear16(&speech(500..507, 48_000)), 5000);
    inputs.pop();
    inputs.push(Input::Format(format(Encoding::Flac, 16_000)));
    let flac = flac_writer::encode(&speech(507..513, 16_000), 16_000, 576).concat();
    inputs.extend(messages(&flac, 700));
    inputs.pop();
    inputs.push(Input::Format(format(Encoding::Linear16, 8_000)));
    let mut rest = silence(Duration::from_millis(500), 8_000);
    rest.extend(speech([77], 8_000));
    inputs.extend(messages(&linear16(&rest), 320));
    let (hearing, end) = run(format(Encoding::Linear16, 48_000), inputs);
    assert_eq!(end.unwrap(), End::Stopped);
    assert_talk(&hearing.words(), Duration::ZERO);
}

#[test]
fn what_is_no_flac_ends_the_stream_with_a_reason() {
    let garbage = messages(&[7; 9000], 500);
    let (_, end) = run(format(Encoding::Flac, 16_000), garbage);
    assert!(end.unwrap_err().to_string().contains("fLaC"));
    let mut bytes = flac_writer::encode(&talk(16_000), 16_000, 1152).concat();
    bytes[3000] ^= 0xff;
    let (_, end) = run(format(Encoding::Flac, 16_000), messages(&bytes, 500));
    assert!(matches!(
        end,
        Err(StreamError::Audio(AudioError::Flac { .. }))
    ));
}

#[test]
fn a_flac_frame_is_heard_when_it_has_come_and_not_when_the_next_one_has() {
    let blocks = flac_writer::encode(&talk(16_000), 16_000, 1152);
    let mut decoder = Decoder::new(format(Encoding::Flac, 16_000)).unwrap();
    let mut decoded = Decoded::default();
    let mut lengths = Vec::new();
    for block in &blocks {
        decoder.push(block, &mut decoded).unwrap();
        lengths.push(decoded.samples.len());
    }
    // The first piece is the header.
    let expected: Vec<usize> = (0..blocks.len()).map(|frames| frames * 1152).collect();
    assert_eq!(lengths[..10], expected[..10]);
}

#[test]
fn a_flac_frame_that_never_ends_is_refused() {
    let blocks = flac_writer::encode(&talk(16_000), 16_000, 1152);
    let mut decoder = Decoder::new(format(Encoding::Flac, 16_000)).unwrap();
    let mut decoded = Decoded::default();
    decoder.push(&blocks[0], &mut decoded).unwrap();
    // The header of a frame, that of a sub-frame with residuals in Rice code, and zeros: a
    // number in unary without an end.
    let mut endless = blocks[1][..8].to_vec();
    endless.push(0x10);
    let mut result = decoder.push(&endless, &mut decoded);
    for _ in 0..400 {
        result = result.and_then(|()| decoder.push(&[0; 4096], &mut decoded));
    }
    assert!(matches!(result, Err(AudioError::Flac { .. })), "{result:?}");
    assert!(decoded.samples.is_empty());
}

#[test]
fn blocks_of_metadata_are_passed_over() {
    let blocks = flac_writer::encode(&talk(16_000), 16_000, 1152);
    let mut bytes = blocks.concat();
    assert_eq!(bytes[4], 0x80, "the first block is the last one");
    bytes[4] = 0;
    let mut picture = vec![0x86, 0, 0x10, 0];
    picture.extend([0xff; 0x1000]);
    bytes.splice(42..42, picture);
    for size in [1, 700, bytes.len()] {
        let (hearing, end) = run(format(Encoding::Flac, 16_000), messages(&bytes, size));
        assert_eq!(end.unwrap(), End::Stopped);
        assert_talk(&hearing.words(), Duration::ZERO);
    }
}

#[test]
fn a_lost_sender_is_no_stop() {
    let mut inputs = messages(&linear16(&talk(16_000)), 3200);
    inputs.pop();
    let (_, end) = run(format(Encoding::Linear16, 16_000), inputs);
    assert_eq!(end.unwrap(), End::Abandoned);
}

#[test]
fn streams_without_a_byte_are_no_error() {
    for (encoding, rate) in [
        (Encoding::Linear16, 8_000),
        (Encoding::Mulaw, 8_000),
        (Encoding::Opus, 48_000),
        (Encoding::Flac, 16_000),
    ] {
        let (hearing, end) = run(format(encoding, rate), vec![Input::Stop]);
        assert_eq!(end.unwrap(), End::Stopped);
        assert!(hearing.samples.is_empty());
    }
}

#[test]
fn what_waits_in_an_abandoned_queue_is_not_heard() {
    let (sender, receiver) = mpsc::channel(8);
    for input in messages(&linear16(&speech(0..1, 16_000)), 3200) {
        sender.try_send((Instant::now(), input)).unwrap();
    }
    let mut queue = Queue::new(
        receiver,
        Arc::new(true.into()),
        format(Encoding::Linear16, 16_000),
    );
    let mut hearing = hearing();
    let end = hearing.hear_all(&mut queue);
    assert_eq!(end.unwrap(), End::Abandoned);
    assert!(hearing.samples.is_empty());
}

// SPDX-License-Identifier: MPL-2.0

//! Live sources that have only times of arrival, from senders that send five packets at once
//! every 100 ms.

use super::{assert_words, documented, end, hear};
use crate::common::pipeline::{Pipeline, bytes_of, counted};
use crate::common::service::Service;
use gst::prelude::*;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;
use symbl_service::recognizer::scripted;

const WORDS: u16 = 50;

/// Returns fifty words and the silence that ends the last utterance, at this rate.
fn samples(rate: u32) -> Vec<i16> {
    let silence = scripted::silence(Duration::from_millis(500), rate);
    [scripted::speech(0..WORDS, rate), silence].concat()
}

/// Sends packets of 20 ms at the pace of speech, five at once.
fn in_bursts(packets: &[Vec<u8>], mut send: impl FnMut(&[u8])) {
    let begin = std::time::Instant::now();
    for (n, burst) in (1..).zip(packets.chunks(5)) {
        burst.iter().for_each(|packet| send(packet));
        let due = Duration::from_millis(100) * n;
        // This is the pace of a sender, and no wait for an event.
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// Asserts that all words came once and 200 ms apart, and that all audio was sent.
fn assert_all_is_there(pipeline: &mut Pipeline, samples: usize, rate: u64) {
    hear(pipeline, usize::from(WORDS));
    end(pipeline);
    let words = pipeline.words();
    assert_words(&words, 0..WORDS, words[0].1, 20_000_000);
    let sent = counted(&pipeline.sink(), "audio-sent");
    assert_eq!(sent, samples as u64 * 1_000_000_000 / rate, "audio sent");
}

#[test]
fn an_application_that_pushes_in_bursts_has_its_words_once_at_their_time() {
    let service = Service::start();
    let mut pipeline = Pipeline::launch(&format!(
        "appsrc name=src format=time is-live=true do-timestamp=true \
         caps=audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000 \
         ! symblsink name=sink base-url={}",
        service.url()
    ));
    pipeline.play();
    let samples = samples(16_000);
    let packets: Vec<_> = samples.chunks(320).map(bytes_of).collect();
    let src = pipeline.src();
    in_bursts(&packets, |packet| {
        let buffer = gst::Buffer::from_slice(packet.to_vec());
        src.push_buffer(buffer).expect("it flows");
    });
    assert_all_is_there(&mut pipeline, samples.len(), 16_000);
}

#[test]
fn rtp_in_bursts_without_a_jitterbuffer_has_its_words_once_at_their_time() {
    let service = Service::start();
    let changes = [("port=5004", "name=net address=127.0.0.1 port=0")];
    let mut pipeline = Pipeline::launch(&documented(
        "RTP without a jitterbuffer",
        &service,
        &changes,
    ));
    pipeline.play();
    let net = pipeline.pipeline.by_name("net").expect("a source");
    let port = u16::try_from(net.property::<i32>("port")).expect("a port");
    let samples = samples(8_000);
    let packets = samples.chunks(160).enumerate().map(|(n, samples)| {
        let sequence = u16::try_from(n).expect("few");
        let timestamp = u32::from(sequence) * 160;
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend(samples.iter().map(|sample| mulaw(*sample)));
        packet
    });
    let packets: Vec<_> = packets.collect();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    in_bursts(&packets, |packet| {
        socket.send_to(packet, ("127.0.0.1", port)).expect("sent");
    });
    assert_all_is_there(&mut pipeline, samples.len(), 8_000);
}

/// Encodes a sample in G.711 µ-law.
fn mulaw(sample: i16) -> u8 {
    let magnitude = i32::from(sample).unsigned_abs().min(32_635) + 132;
    let exponent = 31 - magnitude.leading_zeros() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let sign = u32::from(sample < 0) << 7;
    u8::try_from(!(sign | exponent << 4 | mantissa) & 0xff).expect("eight bits")
}

#[test]
fn raw_sound_over_tcp_in_pieces_of_odd_size_has_its_words_once_at_their_time() {
    let service = Service::start();
    let changes = [("host=0.0.0.0 port=5010", "name=net host=127.0.0.1 port=0")];
    let mut pipeline = Pipeline::launch(&documented("Raw sound over TCP", &service, &changes));
    pipeline.play();
    let net = pipeline.pipeline.by_name("net").expect("a source");
    let listens = || net.property::<i32>("current-port") != 0;
    crate::common::pipeline::until("the source listens", listens);
    let port = u16::try_from(net.property::<i32>("current-port")).expect("a port");
    let samples = samples(16_000);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a socket");
    let packets: Vec<_> = bytes_of(&samples).chunks(641).map(<[u8]>::to_vec).collect();
    in_bursts(&packets, |packet| socket.write_all(packet).expect("sent"));
    drop(socket); // the source ends with its sender
    pipeline.wait_for_eos();
    let words = pipeline.words();
    assert_words(&words, 0..WORDS, words[0].1, 20_000_000);
    let sent = counted(&pipeline.sink(), "audio-sent");
    assert_eq!(sent, samples.len() as u64 * 62_500, "audio sent");
}

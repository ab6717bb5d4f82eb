// SPDX-License-Identifier: MPL-2.0

//! The whole way once: audio goes in, and words come to the bus, each at its time.

use crate::common::pipeline::{Pipeline, buffer, bytes_of};
use crate::common::service::Service;
use symbl_service::recognizer::scripted;

#[test]
fn the_words_of_the_audio_come_out_once_each_in_order_at_their_time() {
    let service = Service::start();
    let mut pipeline = Pipeline::appsrc(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000",
        &format!("base-url={}", service.url()),
    );
    pipeline.play();
    let samples = scripted::speech(0..25, 16_000);
    for (n, chunk) in bytes_of(&samples).chunks(640).enumerate() {
        let pts = n as u64 * 20_000_000;
        pipeline
            .src()
            .push_buffer(buffer(chunk.to_vec(), Some(pts), Some(20_000_000)))
            .unwrap();
    }
    pipeline.src().end_of_stream().unwrap();
    pipeline.wait_for_eos();

    let words = pipeline.words();
    let expected: Vec<String> = (0..25).map(|n| format!("w{n}")).collect();
    assert_eq!(
        words.iter().map(|w| w.0.clone()).collect::<Vec<_>>(),
        expected
    );
    for (n, (_, running_time)) in words.iter().enumerate() {
        let truth = n as i64 * 200_000_000;
        assert!(
            (*running_time as i64 - truth).abs() <= 20_000_000,
            "w{n} at {running_time}"
        );
    }
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained.len(), 1);
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
}

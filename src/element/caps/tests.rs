// SPDX-License-Identifier: MPL-2.0

use super::*;
use gst::prelude::*;

fn read(caps: &str) -> Result<AudioFormat, String> {
    gst::init().unwrap();
    format_from_caps(&caps.parse::<gst::Caps>().unwrap())
}

#[track_caller]
fn assert_read(caps: &str, encoding: Encoding, rate: u32) {
    let format = read(caps).unwrap();
    assert_eq!(
        (format.wire.encoding(), format.wire.sample_rate()),
        (encoding, rate)
    );
    assert!(format.header.is_empty());
    let caps: gst::Caps = caps.parse().unwrap();
    assert!(
        caps.can_intersect(&template()),
        "{caps} is not in the template"
    );
}

#[track_caller]
fn assert_refused(caps: &str, said: &[&str]) {
    let reason = read(caps).unwrap_err();
    for said in said {
        assert!(
            reason.contains(said),
            "{caps}: {reason:?} does not say {said:?}"
        );
    }
    let caps: gst::Caps = caps.parse().unwrap();
    assert!(!caps.is_subset(&template()), "{caps} is in the template");
}

fn flac_caps(headers: &[&[u8]]) -> gst::Caps {
    gst::init().unwrap();
    let headers = headers
        .iter()
        .map(|bytes| gst::Buffer::from_slice(bytes.to_vec()).to_send_value());
    gst::Caps::builder("audio/x-flac")
        .field("framed", true)
        .field("channels", 1i32)
        .field("rate", 16_000i32)
        .field("streamheader", gst::Array::from_values(headers))
        .build()
}

#[test]
fn the_template_is_that_of_the_contract() {
    gst::init().unwrap();
    let contract: gst::Caps = "\
        audio/x-raw, format=S16LE, layout=interleaved, channels=1, rate=[8000,48000]; \
        audio/x-mulaw, channels=1, rate=8000; \
        audio/x-opus, channel-mapping-family=0, channels=[1,2], rate={8000,16000,24000,48000}; \
        audio/x-flac, framed=true, channels=1, rate=[16000,48000]"
        .parse()
        .unwrap();
    assert!(template().is_strictly_equal(&contract), "{}", template());
}

#[test]
fn raw_audio_is_linear16() {
    for rate in [8_000, 11_025, 16_000, 44_100, 48_000] {
        let caps = format!("audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={rate}");
        assert_read(&caps, Encoding::Linear16, rate);
    }
}

#[test]
fn mulaw_is_mulaw() {
    assert_read("audio/x-mulaw,channels=1,rate=8000", Encoding::Mulaw, 8_000);
}

#[test]
fn opus_without_a_rate_has_that_of_rtp() {
    let caps = "audio/x-opus,channel-mapping-family=0,channels=2";
    assert_read(caps, Encoding::Opus, 48_000);
}

#[test]
fn opus_keeps_the_rate_of_its_caps() {
    for rate in [8_000, 16_000, 24_000, 48_000] {
        for channels in [1, 2] {
            let caps =
                format!("audio/x-opus,channel-mapping-family=0,channels={channels},rate={rate}");
            assert_read(&caps, Encoding::Opus, rate);
        }
    }
}

#[test]
fn stereo_is_refused_with_the_two_ways_out() {
    assert_refused(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=2,rate=16000",
        &[
            "channels is 2",
            "must be 1",
            "audioconvert ! audio/x-raw,channels=1",
            "deinterleave",
        ],
    );
}

#[test]
fn what_the_service_does_not_take_is_refused_with_field_value_range_and_help() {
    let raw = "audio/x-raw,layout=interleaved,channels=1";
    assert_refused(
        &format!("{raw},format=F32LE,rate=16000"),
        &["format is F32LE", "S16LE", "audioconvert"],
    );
    assert_refused(
        &format!("{raw},format=S16BE,rate=16000"),
        &["format is S16BE", "S16LE", "audioconvert"],
    );
    assert_refused(
        &format!("{raw},format=S16LE,rate=96000"),
        &["rate is 96000", "8000 to 48000", "audioresample"],
    );
    assert_refused(
        "audio/x-raw,format=S16LE,layout=non-interleaved,channels=1,rate=16000",
        &["layout is non-interleaved", "interleaved", "audioconvert"],
    );
    assert_refused(
        "audio/x-mulaw,channels=1,rate=16000",
        &["rate is 16000", "8000", "mulawenc"],
    );
    assert_refused(
        "audio/x-mulaw,channels=2,rate=8000",
        &["channels is 2", "must be 1", "mulawenc"],
    );
    let opus = "audio/x-opus,channel-mapping-family=0";
    assert_refused(
        &format!("{opus},channels=1,rate=12000"),
        &["rate is 12000", "24000", "opusenc"],
    );
    assert_refused(
        &format!("{opus},channels=3,rate=48000"),
        &["channels is 3", "1 or 2", "opusenc"],
    );
    assert_refused(
        "audio/x-opus,channel-mapping-family=1,channels=2,rate=48000",
        &["channel-mapping-family is 1", "must be 0", "opusenc"],
    );
    let flac = "audio/x-flac,channels=1";
    assert_refused(
        &format!("{flac},rate=16000"),
        &["framed", "must be true", "flacparse"],
    );
    assert_refused(
        &format!("{flac},framed=true,rate=8000"),
        &["rate is 8000", "16000 to 48000", "flacdec"],
    );
    assert_refused(
        "audio/x-flac,framed=true,channels=2,rate=16000",
        &["channels is 2", "must be 1", "flacdec"],
    );
    assert_refused(
        "audio/x-vorbis,rate=16000,channels=1",
        &["audio/x-vorbis", "audio/x-raw", "decodebin"],
    );
}

#[test]
fn a_missing_field_is_said_to_be_missing_with_what_to_do_about_it() {
    let source = "in the caps of the element that makes the audio";
    assert_refused(
        "audio/x-raw,layout=interleaved,channels=1,rate=16000",
        &["format is missing", "`format=S16LE`", source],
    );
    assert_refused(
        "audio/x-raw,format=S16LE,channels=1,rate=16000",
        &["layout is missing", "`layout=interleaved`", source],
    );
    assert_refused(
        "audio/x-raw,format=S16LE,layout=interleaved,rate=16000",
        &["channels is missing", "`channels=1`", source],
    );
    assert_refused(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1",
        &["rate is missing", "`rate=16000`", source],
    );
    assert_refused(
        "audio/x-mulaw,channels=1",
        &["rate is missing", "`rate=8000`", source],
    );
    assert_refused(
        "audio/x-mulaw,rate=8000",
        &["channels is missing", "`channels=1`", source],
    );
    // Opus that no element has parsed.
    assert_refused(
        "audio/x-opus",
        &["channel-mapping-family is missing", "`opusparse`"],
    );
    assert_refused(
        "audio/x-opus,channels=1,rate=48000",
        &["channel-mapping-family is missing", "`opusparse`"],
    );
    assert_refused(
        "audio/x-opus,channel-mapping-family=0",
        &["channels is missing", "`opusparse`"],
    );
    assert_refused("audio/x-flac", &["framed", "`flacparse`"]);
    assert_refused(
        "audio/x-flac,framed=true,rate=16000",
        &["channels is missing", "`flacparse`"],
    );
    assert_refused(
        "audio/x-flac,framed=true,channels=1",
        &["rate is missing", "`flacparse`"],
    );
    assert_refused(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=[8000,96000]",
        &["rate is not a single number"],
    );
    assert_eq!(
        read("EMPTY"),
        Err("the caps are empty; the sink takes audio".into())
    );
    assert_eq!(
        read("ANY"),
        Err("the caps are empty; the sink takes audio".into())
    );
}

/// Returns a metadata block of FLAC.
fn block(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], content].concat()
}

/// Returns the header that decoders need: `fLaC` and a STREAMINFO block, marked as the last.
fn flac_header_of(info: &[u8]) -> Vec<u8> {
    [b"fLaC", &block(0x80, info)[..]].concat()
}

#[test]
fn the_sink_sends_of_a_flac_header_only_the_part_that_decoders_need() {
    let info: Vec<u8> = (0..34).collect();
    let native = [b"fLaC", &block(0, &info)[..]].concat();
    let ogg = [b"\x7fFLAC\x01\x00\x00\x02", &native[..]].concat();
    let (comment, seek_table) = (block(4, b"artist"), block(3, &[0; 18]));
    let (picture, padding) = (block(6, &[7; 3_000_000]), block(0x81, &[0; 8192]));
    let rest: [&[u8]; 4] = [&comment, &seek_table, &picture, &padding];
    for first in [&native, &ogg] {
        let headers = [&[&first[..]], &rest[..]].concat();
        let format = format_from_caps(&flac_caps(&headers)).unwrap();
        assert_eq!(format.wire.encoding(), Encoding::Flac);
        assert!(
            format.header == flac_header_of(&info),
            "{}",
            format.header.len()
        );
    }
    // The header in other pieces, and without other blocks.
    let whole = [&native[..], &rest.concat()].concat();
    let alone = flac_header_of(&info);
    for pieces in [
        &[&b"fLaC"[..], &native[4..], &picture][..],
        &[&whole],
        &[&alone],
    ] {
        let format = format_from_caps(&flac_caps(pieces)).unwrap();
        assert!(
            format.header == flac_header_of(&info),
            "{}",
            format.header.len()
        );
    }
}

#[test]
fn a_flac_header_that_is_none_is_refused() {
    gst::init().unwrap();
    let refused = |caps: &gst::CapsRef| format_from_caps(caps).unwrap_err();
    let without: gst::Caps = "audio/x-flac,framed=true,channels=1,rate=16000"
        .parse()
        .unwrap();
    assert!(refused(&without).contains("streamheader is missing"));
    assert!(refused(&flac_caps(&[])).contains("does not begin with fLaC"));
    assert!(refused(&flac_caps(&[b"\x7fFLAC\x01"])).contains("does not begin with fLaC"));
    assert!(refused(&flac_caps(&[b"OggS", b"fLaC"])).contains("does not begin with fLaC"));
    let comment = block(4, &[0; 34]);
    for block in [&b""[..], &comment, &block(0, &[0; 33]), &block(0, &[0; 35])] {
        let refusal = refused(&flac_caps(&[b"fLaC", block]));
        assert!(
            refusal.contains("STREAMINFO") && refusal.contains("flacparse"),
            "{refusal}"
        );
    }
    let text: gst::Caps = "audio/x-flac,framed=true,channels=1,rate=16000,streamheader=<\"fLaC\">"
        .parse()
        .unwrap();
    assert!(refused(&text).contains("not a readable buffer"));
}

/// Returns the caps of the output of a pipeline, and its buffers with the HEADER flag.
fn made_by(pipeline: &str) -> (gst::Caps, Vec<u8>) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&format!("{pipeline} ! appsink name=out sync=false"))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let out = pipeline
        .by_name("out")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut caps, mut headers) = (None, Vec::new());
    while let Ok(sample) = out.pull_sample() {
        caps = sample.caps_owned();
        let buffer = sample.buffer_owned().unwrap();
        if buffer.flags().contains(gst::BufferFlags::HEADER) {
            headers.extend_from_slice(&buffer.map_readable().unwrap());
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (caps.unwrap(), headers)
}

#[test]
fn the_flac_header_of_the_caps_is_the_beginning_of_the_one_in_the_stream() {
    let source = "audiotestsrc num-buffers=10 samplesperbuffer=1600 ! audio/x-raw,rate=16000,channels=1,format=S16LE";
    for pipeline in [
        format!("{source} ! flacenc ! flacparse"),
        format!("{source} ! flacenc padding=9000 ! flacparse"),
    ] {
        let (caps, headers) = made_by(&pipeline);
        let format = format_from_caps(&caps).unwrap();
        assert!(headers.starts_with(b"fLaC\x00\x00\x00\x22"), "{pipeline}");
        let info = &headers[8..42];
        assert_eq!(format.header, flac_header_of(info), "{pipeline}");
    }
}

#[test]
fn values_of_another_type_are_no_numbers() {
    gst::init().unwrap();
    let caps = gst::Caps::builder("audio/x-mulaw")
        .field("channels", 1i32)
        .field("rate", "8000")
        .build();
    assert!(
        format_from_caps(&caps)
            .unwrap_err()
            .contains("rate is not a single number")
    );
}

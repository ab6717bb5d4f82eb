// SPDX-License-Identifier: MPL-2.0

//! Turns caps into the format of the wire.
//!
//! Caps come in, and an [`AudioFormat`] goes out. This module never guesses. It refuses caps
//! that the service would not take, and names the field, its value, what is allowed and an
//! element that helps.
//!
//! Sources: the Symbl Streaming API reference (encodings and rates); GStreamer's list of
//! media types; RFC 9639 (FLAC) for the stream header and its Ogg mapping, which `flacenc`,
//! `flacparse` and `oggdemux` 1.22 put before the first `streamheader` buffer and not into
//! the stream.

use bytes::{Bytes, BytesMut};
use std::ops::RangeInclusive;
use symbl_client::session::AudioFormat;
use symbl_protocol::{Encoding, StreamFormat};

/// Rates of raw audio in hertz.
pub(super) const RATES: RangeInclusive<u32> = 8_000..=48_000;
const OPUS_RATES: [i32; 4] = [8_000, 16_000, 24_000, 48_000];
/// The clock rate of all Opus in RTP (RFC 7587), whatever the rate of the original sound.
const OPUS_CLOCK_RATE: u32 = 48_000;
const FLAC_MARKER: &[u8] = b"fLaC";
/// Length of the STREAMINFO block (RFC 9639, section 8.2), in bytes.
const STREAMINFO_LENGTH: u8 = 34;
/// Length of the marker, the four bytes before a metadata block, and STREAMINFO, in bytes.
const FLAC_HEADER_LENGTH: usize = 4 + 4 + STREAMINFO_LENGTH as usize;
/// The bit that marks the last metadata block.
const LAST_BLOCK: u8 = 0x80;
/// Length of the packet type 0x7F, `FLAC`, two bytes of version and two of the number of
/// header packets, in bytes.
const OGG_MAPPING_LENGTH: usize = 9;
const OGG_MAPPING_MARKER: &[u8] = b"\x7fFLAC";

const CONVERT: &str = "put `audioconvert` before the sink";
const DOWNMIX: &str = "put `audioconvert ! audio/x-raw,channels=1` before the sink, \
     or `deinterleave` and one sink for each channel";
const RESAMPLE: &str = "put `audioresample ! audio/x-raw,rate=16000` before the sink";

/// Returns the caps that the sink pad takes.
pub fn template() -> gst::Caps {
    gst::Caps::builder_full()
        .structure(
            gst::Structure::builder("audio/x-raw")
                .field("format", "S16LE")
                .field("layout", "interleaved")
                .field("channels", 1i32)
                .field(
                    "rate",
                    gst::IntRange::new(*RATES.start() as i32, *RATES.end() as i32),
                )
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/x-mulaw")
                .field("channels", 1i32)
                .field("rate", 8_000i32)
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/x-opus")
                .field("channel-mapping-family", 0i32)
                .field("channels", gst::IntRange::new(1i32, 2))
                .field("rate", gst::List::new(OPUS_RATES))
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/x-flac")
                .field("framed", true)
                .field("channels", 1i32)
                .field("rate", gst::IntRange::new(16_000i32, 48_000))
                .build(),
        )
        .build()
}

/// Returns the caps that the sink pad takes, with raw audio at this rate only, unless it is 0.
pub fn at_rate(rate: u32) -> gst::Caps {
    let mut caps = template();
    if let (Ok(rate @ 1..), Some(raw)) = (i32::try_from(rate), caps.make_mut().structure_mut(0)) {
        raw.set("rate", rate);
    }
    caps
}

/// Returns the format of the wire for fixed caps.
///
/// # Errors
///
/// Returns a sentence with the field, its value, what is allowed and what to put before the
/// sink.
pub fn format_from_caps(caps: &gst::CapsRef) -> Result<AudioFormat, String> {
    let Some(structure) = caps.structure(0) else {
        return Err("the caps are empty; the sink takes audio".into());
    };
    match structure.name().as_str() {
        "audio/x-raw" => {
            all_said(
                structure,
                &[
                    ("format", "S16LE", "S16LE"),
                    ("layout", "interleaved", "interleaved"),
                    ("channels", "1", "1"),
                    ("rate", "a number of hertz", "16000"),
                ],
            )?;
            expect_text(structure, "format", "S16LE", CONVERT)?;
            expect_text(structure, "layout", "interleaved", CONVERT)?;
            expect_channels(structure, 1, DOWNMIX)?;
            let rate = rate(structure, RESAMPLE)?;
            wire(Encoding::Linear16, rate, RESAMPLE).map(AudioFormat::new)
        }
        "audio/x-mulaw" => {
            let hint = "put `mulawdec ! audioconvert ! audioresample ! audio/x-raw,rate=8000,channels=1 ! mulawenc` \
                 before the sink";
            all_said(
                structure,
                &[("channels", "1", "1"), ("rate", "8000", "8000")],
            )?;
            expect_channels(structure, 1, hint)?;
            let rate = rate(structure, hint)?;
            wire(Encoding::Mulaw, rate, hint).map(AudioFormat::new)
        }
        "audio/x-opus" => opus(structure),
        "audio/x-flac" => flac(structure),
        name => Err(format!(
            "media type is {name}: must be audio/x-raw, audio/x-mulaw, audio/x-opus or audio/x-flac; \
             put `decodebin ! audioconvert ! audioresample` before the sink"
        )),
    }
}

/// Returns the format of Opus. Its rate is that of the caps, in which `opusparse` and the
/// payloaders keep the rate of the original sound, although packets count at 48 kHz.
/// `rtpopusdepay` leaves the rate out if the sender did not state it.
fn opus(structure: &gst::StructureRef) -> Result<AudioFormat, String> {
    let hint = "put `opusdec ! audioconvert ! audio/x-raw,channels=1 ! opusenc` before the sink";
    // An element that passes packets on may not know what is in them.
    for (field, allowed) in [("channel-mapping-family", "0"), ("channels", "1 or 2")] {
        if !structure.has_field(field) {
            let parse = "put `opusparse` before the sink, which reads it from the packets";
            return Err(refusal(field, "missing", allowed, parse));
        }
    }
    match int(structure, "channel-mapping-family") {
        Some(0) => {}
        found => {
            return Err(refusal(
                "channel-mapping-family",
                &shown(structure, "channel-mapping-family", found),
                "0",
                hint,
            ));
        }
    }
    expect_channels(structure, 2, hint)?;
    let rate = match structure.has_field("rate") {
        true => rate(structure, hint)?,
        false => OPUS_CLOCK_RATE,
    };
    if !OPUS_RATES
        .iter()
        .any(|allowed| u32::try_from(*allowed) == Ok(rate))
    {
        return Err(refusal(
            "rate",
            &rate.to_string(),
            "8000, 16000, 24000 or 48000",
            hint,
        ));
    }
    wire(Encoding::Opus, rate, hint).map(AudioFormat::new)
}

fn flac(structure: &gst::StructureRef) -> Result<AudioFormat, String> {
    let hint = "put `flacparse` before the sink";
    let decode = "put `flacdec ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1` before the sink";
    if structure.get::<bool>("framed") != Ok(true) {
        return Err(refusal("framed", "not true", "true", hint));
    }
    for (field, allowed) in [("channels", "1"), ("rate", "a number of hertz")] {
        if !structure.has_field(field) {
            return Err(refusal(field, "missing", allowed, hint));
        }
    }
    expect_channels(structure, 1, decode)?;
    let wire = wire(Encoding::Flac, rate(structure, decode)?, decode)?;
    let header =
        flac_header(structure).map_err(|problem| format!("streamheader {problem}; {hint}"))?;
    Ok(AudioFormat {
        header,
        ..AudioFormat::new(wire)
    })
}

/// Returns the native stream header: `fLaC` and STREAMINFO, which is marked as the last
/// metadata block. Decoders need no other block, and a cover picture would be sent again at
/// each start.
fn flac_header(structure: &gst::StructureRef) -> Result<Bytes, &'static str> {
    let Ok(blocks) = structure.get::<gst::Array>("streamheader") else {
        return Err("is missing: must hold the FLAC metadata blocks");
    };
    let mut header = BytesMut::with_capacity(FLAC_HEADER_LENGTH);
    for (index, block) in blocks.iter().enumerate() {
        let left = FLAC_HEADER_LENGTH - header.len();
        if left == 0 {
            break;
        }
        let map = block
            .get::<gst::Buffer>()
            .ok()
            .and_then(|buffer| buffer.into_mapped_buffer_readable().ok());
        let Some(map) = map else {
            return Err("holds something that is not a readable buffer");
        };
        let bytes: &[u8] = &map;
        let native = match bytes.get(OGG_MAPPING_LENGTH..) {
            Some(native) if index == 0 && bytes.starts_with(OGG_MAPPING_MARKER) => native,
            _ => bytes,
        };
        header.extend_from_slice(native.get(..left).unwrap_or(native));
    }
    if !header.starts_with(FLAC_MARKER) {
        return Err("does not begin with fLaC");
    }
    match header.get_mut(FLAC_MARKER.len()..) {
        Some([kind, 0, 0, STREAMINFO_LENGTH, info @ ..])
            if *kind & !LAST_BLOCK == 0 && info.len() == usize::from(STREAMINFO_LENGTH) =>
        {
            *kind |= LAST_BLOCK;
        }
        _ => return Err("does not begin with a STREAMINFO block"),
    }
    Ok(header.freeze())
}

fn int(structure: &gst::StructureRef, field: &str) -> Option<i32> {
    structure.get(field).ok()
}

fn shown(structure: &gst::StructureRef, field: &str, found: Option<i32>) -> String {
    match found {
        Some(number) => number.to_string(),
        None if structure.has_field(field) => "not a single number".into(),
        None => "missing".into(),
    }
}

fn refusal(field: &str, value: &str, allowed: &str, hint: &str) -> String {
    format!("{field} is {value}: must be {allowed}; {hint}")
}

/// A field that caps must have: its name, what is allowed, and one such value.
type Field = (&'static str, &'static str, &'static str);

/// Refuses caps in which one of these fields is missing. Only the source knows its value, so
/// that no element can add it.
fn all_said(structure: &gst::StructureRef, fields: &[Field]) -> Result<(), String> {
    let missing = fields
        .iter()
        .find(|(field, ..)| !structure.has_field(*field));
    missing.map_or(Ok(()), |(field, allowed, example)| {
        let hint = format!(
            "say `{field}={example}`, if that is what it is, in the caps of the element that \
             makes the audio (`appsrc`, a capsfilter)"
        );
        Err(refusal(field, "missing", allowed, &hint))
    })
}

fn expect_text(
    structure: &gst::StructureRef,
    field: &str,
    wanted: &str,
    hint: &str,
) -> Result<(), String> {
    match structure.get::<&str>(field) {
        Ok(found) if found == wanted => Ok(()),
        Ok(found) => Err(refusal(field, found, wanted, hint)),
        Err(_) => Err(refusal(field, &shown(structure, field, None), wanted, hint)),
    }
}

fn expect_channels(structure: &gst::StructureRef, most: i32, hint: &str) -> Result<(), String> {
    match int(structure, "channels") {
        Some(channels) if (1..=most).contains(&channels) => Ok(()),
        found => {
            let allowed = if most == 1 { "1" } else { "1 or 2" };
            Err(refusal(
                "channels",
                &shown(structure, "channels", found),
                allowed,
                hint,
            ))
        }
    }
}

fn rate(structure: &gst::StructureRef, hint: &str) -> Result<u32, String> {
    let found = int(structure, "rate");
    found
        .and_then(|rate| u32::try_from(rate).ok())
        .ok_or_else(|| {
            refusal(
                "rate",
                &shown(structure, "rate", found),
                "a number of hertz",
                hint,
            )
        })
}

fn wire(encoding: Encoding, rate: u32, hint: &str) -> Result<StreamFormat, String> {
    StreamFormat::new(encoding, rate)
        .map_err(|error| format!("rate is {rate}: {}; {hint}", error.allowed))
}

#[cfg(test)]
mod tests;

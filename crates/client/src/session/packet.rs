// SPDX-License-Identifier: MPL-2.0

//! Reads how much audio a compressed packet holds from its first bytes.
//!
//! Sources: RFC 6716 section 3.1 (Opus TOC), RFC 7845 section 5 (Opus headers), RFC 9639
//! section 9.1 (FLAC frame header).

/// Returns the number of samples at 48 kHz in an Opus packet, from its TOC byte; at most
/// 120 ms. Returns `None` for an empty or malformed packet.
pub fn opus_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        config @ 12..=15 => [480, 960][usize::from(config % 2)],
        config => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match toc & 0x3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (frames > 0 && samples <= 5760).then_some(samples)
}

/// Returns `true` for each of the two headers of an Ogg Opus file, which a payloader may
/// have taken for audio. No packet of audio begins like them: it would hold more than the
/// 120 ms that a packet may hold.
pub fn is_opus_header(packet: &[u8]) -> bool {
    packet.starts_with(b"OpusHead") || packet.starts_with(b"OpusTags")
}

/// Returns the number of samples in a FLAC frame, from its header. Returns `None` if
/// `frame` is not one.
pub fn flac_samples(frame: &[u8]) -> Option<u32> {
    let (&[sync0, sync1, sizes, _], rest) = frame.split_first_chunk::<4>()?;
    if sync0 != 0xff || sync1 & 0xfc != 0xf8 {
        return None;
    }
    // The coded frame or sample number: a UTF-8-like sequence.
    let number_length = match rest.first()?.leading_ones() {
        0 => 1,
        1 => return None,
        ones => usize::try_from(ones).ok()?,
    };
    match sizes >> 4 {
        0 => None,
        1 => Some(192),
        n @ 2..=5 => Some(576 << (n - 2)),
        6 => Some(u32::from(*rest.get(number_length)?) + 1),
        7 => {
            let high = u32::from(*rest.get(number_length)?);
            let low = u32::from(*rest.get(number_length + 1)?);
            Some((high << 8 | low) + 1)
        }
        n => Some(256 << (n - 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_durations_follow_the_toc() {
        assert_eq!(opus_samples(&[0xf8, 0]), Some(960)); // CELT FB 20 ms
        assert_eq!(opus_samples(&[0x78, 0]), Some(960)); // hybrid FB 20 ms
        assert_eq!(opus_samples(&[0x18, 0]), Some(2880)); // SILK NB 60 ms
        assert_eq!(opus_samples(&[0xe0, 0]), Some(120)); // CELT FB 2.5 ms
        assert_eq!(opus_samples(&[0xf9, 0]), Some(1920)); // two frames
        assert_eq!(opus_samples(&[0xfb, 0x03]), Some(2880)); // code 3, three frames
    }

    #[test]
    fn opus_headers_are_recognised() {
        for header in [b"OpusHead\x01\x01", b"OpusTags\x08\0"] {
            assert!(is_opus_header(header));
            assert_eq!(opus_samples(header), None);
        }
        assert!(!is_opus_header(b"Opus"));
        assert!(!is_opus_header(&[0xf8, 0]));
    }

    #[test]
    fn malformed_opus_packets_are_rejected() {
        assert_eq!(opus_samples(&[]), None);
        assert_eq!(opus_samples(&[0xfb]), None);
        assert_eq!(opus_samples(&[0xfb, 0x00]), None);
        assert_eq!(opus_samples(&[0x1b, 0x3f]), None); // 63 × 60 ms
    }

    #[test]
    fn flac_block_sizes_follow_the_header() {
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0xc9, 0x18, 0x00, 0xc2]),
            Some(4096)
        );
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0x59, 0x18, 0x00, 0xc2]),
            Some(4608)
        );
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0x69, 0x18, 0x05, 0x9f, 0]),
            Some(160)
        );
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0x79, 0x18, 0xc2, 0x80, 0x06, 0x3f, 0]),
            Some(1600)
        );
    }

    #[test]
    fn data_that_is_no_flac_frame_is_rejected() {
        assert_eq!(flac_samples(b"fLaC"), None);
        assert_eq!(flac_samples(&[0xff, 0xf8, 0x79, 0x18, 0x00]), None);
        assert_eq!(flac_samples(&[]), None);
    }
}

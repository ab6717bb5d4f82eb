// SPDX-License-Identifier: MPL-2.0

//! The smallest FLAC encoder there is: mono, 16 bit, verbatim subframes.

/// Returns the header (`fLaC` and STREAMINFO) and then one item per frame.
pub fn encode(samples: &[i16], sample_rate: u32, block: usize) -> Vec<Vec<u8>> {
    let mut pieces = vec![header(sample_rate, block)];
    for (number, samples) in samples.chunks(block).enumerate() {
        pieces.push(frame(number as u32, samples));
    }
    pieces
}

fn header(sample_rate: u32, block: usize) -> Vec<u8> {
    let mut out = b"fLaC".to_vec();
    out.extend([0x80, 0, 0, 34]);
    out.extend((block as u16).to_be_bytes());
    out.extend((block as u16).to_be_bytes());
    out.extend([0; 6]);
    // Rate in 20 bits, channels − 1 in 3, bits − 1 in 5, length in 36.
    let packed = u64::from(sample_rate) << 44 | 15 << 36;
    out.extend(packed.to_be_bytes());
    out.extend([0; 16]);
    out
}

fn frame(number: u32, samples: &[i16]) -> Vec<u8> {
    // Fixed block size, 16-bit length, rate as in the header, mono, 16 bit.
    let mut out = vec![0xff, 0xf8, 0x70, 0x08];
    let mut coded = [0; 4];
    let character = char::from_u32(number).expect("few frames");
    out.extend(character.encode_utf8(&mut coded).bytes());
    out.extend((samples.len() as u16 - 1).to_be_bytes());
    out.push(crc(&out, 8, 0x07) as u8);
    out.push(0x02);
    out.extend(samples.iter().flat_map(|s| s.to_be_bytes()));
    let check = crc(&out, 16, 0x8005) as u16;
    out.extend(check.to_be_bytes());
    out
}

fn crc(bytes: &[u8], bits: u32, polynomial: u32) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |crc, _| {
            let shifted = crc << 1 & ((1 << bits) - 1);
            if crc & top == 0 {
                shifted
            } else {
                shifted ^ polynomial
            }
        })
    })
}

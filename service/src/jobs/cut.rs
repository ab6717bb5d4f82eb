// SPDX-License-Identifier: MPL-2.0

//! Tells of a WAV file that is shorter than its header says: its sender was cut off, and what
//! there is of it is heard all the same.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How much of a file is read, in bytes. Longer headers are not looked through.
const HEADER: u64 = 4096;

/// Lengths that a writer has left open, because it could not go back to write them.
const OPEN: [u32; 3] = [0, u32::MAX, 0x7fff_ffff];

/// Returns what to tell of a recording that is cut off, if it is a WAV file and is. Blocks.
pub(crate) fn note(file: &Path) -> Option<String> {
    let file = File::open(file).ok()?;
    let length = file.metadata().ok()?.len();
    let mut begin = Vec::new();
    file.take(HEADER).read_to_end(&mut begin).ok()?;
    let (said, there) = missing(&begin, length)?;
    Some(format!(
        "the recording is cut off: its header announces {said} bytes of audio, and {there} are \
         there; what could be heard is in the conversation"
    ))
}

/// Returns how many bytes of audio the header of a WAV file says and how many the file has, if
/// those are fewer.
fn missing(begin: &[u8], length: u64) -> Option<(u64, u64)> {
    if !begin.starts_with(b"RIFF") || begin.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12_usize;
    loop {
        let name = begin.get(at..at.checked_add(4)?)?;
        let size = begin.get(at + 4..at.checked_add(8)?)?.first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size);
        at += 8;
        if name == b"data" {
            let there = length.saturating_sub(at as u64);
            let said = u64::from(size);
            return (!OPEN.contains(&size) && there < said).then_some((said, there));
        }
        let size = usize::try_from(size).ok()?;
        at = at.checked_add(size)?.checked_add(size % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(said: u32) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend([0; 16]);
        bytes.extend(b"data");
        bytes.extend(said.to_le_bytes());
        bytes
    }

    #[test]
    fn a_file_that_is_shorter_than_its_header_says_is_cut_off() {
        let header = wav(1000).len() as u64;
        assert_eq!(missing(&wav(1000), header + 999), Some((1000, 999)));
        assert_eq!(missing(&wav(1000), header), Some((1000, 0)));
        for (bytes, length) in [
            (wav(1000), header + 1000),
            (wav(1000), header + 5000),
            (wav(0), header + 10),
            (wav(u32::MAX), header + 10),
            (b"fLaC and no header of a WAV file".to_vec(), 100),
            (b"RIFF".to_vec(), 4),
            (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff".to_vec(), 20),
        ] {
            assert_eq!(missing(&bytes, length), None, "{bytes:?}");
        }
    }
}

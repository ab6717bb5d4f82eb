// SPDX-License-Identifier: MPL-2.0

//! Reads what the decoder writes: a WAV header that does not know its length, samples of 16 bits
//! at 16 kHz, interleaved, and at the end tags and the header again, which knows it now. Pure, and nothing here may panic: the process that wrote it may have
//! been taken over by the file that it decodes.

/// Longest header in bytes.
const LONGEST_HEADER: usize = 4096;

/// How many bytes are kept back, because they may be tags and the header at the end.
const KEPT_BACK: usize = 64 << 10;

/// Most channels of a recording.
pub(crate) const MOST_CHANNELS: usize = 16;

/// What is wrong with the output of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PcmError {
    #[error("the decoder wrote no WAV header")]
    Header,
    #[error("it has {0} channels; at most {MOST_CHANNELS} are taken")]
    Channels(usize),
}

/// Takes the channels apart.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// The number of channels and the length of the header. `None` until it has come.
    header: Option<(usize, usize)>,
    rest: Vec<u8>,
    /// Bytes of samples that were taken.
    taken: u64,
}

impl Channels {
    /// Takes bytes. Returns the samples of each channel that are whole now; all of them have
    /// the same number. They are empty until the header has come.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<i16>>, PcmError> {
        self.rest.extend_from_slice(bytes);
        let (count, _) = match self.header {
            Some(header) => header,
            None => match header(&self.rest)? {
                Some((count, end)) => {
                    self.rest.drain(..end);
                    *self.header.insert((count, end))
                }
                None if self.rest.len() > LONGEST_HEADER => return Err(PcmError::Header),
                None => return Ok(Vec::new()),
            },
        };
        Ok(self.take(count, self.rest.len().saturating_sub(KEPT_BACK)))
    }

    /// Returns the last samples, at the end of the bytes.
    pub(crate) fn finish(mut self) -> Vec<Vec<i16>> {
        let Some((count, length)) = self.header else {
            return Vec::new();
        };
        let last = self.rest.len().saturating_sub(length);
        let again = self.rest.get(last..).unwrap_or_default();
        if header(again).ok() == Some(self.header) {
            let size = again.last_chunk::<4>().copied().unwrap_or_default();
            // The header has 32 bits of the size.
            let read = self.taken as u32;
            let left = u32::from_le_bytes(size).wrapping_sub(read) as usize;
            self.rest.truncate(left.min(last));
        }
        self.take(count, self.rest.len())
    }

    /// Takes the whole samples of the first bytes out.
    fn take(&mut self, count: usize, bytes: usize) -> Vec<Vec<i16>> {
        let frame = 2 * count;
        let whole = bytes - bytes % frame;
        let mut channels = vec![Vec::with_capacity(whole / frame); count];
        for samples in self.rest[..whole].chunks_exact(frame) {
            for (channel, bytes) in channels.iter_mut().zip(samples.chunks_exact(2)) {
                channel.push(i16::from_le_bytes([bytes[0], bytes[1]]));
            }
        }
        self.rest.drain(..whole);
        self.taken += whole as u64;
        channels
    }
}

/// Returns the number of channels and the length of the header, once all of it is there.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, PcmError> {
    // Of a recording without samples, the tags and the header at the end are all there is.
    let mut begin = 0;
    if bytes.starts_with(b"LIST") {
        let Some(length) = bytes.get(4..8) else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if length > LONGEST_HEADER {
            return Err(PcmError::Header);
        }
        begin = 8 + length + length % 2;
    }
    let Some(riff) = bytes.get(begin..begin + 12) else {
        return Ok(None);
    };
    if riff.get(..4) != Some(b"RIFF") || riff.get(8..) != Some(b"WAVE") {
        return Err(PcmError::Header);
    }
    let (mut at, mut count) = (begin + 12, None);
    loop {
        let Some(chunk) = bytes.get(at..at + 8) else {
            return Ok(None);
        };
        let length = [chunk[4], chunk[5], chunk[6], chunk[7]];
        let length = u32::from_le_bytes(length) as usize;
        at += 8;
        if chunk.starts_with(b"data") {
            let count = count.ok_or(PcmError::Header)?;
            return match count {
                1..=MOST_CHANNELS => Ok(Some((count, at))),
                _ => Err(PcmError::Channels(count)),
            };
        }
        if length > LONGEST_HEADER {
            return Err(PcmError::Header);
        }
        if chunk.starts_with(b"fmt ") {
            let Some(found) = bytes.get(at + 2..at + 4) else {
                return Ok(None);
            };
            count = Some(usize::from(u16::from_le_bytes([found[0], found[1]])));
        }
        at += length + length % 2;
    }
}

/// Returns the mean of all channels.
pub(crate) fn mixed(channels: &[Vec<i16>]) -> Vec<i16> {
    let length = channels.first().map_or(0, Vec::len);
    let count = channels.len().max(1) as i32;
    let mean = |at: usize| {
        let sum: i32 = channels
            .iter()
            .filter_map(|channel| channel.get(at))
            .map(|sample| i32::from(*sample))
            .sum();
        // The mean of samples is a sample.
        i16::try_from(sum / count).unwrap_or(0)
    };
    (0..length).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(channels: u16, extra: &[u8], samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        bytes.extend(extra);
        bytes.extend(b"fmt \x10\0\0\0\x01\0");
        bytes.extend(channels.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(b"data\xff\xff\xff\xff");
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn channels_are_taken_apart_however_the_bytes_are_cut() {
        let mut bytes = wav(2, b"LIST\x03\0\0\0abc\0", &[1, -1, 2, -2, 3, -3]);
        let again = wav(2, b"LIST\x03\0\0\0abc\0", &[]);
        for (cut, is_again) in (1..bytes.len()).flat_map(|cut| [(cut, false), (cut, true)]) {
            let length = bytes.len();
            if is_again {
                // Tags, and the header with the size of the samples.
                bytes.extend(b"LIST\x04\0\0\0INFO");
                bytes.extend(&again);
                bytes.truncate(bytes.len() - 4);
                bytes.extend(12_u32.to_le_bytes());
            }
            let mut channels = Channels::default();
            let mut found = vec![Vec::new(); 2];
            let mut take = |pieces: Vec<Vec<i16>>| {
                for (all, piece) in found.iter_mut().zip(pieces) {
                    all.extend(piece);
                }
            };
            for piece in bytes.chunks(cut) {
                take(channels.push(piece).expect("WAV"));
            }
            take(channels.finish());
            assert_eq!(found, [[1, 2, 3], [-1, -2, -3]], "cut by {cut}");
            bytes.truncate(length);
        }
    }

    #[test]
    fn what_is_no_wav_or_has_too_many_channels_is_refused() {
        let refused = |bytes: &[u8]| Channels::default().push(bytes).err();
        assert_eq!(refused(b"hello, I am no WAV"), Some(PcmError::Header));
        assert_eq!(refused(&wav(0, b"", &[])), Some(PcmError::Channels(0)));
        assert_eq!(refused(&wav(17, b"", &[])), Some(PcmError::Channels(17)));
        let endless = b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xff";
        assert_eq!(refused(endless), Some(PcmError::Header));
        let without_format = b"RIFF\0\0\0\0WAVEdata\0\0\0\0";
        assert_eq!(refused(without_format), Some(PcmError::Header));
        assert_eq!(refused(b"RIFF"), None, "more may come");
    }

    #[test]
    fn a_recording_without_samples_has_its_header_behind_its_tags() {
        let mut bytes = b"LIST\x04\0\0\0INFO".to_vec();
        bytes.extend(wav(1, b"", &[]));
        let mut channels = Channels::default();
        for byte in bytes {
            channels.push(&[byte]).expect("WAV");
        }
        assert!(channels.finish().iter().all(Vec::is_empty));
    }

    #[test]
    fn a_mix_is_the_mean() {
        let channels = [vec![i16::MAX, 10, -3], vec![i16::MAX, 20, 3]];
        assert_eq!(mixed(&channels), [i16::MAX, 15, 0]);
        assert!(mixed(&[]).is_empty());
    }
}

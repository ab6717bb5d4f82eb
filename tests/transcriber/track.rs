// SPDX-License-Identifier: MPL-2.0

//! What is true of every text pad, whatever was said.

use crate::tape::{Entry, Item};

/// Longest gap, in nanoseconds.
const LONGEST_GAP: u64 = 250_000_000;

/// A text on the pad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Timestamp in nanoseconds.
    pub pts: u64,
    /// Start in running time, in nanoseconds.
    pub start: u64,
    /// End in running time, in nanoseconds.
    pub end: u64,
    pub discont: bool,
}

/// What was on a pad.
#[derive(Debug, Default)]
pub struct Checked {
    pub words: Vec<Word>,
    /// The stretches without text, in running time.
    pub gaps: Vec<std::ops::Range<u64>>,
    /// The running time up to which the pad is covered, in nanoseconds.
    pub covered: u64,
    pub segments: usize,
    pub ends: usize,
    pub flushes: usize,
}

impl Checked {
    /// Returns the words in lower case without their marks, and their timestamps.
    pub fn said(&self) -> Vec<(String, u64)> {
        let bare = |word: &Word| {
            let text = word.text.trim_matches(|c: char| !c.is_alphanumeric());
            (text.to_lowercase(), word.pts)
        };
        self.words.iter().map(bare).collect()
    }
}

/// What is known of a pad at a place of its recording.
#[derive(Default)]
struct Place {
    began: bool,
    caps: bool,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Start in running time of what must come next. `None` before the first segment.
    next: Option<u64>,
    /// No text has come since the stream or a flush began.
    is_first: bool,
    flushing: bool,
    over: bool,
    checked: Checked,
    rules: Rules,
}

/// What differs from pad to pad.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Late text keeps its time, behind what is covered.
    pub late_text_goes_back: bool,
    /// The tape was linked when the stream had begun, so that its beginning is missing.
    pub joins_late: bool,
}

/// Checks all that has come on a pad, in its order: the stream, its caps and a segment come
/// first. Texts and gaps follow each other without a hole or an overlap, in running time, and
/// have a duration. Texts are visible; gaps are short. Nothing comes after the end.
pub fn check(entries: &[Entry]) -> Checked {
    check_by(Rules::default(), entries)
}

/// Checks a pad by other rules.
pub fn check_by(rules: Rules, entries: &[Entry]) -> Checked {
    let mut place = Place {
        is_first: true,
        rules,
        ..Place::default()
    };
    for (n, entry) in entries.iter().enumerate() {
        let what = format!("entry {n}: {:?}", entry.item);
        match &entry.item {
            Item::Event(event) => place.event(event, &what),
            Item::Buffer(buffer) => place.text(buffer, entry, &what),
        }
    }
    place.checked.covered = place.next.unwrap_or(place.checked.covered);
    place.checked
}

impl Place {
    fn event(&mut self, event: &gst::Event, what: &str) {
        let starts = event.type_() == gst::EventType::StreamStart;
        let flush = [gst::EventType::FlushStart, gst::EventType::FlushStop];
        let is_flush = flush.contains(&event.type_());
        assert!(
            self.began || starts || is_flush,
            "before the stream: {what}"
        );
        let may_follow_end = is_flush
            || starts
            || matches!(event.type_(), gst::EventType::Segment | gst::EventType::Tag);
        assert!(!self.over || may_follow_end, "after the end: {what}");
        if self.flushing && !is_flush {
            return; // It was under way when the flush began, and goes no further.
        }
        match event.view() {
            gst::EventView::StreamStart(start) => self.stream(start),
            gst::EventView::Caps(caps) => {
                let expected = gst::Caps::builder("text/x-raw").field("format", "utf8");
                assert_eq!(caps.caps_owned(), expected.build());
                self.caps = true;
            }
            gst::EventView::Segment(segment) => self.segment(segment.segment(), what),
            gst::EventView::Tag(_) => {
                let flushed = self.checked.flushes > 0;
                assert!(self.segment.is_some() || flushed, "{what}");
            }
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let duration = duration.unwrap_or_else(|| panic!("without duration: {what}"));
                let (start, end) = self.cover(start, duration, what, false);
                assert!(end - start <= LONGEST_GAP + 1, "too long: {what}");
                self.checked.gaps.push(start..end);
            }
            gst::EventView::Eos(_) => {
                self.over = true;
                self.checked.ends += 1;
            }
            gst::EventView::FlushStart(_) => self.flushing = true,
            gst::EventView::FlushStop(_) => {
                self.flushing = false;
                self.segment = None;
                self.next = None;
                self.over = false;
                self.is_first = true;
                self.checked.flushes += 1;
            }
            _ => {}
        }
    }

    fn stream(&mut self, start: &gst::event::StreamStart) {
        assert!(start.stream_flags().contains(gst::StreamFlags::SPARSE));
        let id = start.stream_id();
        assert!(id.ends_with("/text"), "{id}");
        self.began = true;
        self.over = false;
    }

    fn segment(&mut self, segment: &gst::Segment, what: &str) {
        assert!(self.caps, "before the caps: {what}");
        let times = segment.downcast_ref::<gst::ClockTime>().expect("times");
        let starts = times.to_running_time(times.start()).expect("a start");
        let starts = starts.nseconds();
        // Nothing lies before the start of a segment.
        self.next = self.next.max(Some(starts));
        self.segment = Some(times.clone());
        self.over = false;
        self.checked.segments += 1;
    }

    /// Takes something that has a place. Returns its start and end in running time.
    fn cover(
        &mut self,
        pts: gst::ClockTime,
        duration: gst::ClockTime,
        what: &str,
        may_go_back: bool,
    ) -> (u64, u64) {
        assert!(!self.over, "after the end: {what}");
        let segment = (self.segment.as_ref()).unwrap_or_else(|| panic!("no segment: {what}"));
        assert!(duration > gst::ClockTime::ZERO, "no duration: {what}");
        let at = |time| segment.to_running_time_full(Some(time));
        let at = |time| at(time).and_then(gst::Signed::positive);
        let (Some(start), Some(end)) = (at(pts), at(pts + duration)) else {
            panic!("outside of its segment: {what}");
        };
        let (start, end) = (start.nseconds(), end.nseconds());
        let next = self.next.expect("a segment");
        let goes_on = start.abs_diff(next) <= 2; // which a rate costs
        let late = may_go_back && self.rules.late_text_goes_back && start < next;
        let joins = self.rules.joins_late && self.checked.gaps.is_empty();
        let right = goes_on || late || joins;
        assert!(right, "{next} expected and {start} found: {what}");
        self.next = Some(end.max(if late { next } else { end }));
        (start, end)
    }

    fn text(&mut self, buffer: &gst::Buffer, entry: &Entry, what: &str) {
        let text = entry.text().expect("UTF-8");
        assert!(!text.trim().is_empty(), "blank: {what}");
        let is_hidden = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(is_hidden), "{text:?}: {what}");
        let pts = buffer.pts().unwrap_or_else(|| panic!("no time: {what}"));
        let duration = buffer.duration().expect("a duration");
        let (start, end) = self.cover(pts, duration, what, true);
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        let begins = self.is_first;
        assert!(discont || !begins, "not discontinuous: {what}");
        self.is_first = false;
        self.checked.words.push(Word {
            text,
            pts: pts.nseconds(),
            start,
            end,
            discont,
        });
    }
}

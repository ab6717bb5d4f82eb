// SPDX-License-Identifier: MPL-2.0

//! Counters of the session as the `stats` property shows them.
//!
//! All fields are always there. All but `last-error` are unsigned 64-bit numbers. Amounts
//! of audio and time are in nanoseconds. Names: `docs/properties.md`.

use std::time::Duration;
use symbl_client::session::Stats;
use symbl_client::session::stats::Percentiles;
use symbl_client::track::TrackStats;

/// Name of the structure.
pub const NAME: &str = "application/x-symbl-stats";

/// Returns the value of the property.
///
/// The fields of a text pad are there if the element has one: `track` is what it has done.
pub fn structure(stats: &Stats, track: Option<TrackStats>) -> gst::Structure {
    let builder = gst::Structure::builder(NAME)
        .field("bytes-sent", stats.bytes_sent)
        .field("chunks-sent", stats.chunks_sent)
        .field("audio-sent", stats.audio_sent)
        .field("audio-finalised", stats.audio_finalised)
        .field("audio-spooled", stats.audio_spooled)
        .field("audio-dropped", stats.audio_dropped)
        .field("audio-replayed", stats.audio_replayed)
        .field("reconnects", stats.reconnects)
        .field("connected-time", nanos(stats.connected_time))
        .field("billable-time", nanos(stats.billable_time))
        .field("rtt", nanos(stats.rtt.unwrap_or_default()))
        .field_delays(
            [
                "delay-interim-p50",
                "delay-interim-p95",
                "delay-interim-max",
            ],
            stats.delay_interim,
        )
        .field_delays(
            ["delay-final-p50", "delay-final-p95", "delay-final-max"],
            stats.delay_final,
        )
        .field("transcripts", stats.transcripts)
        .field("messages", stats.messages)
        .field("insights", stats.insights)
        .field("trackers", stats.trackers)
        .field("topics", stats.topics)
        .field("unknown", stats.unknown)
        .field("parse-errors", stats.parse_errors)
        .field("last-error", &stats.last_error);
    match track {
        Some(track) => text_fields(builder, track).build(),
        None => builder.build(),
    }
}

fn text_fields(builder: gst::structure::Builder, track: TrackStats) -> gst::structure::Builder {
    builder
        .field("words-pushed", track.words_pushed)
        .field("words-moved", track.words_moved)
        .field("words-dropped", track.words_dropped)
        .field("words-committed", track.words_committed)
        .field("gaps-pushed", track.gaps_pushed)
        .field("text-lateness-max", track.lateness_max)
}

/// Returns the duration in nanoseconds, or the largest number if it does not fit.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

trait Delays {
    fn field_delays(self, names: [&str; 3], delays: Percentiles) -> Self;
}

impl Delays for gst::structure::Builder {
    fn field_delays(self, [p50, p95, max]: [&str; 3], delays: Percentiles) -> Self {
        self.field(p50, nanos(delays.p50))
            .field(p95, nanos(delays.p95))
            .field(max, nanos(delays.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::prelude::*;

    #[test]
    fn stats_have_the_fields_and_types_of_the_contract() {
        gst::init().unwrap();
        let ms = Duration::from_millis;
        let stats = Stats {
            bytes_sent: 1,
            chunks_sent: 2,
            audio_sent: 3,
            audio_finalised: 4,
            audio_spooled: 5,
            audio_dropped: 6,
            audio_replayed: 7,
            reconnects: 8,
            connected_time: ms(9),
            billable_time: ms(10),
            rtt: Some(ms(11)),
            delay_interim: Percentiles {
                p50: ms(12),
                p95: ms(13),
                max: ms(14),
            },
            delay_final: Percentiles {
                p50: ms(15),
                p95: ms(16),
                max: ms(17),
            },
            transcripts: 18,
            messages: 19,
            insights: 20,
            trackers: 21,
            topics: 22,
            unknown: 23,
            parse_errors: 24,
            last_error: Some("the socket closed".into()),
        };
        let structure = structure(&stats, None);
        assert_eq!(structure.name(), "application/x-symbl-stats");
        let expected = [
            ("bytes-sent", 1),
            ("chunks-sent", 2),
            ("audio-sent", 3),
            ("audio-finalised", 4),
            ("audio-spooled", 5),
            ("audio-dropped", 6),
            ("audio-replayed", 7),
            ("reconnects", 8),
            ("connected-time", 9_000_000),
            ("billable-time", 10_000_000),
            ("rtt", 11_000_000),
            ("delay-interim-p50", 12_000_000),
            ("delay-interim-p95", 13_000_000),
            ("delay-interim-max", 14_000_000),
            ("delay-final-p50", 15_000_000),
            ("delay-final-p95", 16_000_000),
            ("delay-final-max", 17_000_000),
            ("transcripts", 18),
            ("messages", 19),
            ("insights", 20),
            ("trackers", 21),
            ("topics", 22),
            ("unknown", 23),
            ("parse-errors", 24),
        ];
        for (name, value) in expected {
            assert_eq!(structure.get::<u64>(name), Ok(value), "{name}");
        }
        assert_eq!(structure.get::<&str>("last-error"), Ok("the socket closed"));
        assert_eq!(structure.n_fields(), expected.len() + 1);
    }

    #[test]
    fn all_fields_are_there_and_zero_at_first() {
        gst::init().unwrap();
        let structure = structure(&Stats::default(), None);
        assert_eq!(structure.n_fields(), 25);
        for (name, value) in structure.iter() {
            match name.as_str() {
                "last-error" => assert_eq!(value.get::<Option<&str>>(), Ok(None)),
                _ => assert_eq!(value.get::<u64>(), Ok(0), "{name}"),
            }
        }
        assert!(structure.value("last-error").unwrap().type_() == String::static_type());
    }
}

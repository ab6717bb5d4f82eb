// SPDX-License-Identifier: MPL-2.0

//! Faults of several nodes that share conversations.

use super::{SAYING, keeps};
use crate::audio::Format::{Linear8k, Mulaw};
use crate::schedule::Fault;
use crate::schedule::Happening::{Forget, Node};
use crate::schedule::Piece::{Hole, Speaker, Words};
use crate::schedule::{ClusterSettings, Settings, Stamps};

#[test]
fn a_seat_whose_join_was_not_answered_is_given_up_when_the_join_leads_elsewhere() {
    let settings = Settings {
        live: true,
        format: Linear8k,
        buffer: 20,
        chunk: 40,
        spool: 2000,
        drain_timeout: 3000,
        announces: true,
        distinct: false,
        interims: true,
        interim_words: true,
        history: true,
        latency: 80,
        cluster: ClusterSettings {
            nodes: 2,
            keep: 60,
            guest: false,
        },
        ..SAYING
    };
    let source = [Words(16), Words(16), Speaker(1), Words(16), Words(6)];
    let happenings = [
        (1123, Node(Fault::CutOff(11_761))),
        (1544, Node(Fault::CutOff(7520))),
        (6512, Forget),
        (12_393, Node(Fault::Lose(4))),
    ];
    keeps(1_796_016_436_831_415_387, settings, &source, &happenings);
}

#[test]
fn a_listener_is_told_nothing_again_by_a_node_that_is_behind_the_one_it_comes_from() {
    let settings = Settings {
        stamps: Stamps::Bursts(5),
        drift: -200,
        wall_drift: 200,
        format: Mulaw,
        buffer: 20,
        chunk: 170,
        spool: 5000,
        catch_up: 1,
        announces: true,
        distinct: false,
        interims: true,
        cluster: ClusterSettings {
            nodes: 2,
            keep: 1,
            guest: true,
        },
        ..SAYING
    };
    let source = [
        Words(3),
        Hole(39),
        Words(4),
        Words(5),
        Speaker(1),
        Words(10),
    ];
    let happenings = [
        (4039, Node(Fault::Lose(3))),
        (5551, Node(Fault::CutOff(10_549))),
        (6996, Node(Fault::Kill(7592))),
        (8027, Node(Fault::Freeze(8473))),
    ];
    keeps(1_796_023_020_430_849_897, settings, &source, &happenings);
}

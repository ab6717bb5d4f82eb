// SPDX-License-Identifier: MPL-2.0

//! The same ways with the text of `symbltranscriber`, between a scripted service and the
//! decoders.

use super::closed::{ROLL_UP, Way, assert_read, have_all};
use super::folder;
use crate::prompter::Says;
use crate::source::Source;
use crate::talk::{PROMPTS, Talk};

#[test]
fn roll_up_captions_have_every_word_that_the_service_says() {
    if !have_all(&["mpegtsmux", "flvmux"]) {
        return;
    }
    let talk = Talk::of(&PROMPTS);
    let ways = [
        ("captions.ts", "tune=zerolatency", "mpegtsmux"),
        ("reordered.ts", "bframes=2 b-adapt=false", "mpegtsmux"),
        ("captions.flv", "tune=zerolatency", "flvmux"),
    ];
    for (name, encoder, mux) in ways {
        let file = folder("transcribed").join(name);
        let source = Source::transcriber(&talk, Says::default(), false, "");
        let way = Way {
            captions: ROLL_UP,
            encoder,
            output: &format!("{mux} ! filesink location="),
            ..Way::default()
        };
        way.write(&source, &file);
        assert_read(&file, &talk);
        assert_eq!(source.connections(), 1);
    }
}

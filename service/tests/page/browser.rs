// SPDX-License-Identifier: MPL-2.0

//! The page in a headless Chromium.

use crate::stage::{APP, Stage};
use crate::unit::here;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use symbl_service::Auth;
use symbl_testkit::programs::{self, chromium, node, npm};

/// Returns the folder with axe-core, which is installed once for each build folder; `None`
/// where npm is absent.
fn modules() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        npm(
            &here("js"),
            &Path::new(env!("CARGO_TARGET_TMPDIR")).join("page-js"),
        )
    };
    FOLDER.get_or_init(install).as_deref()
}

/// Plays a scenario of `js/page.mjs`. Returns what it reports, or `None` where a program is
/// absent.
fn play(scenario: &str, stage: &mut Stage) -> Option<Value> {
    let (chromium, modules) = (chromium()?, modules()?);
    let mut command = node()?;
    command
        .arg(here("js/page.mjs"))
        .args([chromium.as_path(), modules])
        .args([scenario, &stage.url(), APP.0, APP.1]);
    let report = programs::play(&mut command, |asked| stage.perform(asked));
    println!("{scenario}: {report}");
    Some(report)
}

/// Plays a scenario with a service without credentials, whose network can be cut.
fn open(scenario: &str) -> Option<Value> {
    play(scenario, &mut Stage::new(Auth::None).behind_a_relay())
}

/// Plays a scenario with a service that asks for credentials.
fn closed(scenario: &str) -> Option<Value> {
    let auth = Auth::App {
        id: APP.0.into(),
        secret: APP.1.into(),
    };
    play(scenario, &mut Stage::new(auth))
}

#[test]
fn a_page_that_comes_late_shows_what_was_said_and_then_what_is_said() {
    open("live");
}

#[test]
fn a_page_whose_network_is_cut_misses_nothing_and_doubles_nothing() {
    open("cut");
}

#[test]
fn a_page_goes_on_after_the_service_was_killed_and_restarted() {
    play("restart", &mut Stage::program());
}

#[test]
fn a_correction_and_a_note_reach_the_other_page_and_the_api() {
    open("operators");
}

#[test]
fn a_person_signs_in_and_shares_one_conversation() {
    closed("share");
}

#[test]
fn a_page_that_was_opened_early_has_the_name_and_the_times_of_one_that_comes_late() {
    open("early");
}

#[test]
fn a_page_says_that_its_conversation_was_deleted() {
    open("deleted");
}

#[test]
fn a_sign_in_that_has_ended_is_asked_for_again_on_the_page() {
    let auth = Auth::App {
        id: APP.0.into(),
        secret: APP.1.into(),
    };
    let life = Some(Duration::from_secs(4));
    play("signin", &mut Stage::with_tokens_for(auth, life));
}

#[test]
fn the_caption_view_is_transparent_and_looks_as_its_address_says() {
    open("captions");
}

#[test]
fn axe_finds_nothing_in_light_dark_and_on_a_phone() {
    closed("accessible");
}

#[test]
fn names_and_texts_stay_texts() {
    open("hostile");
}

#[test]
fn ten_thousand_messages_are_a_few_elements() {
    let mut stage = Stage::new(Auth::None);
    // Twenty sentences are one final of twenty messages.
    for part in 0..5 {
        let texts = (0..100).map(|one| {
            let first = (part * 100 + one) * 20;
            let sentences = (1..=20).map(|n| format!("Message {} of a long talk.", first + n));
            sentences.collect::<Vec<_>>().join(" ")
        });
        stage.say("Ada", texts.collect());
    }
    play("long", &mut stage);
}

#[test]
fn what_is_said_is_soon_on_the_screen() {
    open("latency");
}

// SPDX-License-Identifier: MPL-2.0

//! Tests the program against a scripted service and against `symbl-service`.

#[path = "../../../tests/common/peer.rs"]
mod peer;

#[path = "../../../service/tests/common/mod.rs"]
mod client;

mod lasting;
mod output;
mod run;
mod service;
mod writing;

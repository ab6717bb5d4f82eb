// SPDX-License-Identifier: MPL-2.0

//! The program, against a scripted service.

#[path = "../../../tests/common/peer.rs"]
mod peer;

mod lasting;
mod run;
mod writing;

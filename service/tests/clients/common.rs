// SPDX-License-Identifier: MPL-2.0

//! What is also of use here, of the tests of the element and of the service.

#[path = "../common/prompter.rs"]
pub mod prompter;
#[path = "../../../tests/common/relay.rs"]
pub mod relay;
#[path = "../../../tests/common/service.rs"]
pub mod service;

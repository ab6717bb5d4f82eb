// SPDX-License-Identifier: MPL-2.0

//! Tests the program against a scripted service and against `symbl-service`.

mod documented;
mod lasting;
mod lossless;
mod output;
mod past;
mod run;
mod service;
mod writing;

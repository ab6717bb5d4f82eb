// SPDX-License-Identifier: MPL-2.0

//! Engines that take much.

use symbl_service::capacity::Capacity;
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::recognizer::{Recognizer, RecognizerError, RecognizerStream, StreamOptions};

/// An engine of which each stream takes half of all cores, as it says.
pub struct Dear;

impl Recognizer for Dear {
    fn name(&self) -> &'static str {
        "dear"
    }

    fn capacity(&self) -> Capacity {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Capacity::Here {
            cost: cores as f64 / 2.0,
        }
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Scripted.open(options)
    }
}

/// An engine of which each stream takes half of all cores, and an eighth without interim
/// results, as it reports.
pub struct DearInterims;

impl Recognizer for DearInterims {
    fn name(&self) -> &'static str {
        "dear interims"
    }

    fn capacity(&self) -> Capacity {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Capacity::Reported {
            cost: cores as f64 / 2.0,
            finals_only: cores as f64 / 8.0,
        }
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Scripted.open(options)
    }
}

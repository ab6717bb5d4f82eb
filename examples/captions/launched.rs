// SPDX-License-Identifier: MPL-2.0

//! Reads the messages of a `symblsink` in `gst-launch-1.0 -m` from the output of that
//! program. An application reads them from the bus instead.

use super::summary::Summary;
use super::view::View;
use std::error::Error;
use std::io::BufRead;
use std::str::FromStr;

/// Shows all messages up to the end of `output`.
pub fn show(
    output: impl BufRead,
    view: &mut View,
    summary: &mut Summary,
) -> Result<(), Box<dyn Error>> {
    for line in output.lines() {
        let line = line?;
        if let Some(structure) = element_message(&line) {
            summary.count(&structure);
            view.show(&structure)?;
        } else if line.starts_with("WARNING: ") || line.starts_with("ERROR: ") {
            view.warn(&line)?;
        }
    }
    Ok(())
}

/// Parses a line such as `Got message #12 from element "sink" (element): symbl/…,
/// …;`.
fn element_message(line: &str) -> Option<gst::Structure> {
    let (_, structure) = line
        .strip_prefix("Got message #")?
        .split_once(" (element): ")?;
    gst::Structure::from_str(structure).ok()
}

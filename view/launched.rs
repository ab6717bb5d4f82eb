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
        if let Some((element, structure)) = element_message(&line) {
            summary.count(element, &structure);
            if summary.has_several_elements() {
                view.name_speakers();
            }
            view.show(&structure)?;
        } else if line.starts_with("WARNING: ") || line.starts_with("ERROR: ") {
            view.warn(&line)?;
        }
    }
    Ok(())
}

/// Parses a line such as `Got message #12 from element "sink" (element): symbl/…,
/// …;`. Returns the name of the element and the structure.
fn element_message(line: &str) -> Option<(&str, gst::Structure)> {
    let (from, structure) = line
        .strip_prefix("Got message #")?
        .split_once(" (element): ")?;
    let (_, element) = from.split_once('"')?;
    let structure = gst::Structure::from_str(structure).ok()?;
    Some((element.trim_end_matches('"'), structure))
}

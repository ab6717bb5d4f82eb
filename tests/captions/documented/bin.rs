// SPDX-License-Identifier: MPL-2.0

//! Compiles and runs the code of the page that gives `transcriberbin` its transcriber.

use super::PAGE;
use crate::common::plugin;
use crate::elements::{self, have};
use crate::recipes::folder;
use std::process::Command;

/// Stands in front of the code.
const MARK: &str = "<!-- run by tests/captions/documented.rs -->\n```c\n";

/// Stands behind the code. The bin can change its state if it could make all of its elements.
const REST: &str = r#"
  GstElement *used = NULL;
  pad = gst_element_get_static_pad (bin, "sink_audio");
  g_object_get (pad, "transcriber", &used, NULL);
  gst_object_unref (pad);
  g_assert_true (used == transcriber);
  g_assert_cmpint (gst_element_set_state (bin, GST_STATE_PAUSED), !=, GST_STATE_CHANGE_FAILURE);
  gst_element_set_state (bin, GST_STATE_NULL);
  return 0;
}
"#;

/// Returns what a program prints, which has to succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {log}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_code_for_transcriberbin_makes_a_bin_that_works() {
    if !have(&["transcriberbin", "tttocea708"]) {
        return;
    }
    let (_, code) = PAGE.split_once(MARK).expect("the code");
    let (code, _) = code.split_once("\n```").expect("its end");
    let folder = folder("documented-bin");
    let start = "#include <gst/gst.h>\n\nint\nmain (int argc, char **argv)\n{\n  \
                 gst_init (&argc, &argv);\n";
    std::fs::write(folder.join("bin.c"), format!("{start}{code}{REST}")).expect("a file");

    let mut flags = Command::new("pkg-config");
    let flags = output(flags.args(["--cflags", "--libs", "gstreamer-1.0"]));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-Wall", "-Werror", "-o", "bin", "bin.c"])
        .args(flags.split_whitespace())
        .current_dir(&folder);
    output(&mut compiler);
    let program = folder.join("bin");
    let mut program = plugin::command(program.to_str().expect("UTF-8"));
    let path = elements::path_with(&program);
    program
        .env("GST_PLUGIN_PATH", path)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        .env("G_DEBUG", "fatal-criticals");
    output(&mut program);
}

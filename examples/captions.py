#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Live captions from Python: plays a file or an address through symblsink and
prints the messages on the bus.

Needs PyGObject with GStreamer (Debian: python3-gi, gir1.2-gstreamer-1.0) and
the plugin: installed, on GST_PLUGIN_PATH or given with --plugin. terminal.py is next
to this file.
"""

import argparse
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

from terminal import Lines, visible, written  # noqa: E402


def caption(message):
    """Returns the line to print for a message of the element, or None."""
    fields = message.get_structure()
    kind = fields.get_name()
    if kind == "symbl/transcript" and fields.get_value("is-final"):
        # None if the place in the audio is not known.
        tenths = (fields.get_value("running-time") or 0) * 10 // Gst.SECOND
        time = f"{tenths // 600:02}:{tenths // 10 % 60:02}.{tenths % 10}"
        return f"[{time}] {visible(fields.get_value('text'))}"
    if kind == "symbl/insight":
        return f"    {visible(fields.get_value('type'))}: {visible(fields.get_value('text'))}"
    if kind == "symbl/tracker":
        name, value = fields.get_value("name"), fields.get_value("value")
        return f"    tracker {visible(name)}: {visible(value)}"
    if kind == "symbl/topic":
        return f"    topic: {visible(fields.get_value('text'))}"
    return None


def play(pipeline, loop, notes):
    """Runs the pipeline to its end; returns the text of its error, or None."""
    failure = None
    # Without a reader of the captions, the program ends.
    lines = Lines(sys.stdout, on_error=lambda _error: GLib.idle_add(loop.quit))

    def on_message(_bus, message):
        nonlocal failure
        if message.type == Gst.MessageType.ELEMENT:
            line = caption(message)
            if line:
                lines.say(line)
        elif message.type == Gst.MessageType.WARNING:
            notes.say(f"warning: {visible(message.parse_warning()[0].message)}")
        elif message.type == Gst.MessageType.ERROR:
            failure = message.parse_error()[0].message
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        loop.run()  # Ctrl-C raises KeyboardInterrupt here
    finally:
        pipeline.set_state(Gst.State.NULL)
    return failure or written(lines)


def main(notes):
    """Plays the input of the command line; returns the text of an error, or None."""
    parser = argparse.ArgumentParser(description="Live captions of INPUT.")
    parser.add_argument("--base-url", help="address of the service")
    parser.add_argument("--plugin", help="path of libgstsymbl.so")
    parser.add_argument("--trackers", help='JSON: [{"name": …, "vocabulary": […]}]')
    parser.add_argument("input", metavar="INPUT", help="a file or an address")
    args = parser.parse_args()

    Gst.init(None)
    if args.plugin:
        Gst.Plugin.load_file(args.plugin)
    pipeline = Gst.parse_launch(
        "uridecodebin name=in caps=audio/x-raw expose-all-streams=false "
        "! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 "
        "! symblsink name=sink insight-types=action-item+question+follow-up+topic"
    )
    uri = args.input if "://" in args.input else pathlib.Path(args.input).absolute().as_uri()
    pipeline.get_by_name("in").set_property("uri", uri)
    for name in ("base-url", "trackers"):
        value = getattr(args, name.replace("-", "_"))
        if value is not None:
            pipeline.get_by_name("sink").set_property(name, value)
    return play(pipeline, GLib.MainLoop(), notes)


def run():
    """Runs the program; returns its exit status."""
    notes = Lines(sys.stderr)
    try:
        failure = main(notes)
    except GLib.Error as error:
        failure = error.message
    except KeyboardInterrupt:
        return 130
    if failure:
        notes.say(f"error: {visible(failure)}")
    notes.finish(seconds=1)  # they may have no reader
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(run())

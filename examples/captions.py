#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Live captions from Python: plays a file or an address through symblsink and
prints what comes on the bus.

Needs PyGObject with GStreamer (Debian: python3-gi, gir1.2-gstreamer-1.0) and
the plugin, installed, on GST_PLUGIN_PATH or named with --plugin.
"""

import argparse
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def caption(message):
    """The line to print for one message of the element, or None."""
    fields = message.get_structure()
    kind = fields.get_name()
    if kind == "symbl/transcript" and fields.get_value("is-final"):
        # None where the place in the audio is not known.
        tenths = (fields.get_value("running-time") or 0) * 10 // Gst.SECOND
        time = f"{tenths // 600:02}:{tenths // 10 % 60:02}.{tenths % 10}"
        return f"[{time}] {fields.get_value('text')}"
    if kind == "symbl/insight":
        return f"    {fields.get_value('type')}: {fields.get_value('text')}"
    if kind == "symbl/tracker":
        return f"    tracker {fields.get_value('name')}: {fields.get_value('value')}"
    if kind == "symbl/topic":
        return f"    topic: {fields.get_value('text')}"
    return None


def play(pipeline, loop):
    """Runs the pipeline to its end; returns the text of its error, or None."""
    failure = None

    def on_message(_bus, message):
        nonlocal failure
        if message.type == Gst.MessageType.ELEMENT:
            line = caption(message)
            if line:
                print(line, flush=True)
        elif message.type == Gst.MessageType.WARNING:
            print("warning:", message.parse_warning()[0].message, file=sys.stderr)
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
        loop.run()  # Ctrl-C comes out of here as KeyboardInterrupt
    finally:
        pipeline.set_state(Gst.State.NULL)
    return failure


def main():
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
    failure = play(pipeline, GLib.MainLoop())
    sys.exit(f"error: {failure}" if failure else 0)


if __name__ == "__main__":
    try:
        main()
    except GLib.Error as error:
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)

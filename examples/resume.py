#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""An application that can be killed and then continues the same conversation.

It stores the connection id. If it is started again within the sink's
no-connection-timeout, it dials with the same id and is in the same conversation.
It then gets from the Conversation API what its own and other speakers have said.

Needs PyGObject with GStreamer (Debian: python3-gi, gir1.2-gstreamer-1.0) and
the plugin, installed or on GST_PLUGIN_PATH. terminal.py is next to this file.
"""

import argparse
import json
import os
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

from terminal import Lines, visible, written  # noqa: E402

SOON = 10  # seconds; the timeout of a request


class State:
    """The ids of the conversation, in a file that is replaced and never partly written."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        try:
            self.ids = json.loads(self.path.read_text())
        except FileNotFoundError:
            self.ids = {}

    def store(self, name, value):
        self.ids[name] = value
        whole = self.path.with_suffix(".new")
        whole.write_text(json.dumps(self.ids))
        os.replace(whole, self.path)

    def forget(self):
        self.path.unlink(missing_ok=True)


def said_before(base_url, conversation):
    """Returns the messages of the conversation so far, of all speakers."""
    path = f"/v1/conversations/{urllib.parse.quote(conversation, safe='')}/messages"
    request = urllib.request.Request(base_url.rstrip("/") + path)
    token = os.environ.get("SYMBL_ACCESS_TOKEN")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=SOON) as answer:
        for message in json.load(answer)["messages"]:
            speaker = (message.get("from") or {}).get("name")
            yield f"{speaker}: {message['text']}" if speaker else message["text"]


class Talk:
    """A pipeline whose conversation is stored in the state."""

    def __init__(self, pipeline, state, notes):
        self.pipeline, self.state, self.notes = pipeline, state, notes
        self.sink = pipeline.get_by_name("sink")
        self.loop = GLib.MainLoop()
        # Without a reader, the program ends.
        self.lines = Lines(sys.stdout, on_error=lambda _error: GLib.idle_add(self.loop.quit))
        self.failure = None
        if "connection-id" in state.ids:
            self.sink.set_property("connection-id", state.ids["connection-id"])

    def on_session(self, fields):
        """Handles the message with the id of the conversation."""
        conversation = fields.get_value("conversation-id")
        # "split": the connection was lost for so long that the conversation is another one.
        if fields.get_value("event") not in ("created", "split") or not conversation:
            return
        if conversation == self.state.ids.get("conversation-id"):
            self.lines.say(f"continued conversation {visible(conversation)}")
            try:
                for line in said_before(self.sink.get_property("base-url"), conversation):
                    self.lines.say(f"before: {visible(line)}")
            except (urllib.error.URLError, OSError) as error:
                self.notes.say(f"what was said before is not known: {visible(error)}")
        else:
            self.lines.say(f"new conversation {visible(conversation)}")
        # The sink has made an id if the application gave none.
        self.state.store("connection-id", fields.get_value("connection-id"))
        self.state.store("conversation-id", conversation)

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.ELEMENT:
            fields = message.get_structure()
            if fields.get_name() == "symbl/session":
                self.on_session(fields)
            elif fields.get_name() == "symbl/transcript" and fields.get_value("is-final"):
                tenths = (fields.get_value("running-time") or 0) * 10 // Gst.SECOND
                time = f"{tenths // 600:02}:{tenths // 10 % 60:02}.{tenths % 10}"
                self.lines.say(f"[{time}] {visible(fields.get_value('text'))}")
        elif message.type == Gst.MessageType.WARNING:
            self.notes.say(f"warning: {visible(message.parse_warning()[0].message)}")
        elif message.type == Gst.MessageType.ERROR:
            self.failure = message.parse_error()[0].message
            self.loop.quit()
        elif message.type == Gst.MessageType.EOS:
            self.state.forget()  # it ended in order, so there is nothing to continue
            self.loop.quit()

    def play(self):
        """Runs until the end; returns the text of the error, or None."""
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()  # Ctrl-C raises KeyboardInterrupt here
        finally:
            self.pipeline.set_state(Gst.State.NULL)
        return self.failure or written(self.lines)


def main(notes):
    """Plays the input of the command line; returns the text of an error, or None."""
    parser = argparse.ArgumentParser(description="Captions of INPUT that survive a kill.")
    parser.add_argument("--base-url", help="address of the service")
    parser.add_argument("--state", default="resume.json", help="file with the ids")
    parser.add_argument("input", metavar="INPUT", help="a file or an address")
    args = parser.parse_args()

    Gst.init(None)
    pipeline = Gst.parse_launch(
        "uridecodebin name=in caps=audio/x-raw expose-all-streams=false "
        "! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 "
        "! symblsink name=sink no-connection-timeout=300"
    )
    uri = args.input if "://" in args.input else pathlib.Path(args.input).absolute().as_uri()
    pipeline.get_by_name("in").set_property("uri", uri)
    if args.base_url:
        pipeline.get_by_name("sink").set_property("base-url", args.base_url)
    return Talk(pipeline, State(args.state), notes).play()


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

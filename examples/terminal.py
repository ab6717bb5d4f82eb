# SPDX-License-Identifier: MPL-2.0
"""Lines for people, for the Python examples beside this file.

A pipe that nobody reads blocks whoever writes to it, and the messages on the bus
then pile up. So a thread writes. Nothing that a terminal would obey gets there.
"""

import os
import queue
import threading
import unicodedata

MOST_LINES = 10_000  # that wait to be written; more are dropped and counted


def visible(text):
    """The text in one line, without what moves the cursor, reverses it or hides in it.

    `symbl_captions::visible` does the same, and keeps more emoji."""
    shown = []
    for sign in " ".join(str(text).split()):
        kind = unicodedata.category(sign)
        if kind in ("Cc", "Zl", "Zp"):
            shown.append(" ")
        elif "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069":
            shown.append("\ufffd")
        # The joiners are a part of words in Persian and Hindi, and of emoji.
        elif kind != "Cf" or sign in "\u200c\u200d":
            shown.append(sign)
    return "".join(shown)


def written(lines):
    """Waits until standard output is read; returns what is wrong with it, or None."""
    if lines.finish() or isinstance(lines.error, BrokenPipeError):
        return None  # all is there, or the reader has gone, as `head` does
    if lines.error:
        return f"cannot write to standard output: {lines.error.strerror}"
    return f"nobody read standard output in time: {lines.lost} lines are missing in it"


class Lines:
    """Lines for a stream of this program. `on_error` is called by the thread that
    writes, with the OSError that ended the writing."""

    def __init__(self, stream, on_error=None):
        # Absent where the program was started without the stream.
        self.fd = stream.fileno() if stream else None
        self.on_error = on_error or (lambda error: None)
        self.lost = 0
        self.error = None
        self.lines = queue.Queue(MOST_LINES)
        self.written = threading.Event()
        threading.Thread(target=self._write, daemon=True).start()

    def say(self, line):
        """Writes the line soon."""
        try:
            self.lines.put_nowait(f"{line}\n".encode("utf-8", "replace"))
        except queue.Full:
            self.lost += 1

    def finish(self, seconds=None):
        """Waits until all is written; returns whether it is. Ctrl-C ends the wait."""
        try:
            self.lines.put(None, timeout=seconds)
        except queue.Full:
            return False
        return self.written.wait(seconds) and not self.error and not self.lost

    def _write(self):
        # Not by the stream's own buffer: Python would wait for it at its end.
        while (line := self.lines.get()) is not None:
            try:
                while line and self.fd is not None and not self.error:
                    line = line[os.write(self.fd, line):]
            except OSError as error:
                self.error = error
                self.on_error(error)
        self.written.set()

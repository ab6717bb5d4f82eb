# SPDX-License-Identifier: MPL-2.0
"""Prints lines, for the Python examples next to this file.

A pipe without a reader blocks its writer, and then the messages on the bus pile
up. So a thread writes. No control character of a text reaches the terminal.
"""

import os
import queue
import threading
import unicodedata

MOST_LINES = 10_000  # in the queue; more are dropped and counted


def visible(text):
    """Returns the text in one line, without characters that move the cursor, reverse the
    text or are invisible.

    `symbl_captions::visible` does the same, and keeps more emoji."""
    shown = []
    for sign in " ".join(str(text).split()):
        kind = unicodedata.category(sign)
        if kind in ("Cc", "Zl", "Zp"):
            shown.append(" ")
        elif "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069":
            shown.append("\ufffd")
        # The joiners are part of words in Persian and Hindi, and of emoji.
        elif kind != "Cf" or sign in "\u200c\u200d":
            shown.append(sign)
    return "".join(shown)


def written(lines):
    """Waits until standard output is read; returns the text of its error, or None."""
    if lines.finish() or isinstance(lines.error, BrokenPipeError):
        return None  # everything is written, or the reader has gone, as `head` does
    if lines.error:
        return f"cannot write to standard output: {lines.error.strerror}"
    return f"nobody read standard output in time: {lines.lost} lines are missing in it"


class Lines:
    """Writes lines to a stream of this program. The writing thread calls `on_error`
    with the OSError that ended the writing."""

    def __init__(self, stream, on_error=None):
        # None if the program was started without the stream.
        self.fd = stream.fileno() if stream else None
        self.on_error = on_error or (lambda error: None)
        self.lost = 0
        self.error = None
        self.lines = queue.Queue(MOST_LINES)
        self.written = threading.Event()
        threading.Thread(target=self._write, daemon=True).start()

    def say(self, line):
        """Queues the line."""
        try:
            self.lines.put_nowait(f"{line}\n".encode("utf-8", "replace"))
        except queue.Full:
            self.lost += 1

    def finish(self, seconds=None):
        """Waits until everything is written; returns True if it is. Ctrl-C ends the wait."""
        try:
            self.lines.put(None, timeout=seconds)
        except queue.Full:
            return False
        return self.written.wait(seconds) and not self.error and not self.lost

    def _write(self):
        # Bypasses the stream's own buffer, because Python would wait for it at exit.
        while (line := self.lines.get()) is not None:
            try:
                while line and self.fd is not None and not self.error:
                    line = line[os.write(self.fd, line):]
            except OSError as error:
                self.error = error
                self.on_error(error)
        self.written.set()

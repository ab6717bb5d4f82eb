# SPDX-License-Identifier: MPL-2.0
"""Listeners of a conversation for demo.py, with Python's standard library alone: a subscriber
of the Streaming API, and what the page does over Socket.IO."""

import base64
import json
import os
import socket
import struct
import threading
import time
import urllib.parse

PATIENCE = 30  # seconds; for one answer
LARGEST = 16 << 20  # bytes; of a message of the service


class WebSocket:
    """A WebSocket client that reads and sends texts."""

    def __init__(self, base_url, path):
        host, port = urllib.parse.urlsplit(base_url).netloc.split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.reader = self.socket.makefile("rb")
        status = self.reader.readline().decode()
        if " 101 " not in status:
            raise ConnectionError(f"no WebSocket at {path}: {status.strip()}")
        while self.reader.readline().strip():
            pass

    def send(self, text, kind=1):
        data = text.encode() if isinstance(text, str) else text
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | kind])
        head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def receive(self):
        """Returns the next text."""
        whole = b""
        while True:
            first, size = self._read(2)
            size &= 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._read(8))
            if len(whole) + size > LARGEST:
                raise ConnectionError("a message is too large")
            data = self._read(size)
            kind = first & 0x0F
            if kind == 8:
                raise ConnectionError("closed")
            if kind == 9:
                self.send(data, kind=10)
            elif kind in (0, 1):
                whole += data
                if first & 0x80:
                    return whole.decode()

    def _read(self, size):
        data = self.reader.read(size)
        if len(data) < size:
            raise ConnectionError("the connection is lost")
        return data

    def close(self):
        self.socket.close()


class Listener(threading.Thread):
    """Keeps the texts of a conversation, each with its number."""

    def __init__(self):
        super().__init__(daemon=True)
        self.told = []  # in the order in which they came

    def words(self):
        return [word for text in list(self.told) for word in words_of(text)]


class Subscriber(Listener):
    """Hears a conversation live, on one node, and is never told anything again."""

    def __init__(self, base_url, connection_id):
        super().__init__()
        self.socket = WebSocket(base_url, f"/v1/subscribe/{connection_id}")
        while kind_of(json.loads(self.socket.receive())) != "subscription_started":
            pass
        self.start()

    def run(self):
        try:
            while True:
                message = json.loads(self.socket.receive())
                if kind_of(message) == "message_response":
                    for part in message["messages"]:
                        self.told.append(part["payload"]["content"])
        except (OSError, TimeoutError):
            pass  # the conversation is over


class Page(Listener):
    """Does what the page does: it comes back when its node is gone, asks for what it has
    missed, and leaves out what it knows."""

    def __init__(self, base_url, title):
        super().__init__()
        self.base_url = base_url
        self.known = {}
        self.greatest = 0
        self.comes_back = 0
        self._connect()
        self._emit("session:create", {"title": title})
        created = self._until("session:created")
        self.session, self.conversation = created["session_id"], created["conversation_id"]
        self.start()

    def _connect(self):
        self.socket = WebSocket(self.base_url, "/socket.io/?EIO=4&transport=websocket")
        self.socket.receive()  # what Engine.IO offers
        self.socket.send("40")
        while not self.socket.receive().startswith("40"):
            pass

    def _emit(self, event, members):
        payload = {"timestamp": int(time.time() * 1000), **members}
        self.socket.send("42" + json.dumps([event, payload]))

    def _next(self):
        """Returns the next event and its payload."""
        while True:
            packet = self.socket.receive()
            if packet == "2":
                self.socket.send("3")
            elif packet.startswith("42"):
                return json.loads(packet[2:])[:2]

    def _until(self, wanted):
        while True:
            event, payload = self._next()
            if event == wanted:
                return payload
            if event.endswith(":error"):
                raise ConnectionError(f"{event}: {payload}")
            self._take(event, payload)

    def _take(self, event, payload):
        if event == "message:received" and payload["event_id"] not in self.known:
            self.known[payload["event_id"]] = payload["body"]["text"]
            self.greatest = max(self.greatest, int(payload["seq"]))
            self.told.append(payload["body"]["text"])

    def run(self):
        while True:
            try:
                while True:
                    self._take(*self._next())
            except (OSError, TimeoutError):
                self.come_back()

    def come_back(self):
        """Dials until it is in its session again, and knows all of it."""
        while True:
            try:
                self._connect()
                self._emit("session:reconnect", {"session_id": self.session, "view": True})
                self._until("session:reconnected")
                self._emit(
                    "session:history:sync",
                    {"session_id": self.session, "after": self.greatest, "limit": 5000},
                )
                for event, payload in self._until("session:history:synced"):
                    self._take(event, payload)
                self.comes_back += 1
                return
            except (OSError, TimeoutError):
                time.sleep(0.5)


def kind_of(message):
    """Returns the type of a message, which some have in an envelope."""
    return message.get("message", message).get("type", message.get("type"))


def words_of(text):
    """Returns the words of a text, without case and punctuation."""
    bare = (word.strip(".,?!").lower() for word in text.split())
    return [word for word in bare if word]

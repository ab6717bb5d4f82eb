# SPDX-License-Identifier: MPL-2.0
"""The official Python SDK: streams raw 44.1 kHz samples, stops, and asks for the messages.

    python stream.py BASE_URL SAMPLES.raw POINTING.py

POINTING.py points the SDK at BASE_URL: it is the block of docs/clients.md.
"""

import json
import os
import sys
import runpy
import threading

BASE_URL, PATH, POINTING = sys.argv[1:]
# Before anything of the SDK is imported here.
runpy.run_path(POINTING)

import symbl

# 4,096 samples, as the SDK itself reads them from a microphone.
CHUNK = 8192


def connected(**options):
    """A connection; the SDK asks for its socket before its own thread may have made it."""
    for _ in range(9):
        try:
            return symbl.Streaming.start_connection(**options)
        except AttributeError:
            pass
    return symbl.Streaming.start_connection(**options)


def main():
    credentials = {
        "app_id": os.environ["SYMBL_APP_ID"],
        "app_secret": os.environ["SYMBL_APP_SECRET"],
    }
    connection = connected(
        credentials=credentials,
        insight_types=["question", "action_item"],
        trackers=[{"name": "Report", "vocabulary": ["w3"]}],
        # The service does not do it, and says so in a message that the SDK does not know.
        config={"sentiment": True},
    )
    calls = []
    over = threading.Event()

    def told(name):
        def handler(response):
            calls.append({"handler": name, "said": response})
            if response.get("message", {}).get("type") == "conversation_completed":
                over.set()

        return handler

    kinds = ["message", "message_response", "insight_response", "tracker_response"]
    connection.subscribe({kind: told(kind) for kind in kinds})
    with open(PATH, "rb") as samples:
        while chunk := samples.read(CHUNK):
            connection.send_audio(chunk)
    connection.stop()
    if not over.wait(140):
        print(f"stuck after {calls}", file=sys.stderr, flush=True)
        # Past the SDK's thread, which would keep Python here.
        os._exit(1)
    found = connection.conversation.get_messages()
    conversation = connection.conversation.get_conversation_id()
    asked = symbl.Conversations.get_messages(conversation, credentials=credentials)
    if isinstance(asked, dict):
        print(f"the SDK's own client: {asked}", file=sys.stderr, flush=True)
        os._exit(1)
    result = {
        "calls": calls,
        "conversationId": conversation,
        "kept": [message.text for message in found.messages],
        "asked": [message.text for message in asked.messages],
    }
    print(json.dumps(result), flush=True)


main()

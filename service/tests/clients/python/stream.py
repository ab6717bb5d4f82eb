# SPDX-License-Identifier: MPL-2.0
"""The official Python SDK: streams raw 44.1 kHz samples, stops, and asks for the messages.

    python stream.py BASE_URL SAMPLES.raw
"""

import json
import os
import sys
import threading

import symbl
import symbl_rest

# 4,096 samples, as the SDK itself reads them from a microphone.
CHUNK = 8192


def point_at(base_url):
    """Points the SDK at a service; it has no setting of its own for that."""
    configuration = symbl_rest.Configuration()
    configuration.host = base_url
    symbl_rest.Configuration.set_default(configuration)
    # `symbl.Connection` is the class, and not its module.
    streaming = sys.modules["symbl.streaming_api.StreamingApi"]
    listening = sys.modules["symbl.Connection"]
    sockets = base_url.replace("http", "ws", 1)
    streaming.SYMBL_STREAMING_API_FORMAT = sockets + "/v1/realtime/insights/{}?source=python_sdk"
    listening.SYMBL_WEBSOCKET_BASE_PATH = sockets + "/session/subscribe/"


def connected(**options):
    """A connection; the SDK asks for its socket before its own thread may have made it."""
    for _ in range(9):
        try:
            return symbl.Streaming.start_connection(**options)
        except AttributeError:
            pass
    return symbl.Streaming.start_connection(**options)


def main():
    base_url, path = sys.argv[1:]
    point_at(base_url)
    credentials = {
        "app_id": os.environ["SYMBL_APP_ID"],
        "app_secret": os.environ["SYMBL_APP_SECRET"],
    }
    connection = connected(
        credentials=credentials,
        insight_types=["question", "action_item"],
        trackers=[{"name": "Report", "vocabulary": ["w3"]}],
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
    with open(path, "rb") as samples:
        while chunk := samples.read(CHUNK):
            connection.send_audio(chunk)
    connection.stop()
    if not over.wait(140):
        print(f"stuck after {calls}", file=sys.stderr, flush=True)
        # Past the SDK's thread, which would keep Python here.
        os._exit(1)
    found = connection.conversation.get_messages()
    result = {
        "calls": calls,
        "conversationId": connection.conversation.get_conversation_id(),
        "kept": [message.text for message in found.messages],
    }
    print(json.dumps(result), flush=True)


main()

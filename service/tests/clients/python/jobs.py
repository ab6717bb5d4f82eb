# SPDX-License-Identifier: MPL-2.0
"""The official Python SDK: submits a text and a recording, waits for both jobs, and asks for
everything that the Conversation API has of them.

    python jobs.py BASE_URL RECORDING.wav POINTING.py

POINTING.py points the SDK at BASE_URL: it is the block of docs/clients.md.
"""

import json
import os
import runpy
import sys

BASE_URL, RECORDING, POINTING = sys.argv[1:]
# Before anything of the SDK is imported here.
runpy.run_path(POINTING)

import symbl
from symbl.Conversations import Conversation

# The SDK asks for the state of a job every 30 seconds.
Conversation._Conversation__INTERVAL_TIME_IN_SECONDS = 0.1

CREDENTIALS = {
    "app_id": os.environ["SYMBL_APP_ID"],
    "app_secret": os.environ["SYMBL_APP_SECRET"],
}

LINES = [
    ("Ada", "Can you send me the budget report?"),
    ("Grace", "I will check the budget report tomorrow."),
    ("Ada", "Let's schedule a follow up meeting about the budget report on Friday."),
]


def message(name, content):
    user = f"{name.lower()}@example.org"
    return {"payload": {"content": content}, "from": {"name": name, "userId": user}}


def plain(answer):
    """The answer as JSON has it."""
    if isinstance(answer, list):
        return [plain(one) for one in answer]
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


def main():
    payload = {
        "name": "Handover",
        "detectEntities": True,
        "detectPhrases": True,
        "trackers": [{"name": "Money", "vocabulary": ["budget"]}],
        "messages": [message(*line) for line in LINES],
    }
    text = symbl.Text.process(payload=payload, credentials=CREDENTIALS)
    more = {"messages": [message("Grace", "The report is ready.")]}
    symbl.Text.append(
        payload=more, conversation_id=text.get_conversation_id(), credentials=CREDENTIALS
    )
    sound = symbl.Audio.process_file(
        file_path=RECORDING,
        content_type="audio/wav",
        credentials=CREDENTIALS,
        parameters={"name": "Call", "enableSeparateRecognitionPerChannel": True},
    )
    result = {
        "jobs": [text.get_job_status(), sound.get_job_status()],
        "messages": plain(text.get_messages(parameters={"sentiment": True})),
        "conversation": plain(text.get_conversation()),
        "members": plain(text.get_members()),
        "topics": plain(text.get_topics()),
        "questions": plain(text.get_questions()),
        "action_items": plain(text.get_action_items()),
        "follow_ups": plain(text.get_follow_ups()),
        "entities": plain(text.get_entities()),
        "trackers": plain(text.get_trackers()),
        "analytics": plain(text.get_analytics()),
        "sound": plain(sound.get_messages()),
    }
    print(json.dumps(result, default=str), flush=True)
    # Past the SDK's threads, which would keep Python here.
    os._exit(0)


main()

"""What schemathesis is told of the platform: a session that lives, things that are there, and what a chunk of an import is.

Half of the ids that it makes up are exchanged for some that exist; what is deleted on the way is one of many.
"""

import json
import os
import random
import urllib.request

import schemathesis

URL = os.environ["LETHE_URL"]
LOGIN = json.loads(os.environ["LETHE_LOGIN"])
KNOWN = json.loads(os.environ["LETHE_KNOWN"])
EXCHANGED = 0.5
pick = random.Random(0)


@schemathesis.auth(refresh_interval=20)
class Session:
    """Anew from time to time: one of the requests may have ended it."""

    token = None

    def get(self, case, context):
        request = urllib.request.Request(URL + "/v1/sessions", json.dumps(LOGIN).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                Session.token = json.load(answer)["token"]
        except OSError:
            if Session.token is None:
                raise
        return Session.token

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": "Bearer " + data}


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in list((case.path_parameters or {}).items()):
        if name in KNOWN and pick.random() < EXCHANGED:
            case.path_parameters[name] = pick.choice(KNOWN[name])
    if case.headers and "If-Match" in case.headers and pick.random() < EXCHANGED:
        case.headers["If-Match"] = '"%d"' % pick.randint(1, 3)


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def lines(context, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()

"""Checks tokens with the Python libraries that service nodes and their clients are built on.

Reads lines of JSON: {"secret", "id", "key", "payload"}. Every token must parse under its secret to its payload, give its
key when that is derived, be refused under another secret, and sign a Hawk request that verifies. Prints how many did.
"""

import json
import sys

import hawkauthlib
import tokenlib
from webob import Request


def check(line):
    given = json.loads(line)
    token, secret = given["id"], given["secret"]
    payload = tokenlib.parse_token(token, secret=secret)
    expected = json.loads(given["payload"])
    assert payload == expected, (payload, expected)
    key = tokenlib.get_derived_secret(token, secret=secret)
    assert key == given["key"], (key, given["key"])
    try:
        tokenlib.parse_token(token, secret=secret + "x")
    except tokenlib.errors.InvalidSignatureError:
        pass
    else:
        raise AssertionError("accepted under another secret")
    request = Request.blank(expected["node"] + "/1.5/%d/info/collections" % expected["uid"])
    hawkauthlib.sign_request(request, token, given["key"])
    assert hawkauthlib.get_id(request) == token
    assert hawkauthlib.check_signature(request, key)
    assert not hawkauthlib.check_signature(request, key + "x")


checked = 0
for line in sys.stdin:
    check(line)
    checked += 1
print(checked)

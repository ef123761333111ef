"""A receiver of account events in Python: pip install pyjwt[crypto], then
JWKS_URL=… ISSUER=… CLIENT_ID=… PORT=… python receiver.py
"""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

KEYS = jwt.PyJWKClient(os.environ["JWKS_URL"], lifespan=300)
SEEN = set()  # Keep it where your accounts are: a delivery may come again after a restart.


def verify(token):
    claims = jwt.decode(
        token,
        KEYS.get_signing_key_from_jwt(token),
        algorithms=["RS256", "ES256", "EdDSA"],
        audience=os.environ["CLIENT_ID"],
        issuer=os.environ["ISSUER"],
        leeway=60,
        options={"require": ["iss", "aud", "iat", "jti", "events"]},
    )
    if claims["iat"] > time.time() + 60:
        raise jwt.ImmatureSignatureError("it is issued in the future")
    return claims


def handle(claims):
    """What happens to an account. Times are milliseconds; change nothing that is newer than the event."""
    subject = claims.get("sub") or claims.get("sub_id", {}).get("sub")
    for event_type, event in claims["events"].items():
        match event_type.rsplit("/", 1)[-1]:
            case "delete-user" | "account-purged":
                pass  # Delete all there is of `subject`.
            case "password-change" | "session-revoked":
                pass  # End the sessions of `subject` that began before `event["changeTime"]`.
            case _:
                pass  # What is not known is let pass.


# RFC 8935 section 2.4, the more special ones first.
REFUSALS = [
    (jwt.PyJWKClientError, "invalid_key"),
    (jwt.InvalidAlgorithmError, "invalid_key"),
    (jwt.InvalidSignatureError, "authentication_failed"),
    (jwt.InvalidAudienceError, "invalid_audience"),
    (jwt.InvalidIssuerError, "invalid_issuer"),
    (jwt.PyJWTError, "invalid_request"),
]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        is_push = self.headers.get("Content-Type") == "application/secevent+jwt"
        token = body if is_push else self.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = verify(token)
        except jwt.PyJWKClientConnectionError:
            return self.answer(503, {"Retry-After": "5"})
        except jwt.PyJWTError as error:
            err = next(err for kind, err in REFUSALS if isinstance(error, kind))
            if not is_push:
                return self.answer(401)
            said = json.dumps({"err": err, "description": str(error)})
            return self.answer(400, {"Content-Type": "application/json"}, said.encode())
        if claims["jti"] not in SEEN:
            handle(claims)
            SEEN.add(claims["jti"])
        return self.answer(202 if is_push else 200)

    def answer(self, status, headers={}, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Tokens do not belong in logs."""


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Receiver)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()

# A service asks about an access token and keeps the signed answer: pip install PyJWT[crypto] requests, then
# HIGHWATER=… CALLER=… JWKS_URL=… ISSUER=… NAME=… python introspect.py TOKEN

import json
import os
import sys

import jwt
import requests

HIGHWATER, ISSUER, NAME = os.environ["HIGHWATER"], os.environ["ISSUER"], os.environ["NAME"]
KEYS = jwt.PyJWKClient(os.environ["JWKS_URL"])
SIGNED = "application/token-introspection+jwt"


def introspect(token):
    headers = {"Authorization": "Bearer " + os.environ["CALLER"], "Accept": SIGNED}
    answer = requests.post(HIGHWATER + "/introspect", data={"token": token}, headers=headers, timeout=5)
    answer.raise_for_status()  # 503: come again after Retry-After; it says nothing of the token.
    return answer.text


def verify(signed):
    """What it says, to whoever keeps it or is handed it."""
    if jwt.get_unverified_header(signed).get("typ") != "token-introspection+jwt":
        raise ValueError("it is another kind of token")
    claims = jwt.decode(
        signed,
        KEYS.get_signing_key_from_jwt(signed).key,
        algorithms=["RS256"],
        audience=NAME,  # the name that the caller's token or certificate was given
        issuer=ISSUER,  # `broker.issuer`
        options={"require": ["iss", "aud", "iat"]},
    )
    return claims["token_introspection"]


print(json.dumps(verify(introspect(sys.argv[1]))))

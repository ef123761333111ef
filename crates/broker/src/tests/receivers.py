"""Verifies tokens as relying parties in Python do: PyJWT, a published key set, no leeway.

Reads one JSON object a line: token, keys (a JWK set), audience, issuer, require (claims that must be there). Answers each
with the claims, or with what was wrong.
"""

import json
import sys

import jwt

for line in sys.stdin:
    told = json.loads(line)
    try:
        header = jwt.get_unverified_header(told["token"])
        key = jwt.PyJWKSet.from_dict(told["keys"])[header["kid"]]
        claims = jwt.decode(
            told["token"],
            key,
            algorithms=[header["alg"]],
            audience=told["audience"],
            issuer=told["issuer"],
            leeway=0,
            options={"require": told["require"], "verify_iat": True},
        )
        print(json.dumps({"claims": claims}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)

// A service asks about an access token and keeps the signed answer: npm install jose, then
// HIGHWATER=… CALLER=… JWKS_URL=… ISSUER=… NAME=… node introspect.mjs TOKEN

import { createRemoteJWKSet, jwtVerify } from "jose";

const { HIGHWATER, CALLER, JWKS_URL, ISSUER, NAME } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));

const introspect = async (token) => {
  const answer = await fetch(`${HIGHWATER}/introspect`, {
    method: "POST",
    headers: { authorization: `Bearer ${CALLER}`, accept: "application/token-introspection+jwt" },
    body: new URLSearchParams({ token }),
  });
  // 503: come again after Retry-After; it says nothing of the token.
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.text();
};

// What it says, to whoever keeps it or is handed it.
const verify = async (signed) => {
  const { payload } = await jwtVerify(signed, keys, {
    typ: "token-introspection+jwt",
    algorithms: ["RS256"],
    audience: NAME, // the name that the caller's token or certificate was given
    issuer: ISSUER, // `broker.issuer`
    requiredClaims: ["iss", "aud", "iat"],
  });
  return payload.token_introspection;
};

console.log(JSON.stringify(await verify(await introspect(process.argv[2]))));

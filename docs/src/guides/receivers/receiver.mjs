// A receiver of account events in Node.js: npm install jose, then
// JWKS_URL=… ISSUER=… CLIENT_ID=… PORT=… node receiver.mjs

import { createRemoteJWKSet, errors, jwtVerify } from "jose";
import { createServer } from "node:http";

const { JWKS_URL, ISSUER, CLIENT_ID, PORT = "0" } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));
const seen = new Set(); // Keep it where your accounts are: a delivery may come again after a restart.

const verify = async (token) => {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ["RS256", "ES256", "EdDSA"],
    issuer: ISSUER,
    audience: CLIENT_ID,
    requiredClaims: ["iat", "jti", "events"],
  });
  if (payload.iat > Date.now() / 1000 + 60) throw new Error("it is issued in the future");
  return payload;
};

// What happens to an account. Times are milliseconds; change nothing that is newer than the event.
const handle = async ({ sub, sub_id, events }) => {
  const subject = sub ?? sub_id?.sub;
  for (const [type, event] of Object.entries(events)) {
    switch (type.split("/").pop()) {
      case "delete-user":
      case "account-purged":
        break; // Delete all there is of `subject`.
      case "password-change":
      case "session-revoked":
        break; // End the sessions of `subject` that began before `event.changeTime`.
      default: // What is not known is let pass.
    }
  }
};

// RFC 8935 section 2.4. Anything else is trouble of our own.
const refusal = (error) => {
  if (error instanceof errors.JWKSNoMatchingKey) return "invalid_key";
  if (error instanceof errors.JOSEAlgNotAllowed) return "invalid_key";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "authentication_failed";
  if (error.claim === "aud") return "invalid_audience";
  if (error.claim === "iss") return "invalid_issuer";
  if (error instanceof errors.JWKSTimeout || error instanceof TypeError) return undefined;
  return "invalid_request";
};

const read = async (request) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
};

const server = createServer(async (request, response) => {
  const body = await read(request);
  const isPush = request.headers["content-type"] === "application/secevent+jwt";
  const bearer = request.headers.authorization?.match(/^Bearer (.+)$/i)?.[1];
  try {
    const claims = await verify(isPush ? body : bearer);
    if (!seen.has(claims.jti)) await handle(claims);
    seen.add(claims.jti);
    response.writeHead(isPush ? 202 : 200).end();
  } catch (error) {
    const err = refusal(error);
    if (err === undefined) response.writeHead(503, { "Retry-After": "5" }).end();
    else if (!isPush) response.writeHead(401).end();
    else
      response
        .writeHead(400, { "Content-Type": "application/json" })
        .end(JSON.stringify({ err, description: error.message }));
  }
});

server.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));

// Verifies tokens as relying parties in Node.js do: jose, a published key set, no tolerance.
//
// Reads one JSON object a line: token, keys (a JWK set), audience, issuer, require (claims that must be there). Answers
// each with the claims, or with what was wrong. Its argument is the folder that jose is installed in.

import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// Node.js 18 has it, but not under this name.
globalThis.crypto ??= webcrypto;

const installed = createRequire(join(process.argv[2], "package.json"));
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(installed.resolve("jose")));

const verified = async ({ token, keys, audience, issuer, require }) => {
  const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
    audience,
    issuer,
    requiredClaims: require,
    clockTolerance: 0,
    // Without an age `iat` is not looked at: it must not be of the future.
    maxTokenAge: "1 hour",
  });
  return payload;
};

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await verified(JSON.parse(line)).then(
    (claims) => ({ claims }),
    (error) => ({ error: `${error.code}: ${error.message}` }),
  );
  console.log(JSON.stringify(answer));
}

// How the provider is set up: all that a client of it can meet, and no page that a person would have to look at.

import { randomBytes } from "node:crypto";

export const configuration = async ({ clients, scopes, access_token_seconds, storage, jose }) => ({
  adapter: (kind) => storage.of(kind),
  // Whoever proves itself by a key tells the provider the public half.
  clients: clients.map(({ key, ...client }) => ({
    ...client,
    ...(key && { jwks: { keys: [publicHalf(key)] } }),
  })),
  jwks: { keys: [await signingKey(jose, "RS256"), await signingKey(jose, "ES256")] },
  cookies: { keys: [randomBytes(32).toString("base64url")] },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer(scopes, access_token_seconds) },
  },
  interactions: { url: (_, { uid }) => `/test/interactions/${uid}` },
  loadExistingGrant: grantAll,
  findAccount: (_, account) => ({ accountId: account, claims: () => profile(account) }),
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "locale"] },
  scopes: ["openid", "offline_access", ...scopes],
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  rotateRefreshToken: true,
  ttl: { AccessToken: access_token_seconds, RefreshToken: 86_400, Grant: 86_400, Session: 86_400, IdToken: 3_600 },
  // Left alone it talks to no address that is not of the Internet; here everybody is on the loopback.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
});

const publicHalf = ({ d, p, q, dp, dq, qi, ...half }) => half;

const signingKey = async (jose, alg) => {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { ...(await jose.exportJWK(privateKey)), alg, use: "sig" };
};

// A token for a resource is a JWT as of RFC 9068, any other is opaque.
const resourceServer = (scopes, seconds) => (_, resource) => ({
  scope: scopes.join(" "),
  audience: resource,
  accessTokenFormat: "jwt",
  accessTokenTTL: seconds,
  jwt: { sign: { alg: "ES256" } },
});

const grantAll = async ({ oidc: { provider, session, client, params } }) => {
  const known = session.grantIdFor(client.clientId);
  const grant =
    (known && (await provider.Grant.find(known))) ??
    new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
  grant.addOIDCScope(params.scope);
  for (const resource of [params.resource].flat().filter(Boolean)) {
    grant.addResourceScope(resource, params.scope);
  }
  await grant.save();
  return grant;
};

const profile = (account) => ({
  sub: account,
  email: `${account}@mail.example`,
  email_verified: true,
  name: `Called ${account}`,
  locale: "en-GB",
});

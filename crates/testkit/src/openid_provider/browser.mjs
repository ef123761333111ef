// A user at a browser, and the client they log in to: the authorization code flow with PKCE, from end to end over HTTP.

import { createHash, randomBytes, randomUUID } from "node:crypto";

const random = () => randomBytes(32).toString("base64url");

export class Browser {
  #issuer;
  #jose;
  #cookies = new Map();

  constructor({ issuer, jose }) {
    this.#issuer = issuer;
    this.#jose = jose;
  }

  // What the client gets at the token endpoint (RFC 6749 section 5.1).
  async signIn({ client, account, scope, resource }) {
    const verifier = random();
    const wanted = { scope, ...(resource && { resource }) };
    const url = new URL("/auth", this.#issuer);
    url.search = new URLSearchParams({
      ...wanted,
      client_id: client.client_id,
      redirect_uri: client.redirect_uris[0],
      response_type: "code",
      login_hint: account,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    const { left, page } = await this.#go(url);
    const code = left?.searchParams.get("code");
    if (!code) throw new Error(`no code: ${left ?? page}`);
    return this.#exchange(client, {
      ...(resource && { resource }),
      grant_type: "authorization_code",
      code,
      redirect_uri: client.redirect_uris[0],
      code_verifier: verifier,
    });
  }

  // The provider answers once every client that wants to be told was told.
  async signOut() {
    const { page } = await this.#go(new URL("/session/end", this.#issuer));
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)?.[1];
    await this.#go(new URL("/session/end/confirm", this.#issuer), { xsrf, logout: "yes" });
  }

  // Follows redirects until one leaves the provider, or a page comes.
  async #go(url, form) {
    let request = form ? { method: "POST", body: new URLSearchParams(form) } : {};
    while (url.origin === this.#issuer) {
      const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
      const answer = await fetch(url, { ...request, redirect: "manual", headers: { cookie } });
      for (const line of answer.headers.getSetCookie()) this.#keep(line);
      const location = answer.headers.get("location");
      if (!location) return { page: await answer.text() };
      [url, request] = [new URL(location, url), {}];
    }
    return { left: url };
  }

  #keep(line) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    if (value) this.#cookies.set(name, value);
    else this.#cookies.delete(name);
  }

  async #exchange(client, form) {
    const { headers, proof } = await this.#proven(client);
    const body = new URLSearchParams({ ...form, ...proof });
    const answer = await fetch(new URL("/token", this.#issuer), { method: "POST", headers, body });
    const said = await answer.json();
    if (!answer.ok) throw new Error(`no token: ${JSON.stringify(said)}`);
    return { ...said, sid: said.id_token && this.#jose.decodeJwt(said.id_token).sid };
  }

  async #proven({ client_id, client_secret, token_endpoint_auth_method: method, key }) {
    const name = { client_id };
    switch (method) {
      case "client_secret_basic": {
        const pair = [client_id, client_secret].map(encodeURIComponent).join(":");
        return { headers: { authorization: `Basic ${btoa(pair)}` } };
      }
      case "client_secret_post":
        return { proof: { ...name, client_secret } };
      case "private_key_jwt": {
        const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        const assertion = await this.#assertion(client_id, key);
        return { proof: { ...name, client_assertion_type: type, client_assertion: assertion } };
      }
      default:
        return { proof: name };
    }
  }

  async #assertion(client, key) {
    return new this.#jose.SignJWT()
      .setProtectedHeader({ alg: key.alg, kid: key.kid })
      .setIssuer(client)
      .setSubject(client)
      .setAudience(this.#issuer)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime("1 minute")
      .sign(await this.#jose.importJWK(key, key.alg));
  }
}

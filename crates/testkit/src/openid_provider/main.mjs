// npm's oidc-provider as a server of the tests: node main.mjs FOLDER-OF-PACKAGES SETTINGS-FILE
//
// The settings are JSON: port, clients (metadata as of OpenID Connect registration; a client that proves itself by a key
// has its private JWK as `key`, which the provider does not get to see), scopes, access_token_seconds.
//
// Beside the provider's own endpoints there are some under /test/, for what else takes a user at a browser.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser } from "./browser.mjs";
import { configuration } from "./configuration.mjs";
import { Storage } from "./storage.mjs";

const [folder, file] = process.argv.slice(2);
const installed = createRequire(join(folder, "package.json"));
const packaged = (name) => import(pathToFileURL(installed.resolve(name)));
const jose = await packaged("jose");
const { Provider } = await packaged("oidc-provider");

const settings = JSON.parse(readFileSync(file));
const issuer = `http://127.0.0.1:${settings.port}`;
const clients = new Map(settings.clients.map((client) => [client.client_id, client]));
const storage = new Storage();
const provider = new Provider(issuer, await configuration({ ...settings, storage, jose }));
const answer = provider.callback();

const browsers = [];
const asked = new Map();

const controls = {
  async "/test/sign-in"({ client_id, account, scope, resource }) {
    const browser = new Browser({ issuer, jose });
    const login = await browser.signIn({ client: clients.get(client_id), account, scope, resource });
    return { ...login, browser: browsers.push(browser) - 1 };
  },
  async "/test/sign-out"({ browser }) {
    await browsers[browser].signOut();
    return {};
  },
  async "/test/end-grants"({ account }) {
    storage.endGrantsOf(account);
    return {};
  },
  async "/test/asked"({ path }) {
    return { times: asked.get(path) ?? 0 };
  },
};

// The user says yes to everything: who they are stands in the hint, and what is asked for is granted (configuration.mjs).
const interact = async (request, response) => {
  const { params } = await provider.interactionDetails(request, response);
  await provider.interactionFinished(request, response, { login: { accountId: params.login_hint } });
};

const control = async (path, request, response) => {
  const parts = await request.toArray();
  const said = await controls[path](JSON.parse(Buffer.concat(parts)));
  response.setHeader("content-type", "application/json").end(JSON.stringify(said));
};

const failed = (response) => (error) => {
  console.error(error);
  response.writeHead(500).end(String(error));
};

createServer((request, response) => {
  const { pathname } = new URL(request.url, issuer);
  if (pathname.startsWith("/test/interactions/")) {
    interact(request, response).catch(failed(response));
  } else if (pathname in controls) {
    control(pathname, request, response).catch(failed(response));
  } else {
    asked.set(pathname, (asked.get(pathname) ?? 0) + 1);
    answer(request, response);
  }
}).listen(settings.port, "127.0.0.1");

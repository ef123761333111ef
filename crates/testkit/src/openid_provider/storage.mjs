// What the provider keeps, in memory and for as long as it runs; the provider looks at the ends of things itself.

export class Storage {
  #kept = new Map();
  // The keys of what hangs on a grant.
  #grants = new Map();
  #sessions = new Map();

  // What the provider calls an adapter: the drawer for things of one kind.
  of(kind) {
    const key = (id) => `${kind}:${id}`;
    return {
      upsert: async (id, payload) => {
        this.#kept.set(key(id), payload);
        if (kind === "Session") this.#sessions.set(payload.uid, key(id));
        if (payload.grantId) this.#hangingOn(payload.grantId).add(key(id));
      },
      find: async (id) => this.#kept.get(key(id)),
      findByUid: async (uid) => this.#kept.get(this.#sessions.get(uid)),
      consume: async (id) => {
        this.#kept.get(key(id)).consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (id) => {
        this.#kept.delete(key(id));
      },
      revokeByGrantId: async (grant) => this.#end(grant),
    };
  }

  // As when a password is changed: whatever was granted in the name of an account is worth nothing from now on.
  endGrantsOf(account) {
    for (const [key, { kind, accountId, jti }] of this.#kept) {
      if (kind === "Grant" && accountId === account) {
        this.#kept.delete(key);
        this.#end(jti);
      }
    }
  }

  #hangingOn(grant) {
    if (!this.#grants.has(grant)) this.#grants.set(grant, new Set());
    return this.#grants.get(grant);
  }

  #end(grant) {
    for (const key of this.#hangingOn(grant)) this.#kept.delete(key);
    this.#grants.delete(grant);
  }
}

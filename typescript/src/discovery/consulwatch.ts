/** Watches one topic in Consul, with queries that wait for changes. */

import { setTimeout as sleep } from "node:timers/promises";
import { RPCError, textOf } from "../errors.js";
import type { Logger } from "../log.js";
import { type Access, Agents, ANSWER_WITHIN, type RequestOptions, StatusError } from "./agents.js";
import { readEntries } from "./consulnames.js";
import type { Instance } from "./instance.js";
import { type Notify, sameUpdate, type Update } from "./registry.js";

/** How long a query waits for a change, in seconds. */
const MAX_WAIT = 300;
/** The pause between two queries that may not wait for changes, in milliseconds. */
const POLL = 2000;
const MIN_PAUSE = 20;

/** Reads lists from Consul. */
export class Reader {
  readonly #agents: Agents;
  readonly #dc: Record<string, string>;
  readonly #log: Logger;
  readonly #broken = new Map<string, string>();

  constructor(access: Access, agents: Agents, log: Logger) {
    this.#agents = agents;
    this.#dc = access.dc ? { dc: access.dc } : {};
    this.#log = log;
  }

  /** Returns the names of all services. */
  async names(): Promise<string[]> {
    const { body, headers } = await this.#ask("/v1/catalog/services", {});
    const found = Object.keys(body ?? {}).filter(
      (name) => name.startsWith("oslorpc-") && !name.endsWith("--process"),
    );
    if (found.length === 0) {
      await this.#mustRead("oslorpc-", headers);
    }
    return found.sort();
  }

  /** Returns the instances of a service name, and Consul's index for the answer. */
  async instances(
    name: string,
    options: RequestOptions = {},
  ): Promise<{ instances: Instance[]; index: number }> {
    const { body, headers } = await this.#ask(`/v1/health/service/${encodeURIComponent(name)}`, options);
    if (!Array.isArray(body)) {
      throw unreachable(this.#agents, `the answer for ${name} is not a list`);
    }
    if (body.length === 0) {
      await this.#mustRead(name, headers);
    }
    const { instances, broken } = readEntries(body, name);
    for (const [id, why] of broken) {
      if (this.#broken.get(id) !== why) {
        this.#log.error(`a service of Consul cannot be used: service=${name} id=${id} error=${why}`);
        this.#broken.set(id, why);
      }
    }
    return { instances, index: Number(headers["x-consul-index"] ?? 0) };
  }

  async #ask(path: string, options: RequestOptions) {
    try {
      return await this.#agents.request("GET", path, {
        ...options,
        query: { ...this.#dc, ...options.query },
      });
    } catch (e) {
      throw e instanceof StatusError ? unreachable(this.#agents, `reading ${path}: ${e.message}`) : e;
    }
  }

  /**
   * Throws an error if a missing permission may be the cause of an empty list. Otherwise the topic
   * would look empty.
   */
  async #mustRead(name: string, headers: NodeJS.Dict<string | string[]>): Promise<void> {
    let hidden = headers["x-consul-results-filtered-by-acls"] === "true";
    if (!hidden && headers["x-consul-default-acl-policy"] === "deny") {
      const body = [{ Resource: "service", Access: "read", Segment: name }];
      const answer = await this.#agents
        .request("POST", "/v1/internal/acl/authorize", { body })
        .catch((e: unknown) => {
          if (e instanceof StatusError) {
            return { body: undefined };
          }
          throw e;
        });
      hidden = Array.isArray(answer.body) && answer.body.length === 1 && !answer.body[0]?.Allow;
    }
    if (hidden) {
      throw unreachable(
        this.#agents,
        "the ACL token, or its absence, hides services or the nodes that they are on: " +
          "give a token that may read both, in the URL's consul-token-file or in CONSUL_HTTP_TOKEN",
      );
    }
  }
}

/** Returns the error for when Consul does not answer, or its answer makes no sense. */
export function unreachable(agents: Agents, why: string): RPCError {
  return new RPCError("Unreachable", `${agents.name}: ${why}`, { safeToRetry: true });
}

/** Watches one service name, for all watches of its topics. */
export class Watch {
  readonly #name: string;
  readonly #waits: boolean;
  readonly #agents: Agents;
  readonly #reader: Reader;
  readonly #notifies = new Set<Notify>();
  readonly #controller = new AbortController();
  #last: Update | undefined;
  #index = 0;
  #failures = 0;

  /**
   * Starts a watch. `waits` says whether queries may wait for changes, which keeps a connection
   * open: agents limit the connections of a host.
   */
  constructor(access: Access, name: string, waits: boolean, log: Logger) {
    this.#name = name;
    this.#waits = waits;
    this.#agents = new Agents(access);
    this.#reader = new Reader(access, this.#agents, log);
    void this.#follow();
  }

  /** Adds a function that gets the current state and each change. */
  join(notify: Notify): void {
    this.#notifies.add(notify);
    if (this.#last !== undefined) {
      notify(this.#last);
    }
  }

  /** Removes a function, and returns whether none is left. */
  leave(notify: Notify): boolean {
    this.#notifies.delete(notify);
    return this.#notifies.size === 0;
  }

  /** Ends the query. */
  end(): void {
    this.#controller.abort();
    this.#agents.close();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#controller;
    while (!signal.aborted) {
      const pause = await this.#step(signal);
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Sends one query, and returns how long to wait before the next, in milliseconds. */
  async #step(signal: AbortSignal): Promise<number> {
    const waits = this.#waits && this.#index > 0;
    const wait = { index: String(this.#index), wait: `${MAX_WAIT}s` };
    const within = ANSWER_WITHIN + (waits ? (MAX_WAIT * 1000 * 17) / 16 : 0);
    try {
      const query = { stale: "", ...(waits ? wait : {}) };
      const { instances, index } = await this.#reader.instances(this.#name, { query, within, signal });
      const reset = (index > 0 && index < this.#index) || (this.#failures > 0 && instances.length === 0);
      this.#failures = 0;
      this.#index = index >= this.#index ? Math.max(index, 1) : 0;
      this.#tell({ instances, reset });
      return this.#waits ? MIN_PAUSE : POLL;
    } catch (e) {
      this.#index = 0;
      this.#failures++;
      if (!signal.aborted) {
        this.#tell({ instances: [], reset: false, error: e instanceof Error ? e : new Error(textOf(e)) });
      }
      return Math.min(200 * 2 ** Math.min(this.#failures, 5), 5000) * (0.5 + Math.random());
    }
  }

  #tell(update: Update): void {
    if (!sameUpdate(this.#last, update)) {
      this.#last = update;
      for (const notify of [...this.#notifies]) {
        notify(update);
      }
    }
  }
}

/** Keeps a process's instances registered in Consul. */

import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RPCError, textOf } from "../errors.js";
import type { Logger } from "../log.js";
import { type Agents, ANSWER_WITHIN, StatusError } from "./agents.js";
import { type IDs, instanceService, newIDs, processService, type Service } from "./consulnames.js";
import { unreachable } from "./consulwatch.js";
import type { Instance } from "./instance.js";

/** How often to check that everything is still registered, in milliseconds. */
const LOOK_EVERY = 10_000;

/** Registers the instances, sends heartbeats, and registers again what is lost. */
export class Publisher {
  readonly #agents: Agents;
  readonly #ttl: number;
  readonly #log: Logger;
  readonly #ids = new Map<string, IDs>();
  readonly #placed = new Map<string, Service>();
  /** The services that should be registered, the process first. */
  #wanted: readonly Service[] = [];
  #process: Service | undefined;
  #bootId = "";
  #doing: Promise<unknown> = Promise.resolve();
  #loop: AbortController | undefined;
  #lookAt = 0;
  #lastBeat = 0;
  #failing = false;
  /** Called with a reason each time a lost registration was restored. */
  lapsed: (reason: string) => void = () => {};

  constructor(agents: Agents, ttl: number, log: Logger) {
    this.#agents = agents;
    this.#ttl = ttl;
    this.#log = log;
  }

  /** Publishes these instances of the process. */
  publish(instances: readonly Instance[]): Promise<void> {
    return this.#alone(async () => {
      const before = this.#wanted;
      try {
        this.#wanted = this.#services(instances);
        await this.#place();
      } catch (e) {
        this.#wanted = before;
        throw e;
      }
      if (this.#wanted.length === 0) {
        this.#agents.pinned = false;
        this.#ids.clear();
        this.#process = undefined;
      } else if (this.#loop === undefined) {
        this.#lastBeat = performance.now();
        this.#lookAt = performance.now() + LOOK_EVERY;
        this.#loop = new AbortController();
        void this.#keepAlive(this.#loop.signal);
      }
    });
  }

  /** Withdraws all instances. Registrations that cannot be withdrawn expire. */
  async close(): Promise<void> {
    this.#loop?.abort();
    await this.publish([]).catch((e: unknown) => {
      this.#log.warn(`what this process published was not withdrawn, and expires: ${textOf(e)}`);
    });
  }

  /** Runs functions one after the other. */
  #alone<R>(work: () => Promise<R>): Promise<R> {
    const done = this.#doing.then(work, work);
    this.#doing = done.catch(() => {});
    return done;
  }

  #services(instances: readonly Instance[]): Service[] {
    const [first] = instances;
    if (first === undefined) {
      return [];
    }
    this.#bootId = first.bootId;
    const ids = this.#idsOf(first.bootId);
    this.#process ??= processService(first, ids, `${this.#ttl / 1000}s`);
    const services = instances.map((i) => instanceService(i, this.#idsOf(i.id), ids.service));
    return [this.#process, ...services];
  }

  #idsOf(id: string): IDs {
    const known = this.#ids.get(id) ?? newIDs(id);
    this.#ids.set(id, known);
    return known;
  }

  async #place(): Promise<void> {
    for (const service of this.#wanted) {
      if (JSON.stringify(this.#placed.get(service.ID)) !== JSON.stringify(service)) {
        await this.#register(service);
      }
    }
    const wanted = new Set(this.#wanted.map((s) => s.ID));
    for (const id of [...this.#placed.keys()].reverse()) {
      if (!wanted.has(id)) {
        await this.#put(`/v1/agent/service/deregister/${encodeURIComponent(id)}`, undefined, true);
        this.#placed.delete(id);
      }
    }
  }

  async #register(service: Service): Promise<void> {
    await this.#put("/v1/agent/service/register", service, false);
    this.#agents.pinned = true;
    this.#placed.set(service.ID, service);
  }

  async #put(path: string, body: unknown, missingOk: boolean): Promise<void> {
    const end = performance.now() + ANSWER_WITHIN;
    while (true) {
      try {
        await this.#agents.request("PUT", path, { body });
        return;
      } catch (e) {
        if (!(e instanceof StatusError)) {
          throw e;
        }
        if (e.status === 404 && missingOk) {
          return;
        }
        if (e.status !== 429 || performance.now() > end) {
          const kind = e.status === 403 ? "AccessDenied" : "Unreachable";
          throw new RPCError(kind, `${this.#agents.name}: ${path}: ${e.message}`, { safeToRetry: true });
        }
        await sleep(200); // the agent limits connections of a host
      }
    }
  }

  async #keepAlive(signal: AbortSignal): Promise<void> {
    let pause = Math.min(this.#ttl / 3, LOOK_EVERY);
    while (!signal.aborted) {
      await sleep(pause * (0.8 + 0.2 * Math.random()), undefined, { signal, ref: false }).catch(() => {});
      if (!signal.aborted) {
        pause = await this.#alone(() => this.#beat());
      }
    }
  }

  /**
   * Sends a heartbeat, and regularly checks that everything is registered. It returns the pause
   * until the next heartbeat, in milliseconds.
   */
  async #beat(): Promise<number> {
    if (this.#process === undefined || this.#wanted.length === 0) {
      return this.#ttl / 3;
    }
    try {
      const lost = !(await this.#update(this.#process.Check["CheckID"] ?? ""));
      if (lost || performance.now() >= this.#lookAt) {
        await this.#repair(lost);
      }
    } catch (e) {
      if (!this.#failing) {
        const what = "cannot renew the registration in Consul; trying again";
        this.#log.warn(`${what}: ${textOf(e)}`);
      }
      this.#failing = true;
      return Math.min(this.#ttl / 3, 1000);
    }
    if (this.#failing) {
      this.#log.info("Consul reachable again; registration renewed");
    }
    this.#failing = false;
    return Math.min(this.#ttl / 3, LOOK_EVERY);
  }

  /** Sets the process's TTL check to passing, and returns whether the check exists. */
  async #update(check: string): Promise<boolean> {
    const sent = performance.now();
    const note = `${basename(process.argv[1] ?? "node")}, process ${process.pid}, is alive`;
    const body = { Status: "passing", Output: note };
    try {
      await this.#agents.request("PUT", `/v1/agent/check/update/${encodeURIComponent(check)}`, { body });
    } catch (e) {
      if (e instanceof StatusError && e.status === 404) {
        return false;
      }
      throw e instanceof StatusError ? unreachable(this.#agents, `sending a sign of life: ${e.message}`) : e;
    }
    if (sent - this.#lastBeat > this.#ttl) {
      this.lapsed(`Consul had no sign of life for ${Math.round((sent - this.#lastBeat) / 1000)} s`);
    }
    this.#lastBeat = sent;
    return true;
  }

  /**
   * Registers again what the agent lacks. This does not end maintenance, which is a separate check.
   */
  async #repair(lost: boolean): Promise<void> {
    const query = { filter: `Meta["rpc-boot"] == ${JSON.stringify(this.#bootId)}` };
    const { body } = await this.#agents.request("GET", "/v1/agent/services", { query });
    const found = (body ?? {}) as Record<string, Partial<Service> & { Service?: string }>;
    let repaired = false;
    for (const [n, service] of this.#wanted.entries()) {
      if ((lost && n === 0) || !same(found[service.ID], service)) {
        await this.#register(service);
        repaired = true;
      }
    }
    this.#lookAt = performance.now() + LOOK_EVERY;
    this.#lastBeat = performance.now();
    if (repaired) {
      this.#log.warn("Consul had lost what this process published; it is registered again");
      this.lapsed("Consul had lost the registration");
    }
  }
}

function same(there: (Partial<Service> & { Service?: string }) | undefined, service: Service): boolean {
  return (
    there !== undefined &&
    there.Service === service.Name &&
    there.Address === service.Address &&
    there.Port === service.Port &&
    Object.keys(there.Meta ?? {}).length === Object.keys(service.Meta).length &&
    Object.entries(service.Meta).every(([name, value]) => there.Meta?.[name] === value)
  );
}

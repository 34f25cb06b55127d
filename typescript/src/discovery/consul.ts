/**
 * The registry in HashiCorp Consul. docs/protocol.md describes the registrations, and
 * docs/discovery.md how the registry behaves in failures.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { RPCError } from "../errors.js";
import type { Logger } from "../log.js";
import { Access, Agents } from "./agents.js";
import { serviceName } from "./consulnames.js";
import { Publisher } from "./consulpublisher.js";
import { Reader, Watch } from "./consulwatch.js";
import type { Instance } from "./instance.js";
import type { Notify, Registry } from "./registry.js";

/**
 * How many topics have a query that waits. Agents limit each host to 200 connections, by default.
 */
const OWN_QUERIES = 32;

/** The registry in Consul, through an agent, or through one of several agents. */
export class ConsulRegistry implements Registry {
  readonly name: string;
  readonly #access: Access;
  readonly #own: Agents;
  readonly #reads: Agents;
  readonly #reader: Reader;
  readonly #publisher: Publisher;
  readonly #log: Logger;
  readonly #watches = new Map<string, Watch>();

  constructor(hosts: string, parameters: ReadonlyMap<string, string>, log: Logger) {
    this.#access = new Access(hosts, parameters);
    this.name = this.#access.name;
    this.#own = new Agents(this.#access);
    this.#reads = new Agents(this.#access);
    this.#reader = new Reader(this.#access, this.#reads, log);
    this.#publisher = new Publisher(this.#own, this.#access.ttl, log);
    this.#log = log;
  }

  set lapsed(notify: (reason: string) => void) {
    this.#publisher.lapsed = notify;
  }

  async publish(instances: readonly Instance[]): Promise<void> {
    await this.#publisher.publish(instances);
  }

  watch(exchange: string, topic: string, notify: Notify): () => void {
    const name = serviceName(exchange, topic);
    const watch =
      this.#watches.get(name) ?? new Watch(this.#access, name, this.#watches.size < OWN_QUERIES, this.#log);
    this.#watches.set(name, watch);
    watch.join(notify);
    return () => {
      if (watch.leave(notify) && this.#watches.get(name) === watch) {
        this.#watches.delete(name);
        watch.end();
      }
    };
  }

  async list(): Promise<Instance[]> {
    const names = await this.#reader.names();
    const found = await Promise.all(names.map((name) => this.#reader.instances(name)));
    return found.flatMap(({ instances }) => instances);
  }

  async awaitListed(instances: readonly Instance[], milliseconds: number): Promise<boolean> {
    if (this.#access.dc) {
      return true; // the instances are in the agent's own data center
    }
    const end = performance.now() + milliseconds;
    const names = [...new Set(instances.map((i) => serviceName(i.exchange, i.topic)))];
    for (; performance.now() < end; await sleep(50)) {
      try {
        const found = await Promise.all(names.map((name) => this.#reader.instances(name)));
        const ids = new Set(found.flatMap((f) => f.instances.map((i) => i.id)));
        if (instances.every((i) => ids.has(i.id))) {
          return true;
        }
      } catch (e) {
        if (e instanceof RPCError && e.detail.includes("ACL")) {
          return true; // a server may lack the permission to read its own topic
        }
      }
    }
    return false;
  }

  socket(): undefined {
    return undefined; // Consul's services have a host and a port
  }

  async close(): Promise<void> {
    for (const watch of this.#watches.values()) {
      watch.end();
    }
    this.#watches.clear();
    await this.#publisher.close();
    this.#own.close();
    this.#reads.close();
  }
}

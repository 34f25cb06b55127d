/** The topics in use by a transport. */

import { randomBytes } from "node:crypto";
import type { Instance } from "../discovery/instance.js";
import type { Registry } from "../discovery/registry.js";
import type { Link } from "./link.js";
import { Missed } from "./missed.js";
import { Topic } from "./topic.js";

/** How long a topic is watched after its last use, in milliseconds. */
const IDLE = 300_000;

/** Watches topics from their first use on. */
export class Fleet {
  readonly #registry: Registry;
  readonly #connect: (i: Instance) => Link;
  readonly #me = randomBytes(8).toString("hex");
  readonly #zone: string;
  /** The messages that servers missed. */
  readonly missed = new Missed();
  readonly #topics = new Map<string, Topic>();

  /** Creates a fleet without topics. `zone` is the program's zone; empty for none. */
  constructor(registry: Registry, connect: (i: Instance) => Link, zone: string) {
    this.#registry = registry;
    this.#connect = connect;
    this.#zone = zone;
  }

  /** Returns a topic, and starts to watch it if it is new. */
  topic(exchange: string, name: string): Topic {
    const key = `${exchange}\n${name}`;
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      this.#sweep();
      const made = new Topic(this.#connect, this.#me, this.#zone, this.#registry.name);
      this.#topics.set(key, made);
      made.stop = this.#registry.watch(exchange, name, (update) => made.update(update));
      topic = made;
    }
    return topic;
  }

  #sweep(): void {
    const now = performance.now();
    for (const [key, topic] of this.#topics) {
      if (now - topic.used > IDLE) {
        this.#topics.delete(key);
        topic.close();
      }
    }
  }

  /** Makes the waiting messages of all topics check again. */
  wake(): void {
    for (const topic of this.#topics.values()) {
      topic.wake();
    }
  }

  /** Ends all watches. */
  close(): void {
    for (const topic of this.#topics.values()) {
      topic.close();
    }
    this.#topics.clear();
  }
}

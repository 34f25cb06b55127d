/** The connections of a transport, one per run of a process. */

import type { Instance } from "../discovery/instance.js";
import { Link, type LinkConfig } from "./link.js";

/** Provides connections, and counts their users. */
export class Pool {
  readonly #config: LinkConfig;
  readonly #links = new Map<string, Link>();

  constructor(config: LinkConfig) {
    this.#config = config;
  }

  /** Returns the connection to the process of an instance. */
  get(i: Instance): Link {
    const key = `${i.bootId} ${i.addr}`;
    let link = this.#links.get(key);
    if (link === undefined || !link.used) {
      this.#sweep();
      link = new Link(i.addr, this.#config);
      this.#links.set(key, link);
    }
    link.use();
    return link;
  }

  #sweep(): void {
    for (const [key, link] of this.#links) {
      if (!link.used) {
        this.#links.delete(key);
      }
    }
  }

  /** Closes all connections. */
  close(): void {
    for (const link of this.#links.values()) {
      link.close();
    }
    this.#links.clear();
  }
}

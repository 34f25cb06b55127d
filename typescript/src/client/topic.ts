/** Which instances a topic has: by discovery, by their connections, and by their own word. */

import { createHash } from "node:crypto";
import { DRAINING, HELD, type Instance } from "../discovery/instance.js";
import type { Update } from "../discovery/registry.js";
import { serves, type Version } from "../versions.js";
import type { Link } from "./link.js";

/** How long an instance is kept that vanished from the registry, in milliseconds. */
const LINGER = 30_000;
/** How long a named server that left is waited for. */
const RECENT = 60_000;
/** How long an instance is avoided whose address led to another process. */
const AVOID = 5_000;
/** In a fleet with more instances than MANY, each client uses a FEW. */
const MANY = 64;
const FEW = 32;

/** An instance as a client sees it. */
export class Entry {
  instance: Instance;
  readonly link: Link;
  /** Since when it is not listed; 0 if it is. */
  missing = 0;
  /** The registry lost its data, so that the instance is believed to be there. */
  lost = false;
  /** It said that it is not there. */
  left = false;
  /** It is listed elsewhere. */
  moved = false;
  /** Until when it is avoided. */
  avoided = 0;

  constructor(instance: Instance, link: Link) {
    this.instance = instance;
    this.link = link;
  }

  /** Whether messages may be sent to it. */
  usable(now: number): boolean {
    // A gateway does not know an instance that it does not list.
    if (
      this.left ||
      this.moved ||
      now < this.avoided ||
      (this.instance.relayed && this.missing && !this.lost)
    ) {
      return false;
    }
    return !this.missing || (now < this.missing + LINGER && (this.lost || this.link.ready));
  }

  /** Whether it vanished lately, and may come back. */
  away(now: number): boolean {
    return this.missing > 0 && !this.left && !this.moved && now < this.missing + LINGER && !this.usable(now);
  }

  /** Whether the instance is listed neither here nor elsewhere. */
  get unlisted(): boolean {
    return this.missing > 0 && !this.moved;
  }

  /** Whether it is forgotten. */
  forgotten(now: number): boolean {
    return this.missing > 0 && now >= this.missing + LINGER && this.link.outstanding === 0;
  }

  /** Whether it takes only messages that name it. */
  get draining(): boolean {
    return this.instance.state === DRAINING;
  }

  /** Whether it runs nothing yet. */
  get held(): boolean {
    return this.instance.state === HELD;
  }

  /** Whether it can serve a message, as far as it is known. */
  serves(namespace: string, version: Version): boolean {
    const offered = this.instance.implemented;
    return (
      offered.length === 0 || offered.some((i) => i.namespace === namespace && serves(i.version, version))
    );
  }

  /** Names it for people. */
  describe(): string {
    const { server, addr } = this.instance;
    return `${server ? `server "${server}"` : "the server"} at ${addr}`;
  }
}

/** The instances of a topic. */
export class Topic {
  readonly #connect: (i: Instance) => Link;
  readonly #me: string;
  readonly #zone: string;
  readonly #waiting = new Set<() => void>();
  readonly #recent = new Map<string, number>();
  #entries: readonly Entry[] | undefined;
  /** A number that grows with each change. */
  state = 0;
  /** Why discovery cannot be read now. */
  error: Error | undefined;
  /** Since when it is watched. */
  readonly since = performance.now();
  /** When it was last used. */
  used = this.since;
  /** Ends the watch. */
  stop: () => void = () => {};

  /** What tells of the topic, as errors name it. */
  readonly registry: string;

  constructor(connect: (i: Instance) => Link, me: string, zone: string, registry: string) {
    this.#connect = connect;
    this.#me = me;
    this.#zone = zone;
    this.registry = registry;
  }

  /** Whether messages of this client for any server prefer an entry, by where it is. */
  near(e: Entry): boolean {
    return !this.#zone || e.instance.zone === this.#zone;
  }

  /** The entries; undefined if they are not known yet. */
  get entries(): readonly Entry[] | undefined {
    this.used = performance.now();
    return this.#entries;
  }

  /** Whether a server was listed within the last minute. */
  recent(server: string): boolean {
    return performance.now() - (this.#recent.get(server) ?? -Infinity) < RECENT;
  }

  /** Returns the entries that this client uses first: all, or a few of many. */
  preferred(entries: readonly Entry[]): readonly Entry[] {
    if (entries.length <= MANY) {
      return entries;
    }
    const rank = ({ instance: i }: Entry) =>
      createHash("sha256")
        .update(this.#me + i.id + i.addr)
        .digest("hex");
    const ranked = entries.map((e) => ({ e, rank: rank(e) }));
    return ranked
      .sort((a, b) => (a.rank < b.rank ? -1 : 1))
      .slice(0, FEW)
      .map(({ e }) => e);
  }

  /** Takes in what the registry says. */
  update(u: Update): void {
    this.error = u.error;
    if (u.error === undefined) {
      this.#merge(u);
    }
    this.wake();
  }

  #merge(u: Update): void {
    const now = performance.now();
    const before = new Map((this.#entries ?? []).map((e) => [keyOf(e.instance), e]));
    const entries: Entry[] = [];
    const listed = new Set(u.instances.map((i) => i.id));
    for (const i of u.instances) {
      const known = before.get(keyOf(i));
      before.delete(keyOf(i));
      const e = known ?? new Entry(i, this.#connect(i));
      e.instance = i;
      e.missing = 0;
      e.lost = false;
      e.moved = false;
      entries.push(e);
      this.#recent.set(i.server, now);
    }
    for (const e of before.values()) {
      if (!e.missing) {
        e.missing = now;
        e.lost = u.reset;
        this.#recent.set(e.instance.server, now);
      }
      // It is elsewhere, as one that is attached to another gateway.
      e.moved = e.instance.id !== "" && listed.has(e.instance.id);
      if (e.forgotten(now)) {
        e.link.release();
      } else {
        entries.push(e);
      }
    }
    for (const [server, at] of this.#recent) {
      if (now - at > RECENT) {
        this.#recent.delete(server);
      }
    }
    this.#entries = entries.sort((a, b) => (keyOf(a.instance) < keyOf(b.instance) ? -1 : 1));
  }

  /**
   * Notes that an instance said that it is not there. Static addresses have no id to tell them
   * apart by.
   */
  gone(e: Entry): void {
    if (e.instance.id) {
      e.left = true;
      this.wake();
    }
  }

  /** Notes that an instance's address leads to another process. */
  astray(e: Entry): void {
    e.avoided = performance.now() + AVOID;
    e.link.renew();
    this.wake();
  }

  /** Notes that a gateway did not pass a message on. The connection to it stays. */
  avoid(e: Entry): void {
    e.avoided = performance.now() + AVOID;
    this.wake();
  }

  /** Returns another entry that stands for the same instance, such as one at another gateway. */
  successor(of: Entry): Entry | undefined {
    const now = performance.now();
    const { id } = of.instance;
    return id ? this.#entries?.find((e) => e !== of && e.instance.id === id && e.usable(now)) : undefined;
  }

  /** Has those who wait look again. */
  wake(): void {
    this.state++;
    for (const done of [...this.#waiting]) {
      done();
    }
  }

  /** Waits until the state is not the one seen, for so long, less if the signal says so. */
  async wait(seen: number, milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (this.state !== seen || signal?.aborted) {
      return;
    }
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(milliseconds, 0));
      this.#waiting.add(done);
      signal?.addEventListener("abort", done);
    });
  }

  /** Ends the watch, and gives the connections back. */
  close(): void {
    this.stop();
    for (const e of this.#entries ?? []) {
      e.link.release();
    }
    this.#entries = [];
    this.wake();
  }
}

function keyOf(i: Instance): string {
  return [i.id, i.bootId, i.addr, i.server].join("\n");
}

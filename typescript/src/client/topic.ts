/** The instances of a topic, and what discovery, connections and answers say about them. */

import { createHash } from "node:crypto";
import { DRAINING, HELD, type Instance } from "../discovery/instance.js";
import type { Update } from "../discovery/registry.js";
import { serves, type Version } from "../versions.js";
import type { Link } from "./link.js";

/** How long an instance is kept after it disappeared from the registry, in milliseconds. */
const LINGER = 30_000;
/** How long messages wait for a named server after it left, in milliseconds. */
const RECENT = 60_000;
/** How long to avoid an instance after another process answered at its address, in milliseconds. */
const AVOID = 5_000;
/** In a fleet with more instances than MANY, each client uses only FEW of them. */
const MANY = 64;
const FEW = 32;

/** An instance in the view of a client. */
export class Entry {
  instance: Instance;
  readonly link: Link;
  /** When it disappeared from discovery, as performance.now() counts; 0 while it is listed. */
  missing = 0;
  /** Whether it disappeared because the registry lost its data, so it probably still runs. */
  lost = false;
  /** Whether it answered that it no longer exists. */
  left = false;
  /** Whether it is listed at another address. */
  moved = false;
  /** No message is sent to it until this time, as performance.now() counts. */
  avoided = 0;

  constructor(instance: Instance, link: Link) {
    this.instance = instance;
    this.link = link;
  }

  /** Whether messages may be sent to it. */
  usable(now: number): boolean {
    // A gateway cannot pass messages to instances that it does not list.
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

  /** Whether it disappeared recently, and may come back. */
  away(now: number): boolean {
    return this.missing > 0 && !this.left && !this.moved && now < this.missing + LINGER && !this.usable(now);
  }

  /** Whether it is not listed, at any address. */
  get unlisted(): boolean {
    return this.missing > 0 && !this.moved;
  }

  /** Whether it can be removed from the list. */
  forgotten(now: number): boolean {
    return this.missing > 0 && now >= this.missing + LINGER && this.link.outstanding === 0;
  }

  /** Whether it accepts only messages that name it. */
  get draining(): boolean {
    return this.instance.state === DRAINING;
  }

  /** Whether it is held and runs nothing yet. */
  get held(): boolean {
    return this.instance.state === HELD;
  }

  /** Whether it can serve a message, as far as is known. */
  serves(namespace: string, version: Version): boolean {
    const offered = this.instance.implemented;
    return (
      offered.length === 0 || offered.some((i) => i.namespace === namespace && serves(i.version, version))
    );
  }

  /** Returns its name and address, for errors. */
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
  /** When the watch began, as performance.now() counts. */
  readonly since = performance.now();
  /** When a message last used it, as performance.now() counts. */
  used = this.since;
  /** Ends the watch. */
  stop: () => void = () => {};

  /** The name of the registry in errors. */
  readonly registry: string;

  constructor(connect: (i: Instance) => Link, me: string, zone: string, registry: string) {
    this.#connect = connect;
    this.#me = me;
    this.#zone = zone;
    this.registry = registry;
  }

  /** Whether the zone of an entry is preferred for messages to any server. */
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

  /**
   * Returns the entries that this client prefers: all of them in a small fleet, and FEW of them in
   * a large one.
   */
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

  /** Applies an update from the registry. */
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
      // It is listed elsewhere, for example because it is attached to another gateway.
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
   * Notes that an instance answered that it no longer exists. This does not apply to static
   * addresses, which have no id.
   */
  gone(e: Entry): void {
    if (e.instance.id) {
      e.left = true;
      this.wake();
    }
  }

  /** Notes that another process answers at an instance's address. */
  astray(e: Entry): void {
    e.avoided = performance.now() + AVOID;
    e.link.renew();
    this.wake();
  }

  /**
   * Notes that a gateway did not pass on a message to an instance. The client stays connected to
   * the gateway.
   */
  avoid(e: Entry): void {
    e.avoided = performance.now() + AVOID;
    this.wake();
  }

  /** Returns another entry for the same instance, for example at another gateway. */
  successor(of: Entry): Entry | undefined {
    const now = performance.now();
    const { id } = of.instance;
    return id ? this.#entries?.find((e) => e !== of && e.instance.id === id && e.usable(now)) : undefined;
  }

  /** Makes waiting messages check the topic again. */
  wake(): void {
    this.state++;
    for (const done of [...this.#waiting]) {
      done();
    }
  }

  /**
   * Waits until the state is no longer `seen`, up to `milliseconds`, or until the signal is
   * aborted.
   */
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

  /** Ends the watch, and releases the connections. */
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

/** Messages for every server: to which servers they go, and the report about each. */

import type { Instance } from "../discovery/instance.js";
import { RPCError } from "../errors.js";
import type { ErrorTypes } from "../errortypes.js";
import { reasonOf } from "../plain.js";
import { note, ofGateway, pause, type Send } from "./delivery.js";
import { about, canServe, from, type Message, unable } from "./message.js";
import { isMissed, isUnsendable, type Missed } from "./missed.js";
import type { Entry, Topic } from "./topic.js";

/** For how long a copy is sent again to a full server, in milliseconds. */
const FULL = 1000;
/** The number of servers to which a message is sent at the same time. */
const AT_ONCE = 64;

/** The outcome of a fanout at one server. */
export interface Outcome {
  readonly instance: Instance;
  /** Why the server did not accept the message; undefined if it did. */
  readonly error: RPCError | undefined;
  /** Whether the server drains, or cannot serve the message; the error says which. */
  readonly skipped: boolean;
  /** Whether the server was no longer listed when the message was sent. */
  readonly unlisted: boolean;
}

/** The outcome of a fanout. */
export class Report {
  /** The outcome at each server. */
  readonly outcomes: readonly Outcome[];
  /** Set if discovery cannot be read: there may be servers that the report lacks. */
  readonly uncertain: Error | undefined;

  constructor(outcomes: readonly Outcome[], uncertain: Error | undefined) {
    this.outcomes = outcomes;
    this.uncertain = uncertain;
  }

  /** The servers that accepted the message. */
  get accepted(): readonly Outcome[] {
    return this.outcomes.filter((o) => o.error === undefined);
  }

  /** The servers that should have received the message, but did not or may not have. */
  get failed(): readonly Outcome[] {
    return this.outcomes.filter((o) => o.error !== undefined && !o.skipped);
  }

  /** The servers that the message was not sent to. */
  get skipped(): readonly Outcome[] {
    return this.outcomes.filter((o) => o.skipped);
  }
}

/** The reply of one server to a gather: its result, or an error. */
export interface Reply<R> {
  readonly instance: Instance;
  /** The number of replies to the gather. */
  readonly total: number;
  readonly result: R | undefined;
  readonly error: Error | undefined;
}

interface Delivered<R> {
  entry: Entry;
  result?: R;
  error?: RPCError;
}

/** The servers for a message to all servers: those that discovery lists when it is sent. */
export class Audience {
  readonly #topic: Topic;
  readonly #m: Message;
  readonly #reached: Entry[] = [];
  readonly #skipped: Delivered<never>[] = [];
  readonly #uncertain: Error | undefined;
  readonly #missed: Missed;

  constructor(topic: Topic, m: Message, entries: readonly Entry[], missed: Missed) {
    this.#topic = topic;
    this.#missed = missed;
    this.#m = m;
    this.#uncertain = topic.error;
    const now = performance.now();
    for (const entry of entries.filter((e) => e.usable(now))) {
      if (entry.draining) {
        const why = "the server drains, and takes only messages for it by name";
        this.#skip(entry, new RPCError("Refused", why, { safeToRetry: true }));
      } else if (!canServe(entry, m)) {
        this.#skip(entry, unable(m, [entry]));
      } else {
        this.#reached.push(entry);
      }
    }
    if (this.#uncertain !== undefined && this.#total === 0) {
      const why = `no server is known: ${reasonOf(this.#uncertain)}`;
      throw about(new RPCError("Unreachable", why, { safeToRetry: true, cause: this.#uncertain }), m);
    }
  }

  #skip(entry: Entry, error: RPCError): void {
    this.#skipped.push({ entry, error: about(from(error, entry), this.#m) });
  }

  get #total(): number {
    return this.#reached.length + this.#skipped.length;
  }

  /**
   * Sends the message to all servers, and returns the report. It omits servers that answered that
   * they have stopped.
   */
  async report(send: Send<void>): Promise<Report> {
    const ends: Delivered<void>[] = [];
    for await (const end of this.#all(send)) {
      ends.push(end);
      const { error } = end;
      if (error !== undefined && !isUnsendable(error) && !isUnable(error) && !hasLeft(end)) {
        this.#missed.instance(end.entry.instance);
      }
    }
    const there = ends.filter((d) => !hasLeft(d));
    const outcomes = [...there, ...this.#skipped].map((d) => ({
      instance: d.entry.instance,
      error: d.error,
      skipped: d.error !== undefined && (isUnable(d.error) || this.#skipped.includes(d as Delivered<never>)),
      unlisted: d.entry.unlisted,
    }));
    return new Report(outcomes, this.#uncertain);
  }

  /** Sends the message to all servers, and yields the replies as they arrive, one per server. */
  async *replies<R>(send: Send<R>, types: ErrorTypes): AsyncGenerator<Reply<R>, void> {
    const total = this.#total;
    const reply = ({ entry, result, error }: Delivered<R>) => ({
      instance: entry.instance,
      total,
      result,
      error: error && types.thrown(error),
    });
    for (const skipped of this.#skipped) {
      yield reply(skipped);
    }
    for await (const end of this.#all(send)) {
      if (end.error !== undefined && isMissed(end.error, false)) {
        this.#missed.instance(end.entry.instance);
      }
      yield reply(end);
    }
  }

  async *#all<R>(send: Send<R>): AsyncGenerator<Delivered<R>> {
    const waiting = [...this.#reached];
    const running = new Map<Entry, Promise<Delivered<R>>>();
    while (waiting.length > 0 || running.size > 0) {
      while (waiting.length > 0 && running.size < AT_ONCE) {
        const entry = waiting.shift() as Entry;
        running.set(entry, this.#one(entry, send));
      }
      const end = await Promise.race(running.values());
      running.delete(end.entry);
      yield end;
    }
  }

  async #one<R>(entry: Entry, send: Send<R>): Promise<Delivered<R>> {
    const until = Math.min(performance.now() + FULL, this.#m.deadline);
    let at = entry;
    for (let wait = 10; ; wait *= 2) {
      try {
        const left = this.#m.deadline - performance.now();
        if (!at.link.ready && !(await at.link.connect(Math.max(Math.min(FULL, left), 1)))) {
          throw at.link.unreachable(at.describe());
        }
        return { entry, result: await send(at) };
      } catch (e) {
        const error = e as RPCError;
        const byGateway = ofGateway(at, error);
        const again = error.safeToRetry && (isFull(error) || (byGateway && error.notDelivered));
        if (!again || performance.now() + wait >= until || this.#m.signal?.aborted) {
          note(this.#topic, at, error, byGateway);
          return { entry, error: about(from(error, at), this.#m) };
        }
      }
      await pause(wait, this.#m.signal);
      at = this.#topic.successor(at) ?? at; // it may have moved to another gateway
    }
  }
}

function isFull(e: RPCError): boolean {
  return e.reason === "full" || e.reason === "declined";
}

function isUnable(e: RPCError): boolean {
  return (e.kind === "UnsupportedVersion" || e.kind === "NoSuchMethod") && e.safeToRetry;
}

function hasLeft(d: Delivered<unknown>): boolean {
  return d.entry.unlisted && (d.error?.reason === "stopping" || d.error?.reason === "misdirected");
}

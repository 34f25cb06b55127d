/**
 * How a message gets to one instance, at most once: when to wait, when to send it elsewhere, and
 * when to give up.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { RPCError } from "../errors.js";
import { RPCError as Family } from "../errors.js";
import { reasonOf } from "../plain.js";
import { about, from, type Message, unable, waited } from "./message.js";
import { pick, type Verdict } from "./pick.js";
import { Entry, type Topic } from "./topic.js";

/** How long a message waits for a connection that is being opened again, in milliseconds. */
const CONNECT = 1000;
/** How long a message waits for a connection that is new, or failed before, in milliseconds. */
const PATIENCE = 50;
/** How far discovery may lag, in milliseconds. */
const SETTLE = 500;
/** How long a topic is watched, in milliseconds, until an unlisted server is known to be absent. */
const LEARN = 3000;
const MIN_PAUSE = 10;
const MAX_PAUSE = 1000;

/** Sends a message to an instance. It throws only RPCErrors. */
export type Send<R> = (e: Entry) => Promise<R>;

/** Delivers a message to one instance, and returns what send returns. */
export async function deliver<R>(topic: Topic, m: Message, send: Send<R>): Promise<R> {
  const state = new State(topic, m);
  while (true) {
    const seen = topic.state;
    const entries = topic.entries;
    state.checkTime();
    if (entries === undefined) {
      await state.awaitDiscovery(seen);
      continue;
    }
    const picked = pick(topic, entries, m, state.tried);
    if (!(picked instanceof Entry)) {
      const pause = state.assess(picked, entries);
      if (pause > 0) {
        await topic.wait(seen, Math.min(pause, state.left), m.signal);
      }
      continue;
    }
    if (!(await state.connected(picked))) {
      continue;
    }
    try {
      return await send(picked);
    } catch (e) {
      state.failed(picked, e as RPCError);
    }
  }
}

/** A message that is being delivered. */
class State {
  readonly #topic: Topic;
  readonly #m: Message;
  readonly #began = performance.now();
  /** The instances that were tried in this round. */
  readonly tried = new Set<Entry>();
  /** Why the last attempt did not deliver the message. */
  #last: RPCError | undefined;
  /** The error of the last instance that cannot serve the message. */
  #unable: RPCError | undefined;
  /** Whether an instance was tried in this round that may accept the message later. */
  #able = false;
  #rounds = 0;
  #absentSince = 0;

  constructor(topic: Topic, m: Message) {
    this.#topic = topic;
    this.#m = m;
  }

  /** The time until the deadline, in milliseconds. */
  get left(): number {
    return this.#m.deadline - performance.now();
  }

  /** Throws an error if the deadline has passed, or the message was canceled. */
  checkTime(): void {
    if (this.#m.signal?.aborted) {
      const cause = this.#m.signal.reason;
      throw this.#about(new Family("Canceled", "it was not sent", { safeToRetry: true, cause }));
    }
    if (this.left <= 0) {
      throw this.#gaveUp();
    }
  }

  async awaitDiscovery(seen: number): Promise<void> {
    const limit = this.#m.failFast ? Math.min(this.#m.deadline, this.#began + LEARN) : this.#m.deadline;
    if (performance.now() >= limit || (this.#m.failFast && this.#topic.error !== undefined)) {
      throw this.#gaveUp();
    }
    await this.#topic.wait(seen, limit - performance.now(), this.#m.signal);
  }

  /**
   * Waits for the connection to an instance, and returns whether it is ready. If not, the caller
   * picks again, and may pick the same instance.
   */
  async connected(e: Entry): Promise<boolean> {
    if (e.link.ready) {
      return true;
    }
    const never = e.link.fresh;
    const budget = never || e.link.down ? PATIENCE : CONNECT;
    if (await e.link.connect(Math.max(Math.min(budget, this.left), 1))) {
      return true;
    }
    if (never && !e.link.down) {
      e.link.fresh = false; // until it is connected, others are preferred
    } else {
      this.failed(e, e.link.unreachable(e.describe()));
    }
    return false;
  }

  /** Handles the error of an attempt. It is thrown if no other instance may be tried. */
  failed(e: Entry, error: RPCError): void {
    const byGateway = ofGateway(e, error);
    from(error, e);
    const cannot = error.kind === "UnsupportedVersion" || error.kind === "NoSuchMethod";
    if (!error.safeToRetry || !(cannot || error.notDelivered)) {
      throw this.#about(error);
    }
    this.tried.add(e);
    note(this.#topic, e, error, byGateway);
    if (cannot) {
      this.#unable = error;
    } else {
      this.#able = true;
      this.#last = error;
    }
  }

  /**
   * Returns how many milliseconds to wait after no instance was found, or throws an error if
   * waiting does not help.
   */
  assess(verdict: Verdict, entries: readonly Entry[]): number {
    switch (verdict) {
      case "unable":
        throw this.#about(this.#unableNow(entries));
      case "exhausted":
        if (!this.#able) {
          throw this.#about(this.#unable ?? this.#last ?? this.#unableNow(entries));
        }
        this.tried.clear();
        this.#able = false;
        break;
      case "away":
        this.#last = this.#unableNow(entries);
        break;
      default:
        this.#absent(verdict, entries);
    }
    this.#rounds++;
    const down =
      verdict !== "exhausted" || this.#last?.kind === "Unreachable" || this.#last?.kind === "Untrusted";
    const { failFast, retry } = this.#m;
    if ((failFast && down) || (retry >= 0 && this.#rounds > retry)) {
      throw this.#about(this.#last ?? this.#unableNow(entries));
    }
    if (verdict !== "exhausted") {
      return verdict === "no server" ? this.#untilKnown() : MAX_PAUSE;
    }
    return Math.min(MIN_PAUSE * 2 ** Math.min(this.#rounds, 10), MAX_PAUSE) * (0.5 + Math.random());
  }

  #absent(verdict: Verdict, entries: readonly Entry[]): void {
    const now = performance.now();
    this.#absentSince ||= now;
    if (this.#last !== undefined && entries.some((e) => e.avoided > now)) {
      return;
    }
    const { registry } = this.#topic;
    let why = `no server is on the topic, according to ${registry}; start one, or check topic, exchange and transport URL`;
    if (verdict === "no server") {
      const named = `no server named "${this.#m.target.server}" is on the topic`;
      why = `${named}, according to ${registry}; start it, or check its name`;
    } else if (entries.some((e) => e.draining && !e.left)) {
      why = "every server on the topic drains, and takes only messages for it by name";
    }
    this.#last = new Family("NoInstance", why, { safeToRetry: true });
  }

  /**
   * Returns how many milliseconds to wait for a server that is not listed, or throws an error if it
   * is known not to exist.
   */
  #untilKnown(): number {
    if (this.#last?.kind !== "NoInstance" || this.#topic.recent(this.#m.target.server ?? "")) {
      return MAX_PAUSE;
    }
    const now = performance.now();
    const left = Math.max(SETTLE - (now - this.#absentSince), LEARN - (now - this.#topic.since));
    if (left <= 0) {
      throw this.#about(this.#last);
    }
    return left;
  }

  #unableNow(entries: readonly Entry[]): RPCError {
    const { server } = this.#m.target;
    return unable(
      this.#m,
      entries.filter((e) => server === undefined || e.instance.server === server),
    );
  }

  #gaveUp(): RPCError {
    const error = this.#last ?? this.#unable;
    if (error !== undefined) {
      error.waitedMs = waited(this.#m);
      return this.#about(error);
    }
    const unread = this.#topic.entries === undefined;
    if (this.#topic.error !== undefined && unread) {
      return this.#about(undiscovered(this.#topic));
    }
    const why = unread ? `not sent: ${this.#topic.registry} did not answer` : "it was not sent";
    return this.#about(new Family("Timeout", why, { safeToRetry: true }));
  }

  #about(error: RPCError): RPCError {
    return about(error, this.#m);
  }
}

function undiscovered(topic: Topic): RPCError {
  const why = topic.error === undefined ? `${topic.registry} did not answer` : reasonOf(topic.error);
  return new Family("Unreachable", `not sent: ${why}`, { safeToRetry: true, cause: topic.error });
}

/**
 * Whether a message was refused by a gateway, and not by the instance behind it. Call it before the
 * client adds the instance to the error. Until then, only an answer of the instance itself names
 * it.
 */
export function ofGateway(e: Entry, error: RPCError): boolean {
  return e.instance.relayed === true && !error.instanceId;
}

/** Updates an instance's state after a refusal. */
export function note(topic: Topic, e: Entry, error: RPCError, byGateway: boolean): void {
  const absent = error.reason === "stopping" || error.reason === "misdirected";
  if (byGateway) {
    if (absent || e.missing) {
      topic.avoid(e);
    }
    return;
  }
  const misled = error.reason === "foreign" || (error.reason === "misdirected" && e.instance.id !== "");
  if (misled && !e.missing) {
    topic.astray(e);
    error.detail = `stale registration of ${e.describe()}, where another process listens now: ${error.detail}`;
  } else if (absent) {
    topic.gone(e);
  } else if (e.missing && error.notDelivered && error.reason !== "full") {
    topic.avoid(e); // the gateway runs, but the instance is no longer attached
  }
}

/** Waits until the entries of a topic are known, and returns them. */
export async function known(
  topic: Topic,
  m: Pick<Message, "deadline" | "failFast" | "signal">,
): Promise<readonly Entry[]> {
  while (true) {
    const seen = topic.state;
    const entries = topic.entries;
    if (entries !== undefined) {
      return entries;
    }
    if (m.signal?.aborted) {
      throw new Family("Canceled", "canceled before it was sent", {
        safeToRetry: true,
        cause: m.signal.reason,
      });
    }
    if (performance.now() >= m.deadline || (m.failFast && topic.error !== undefined)) {
      throw undiscovered(topic);
    }
    await topic.wait(seen, m.deadline - performance.now(), m.signal);
  }
}

/** Waits for a time, or until the signal is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal ? { signal } : {}).catch(() => {});
}

/**
 * Messages that did not reach their server. Clients remember them until they have reported them to
 * the server.
 */

import type { Instance } from "../discovery/instance.js";
import type { RPCError } from "../errors.js";
import { answered } from "./message.js";
import type { Entry } from "./topic.js";

/** How many are remembered, and for how long, in milliseconds. */
const MOST = 4096;
const TIME = 3_600_000;

/** Remembers for a transport which servers missed a message, until the report arrives. */
export class Missed {
  /** The times of the last failed message per server, the oldest first. */
  readonly #records = new Map<string, number>();

  /** Notes that an instance missed a message. */
  instance(i: Instance): void {
    this.#add(keyOf(i));
  }

  /** Notes that the server with a name missed a message. */
  server(exchange: string, topic: string, name: string): void {
    this.#add(nameOf(exchange, topic, name));
  }

  #add(key: string): void {
    const now = performance.now();
    this.#records.delete(key);
    for (const [oldest, at] of this.#records) {
      if (this.#records.size < MOST && now - at <= TIME) {
        break;
      }
      this.#records.delete(oldest);
    }
    this.#records.set(key, now);
  }

  /**
   * Sends a message with a report for its instance. `send` gets the report: how many milliseconds
   * ago the instance missed a message, or undefined. If the server answers, the report is
   * forgotten; later failures are kept.
   */
  async telling<R>({ instance: i }: Entry, send: (ago: number | undefined) => Promise<R>): Promise<R> {
    const keys = [keyOf(i), nameOf(i.exchange, i.topic, i.server)];
    const now = performance.now();
    const told = this.#records.size === 0 ? [] : keys.flatMap((key) => this.#recent(key, now));
    if (told.length === 0) {
      return send(undefined);
    }
    const settle = () => {
      for (const { key, at } of told) {
        if (this.#records.get(key) === at) {
          this.#records.delete(key);
        }
      }
    };
    try {
      const result = await send(Math.max(now - Math.max(...told.map(({ at }) => at)), 0.001));
      settle();
      return result;
    } catch (e) {
      if (heard(e as RPCError)) {
        settle();
      }
      throw e;
    }
  }

  #recent(key: string, now: number): { key: string; at: number }[] {
    const at = this.#records.get(key);
    return at === undefined || now - at > TIME ? [] : [{ key, at }];
  }
}

function keyOf(i: Instance): string {
  return [i.exchange, i.topic, ...(i.id ? [i.id] : [i.server, i.addr])].join("\n");
}

function nameOf(exchange: string, topic: string, name: string): string {
  return ["name", exchange, topic, name].join("\n");
}

/** Whether the server received the report, given the error of the attempt. */
function heard(e: RPCError): boolean {
  const denied = e.kind === "AccessDenied" && e.safeToRetry;
  return e.server !== "" && !denied && e.reason !== "declined";
}

/** Whether the intended server may not have received the message. */
export function isMissed(e: RPCError, cast: boolean): boolean {
  switch (e.kind) {
    case "OutcomeUnknown":
    case "MonitorTimeout":
      return !answered(e);
    case "Timeout":
      return !answered(e) && (e.safeToRetry || cast);
    default:
      return e.notDelivered;
  }
}

/** Whether no server could have received a copy, or the server denied the message to its sender. */
export function isUnsendable(e: RPCError): boolean {
  const refused = ["BadArguments", "TooLarge", "Invalid"].includes(e.kind) && !answered(e);
  return e.safeToRetry && (e.kind === "AccessDenied" || refused);
}

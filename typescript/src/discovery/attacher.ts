/**
 * Keeps the servers of a process attached to one of several gateways, while there are any servers.
 * See docs/attach.md.
 */

import { randomInt } from "node:crypto";
import type { Duplex } from "node:stream";
import type { Link } from "../client/link.js";
import { RPCError } from "../errors.js";
import type { Logger } from "../log.js";
import { Attachment } from "./attachment.js";
import type { Instance } from "./instance.js";

/** The timeout for attaching to one gateway, in milliseconds. */
const ATTACH_WITHIN = 5000;
const MIN_PAUSE = 200;
const MAX_PAUSE = 3000;

/** Connects to a gateway. */
export type Connect = (addr: string) => Link;

/** Publishes servers that other processes cannot connect to, by attaching them to a gateway. */
export class Attacher {
  readonly #addrs: readonly string[];
  readonly #connect: Connect;
  readonly #log: Logger;
  /** Attachments that are no longer in use, but have not ended. */
  readonly #leaving = new Set<Attachment>();
  #first: number;
  #at: Attachment | undefined;
  #wanted: readonly Instance[] = [];
  /** The number of the last change of #wanted, and of the last change that the gateway has. */
  #number = 0;
  #has = 0;
  #waiting: { number: number; done: (error: RPCError | undefined) => void }[] = [];
  #was = false;
  #running: Promise<void> | undefined;
  #ended = false;
  #events = 0;
  #wake: () => void = () => {};
  /** Called with each connection for the servers. */
  take: (connection: Duplex) => void = () => {};
  /** Called with a reason each time the process is attached again after an interruption. */
  lapsed: (reason: string) => void = () => {};

  constructor(addrs: readonly string[], connect: Connect, log: Logger) {
    this.#addrs = addrs;
    this.#connect = connect;
    this.#log = log;
    this.#first = randomInt(addrs.length); // spreads the processes over the gateways
  }

  /**
   * Publishes the instances, and returns when a gateway has accepted them. An empty list withdraws
   * all. Throws an RPCError if no gateway accepts them.
   */
  async publish(instances: readonly Instance[]): Promise<void> {
    if (this.#ended || (instances.length === 0 && this.#running === undefined)) {
      return;
    }
    const before = this.#wanted;
    this.#wanted = instances;
    const number = ++this.#number;
    const outcome = new Promise<RPCError | undefined>((done) => {
      this.#waiting.push({ number, done });
    });
    this.#running ??= this.#keep();
    this.#happened();
    const error = await outcome;
    if (error === undefined) {
      return;
    }
    // A failed withdrawal of all instances is not undone: the end of the attachment withdraws them,
    // too.
    if (this.#number === number && instances.length > 0) {
      this.#wanted = before;
      this.#number++;
      this.#happened();
    }
    throw error;
  }

  /** Ends all attachments. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#happened();
    await this.#running;
    const all = [...this.#leaving];
    for (const attachment of all) {
      attachment.end();
    }
    await Promise.all(all.map((attachment) => attachment.over));
    this.#tell(Number.POSITIVE_INFINITY, undefined);
  }

  /** Reports the result of all changes up to a number. */
  #tell(number: number, error: RPCError | undefined): void {
    const told = this.#waiting.filter((w) => w.number <= number);
    this.#waiting = this.#waiting.filter((w) => w.number > number);
    for (const { done } of told) {
      done(error);
    }
  }

  async #keep(): Promise<void> {
    let pause = MIN_PAUSE;
    while (!this.#ended) {
      const seen = this.#events;
      const retry = await this.#step();
      await this.#wait(seen, retry ? pause * (0.5 + Math.random() / 2) : undefined);
      pause = retry ? Math.min(2 * pause, MAX_PAUSE) : MIN_PAUSE;
    }
    if (this.#at !== undefined) {
      this.#leaving.add(this.#at);
    }
  }

  /** Notes an event, which may require an action. */
  #happened(): void {
    this.#events++;
    this.#wake();
  }

  /** Waits up to `milliseconds` for an event after number `seen`; without a limit if undefined. */
  async #wait(seen: number, milliseconds: number | undefined): Promise<void> {
    if (this.#events === seen) {
      await new Promise<void>((resolve) => {
        const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Brings the gateway up to date, and returns whether to try again soon. */
  async #step(): Promise<boolean> {
    const wanted = this.#wanted;
    const number = this.#number;
    this.#forget(wanted);
    const at = this.#at;
    if (at === undefined && wanted.length === 0) {
      this.#tell(number, undefined);
      return false;
    }
    if (at === undefined || (at.closing && wanted.length > 0)) {
      return this.#move(wanted, number);
    }
    if (this.#has !== number) {
      const error = await refusal(at.publish(wanted, ATTACH_WITHIN));
      if (error !== undefined && at.gone) {
        return false; // the end is an event, so the next step attaches the process anew
      }
      this.#has = number; // a refused publication is not repeated
      this.#tell(number, error);
    }
    return false;
  }

  /** Forgets an attachment that has ended. */
  #forget(wanted: readonly Instance[]): void {
    if (this.#at?.gone) {
      if (wanted.length > 0) {
        const why = this.#at.error?.detail ?? "it ended the attachment";
        this.#log.warn(
          `the gateway at ${this.#at.addr}, to which the servers were attached, is lost: ${why}`,
        );
      }
      this.#at = undefined;
    }
  }

  /** Attaches the process to a gateway, or to another gateway if it is attached already. */
  async #move(wanted: readonly Instance[], number: number): Promise<boolean> {
    const left = this.#at;
    let next: Attachment;
    try {
      next = await this.#attachAny(wanted);
    } catch (e) {
      if (left === undefined) {
        const why = (e as RPCError).detail;
        this.#log.warn(`the servers of this process are attached to no gateway; it tries again: ${why}`);
        this.#has = number;
        this.#tell(number, e as RPCError);
      }
      return true;
    }
    this.#at = next;
    this.#has = number;
    this.#tell(number, undefined);
    if (left !== undefined) {
      this.#log.info(
        `the servers moved from the gateway at ${left.addr}, which is about to stop, to ${next.addr}`,
      );
      void this.#leave(left);
    } else if (this.#was) {
      this.#log.info(`the servers are attached again, to the gateway at ${next.addr}`);
      this.lapsed(`the process was attached to no gateway for a while, and is attached to ${next.addr} now`);
    }
    this.#was = true;
    return false;
  }

  /** Withdraws the servers from a gateway, and waits until the gateway ends the attachment. */
  async #leave(left: Attachment): Promise<void> {
    this.#leaving.add(left);
    await refusal(left.publish([], ATTACH_WITHIN)); // if this fails, the end of the attachment withdraws them
    await left.over;
    this.#leaving.delete(left);
  }

  /** Attaches the process to the first gateway that accepts it. */
  async #attachAny(wanted: readonly Instance[]): Promise<Attachment> {
    const failures: RPCError[] = [];
    for (let n = 0; n < this.#addrs.length && !this.#ended; n++) {
      const at = (this.#first + n) % this.#addrs.length;
      const addr = this.#addrs[at] as string;
      if (this.#at?.addr === addr) {
        continue;
      }
      try {
        const attachment = await this.#attach(addr, wanted);
        this.#first = at;
        return attachment;
      } catch (e) {
        failures.push(e as RPCError);
      }
    }
    throw allFailed(failures);
  }

  async #attach(addr: string, wanted: readonly Instance[]): Promise<Attachment> {
    const link = this.#connect(addr);
    const attachment = await Attachment.open(addr, link, ATTACH_WITHIN, () => this.#happened());
    this.take(attachment.connection);
    try {
      await attachment.publish(wanted, ATTACH_WITHIN);
    } catch (e) {
      attachment.end();
      await attachment.over;
      throw e;
    }
    return attachment;
  }
}

async function refusal(work: Promise<void>): Promise<RPCError | undefined> {
  try {
    await work;
  } catch (e) {
    return e as RPCError;
  }
}

/**
 * Returns the error for when no gateway accepts the servers. Its kind is from an error that gives a
 * reason, if there is one.
 */
function allFailed(failures: readonly RPCError[]): RPCError {
  const vague = ["Timeout", "Canceled", "Unreachable"];
  const telling = failures.find((e) => !vague.includes(e.kind));
  const text = failures.map((e) => e.detail).join("; ") || "there is no other gateway";
  return new RPCError(telling?.kind ?? "Unreachable", `no gateway accepts the servers: ${text}`, {
    safeToRetry: true,
    reason: telling?.reason ?? "",
    cause: failures[0],
  });
}

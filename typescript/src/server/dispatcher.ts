/** How a server handles a message: select the method, admit, wait, run, answer. */

import { RemoteError, RPCError, refused, textOf } from "../errors.js";
import { type ErrorTypes, find } from "../errortypes.js";
import type { Logger } from "../log.js";
import { formatVersion, type Version } from "../versions.js";
import { Census } from "./census.js";
import type { Incoming } from "./context.js";
import type { Table } from "./endpoint.js";
import type { Method } from "./method.js";
import { type Bounds, Queue, type Ticket } from "./queue.js";
import { Window } from "./window.js";

/**
 * How long after the deadline a method is canceled, in milliseconds. The caller has its own timer,
 * which should fire first.
 */
const LATE = 50;
/** How long canceled methods may take to end when a server is stopped by force, in milliseconds. */
const LAST = 2000;

/** The phase of a server: see docs/server.md. */
export type Phase = "held" | "active" | "draining" | "stopping" | "stopped";

/** An accepted message. */
export interface Accepted {
  readonly message: Incoming;
  readonly method: Method;
  readonly ticket: Ticket;
}

/** The content of a message. It is decoded when a worker is free. */
export interface Content {
  readonly context: Readonly<Record<string, unknown>>;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Runs the messages of one server. */
export class Dispatcher {
  readonly name: string;
  readonly table: Table;
  readonly queue: Queue;
  readonly census = new Census();
  readonly #errors: ErrorTypes;
  readonly #log: Logger;
  readonly #window = new Window();
  readonly #accepted = new Set<Incoming>();
  #phase: Phase = "active";
  #idle: () => void = () => {};
  #forced = false;

  constructor(name: string, table: Table, errors: ErrorTypes, bounds: Bounds, log: Logger) {
    this.name = name;
    this.table = table;
    this.queue = new Queue(bounds);
    this.#errors = errors;
    this.#log = log;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Changes the phase. When a hold ends, queued messages run. */
  set phase(phase: Phase) {
    this.#phase = phase;
    this.queue.hold(phase === "held");
  }

  /** Selects the method, and admits or refuses the message. */
  accept(message: Incoming, version: Version): Accepted {
    const { namespace, method: name, service, id, caller, size, orderKey } = message.envelope;
    const count = (accepted: boolean) =>
      this.census.count(namespace, name, formatVersion(version), caller, accepted);
    let method: Method;
    try {
      method = this.table.select(namespace, version, name, service);
    } catch (e) {
      count(false);
      throw e;
    }
    if (!this.#window.add(id)) {
      throw new RPCError("OutcomeUnknown", "the message was received before");
    }
    try {
      if (this.#phase === "stopping" || this.#phase === "stopped") {
        throw refused("stopping");
      }
      const ticket = this.queue.admit(size, orderKey);
      count(true);
      this.#accepted.add(message);
      return { message, method, ticket };
    } catch (e) {
      this.#window.forget(id);
      throw e;
    }
  }

  /**
   * Runs an accepted message when a worker is free, and yields its items. A plain method has one
   * item.
   */
  async *run({ message, method, ticket }: Accepted, content: () => Content): AsyncGenerator<unknown, void> {
    let started = false;
    try {
      await this.#turn(message, ticket);
      const { context, args } = content();
      method.check(args);
      started = true;
      method.started++;
      yield* this.#invoke(message, method, message.context(context), args);
    } catch (e) {
      if (!started) {
        this.#window.forget(message.envelope.id);
      }
      throw e;
    } finally {
      this.queue.done(ticket);
      this.#accepted.delete(message);
      if (this.#accepted.size === 0) {
        this.#idle();
      }
    }
  }

  async #turn(m: Incoming, ticket: Ticket): Promise<void> {
    if (!ticket.runs) {
      await new Promise<void>((resolve) => {
        const timer = m.left === undefined ? undefined : setTimeout(done, m.left);
        m.signal.addEventListener("abort", done);
        void ticket.turn.then(done);
        function done() {
          clearTimeout(timer);
          m.signal.removeEventListener("abort", done);
          resolve();
        }
      });
    }
    if (this.#forced) {
      throw refused("stopping");
    }
    if (m.signal.aborted) {
      throw new RPCError("Canceled", "the caller left before a worker was free", { safeToRetry: true });
    }
    if (!ticket.runs || m.late) {
      const why = "the deadline passed before a worker was free; it was not started";
      throw new RPCError("Timeout", why, { safeToRetry: true });
    }
  }

  async *#invoke(
    m: Incoming,
    method: Method,
    ...given: Parameters<Method["run"]>
  ): AsyncGenerator<unknown, void> {
    const late = m.left === undefined ? undefined : setTimeout(() => m.cancel(), m.left + LATE);
    try {
      const result: unknown = method.run(...given);
      if (method.streaming || isStream(result)) {
        yield* result as AsyncIterable<unknown>;
        if (this.#forced) {
          throw cut();
        }
      } else {
        yield await result;
      }
    } catch (e) {
      throw this.#ended(m, method, e);
    } finally {
      clearTimeout(late);
    }
  }

  /** Returns the error of a method that failed. */
  #ended(m: Incoming, method: Method, e: unknown): RPCError {
    const gaveUp =
      m.signal.aborted && (e === m.signal.reason || (e instanceof Error && e.name === "AbortError"));
    if (gaveUp || (this.#forced && e instanceof RPCError && e.kind === "OutcomeUnknown")) {
      if (this.#forced) {
        return cut();
      }
      return m.late
        ? new RPCError("Timeout", "the deadline passed while the method ran")
        : new RPCError("Canceled", "the caller left while the method ran");
    }
    return this.#failure(m, method, e);
  }

  /** Returns the error that a method's caller gets for a thrown value. */
  #failure(m: Incoming, method: Method, e: unknown): RemoteError {
    method.failed++;
    const expected = method.expected.some((cls) => e instanceof cls);
    const error = e instanceof Error ? e : new Error(textOf(e));
    const type = error.constructor.name;
    const line = `method failed: server=${this.name} method=${m.envelope.method} error=${type}: ${error.message}`;
    this.#log[expected || m.signal.aborted ? "debug" : "error"](line.slice(0, 4096));
    const registered = this.#errors.describe(error);
    if (registered !== undefined) {
      const { name, data } = registered;
      return new RemoteError({ type: name, message: error.message, hops: [this.name], data }, { cause: e });
    }
    const further = find(e);
    if (further instanceof RemoteError) {
      const { type, remoteMessage, remoteStack, hops, data } = further;
      return new RemoteError({
        type,
        message: remoteMessage,
        stack: remoteStack,
        hops: [...hops, this.name],
        data,
      });
    }
    if (further !== undefined) {
      return new RemoteError({
        type: `oslorpc.${further.kind}`,
        message: further.message,
        hops: [this.name],
      });
    }
    const stack = expected ? [] : (error.stack ?? "").split("\n").slice(1);
    const failure = { type, message: error.message, hops: [this.name], stack: stack.map((s) => s.trim()) };
    return new RemoteError(failure, { cause: e });
  }

  /** Runs an accepted message. Only the log gets the outcome. */
  async cast(accepted: Accepted, content: () => Content): Promise<void> {
    try {
      for await (const _ of this.run(accepted, content)) {
        // A cast has no result.
      }
    } catch (e) {
      if (!(e instanceof RemoteError)) {
        const { method } = accepted.message.envelope;
        this.#log.error(`cast failed: server=${this.name} method=${method} error=${textOf(e)}`);
      }
    }
  }

  /**
   * Refuses messages from now on, and waits until the accepted ones have ended. After
   * `milliseconds`, it cancels them and returns false.
   */
  async finish(milliseconds: number | undefined): Promise<boolean> {
    this.phase = "stopping";
    if (!(await this.#ends(milliseconds))) {
      this.#forced = true;
      const { running, waiting } = this.queue;
      this.#log.warn(
        `server ${this.name} stopped by force: ${running} messages were running, ${waiting} waiting`,
      );
      for (const m of this.#accepted) {
        m.cancel();
      }
      await this.#ends(LAST);
    }
    this.phase = "stopped";
    return !this.#forced;
  }

  /**
   * Waits up to `milliseconds` until all messages have ended, and returns whether they have;
   * without a limit if undefined.
   */
  async #ends(milliseconds: number | undefined): Promise<boolean> {
    if (this.#accepted.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds);
        this.#idle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#accepted.size === 0;
  }
}

function isStream(value: unknown): boolean {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function cut(): RPCError {
  const why =
    "the server was stopped by force before the method ended: the results that arrived are incomplete";
  return new RPCError("OutcomeUnknown", why);
}

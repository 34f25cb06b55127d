/** Clients send messages to a target. */

import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client as StubOf } from "@connectrpc/connect";
import { RPCError } from "../errors.js";
import type { ErrorTypes } from "../errortypes.js";
import { find } from "../errortypes.js";
import { writeText } from "../json.js";
import { checkClientTarget, checkName, formatTarget, type Target } from "../target.js";
import { TypedTransport } from "../typed/stub.js";
import { Cap, DEFAULT_VERSION, formatVersion, parseVersion, type Version } from "../versions.js";
import { ceiling } from "./ceiling.js";
import { deliver, known } from "./delivery.js";
import { Audience, type Reply, type Report } from "./fanout.js";
import type { Fleet } from "./fleet.js";
import { about, from, type Message } from "./message.js";
import { isMissed } from "./missed.js";
import { type Items, type Operation, openItems, sendCall, sendCast, sendMonitored } from "./operation.js";
import type { Entry, Topic } from "./topic.js";
import { Sender } from "./typedsender.js";

const CALL_TIMEOUT = 60_000;
const CAST_TIMEOUT = 30_000;
const ASK_TIMEOUT = 10_000;

/** The settings of a client besides its target. */
export interface ClientOptions {
  /**
   * The timeout of each operation, and of each wait for an item. The default is 60 seconds, and 30
   * for casts and fanouts.
   */
  timeoutMs?: number | undefined;
  /**
   * How often to try again when no server accepted a message. Negative, the default, means until
   * the deadline.
   */
  retry?: number | undefined;
  /**
   * The latest version that may be sent: a version, an alias, or "auto", with which the versions of
   * the servers decide.
   */
  versionCap?: string | undefined;
  /** Aliases of versions, such as names of releases. */
  versionAliases?: Readonly<Record<string, string>> | undefined;
  /** Whether messages fail at once if there is no server, in place of waiting for one. */
  failFast?: boolean | undefined;
  /**
   * How many milliseconds a server may be silent during a call, before the call fails with
   * MonitorTimeout. The server sends heartbeats. By default there is no limit, and there are no
   * heartbeats.
   */
  callMonitorTimeoutMs?: number | undefined;
  /** Messages with the same key run one after the other on a server. */
  orderKey?: string | undefined;
  /** Metadata for code around the method, such as trace context. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/** Settings of one operation. */
export interface OperationOptions {
  /** The request context: an object that the method gets, and passes on with its own calls. */
  context?: Readonly<Record<string, unknown>> | undefined;
  /** Cancels the operation. If the method runs, it is canceled. */
  signal?: AbortSignal | undefined;
}

/** Keyword arguments. */
export type Arguments = Readonly<Record<string, unknown>>;

/** The part of a transport that clients use. */
export interface ClientHost {
  readonly exchange: string;
  readonly maxSize: number;
  readonly errors: ErrorTypes;
  readonly fleet: Fleet;
  check(): void;
  nextID(): string;
  nextTurn(): number;
}

/** Sends messages to a target. It is immutable; prepare() returns a changed copy. */
export class Client {
  readonly #host: ClientHost;
  readonly #cap: Cap;
  /** The target of its messages. */
  readonly target: Target;
  /** Its settings. */
  readonly options: ClientOptions;

  /** Use Transport.client(). */
  constructor(host: ClientHost, target: Target, options: ClientOptions = {}) {
    this.#host = host;
    this.target = target;
    this.options = options;
    try {
      this.#cap = new Cap(options.versionCap, options.versionAliases);
    } catch (e) {
      throw new RPCError("Invalid", (e as Error).message, { safeToRetry: true });
    }
  }

  /**
   * Returns a client with changes. Settings that are not given stay the same; undefined clears a
   * setting.
   */
  prepare(changes: Target & ClientOptions): Client {
    const { topic, exchange, namespace, version, server, fanout, ...options } = changes;
    const target = { topic, exchange, namespace, version, server, fanout };
    const given = Object.fromEntries(Object.entries(target).filter(([name]) => name in changes));
    return new Client(this.#host, { ...this.target, ...given }, { ...this.options, ...options });
  }

  /**
   * Returns the stub of a typed service. Each message asks for the version that its method and its
   * set fields need. Older servers get the message without the fields that may be dropped, as the
   * options of the service say. The topic and the namespace are from these options, unless the
   * target sets others. Calls fail with the same errors as call().
   */
  stub<S extends DescService>(service: S, options: Pick<OperationOptions, "context"> = {}): StubOf<S> {
    const sender = new Sender(this.#host, this.target, this.options, this.#cap, options.context);
    const transport = new TypedTransport(sender, service);
    return Object.assign(createClient(service, transport), transport.readers(service));
  }

  /** Calls a method on one server, and returns its result. */
  async call<R = unknown>(method: string, args: Arguments = {}, options: OperationOptions = {}): Promise<R> {
    return this.#thrown(async () => {
      const op = this.#operation(method, args, options, CALL_TIMEOUT);
      this.#checkOne(method);
      return (await this.#deliver(op, false, this.#call(op))) as R;
    });
  }

  /**
   * Sends a message that one server accepts now and runs later. If the target says fanout, it is
   * sent to every server.
   */
  async cast(method: string, args: Arguments = {}, options: OperationOptions = {}): Promise<void> {
    if (this.target.fanout) {
      await this.fanout(method, args, options);
      return;
    }
    await this.#thrown(async () => {
      const op = this.#operation(method, args, options, CAST_TIMEOUT);
      await this.#deliver(op, true, sendCast);
    });
  }

  /**
   * Sends a message to every server, even if the target names one, and returns a report of which
   * accepted it.
   */
  async fanout(method: string, args: Arguments = {}, options: OperationOptions = {}): Promise<Report> {
    return this.#thrown(async () => {
      const op = this.#everyone.#operation(method, args, options, CAST_TIMEOUT);
      const audience = await this.#audience(op);
      return audience.report(this.#telling(op, sendCast));
    });
  }

  /**
   * Calls a method on every server, and yields the replies as they arrive. The messages are sent at
   * the first step of the iteration.
   */
  async *gather<R = unknown>(
    method: string,
    args: Arguments = {},
    options: OperationOptions = {},
  ): AsyncGenerator<Reply<R>, void> {
    const { op, audience } = await this.#thrown(async () => {
      const op = this.#everyone.#operation(method, args, options, CALL_TIMEOUT);
      return { op, audience: await this.#audience(op) };
    });
    const send = this.#telling(op, this.#call(op));
    yield* audience.replies(send, this.#host.errors) as AsyncGenerator<Reply<R>, void>;
  }

  /**
   * Calls a method on one server, and yields its results as they arrive. The message is sent at the
   * first step of the iteration. Leaving the loop cancels the method.
   */
  async *multicall<R = unknown>(
    method: string,
    args: Arguments = {},
    options: OperationOptions = {},
  ): AsyncGenerator<R, void> {
    let at: Entry | undefined;
    let items: Items | undefined;
    const { op, first } = await this.#thrown(async () => {
      const op = this.#operation(method, args, options, CALL_TIMEOUT);
      this.#checkOne(method);
      const patience = this.options.timeoutMs ?? CALL_TIMEOUT;
      items = await this.#deliver(op, false, (op, e) => {
        at = e;
        return openItems(op, e, patience);
      });
      return { op, first: await items.next() };
    });
    try {
      for (let item = first; !item.done; item = await this.#next(items as Items | undefined, op, at)) {
        yield item.value as R;
      }
    } finally {
      await items?.end();
    }
  }

  async #next(
    items: Items | undefined,
    op: Operation,
    at: Entry | undefined,
  ): Promise<IteratorResult<unknown, void>> {
    return this.#thrown(async () => {
      try {
        return (await items?.next()) ?? { done: true, value: undefined };
      } catch (e) {
        const error = e as RPCError;
        throw about(at ? from(error, at) : error, op.message);
      }
    });
  }

  /**
   * Whether the version cap allows messages of a version, by default the client's version. With the
   * cap "auto", this depends on the servers of the fleet.
   */
  async canSendVersion(version?: string, options: Pick<OperationOptions, "signal"> = {}): Promise<boolean> {
    this.#host.check();
    const target = version === undefined ? this.target : { ...this.target, version };
    checkClientTarget(target);
    const wanted = target.version === undefined ? DEFAULT_VERSION : parseVersion(target.version);
    if (!this.#cap.auto) {
      return this.#cap.allows(wanted);
    }
    const deadline = performance.now() + (this.options.timeoutMs ?? ASK_TIMEOUT);
    const failFast = this.options.failFast ?? false;
    const entries = await known(this.#topic(target), { deadline, failFast, signal: options.signal });
    return ceiling(entries, target.namespace ?? "", wanted, target.server);
  }

  /** The client for messages to all servers, which ignores the target's server. */
  get #everyone(): Client {
    return this.target.server === undefined ? this : this.prepare({ server: undefined });
  }

  #call({ silence }: Operation): (op: Operation, e: Entry) => Promise<unknown> {
    return silence === undefined ? sendCall : (op, e) => sendMonitored(op, e, silence);
  }

  /**
   * Delivers a message to one instance. If the target names a server, and that server missed the
   * message, the client remembers to report it.
   */
  async #deliver<R>(op: Operation, cast: boolean, send: (op: Operation, e: Entry) => Promise<R>): Promise<R> {
    try {
      return await deliver(op.topic, op.message, this.#telling(op, send));
    } catch (e) {
      const { exchange, topic, server } = this.target;
      if (server !== undefined && isMissed(e as RPCError, cast)) {
        this.#host.fleet.missed.server(exchange ?? this.#host.exchange, topic ?? "", server);
      }
      throw e;
    }
  }

  /** Wraps `send`: the message carries the report for its server, if there is one. */
  #telling<R>(op: Operation, send: (op: Operation, e: Entry) => Promise<R>): (e: Entry) => Promise<R> {
    return (e) =>
      this.#host.fleet.missed.telling(e, (ago) => send(ago === undefined ? op : { ...op, missed: ago }, e));
  }

  #topic(target: Target & { topic: string }): Topic {
    return this.#host.fleet.topic(target.exchange ?? this.#host.exchange, target.topic);
  }

  async #audience(op: Operation): Promise<Audience> {
    try {
      const entries = await known(op.topic, op.message);
      return new Audience(op.topic, op.message, entries, this.#host.fleet.missed);
    } catch (e) {
      throw about(e as RPCError, op.message);
    }
  }

  /** Runs an operation, and converts its error to the class that the program registered for it. */
  async #thrown<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (e) {
      const error = find(e);
      throw error === e && error !== undefined ? this.#host.errors.thrown(error) : e;
    }
  }

  #checkOne(method: string): void {
    if (this.target.fanout) {
      const why = "a call goes to one server: use fanout(), or gather() for the results of all";
      throw this.#unsent("InvalidTarget", why, method);
    }
  }

  #unsent(kind: RPCError["kind"], why: string, method: string): RPCError {
    return new RPCError(kind, why, { target: this.target, method, safeToRetry: true });
  }

  /** Checks and encodes a message. */
  #operation(method: string, args: Arguments, options: OperationOptions, defaultTimeout: number): Operation {
    this.#host.check();
    const { target } = this;
    checkClientTarget(target);
    checkName("method name", method);
    if (!method) {
      throw this.#unsent("InvalidTarget", "the method name is empty: name the method", method);
    }
    const version = this.#version(method);
    const message: Message = {
      target,
      method,
      namespace: target.namespace ?? "",
      versions: [version],
      begun: performance.now(),
      deadline: performance.now() + (this.options.timeoutMs ?? defaultTimeout),
      turn: this.#host.nextTurn(),
      retry: this.options.retry ?? -1,
      failFast: this.options.failFast ?? false,
      signal: options.signal,
    };
    return {
      message,
      topic: this.#topic(target),
      content: this.#content(method, args, options),
      silence: this.options.callMonitorTimeoutMs,
    };
  }

  #version(method: string): Version {
    const { version } = this.target;
    const wanted = version === undefined ? DEFAULT_VERSION : parseVersion(version);
    if (!this.#cap.allows(wanted)) {
      const why = `version ${formatVersion(wanted)} is not allowed by the version cap ${this.#cap}`;
      throw this.#unsent("VersionCapExceeded", why, method);
    }
    return wanted;
  }

  #content(method: string, args: Arguments, options: OperationOptions): Operation["content"] {
    const { exchange, topic, namespace, version, server } = this.target;
    const given = { exchange: exchange ?? this.#host.exchange, topic, namespace, version, server };
    const kwargs = this.#text(args, method, "the arguments");
    const context = options.context && Object.keys(options.context).length > 0 ? options.context : undefined;
    const contextText = context && this.#text(context, method, "the request context");
    const size = Buffer.byteLength(kwargs) + Buffer.byteLength(contextText ?? "");
    if (size > this.#host.maxSize) {
      const why = `the request has ${size} bytes, and at most ${this.#host.maxSize} are allowed: send less at a time`;
      throw this.#unsent("TooLarge", why, method);
    }
    if (this.options.orderKey !== undefined) {
      checkName("order key", this.options.orderKey);
    }
    return {
      method,
      target: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      kwargs: { encoding: { case: "json", value: kwargs } },
      ...(contextText ? { context: { encoding: { case: "json", value: contextText } } } : {}),
      id: this.#host.nextID(),
      orderKey: this.options.orderKey ?? "",
      metadata: lowered(this.options.metadata),
    };
  }

  #text(value: unknown, method: string, what: string): string {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.#unsent("BadArguments", `${what} must be an object`, method);
    }
    try {
      return writeText(value, "BadArguments");
    } catch (e) {
      throw about(e as RPCError, { target: this.target, method });
    }
  }

  toString(): string {
    return `client of ${formatTarget(this.target)}`;
  }
}

function lowered(metadata: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]));
}

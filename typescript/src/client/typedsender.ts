/**
 * Sends typed messages: RPCs of a program's own services, with headers in place of the protocol's
 * message.
 */

import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { RPCError } from "../errors.js";
import { find } from "../errortypes.js";
import { writeText } from "../json.js";
import { checkClientTarget, type Target } from "../target.js";
import type { TypedRequest, TypedSender } from "../typed/stub.js";
import { type Cap, formatVersion, type Version } from "../versions.js";
import { ceiling } from "./ceiling.js";
import type { ClientHost, ClientOptions } from "./client.js";
import { deliver, known } from "./delivery.js";
import { Audience } from "./fanout.js";
import { about, from, type Message } from "./message.js";
import type { Entry, Topic } from "./topic.js";

const CALL_TIMEOUT = 60_000;
const CAST_TIMEOUT = 30_000;

/** Sends the messages of one client's stubs. */
export class Sender implements TypedSender {
  readonly #host: ClientHost;
  readonly #target: Target;
  readonly #options: ClientOptions;
  readonly #cap: Cap;
  readonly #context: string;

  /** Creates a sender for a client's stubs. `context` is the request context that methods get. */
  constructor(
    host: ClientHost,
    target: Target,
    options: ClientOptions,
    cap: Cap,
    context: Readonly<Record<string, unknown>> = {},
  ) {
    this.#host = host;
    this.#target = target;
    this.#options = options;
    this.#cap = cap;
    this.#context = Object.keys(context).length > 0 ? writeText(context, "BadArguments") : "";
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: TypedRequest,
  ): Promise<MessageShape<O>> {
    return this.#thrown(async () => {
      const { topic, message } = await this.#message(request);
      const send = (e: Entry) =>
        this.#descend(message, e, (version, header) => {
          const timeoutMs = message.deadline - performance.now();
          const content = request.at(version) as MessageShape<I>;
          return e.link.unary(method, content as never, { timeoutMs, signal: message.signal, header });
        });
      if (request.delivery !== "fanout") {
        return await deliver(topic, message, send);
      }
      return this.#fanout(topic, message, send);
    });
  }

  /**
   * Sends to every server. If a server fails, this throws its error, since a stub cannot return a
   * report.
   */
  async #fanout<R>(topic: Topic, m: Message, send: (e: Entry) => Promise<R>): Promise<R> {
    let answer: R | undefined;
    const audience = new Audience(topic, m, await known(topic, m), this.#host.fleet.missed);
    const report = await audience.report(async (e) => {
      answer = await send(e);
    });
    const [failed] = report.failed;
    if (failed?.error !== undefined) {
      throw failed.error;
    }
    if (answer === undefined) {
      throw about(new RPCError("NoInstance", "no server on the topic accepted it", { safeToRetry: true }), m);
    }
    return answer;
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    request: TypedRequest,
  ): AsyncGenerator<MessageShape<O>, void> {
    const { topic, message } = await this.#thrown(() => this.#message(request));
    let at: Entry | undefined;
    const opened = await this.#thrown(() =>
      deliver(topic, message, (e) =>
        this.#descend(message, e, async (version, header) => {
          at = e;
          const content = request.at(version) as MessageShape<I>;
          const items = e.link.stream(method, content as never, { signal: message.signal, header });
          return { items, first: await items.next() };
        }),
      ),
    );
    try {
      for (let item = opened.first; !item.done; item = await this.#next(opened.items, message, at)) {
        yield item.value;
      }
    } finally {
      await opened.items.return();
    }
  }

  async #next<T>(
    items: AsyncGenerator<T, void>,
    m: Message,
    at: Entry | undefined,
  ): Promise<IteratorResult<T, void>> {
    return this.#thrown(async () => {
      try {
        return await items.next();
      } catch (e) {
        throw at ? about(from(e as RPCError, at), m) : e;
      }
    });
  }

  /**
   * Sends at the first version that the instance is known to serve. If the instance refuses that
   * version, the next lower one is tried.
   */
  async #descend<R>(
    m: Message,
    e: Entry,
    send: (version: Version, header: Headers) => Promise<R>,
  ): Promise<R> {
    const able = m.versions.filter((v) => e.serves(m.namespace, v));
    for (const [n, version] of able.entries()) {
      try {
        return await this.#host.fleet.missed.telling(e, (ago) => {
          const header = this.#header(m, e, version);
          if (ago !== undefined) {
            header.set("oslorpc-missed", `${Math.ceil(ago)}ms`);
          }
          return send(version, header);
        });
      } catch (error) {
        const refused = error instanceof RPCError && error.kind === "UnsupportedVersion" && error.safeToRetry;
        if (!refused || n === able.length - 1) {
          throw error;
        }
      }
    }
    throw new RPCError("UnsupportedVersion", "the server has changed its versions", { safeToRetry: true });
  }

  #header(m: Message, { instance }: Entry, version: Version): Headers {
    const header = new Headers(this.#options.metadata);
    const { exchange, topic } = m.target;
    const place: Record<string, string | undefined> = instance.id
      ? { instance: instance.id }
      : {
          exchange: exchange ?? this.#host.exchange,
          topic,
          server: m.target.server ?? (instance.server || undefined),
        };
    const fields = {
      ...place,
      id: this.#host.nextID(),
      version: formatVersion(version),
      "order-key": this.#options.orderKey,
    };
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) {
        header.set(`oslorpc-${name}`, escapeHeader(value));
      }
    }
    if (this.#context) {
      header.set("oslorpc-context-bin", Buffer.from(this.#context).toString("base64").replace(/=+$/, ""));
    }
    return header;
  }

  async #message(request: TypedRequest): Promise<{ topic: Topic; message: Message }> {
    this.#host.check();
    const { service, method } = request;
    const target = { ...this.#target, topic: this.#target.topic ?? (service.topic || undefined) };
    checkClientTarget(target);
    if (request.size > this.#host.maxSize) {
      const why = `the request has ${request.size} bytes, and at most ${this.#host.maxSize} are allowed`;
      throw new RPCError("TooLarge", `${why}: send less at a time`, { target, method, safeToRetry: true });
    }
    const topic = this.#host.fleet.topic(target.exchange ?? this.#host.exchange, target.topic);
    const timeout = request.delivery === "call" ? CALL_TIMEOUT : CAST_TIMEOUT;
    const message: Message = {
      target,
      method,
      namespace: target.namespace ?? service.namespace,
      versions: request.versions,
      deadline: performance.now() + (request.timeoutMs ?? this.#options.timeoutMs ?? timeout),
      turn: this.#host.nextTurn(),
      retry: this.#options.retry ?? -1,
      failFast: this.#options.failFast ?? false,
      signal: request.signal,
    };
    return { topic, message: { ...message, versions: await this.#allowed(topic, message) } };
  }

  /**
   * Returns the versions that the cap allows. With "auto", versions that not all servers can serve
   * come last.
   */
  async #allowed(topic: Topic, m: Message): Promise<readonly Version[]> {
    const allowed = m.versions.filter((v) => this.#cap.allows(v));
    const [wanted] = m.versions;
    if (allowed.length === 0 && wanted !== undefined) {
      const why = `version ${formatVersion(wanted)} is not allowed by the version cap ${this.#cap}`;
      throw about(new RPCError("VersionCapExceeded", why, { safeToRetry: true }), m);
    }
    if (!this.#cap.auto || allowed.length === 1) {
      return allowed;
    }
    const entries = await known(topic, m);
    const common = allowed.filter((v) => ceiling(entries, m.namespace, v, m.target.server));
    return [...common, ...allowed.filter((v) => !common.includes(v)).reverse()];
  }

  async #thrown<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (e) {
      throw e instanceof RPCError && find(e) === e ? this.#host.errors.thrown(e) : e;
    }
  }
}

/**
 * Encodes a name for a header: visible ASCII is unchanged, except the percent sign and the comma.
 */
export function escapeHeader(text: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    const plain = byte >= 0x21 && byte <= 0x7e && byte !== 0x25 && byte !== 0x2c;
    return plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

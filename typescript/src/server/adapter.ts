/**
 * HTTP/2 streams in the form that Connect's handlers need. The module adds what these lack: control
 * of when headers are sent, and notice that the caller has left.
 */

import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { createContextKey, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { drained } from "../drained.js";
import { textOf } from "../errors.js";
import type { Logger } from "../log.js";

/** An RPC, with functions that Connect lacks. */
export interface Exchange {
  /** Aborted when the stream has ended, whichever end caused it. */
  readonly signal: AbortSignal;
  /** Sends the headers now, so that the caller knows that its message was accepted. */
  begin(header: Headers): void;
}

/** The key under which handlers find the exchange. */
export const exchangeKey = createContextKey<Exchange>(
  { signal: new AbortController().signal, begin() {} },
  { description: "oslorpc exchange" },
);

/** Answers streams with the handlers of their paths. */
export class Adapter {
  readonly #handlers: Map<string, UniversalHandler>;
  readonly #unknown: (path: string) => Headers;
  readonly #log: Logger;

  /** Creates an adapter. `unknown` returns the headers of a status for paths without a handler. */
  constructor(handlers: readonly UniversalHandler[], unknown: (path: string) => Headers, log: Logger) {
    this.#handlers = new Map(handlers.map((handler) => [handler.requestPath, handler]));
    this.#unknown = unknown;
    this.#log = log;
  }

  /** Adds handlers. They replace handlers with the same paths. */
  add(handlers: readonly UniversalHandler[]): void {
    for (const handler of handlers) {
      this.#handlers.set(handler.requestPath, handler);
    }
  }

  /** Answers the RPC on a stream. */
  async answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const path = headers[":path"]?.split("?", 1)[0] ?? "";
    const handler = this.#handlers.get(path);
    const controller = new AbortController();
    stream.on("close", () => controller.abort());
    stream.on("error", (e) => this.#log.debug(`a stream broke: ${textOf(e)}`));
    if (handler === undefined) {
      stream.respond({ ":status": 200, ...Object.fromEntries(this.#unknown(path)) }, { endStream: true });
      return;
    }
    const reply = new Reply(stream);
    const exchange = { signal: controller.signal, begin: (header: Headers) => reply.begin(200, header) };
    try {
      const response = await handler({
        httpVersion: "2.0",
        method: headers[":method"] ?? "",
        url: `http://localhost${path}`,
        header: read(headers),
        body: stream.iterator({ destroyOnReturn: false }),
        signal: controller.signal,
        contextValues: createContextValues().set(exchangeKey, exchange),
      });
      await reply.send(response);
    } catch (e) {
      this.#log.debug(`an RPC broke: ${textOf(e)}`);
      stream.close();
    }
  }
}

/** The answer on a stream. */
class Reply {
  readonly #stream: ServerHttp2Stream;
  #trailer = new Headers();

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on("wantTrailers", () => stream.sendTrailers(write(this.#trailer)));
  }

  /** Sends the headers. */
  begin(status: number, header: Headers | undefined): void {
    if (!this.#stream.headersSent && !this.#stream.destroyed) {
      this.#stream.respond({ ":status": status, ...write(header) }, { waitForTrailers: true });
    }
  }

  /**
   * Sends the answer of a handler. A refusal is sent as a status alone, because headers would say
   * that the message was accepted.
   */
  async send({ status, header, body, trailer }: UniversalServerResponse): Promise<void> {
    this.#trailer = trailer ?? this.#trailer;
    const items = body?.[Symbol.asyncIterator]();
    try {
      let item = await items?.next();
      if (item === undefined || (item.done && !this.#stream.headersSent)) {
        const all = { ":status": status, ...write(header), ...write(trailer) };
        if (!this.#stream.destroyed) {
          this.#stream.respond(all, { endStream: true });
        }
        return;
      }
      this.begin(status, header);
      for (; item !== undefined && !item.done; item = await items?.next()) {
        if (this.#stream.destroyed) {
          return;
        }
        await this.#write(item.value);
      }
      this.#stream.end();
    } finally {
      await items?.return?.();
    }
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!this.#stream.write(chunk) && !this.#stream.destroyed) {
      await drained(this.#stream);
    }
  }
}

function read(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":")) {
      for (const one of Array.isArray(value) ? value : [value]) {
        result.append(name, one ?? "");
      }
    }
  }
  return result;
}

function write(headers: Headers | undefined): OutgoingHttpHeaders {
  return Object.fromEntries(headers ?? []);
}

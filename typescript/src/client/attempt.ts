/** One RPC of one message, and what it proves about whether the message was sent. */

import * as http2 from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientRequest } from "@connectrpc/connect/protocol";
import { drained } from "../drained.js";
import { RPCError } from "../errors.js";
import { reasonOf } from "../plain.js";
import { CHECK, decodeStatus, type Evidence, type WireStatus } from "../status.js";
import { refusedStream } from "./session.js";

const STATUS = "grpc-status";
const { NGHTTP2_CANCEL } = http2.constants;
/**
 * How much earlier than the caller's timer the server's may fire for the same deadline, in
 * milliseconds.
 */
const EARLY = 50;

/**
 * The observations about an RPC. Its error is derived from them, because the gRPC library does not
 * report whether the message was sent.
 */
export class Attempt implements Evidence {
  sent = false;
  headers = false;
  replied = false;
  /** Whether the RPC is one of a typed service. */
  readonly typed: boolean;
  /** The status that the server sent; undefined if it sent none. */
  status: WireStatus | undefined;
  /** Why the stream ended without a status, in words for an error. */
  lost = "";
  /** The deadline, as performance.now() counts; infinite if there is none. */
  deadline = Number.POSITIVE_INFINITY;
  /** Whether the peer canceled the stream. */
  canceled = false;
  /** Whether this end gave up on the RPC. */
  gaveUp = false;

  /** Whether the request is streamed. */
  readonly #duplex: boolean;

  constructor(service = "oslorpc.v1.RPCService", duplex = false) {
    this.typed = !service.startsWith("oslorpc.v1.");
    this.#duplex = duplex;
  }

  /** Returns a function that sends the RPC on a session. */
  client(session: http2.ClientHttp2Session): UniversalClientFn {
    return async (request) => {
      const body = this.#duplex ? undefined : await collect(request.body);
      const stream = session.request(headersOf(request)); // throws if the session accepts no more streams
      this.sent = true;
      const exchange = new Exchange(this, session, stream, request.signal);
      if (body === undefined) {
        void pump(request.body, stream);
      } else {
        stream.end(body);
      }
      return exchange.response();
    };
  }

  /** Returns the error of the RPC, given the error that the library threw. */
  error(thrown: unknown): RPCError {
    if (this.status !== undefined && this.status.code !== 0) {
      const error = decodeStatus(this.status, this);
      return error.kind === "Canceled" && this.#ranOut ? this.#late(error) : error;
    }
    const e = ConnectError.from(thrown);
    if (e.code === Code.DeadlineExceeded || e.code === Code.Canceled) {
      return decodeStatus({ code: e.code, text: e.rawMessage }, this);
    }
    if (this.canceled && this.#ranOut) {
      return this.#late();
    }
    const text = this.lost || e.rawMessage;
    if (!this.sent) {
      return new RPCError("Unreachable", text, { safeToRetry: true });
    }
    if (e.code === Code.ResourceExhausted) {
      return new RPCError("TooLarge", `the result is too large; the method may have run: ${text}`);
    }
    return new RPCError("OutcomeUnknown", `${text} after the message was sent; ${CHECK}`);
  }

  /**
   * Whether the peer canceled the RPC because of its deadline: a server's timer may fire before its
   * caller's.
   */
  get #ranOut(): boolean {
    return !this.gaveUp && performance.now() >= this.deadline - EARLY;
  }

  /** Returns the Timeout of an RPC. `said` is the server's error, if it sent one. */
  #late(said?: RPCError): RPCError {
    const error = decodeStatus({ code: Code.DeadlineExceeded, text: "the deadline passed" }, this);
    error.safeToRetry ||= said?.safeToRetry ?? false;
    error.server = said?.server ?? "";
    error.instanceId = said?.instanceId ?? "";
    return error;
  }
}

async function collect(body: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Sends the chunks of a body as they become available, with flow control. */
async function pump(
  body: AsyncIterable<Uint8Array> | undefined,
  stream: http2.ClientHttp2Stream,
): Promise<void> {
  try {
    for await (const chunk of body ?? []) {
      if (stream.destroyed) {
        return;
      }
      if (!stream.write(chunk)) {
        await drained(stream);
      }
    }
    stream.end();
  } catch {
    stream.close(NGHTTP2_CANCEL); // the event "close" makes the error
  }
}

function headersOf(request: UniversalClientRequest): http2.OutgoingHttpHeaders {
  return {
    ":method": request.method,
    ":path": new URL(request.url).pathname,
    ...Object.fromEntries(request.header),
  };
}

/** One stream, in the form that the gRPC library needs. */
class Exchange {
  readonly #seen: Attempt;
  readonly #session: http2.ClientHttp2Session;
  readonly #stream: http2.ClientHttp2Stream;
  readonly #trailer = new Headers();
  readonly #failed: Promise<never>;
  #fail: (e: Error) => void = () => {};
  #began = false;

  constructor(
    seen: Attempt,
    session: http2.ClientHttp2Session,
    stream: http2.ClientHttp2Stream,
    signal: AbortSignal | undefined,
  ) {
    this.#seen = seen;
    this.#session = session;
    this.#stream = stream;
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => {}); // it may fail when nothing waits for it any more
    const abort = () => {
      seen.gaveUp = true;
      this.#fail(ConnectError.from(signal?.reason, Code.Canceled));
      stream.close(NGHTTP2_CANCEL);
    };
    signal?.addEventListener("abort", abort, { once: true });
    let cause: Error | undefined;
    stream.on("error", (e: Error) => {
      cause = e;
    });
    stream.on("trailers", (headers) => {
      copy(headers, this.#trailer);
      this.#note(this.#trailer);
    });
    stream.on("close", () => {
      signal?.removeEventListener("abort", abort);
      this.#closed(cause);
    });
    if (signal?.aborted) {
      abort();
    }
  }

  /** Waits for the headers, and returns them with an iterator over the items. */
  async response(): ReturnType<UniversalClientFn> {
    const header = new Headers();
    const began = new Promise<number>((resolve) => {
      this.#stream.once("response", (headers) => {
        this.#began = true;
        copy(headers, header);
        this.#note(header);
        this.#seen.headers = !header.has(STATUS);
        resolve(Number(headers[":status"]));
      });
    });
    const status = await Promise.race([began, this.#failed]);
    return { status, header, body: this.#body(), trailer: this.#trailer };
  }

  async *#body(): AsyncGenerator<Uint8Array> {
    const chunks = this.#stream[Symbol.asyncIterator]();
    let whole = false;
    try {
      while (true) {
        const next = await Promise.race([chunks.next(), this.#failed]);
        if (next.done) {
          whole = true;
          break;
        }
        yield next.value;
      }
    } finally {
      if (!whole) {
        this.#stream.close(NGHTTP2_CANCEL);
      }
    }
    if (this.#seen.status === undefined) {
      await this.#failed; // without trailers, the event "close" makes the error
    }
  }

  /** Records the status in headers or trailers, if there is one. */
  #note(headers: Headers): void {
    const code = headers.get(STATUS);
    if (code !== null) {
      const details = headers.get("grpc-status-details-bin");
      this.#seen.status = {
        code: /^\d+$/.test(code) ? Number(code) : Code.Unknown,
        text: decodeText(headers.get("grpc-message") ?? ""),
        details: details === null ? undefined : Buffer.from(details, "base64"),
      };
    }
  }

  #closed(cause: Error | undefined): void {
    if (this.#seen.status !== undefined) {
      this.#fail(new ConnectError("the stream has ended", Code.Unavailable));
      return;
    }
    // A server refuses a stream that it did not process, or goes away and names an earlier stream
    // as its last. HTTP/2 has one code for both. If the answer had begun, the stream was processed.
    if (refusedStream(this.#stream, this.#session) && !this.#began) {
      this.#seen.sent = false;
      this.#seen.lost = "the server refused the stream";
    } else {
      const why = cause === undefined ? `code ${this.#stream.rstCode}` : reasonOf(cause);
      this.#seen.lost = `the stream ended without a status (${why})`;
      this.#seen.canceled = this.#stream.rstCode === NGHTTP2_CANCEL;
    }
    this.#fail(new ConnectError(this.#seen.lost, Code.Unavailable));
  }
}

function copy(from: http2.IncomingHttpHeaders, to: Headers): void {
  for (const [name, value] of Object.entries(from)) {
    if (!name.startsWith(":")) {
      for (const one of Array.isArray(value) ? value : [value]) {
        to.append(name, one ?? "");
      }
    }
  }
}

function decodeText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

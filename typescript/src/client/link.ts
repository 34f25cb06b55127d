/** The connection to a process, which all messages for the process share, and its health. */

import type { ClientHttp2Session } from "node:http2";
import type {
  DescMessage,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { compressionGzip } from "@connectrpc/connect-node";
import { RPCError } from "../errors.js";
import { reasonOf } from "../plain.js";
import type { Trust } from "../trust.js";
import { Attempt } from "./attempt.js";
import { openSession } from "./session.js";

/**
 * Bytes by which gRPC's limit exceeds ours, so that our limit applies first, and our error explains
 * it.
 */
export const SLACK = 1 << 20;

const MIN_BACKOFF = 200;
const MAX_BACKOFF = 3000;

/** The common configuration of a transport's connections. */
export interface LinkConfig {
  trust: Trust;
  caller: string;
  maxSize: number;
  /** Called when a connection was opened or lost. */
  changed(): void;
}

/** Settings of an RPC. */
export interface CallSettings {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  header?: Headers | undefined;
  /** If true, the RPC does not keep the process running, and does not count as a message. */
  background?: boolean | undefined;
}

/** Settings of a streaming RPC. Without a timeout, it may last forever. */
export type StreamSettings = Omit<CallSettings, "timeoutMs"> & { timeoutMs?: number };

/** The connection to a process. It is opened on first use. */
export class Link {
  readonly addr: string;
  readonly #config: LinkConfig;
  #session: ClientHttp2Session | undefined;
  #why = "nothing listens there, or it cannot be reached";
  #untrusted = false;
  #failures = 0;
  #again = 0;
  #waiting = new Set<() => void>();
  #uses = 0;
  /** Whether messages can be sent now. */
  ready = false;
  /** Whether the last attempt to connect failed. */
  down = false;
  /** Whether there was no attempt to connect yet. */
  fresh = true;
  /** The number of messages that have not ended. */
  outstanding = 0;

  constructor(addr: string, config: LinkConfig) {
    this.addr = addr;
    this.#config = config;
  }

  /** The health: 0 is healthy, 1 is reconnecting, 2 is down. */
  get health(): number {
    if (this.ready) {
      return 0;
    }
    return this.down ? 2 : this.fresh ? 0 : 1;
  }

  /**
   * Returns the error that says why no message can be sent to the process. `who` names the
   * instance.
   */
  unreachable(who: string): RPCError {
    const kind = this.#untrusted ? "Untrusted" : "Unreachable";
    const why = this.down
      ? `${who} cannot be connected to: ${this.#why}`
      : `${who} could not be connected to in time; its process may be hung, or the network may not reach it`;
    return new RPCError(kind, why, { safeToRetry: true });
  }

  /** Waits up to `milliseconds` for the connection, and returns whether it is ready. */
  async connect(milliseconds: number): Promise<boolean> {
    if (this.ready) {
      return true;
    }
    if (this.#session === undefined) {
      if (performance.now() < this.#again) {
        return false;
      }
      this.#open();
    }
    if (!this.ready && this.#session !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, milliseconds);
        const waiting = this.#waiting;
        function done() {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        }
        waiting.add(done);
      });
    }
    return this.ready;
  }

  #open(): void {
    let session: ClientHttp2Session | undefined;
    const events = {
      ready: () => {
        if (session === this.#session) {
          this.ready = true;
          this.#failures = 0;
          this.#untrusted = false;
          this.#moved(false);
          this.#hold();
        }
      },
      ended: (why: Error | undefined) => {
        if (session === this.#session) {
          this.#ended(why);
        }
      },
    };
    try {
      session = openSession(this.addr, this.#config.trust, events);
    } catch (e) {
      this.#ended(e as Error);
      return;
    }
    this.#session = session;
  }

  #ended(why: Error | undefined): void {
    const failed = !this.ready;
    this.ready = false;
    this.#session = undefined;
    if (failed) {
      this.#why =
        why === undefined
          ? "it closed the connection before it spoke HTTP/2; if it requires TLS, give ca in the transport URL"
          : reasonOf(why);
      this.#untrusted = /CERT|SELF_SIGNED|UNABLE_TO|_TLS_|_SSL_/.test(
        String((why as NodeJS.ErrnoException)?.code),
      );
      const pause = Math.min(MIN_BACKOFF * 2 ** this.#failures++, MAX_BACKOFF);
      this.#again = performance.now() + pause;
    }
    this.#moved(failed);
  }

  #moved(down: boolean): void {
    this.down = down;
    this.fresh = false;
    for (const done of [...this.#waiting]) {
      done();
    }
    this.#config.changed();
  }

  /**
   * Keeps the process running while messages are outstanding, and allows it to end when there are
   * none.
   */
  #hold(): void {
    if (this.#session && !this.#session.destroyed && this.ready) {
      this.outstanding > 0 ? this.#session.ref() : this.#session.unref();
    }
  }

  /** Sends a unary RPC. It throws only RPCErrors. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    settings: CallSettings,
  ): Promise<MessageShape<O>> {
    const attempt = new Attempt(method.parent.typeName);
    this.began();
    try {
      const { signal, timeoutMs } = settings;
      attempt.deadline = performance.now() + timeoutMs;
      const transport = this.#transport(attempt);
      const response = await transport.unary(
        method,
        signal,
        ceil(timeoutMs),
        this.#header(settings),
        request,
      );
      return response.message;
    } catch (e) {
      throw attempt.error(e);
    } finally {
      this.ended();
    }
  }

  /**
   * Sends an RPC that streams its answer. It throws only RPCErrors. It counts as a message until
   * the reader reaches the end, or leaves.
   */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    request: MessageInitShape<I>,
    settings: StreamSettings,
  ): AsyncGenerator<MessageShape<O>, void> {
    return this.#stream(method, once(request), false, settings);
  }

  /**
   * Sends an RPC that also streams its request. Its messages are sent one by one, with flow
   * control.
   */
  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    settings: StreamSettings,
  ): AsyncGenerator<MessageShape<O>, void> {
    return this.#stream(method, requests, true, settings);
  }

  async *#stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    duplex: boolean,
    settings: StreamSettings,
  ): AsyncGenerator<MessageShape<O>, void> {
    const attempt = new Attempt(method.parent.typeName, duplex);
    let items: AsyncIterator<MessageShape<O>> | undefined;
    const over = new AbortController();
    const abort = () => over.abort(settings.signal?.reason);
    settings.signal?.addEventListener("abort", abort);
    if (settings.signal?.aborted) {
      abort();
    }
    if (!settings.background) {
      this.began();
    }
    try {
      const transport = this.#transport(attempt);
      const timeoutMs = settings.timeoutMs === undefined ? undefined : ceil(settings.timeoutMs);
      attempt.deadline = performance.now() + (settings.timeoutMs ?? Number.POSITIVE_INFINITY);
      const header = this.#header(settings);
      const response = await transport.stream(method, over.signal, timeoutMs, header, requests);
      items = response.message[Symbol.asyncIterator]();
      for (let item = await items.next(); !item.done; item = await items.next()) {
        attempt.replied = true;
        yield item.value;
      }
      items = undefined;
    } catch (e) {
      throw attempt.error(e);
    } finally {
      settings.signal?.removeEventListener("abort", abort);
      // If the reader left, cancel the RPC. Its end stops the timer of the deadline, which would
      // keep the process running.
      over.abort();
      items?.next().catch(() => {});
      if (!settings.background) {
        this.ended();
      }
    }
  }

  #transport(attempt: Attempt): Transport {
    const session = this.#session;
    return createTransport({
      baseUrl: "http://localhost",
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [compressionGzip],
      sendCompression: null,
      compressMinBytes: 1024,
      readMaxBytes: this.#config.maxSize + SLACK,
      writeMaxBytes: 0xffffffff,
      httpClient: async (request) => {
        if (session === undefined || !this.ready) {
          throw new Error("the connection is gone");
        }
        return attempt.client(session)(request);
      },
    });
  }

  #header(settings: { header?: Headers | undefined }): Headers {
    const header = new Headers(settings.header);
    header.set("user-agent", this.#config.caller);
    return header;
  }

  /** Counts a message that is being sent. */
  began(): void {
    this.outstanding++;
    this.#hold();
  }

  /** Counts a message that has ended. */
  ended(): void {
    this.outstanding--;
    this.#hold();
  }

  /** Counts an entry that uses the link. */
  use(): void {
    this.#uses++;
  }

  /** Whether any entry uses the link. */
  get used(): boolean {
    return this.#uses > 0;
  }

  /** Counts one entry less. The last one closes the link. */
  release(): void {
    if (--this.#uses <= 0) {
      this.close();
    }
  }

  /** Opens a new connection for the next message. Messages on the old connection continue. */
  renew(): void {
    const session = this.#session;
    this.#session = undefined;
    this.ready = false;
    this.down = false;
    this.fresh = true;
    session?.close();
  }

  /** Closes the connection after the messages on it have ended. */
  close(): void {
    this.renew();
    this.down = true;
  }
}

/** Rounds a timeout for libraries, which need whole milliseconds with at most eight digits. */
function ceil(milliseconds: number): number | undefined {
  return milliseconds < 99_999_999 ? Math.max(Math.ceil(milliseconds), 1) : undefined;
}

async function* once<T>(item: T): AsyncGenerator<T> {
  yield item;
}

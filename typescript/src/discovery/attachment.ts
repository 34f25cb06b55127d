/**
 * A stream to one gateway, and the connection that it carries. In that connection, the gateway is
 * the client and the process is the server. docs/protocol.md has the frames.
 */

import { Duplex } from "node:stream";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import type { Link } from "../client/link.js";
import { RPCError } from "../errors.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import {
  type AttachRequestSchema,
  type AttachResponse,
  GatewayService,
  type InstanceSchema,
} from "../gen/oslorpc/v1/gateway_pb.js";
import { State } from "../gen/oslorpc/v1/introspection_pb.js";
import { decodeStatus } from "../status.js";
import { formatVersion } from "../versions.js";
import { DRAINING, HELD, type Instance } from "./instance.js";

/** The maximum size of a frame. Together with gRPC's prefix, a frame fits into one HTTP/2 frame. */
const FRAME = (16 << 10) - 64;

type Request = MessageInitShape<typeof AttachRequestSchema>;

/** A queue of frames to send. After close, the queued frames are still sent. */
class Outbox {
  readonly #frames: { frame: Request; sent: () => void }[] = [];
  #closed = false;
  #wake: () => void = () => {};

  /** Adds a frame. `sent` is called when the next frame may be added. */
  add(frame: Request, sent: () => void = () => {}): void {
    this.#frames.push({ frame, sent });
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async *frames(): AsyncGenerator<Request> {
    while (true) {
      const next = this.#frames.shift();
      if (next !== undefined) {
        yield next.frame;
        next.sent();
      } else if (this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** The connection that a stream carries. */
class Tunnel extends Duplex {
  readonly #outbox: Outbox;
  readonly #abort: () => void;
  #room: () => void = () => {};

  constructor(outbox: Outbox, abort: () => void) {
    super({ allowHalfOpen: false });
    this.#outbox = outbox;
    this.#abort = abort;
    this.on("error", () => {}); // its user handles the event "close"
  }

  /** Passes on received bytes, and waits until there is room for more. */
  async arrived(bytes: Uint8Array): Promise<void> {
    if (!this.destroyed && !this.push(bytes)) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
  }

  override _read(): void {
    this.#room();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    for (let at = 0; at < chunk.length; at += FRAME) {
      const value = chunk.subarray(at, at + FRAME);
      this.#outbox.add({ frame: { case: "data", value } }, at + FRAME < chunk.length ? undefined : done);
    }
  }

  override _final(done: () => void): void {
    this.#outbox.close();
    done();
  }

  override _destroy(e: Error | null, done: (e?: Error | null) => void): void {
    this.#room();
    if (e === null) {
      this.#outbox.close(); // frames that were written earlier are still sent
    } else {
      this.#abort();
    }
    done(e);
  }
}

/** An attachment to one gateway. */
export class Attachment {
  readonly addr: string;
  /** Fulfilled when the attachment has ended. */
  readonly over: Promise<void>;
  readonly #link: Link;
  readonly #changed: () => void;
  readonly #outbox = new Outbox();
  readonly #controller = new AbortController();
  readonly #tunnel: Tunnel;
  /**
   * Publications that wait for an answer. The function gets its status, or undefined if no answer
   * will come.
   */
  readonly #waiting: ((status: Uint8Array | undefined) => void)[] = [];
  /** Whether the gateway will stop soon. */
  closing = false;
  /** Whether it has ended. */
  gone = false;
  /** Why it ended; undefined if one end closed it regularly. */
  error: RPCError | undefined;

  private constructor(addr: string, link: Link, changed: () => void) {
    this.addr = addr;
    this.#link = link;
    this.#changed = changed;
    this.#tunnel = new Tunnel(this.#outbox, () => this.end());
    this.over = this.#receive();
  }

  /**
   * Opens an attachment within `within` milliseconds. `changed` is called when it has ended, or its
   * gateway will stop soon.
   */
  static async open(addr: string, link: Link, within: number, changed: () => void): Promise<Attachment> {
    if (!(await link.connect(within))) {
      const why = link.unreachable(`the gateway at ${addr}`);
      link.close();
      throw why;
    }
    return new Attachment(addr, link, changed);
  }

  /** The connection in which the gateway is the client. */
  get connection(): Duplex {
    return this.#tunnel;
  }

  /**
   * Sends the gateway the list of instances, and returns when it has accepted them. Throws an
   * RPCError if it does not within `within` milliseconds.
   */
  async publish(instances: readonly Instance[], within: number): Promise<void> {
    const value = { instances: instances.map(encode) };
    const status = await new Promise<Uint8Array | undefined | "late">((resolve) => {
      const timer = setTimeout(() => resolve("late"), this.gone ? 0 : within);
      this.#waiting.push((status) => {
        clearTimeout(timer);
        resolve(status);
      });
      this.#outbox.add({ frame: { case: "publish", value } });
    });
    if (status === "late" && !this.gone) {
      throw this.#refused(new RPCError("Timeout", "it does not answer in time"));
    }
    if (status === "late" || status === undefined) {
      throw this.#refused(this.error ?? new RPCError("Unreachable", "it ended the attachment"));
    }
    if (status.length > 0) {
      throw this.#refused(decode(status));
    }
  }

  /** Ends the attachment at once. */
  end(): void {
    this.#controller.abort();
  }

  async #receive(): Promise<void> {
    const settings = { signal: this.#controller.signal };
    try {
      const frames = this.#outbox.frames();
      for await (const response of this.#link.duplex(GatewayService.method.attach, frames, settings)) {
        await this.#take(response);
      }
      this.#tunnel.push(null);
    } catch (e) {
      this.error = e as RPCError;
      this.#tunnel.destroy(this.error);
    }
    this.gone = true;
    this.#outbox.close();
    this.#link.close();
    for (const answered of this.#waiting) {
      answered(undefined);
    }
    this.#changed();
  }

  async #take({ frame }: AttachResponse): Promise<void> {
    switch (frame.case) {
      case "data":
        await this.#tunnel.arrived(frame.value);
        break;
      case "published":
        this.#waiting.shift()?.(frame.value.status);
        break;
      case "closing":
        this.closing = true;
        this.#changed();
        break;
    }
  }

  /** Returns the error for a gateway that does not accept the servers. */
  #refused(e: RPCError): RPCError {
    const foreign = e.reason === "foreign" || e.kind === "NoSuchMethod";
    const text = foreign
      ? "it accepts no attached servers, or is no gateway: start it with --attach"
      : e.detail;
    const kind = foreign ? "Refused" : e.kind === "OutcomeUnknown" ? "Unreachable" : e.kind;
    return new RPCError(kind, `the gateway at ${this.addr}: ${text}`, {
      safeToRetry: true,
      reason: e.reason,
      cause: e,
    });
  }
}

const states = new Map([
  [HELD, State.HELD],
  [DRAINING, State.DRAINING],
]);

function encode(i: Instance): MessageInitShape<typeof InstanceSchema> {
  return {
    id: i.id,
    bootId: i.bootId,
    exchange: i.exchange,
    topic: i.topic,
    server: i.server,
    state: states.get(i.state) ?? State.ACTIVE,
    implemented: i.implemented.map(({ namespace, version }) => ({
      ...(namespace ? { namespace } : {}),
      version: formatVersion(version),
    })),
    zone: i.zone,
  };
}

/** Decodes the error in a gateway's answer. */
function decode(bytes: Uint8Array): RPCError {
  try {
    const { code, message } = fromBinary(StatusSchema, bytes);
    if (code !== 0) {
      const seen = { sent: false, headers: false, replied: false };
      return decodeStatus({ code, text: message, details: bytes }, seen);
    }
  } catch {
    // The bytes are not a status: see below.
  }
  return new RPCError(
    "Unreachable",
    "it sent a malformed answer; check that the address is a gateway's, and upgrade the gateway if it is older",
  );
}

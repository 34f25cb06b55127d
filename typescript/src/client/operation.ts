/** A checked and encoded message, and the RPCs that send it to an instance. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { toDuration } from "../duration.js";
import { RPCError } from "../errors.js";
import { MessageSchema, RPCService } from "../gen/oslorpc/v1/rpc_pb.js";
import { readPayload } from "../payload.js";
import type { Message } from "./message.js";
import type { Entry, Topic } from "./topic.js";

/** A message that can be sent to any instance. */
export interface Operation {
  readonly message: Message;
  readonly topic: Topic;
  /** The part that is the same for all instances. */
  readonly content: MessageInitShape<typeof MessageSchema>;
  /** How long a server may be silent, in milliseconds; undefined without heartbeats. */
  readonly silence: number | undefined;
  /** How long ago the server missed a message, in milliseconds; undefined if it did not. */
  readonly missed?: number;
}

function settings(op: Operation): { timeoutMs: number; signal: AbortSignal | undefined } {
  return { timeoutMs: op.message.deadline - performance.now(), signal: op.message.signal };
}

function request(op: Operation, { instance }: Entry): { message: MessageInitShape<typeof MessageSchema> } {
  const message = create(MessageSchema, { ...op.content, instanceId: instance.id });
  if (op.missed !== undefined) {
    message.missed = toDuration(op.missed);
  }
  if (message.target && !instance.id && instance.server) {
    message.target.server = instance.server; // the name distinguishes servers at one static address
  }
  return { message };
}

/** Sends a call. */
export async function sendCall(op: Operation, e: Entry): Promise<unknown> {
  const response = await e.link.unary(RPCService.method.call, request(op, e), settings(op));
  return readPayload(response.result, "BadResult", null);
}

/** Sends a cast. */
export async function sendCast(op: Operation, e: Entry): Promise<void> {
  await e.link.unary(RPCService.method.cast, request(op, e), settings(op));
}

/** Sends a call with heartbeats. */
export async function sendMonitored(op: Operation, e: Entry, silence: number): Promise<unknown> {
  const dog = new Watchdog(op.message.signal);
  const interval = toDuration(Math.max(Math.floor(silence / 2), 10));
  const { timeoutMs } = settings(op);
  try {
    dog.expect(silence);
    const stream = e.link.stream(
      RPCService.method.monitoredCall,
      { ...request(op, e), heartbeatInterval: interval },
      { timeoutMs, signal: dog.signal },
    );
    for await (const { kind } of stream) {
      if (kind.case === "response") {
        return readPayload(kind.value.result, "BadResult", null);
      }
      dog.expect(silence);
    }
  } catch (error) {
    throw dog.barked
      ? new RPCError(
          "MonitorTimeout",
          `neither a heartbeat nor the reply came for ${silence} ms; the method may have run`,
        )
      : error;
  } finally {
    dog.end();
  }
  throw new RPCError("OutcomeUnknown", "the server ended the call without a reply");
}

/** The results of a multicall, as they arrive. */
export interface Items {
  next(): Promise<IteratorResult<unknown, void>>;
  /** Stops early. This cancels the method. */
  end(): Promise<void>;
}

/**
 * Begins a multicall. It returns when the server has sent an item or ended the stream: either shows
 * that it accepted the message. `patience` is the timeout of each later item, in milliseconds.
 */
export async function openItems(op: Operation, e: Entry, patience: number): Promise<Items> {
  const dog = new Watchdog(op.message.signal);
  const stream = e.link.stream(RPCService.method.multicall, request(op, e), { signal: dog.signal });
  const fetch = async (within: number): Promise<IteratorResult<unknown, void>> => {
    dog.expect(within);
    try {
      const next = await stream.next();
      dog.rest();
      return next.done ? next : { done: false, value: readPayload(next.value.item, "BadResult", null) };
    } catch (error) {
      dog.end();
      throw dog.barked
        ? new RPCError("Timeout", "the next item did not come in time; the method may have run")
        : error;
    }
  };
  let first: IteratorResult<unknown, void> | undefined = await fetch(settings(op).timeoutMs);
  return {
    async next() {
      const item = first ?? (await fetch(patience));
      first = undefined;
      return item;
    },
    async end() {
      dog.cancel();
      await stream.return();
    },
  };
}

/** Cancels an RPC if an expected event does not come in time, or when another signal is aborted. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #forward = () => this.#controller.abort(this.#outer?.reason);
  #timer: NodeJS.Timeout | undefined;
  barked = false;

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    outer?.addEventListener("abort", this.#forward, { once: true });
    if (outer?.aborted) {
      this.#forward();
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Expects an event within `milliseconds`. This replaces the previous expectation. */
  expect(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.barked = true;
      this.#controller.abort();
    }, milliseconds);
  }

  /** Expects no event for now. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  /** Cancels the RPC. */
  cancel(): void {
    this.end();
    this.#controller.abort();
  }

  /** Expects no further event. */
  end(): void {
    this.rest();
    this.#outer?.removeEventListener("abort", this.#forward);
  }
}

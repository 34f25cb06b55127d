/** The protocol's services: they convert requests to messages, and outcomes to answers. */

import { create, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  encodeBinaryHeader,
  type HandlerContext,
} from "@connectrpc/connect";
import { milliseconds } from "../duration.js";
import { RPCError, textOf } from "../errors.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import { ErrorDetailSchema } from "../gen/oslorpc/v1/errors_pb.js";
import { IntrospectionService } from "../gen/oslorpc/v1/introspection_pb.js";
import type { Payload } from "../gen/oslorpc/v1/payload_pb.js";
import {
  type CallRequest,
  type CallResponse,
  CallResponseSchema,
  type CastRequest,
  type CastResponse,
  CastResponseSchema,
  type Message,
  type MonitoredCallRequest,
  type MonitoredCallResponse,
  MonitoredCallResponseSchema,
  type MulticallRequest,
  type MulticallResponse,
  MulticallResponseSchema,
  RPCService,
  type SessionResponse,
} from "../gen/oslorpc/v1/rpc_pb.js";
import { writeResult } from "../payload.js";
import { encodeError } from "../status.js";
import { exchangeKey } from "./adapter.js";
import type { Accepted } from "./dispatcher.js";
import {
  checkHeaders,
  checkMessage,
  checkPing,
  contentOf,
  findServer,
  receive,
  type Served,
} from "./intake.js";
import { describeProcess } from "./introspect.js";

const HEARTBEAT = 1000;
const MIN_HEARTBEAT = 10;

/** The part of a process that services use. */
export interface Process {
  readonly bootId: string;
  readonly exchange: string;
  /** The zone where it runs; empty if unknown. */
  readonly zone: string;
  readonly maxSize: number;
  readonly servers: readonly Served[];
  /** When the transport was opened, as performance.now() counts. */
  readonly began: number;
  /** When the last message arrived or ended, as performance.now() counts. */
  last: number;
}

/** Adds the protocol's services to a router. */
export function routeContract(router: ConnectRouter, process: Process): void {
  router.service(RPCService, new Contract(process));
  router.service(IntrospectionService, {
    ping(request) {
      try {
        checkPing(process.servers, request.instanceId, process.bootId);
      } catch (e) {
        throw statusOf(e);
      }
      return {};
    },
    getInfo: (request) => describeProcess(process, request),
  });
}

class Contract {
  readonly #process: Process;

  constructor(process: Process) {
    this.#process = process;
  }

  async call(request: CallRequest, context: HandlerContext): Promise<CallResponse> {
    return this.#taken(request.message, context, false, async (taken) => {
      return create(CallResponseSchema, { result: await this.#last(taken) });
    });
  }

  async cast(request: CastRequest, context: HandlerContext): Promise<CastResponse> {
    return this.#taken(request.message, context, true, async ({ accepted, served, message }) => {
      if (accepted !== undefined) {
        void served.dispatcher.cast(accepted, () => contentOf(message));
      }
      return create(CastResponseSchema);
    });
  }

  async *multicall(request: MulticallRequest, context: HandlerContext): AsyncGenerator<MulticallResponse> {
    const taken = await this.#taken(request.message, context, false, async (taken) => taken);
    begin(context);
    try {
      for await (const item of this.#items(taken)) {
        yield create(MulticallResponseSchema, { item });
      }
    } catch (e) {
      throw this.#status(e, taken);
    } finally {
      this.#process.last = performance.now();
    }
  }

  async *monitoredCall(
    request: MonitoredCallRequest,
    context: HandlerContext,
  ): AsyncGenerator<MonitoredCallResponse> {
    const taken = await this.#taken(request.message, context, false, async (taken) => taken);
    begin(context);
    const given = request.heartbeatInterval;
    const interval = given ? Math.max(milliseconds(given), MIN_HEARTBEAT) : HEARTBEAT;
    const result = this.#last(taken);
    try {
      while (!(await within(result, interval))) {
        yield create(MonitoredCallResponseSchema, { kind: { case: "heartbeat", value: {} } });
      }
      const value = create(CallResponseSchema, { result: await result });
      yield create(MonitoredCallResponseSchema, { kind: { case: "response", value } });
    } catch (e) {
      throw this.#status(e, taken);
    } finally {
      taken.accepted?.message.cancel();
      this.#process.last = performance.now();
    }
  }

  /** Refuses sessions, so that clients send each message with its own RPC. */
  // biome-ignore lint/correctness/useYield: the stream ends with an error and has no items
  async *session(): AsyncGenerator<SessionResponse> {
    throw statusOf(
      new RPCError("NoSuchMethod", "this server does not serve sessions", { safeToRetry: true }),
    );
  }

  /** Accepts and runs a message. An error becomes the status of the RPC. */
  async #taken<R>(
    request: Message | undefined,
    context: HandlerContext,
    cast: boolean,
    work: (taken: Taken) => Promise<R>,
  ): Promise<R> {
    this.#process.last = performance.now();
    let about: Partial<Taken> = request ? { message: request } : {};
    try {
      const { message, version } = checkMessage(request);
      checkHeaders(message, context.requestHeader);
      const { servers, exchange, bootId, maxSize } = this.#process;
      const served = findServer(servers, message, exchange, bootId);
      about = { message, served };
      const arrival = { caller: callerOf(context), timeoutMs: context.timeoutMs(), cast, most: maxSize };
      const incoming = receive(message, served.instance.server, arrival);
      if (message.missed !== undefined) {
        served.reports?.tell(milliseconds(message.missed));
      }
      const accepted = this.#accept(served, incoming, version, cast);
      if (!cast) {
        context.values.get(exchangeKey).signal.addEventListener("abort", () => incoming.cancel());
      }
      return await work({ message, served, accepted });
    } catch (e) {
      throw this.#status(e, about);
    } finally {
      this.#process.last = performance.now();
    }
  }

  /**
   * Accepts a message. It returns undefined for a repeated cast: its sender is told that it was
   * accepted, but it does not run again.
   */
  #accept(
    served: Served,
    incoming: Parameters<Served["dispatcher"]["accept"]>[0],
    version: Parameters<Served["dispatcher"]["accept"]>[1],
    cast: boolean,
  ): Accepted | undefined {
    try {
      return served.dispatcher.accept(incoming, version);
    } catch (e) {
      if (cast && e instanceof RPCError && e.kind === "OutcomeUnknown") {
        return undefined;
      }
      throw e;
    }
  }

  async *#items({ accepted, served, message }: Taken): AsyncGenerator<Payload> {
    if (accepted !== undefined) {
      for await (const item of served.dispatcher.run(accepted, () => contentOf(message))) {
        yield writeResult(item, asValue(message), this.#process.maxSize);
      }
    }
  }

  /** Runs a message, and returns its last item, or null if there is none. */
  async #last(taken: Taken): Promise<Payload> {
    let last = writeResult(null, asValue(taken.message), this.#process.maxSize);
    for await (const item of this.#items(taken)) {
      last = item;
    }
    return last;
  }

  #status(e: unknown, { message, served }: Partial<Taken>): ConnectError {
    if (e instanceof RPCError) {
      e.method = message?.method ?? "";
      e.server = served?.instance.server ?? "";
      e.instanceId = served?.instance.id ?? "";
    }
    return statusOf(e, served);
  }
}

/** An accepted message. */
interface Taken {
  readonly message: Message;
  readonly served: Served;
  readonly accepted: Accepted | undefined;
}

/** Tells the caller of a stream that its message was accepted, before anything else. */
export function begin(context: HandlerContext): void {
  context.responseHeader.set("oslorpc-taken", "1");
  context.values.get(exchangeKey).begin(context.responseHeader);
}

function asValue(m: Message): boolean {
  return m.kwargs?.encoding.case !== "json";
}

/** Returns the name that a caller gives itself. */
export function callerOf(context: HandlerContext): string {
  return (context.requestHeader.get("user-agent") ?? "").split(" grpc-", 1)[0] ?? "";
}

/** Waits up to `wait` milliseconds for a promise, and returns whether it was settled. */
async function within(work: Promise<unknown>, wait: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), wait);
  });
  try {
    return await Promise.race([work.then(ended, ended), late]);
  } finally {
    clearTimeout(timer);
  }
}

function ended(): boolean {
  return true;
}

/** Returns an error as the status of an RPC, with its detail. */
export function statusOf(e: unknown, served?: Served): ConnectError {
  if (e instanceof ConnectError) {
    return e;
  }
  const error =
    e instanceof RPCError ? e : new RPCError("OutcomeUnknown", `the server has a defect: ${textOf(e)}`);
  const implemented = error.kind === "UnsupportedVersion" ? served?.dispatcher.table.implemented : [];
  const { code, text, detail } = encodeError(error, implemented);
  return new ConnectError(text, code, undefined, [{ desc: ErrorDetailSchema, value: detail }]);
}

/** Returns the headers of a status for an RPC that this program does not know. */
export function unknownMethod(path: string): Headers {
  const method = path.slice(path.lastIndexOf("/") + 1);
  const error = new RPCError("NoSuchMethod", `this program does not know the method ${path}`, {
    method,
    safeToRetry: true,
  });
  const { code, text, detail } = encodeError(error);
  const value = toBinary(ErrorDetailSchema, detail);
  const status = create(StatusSchema, {
    code,
    message: text,
    details: [{ typeUrl: `type.googleapis.com/${ErrorDetailSchema.typeName}`, value }],
  });
  return new Headers({
    "content-type": "application/grpc",
    "grpc-status": String(Code.Unimplemented),
    "grpc-message": encodeURIComponent(text),
    "grpc-status-details-bin": encodeBinaryHeader(status, StatusSchema),
  });
}

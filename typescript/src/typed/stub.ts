/** Stubs of typed services: Connect's clients on our transport. */

import {
  create,
  createRegistry,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
  type Message as ProtoMessage,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import type { CallOptions, ContextValues, StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { invalid, RPCError } from "../errors.js";
import type { Version } from "../versions.js";
import { fit as fitTo } from "./fit.js";
import { Needs } from "./need.js";
import { readMethod, readService, type TypedMethod, type TypedService } from "./service.js";

/** A typed message, and the versions at which it can be sent. */
export interface TypedRequest {
  readonly method: string;
  readonly delivery: TypedMethod["delivery"];
  readonly service: TypedService;
  /** The versions at which it can be sent, the latest first. */
  readonly versions: readonly Version[];
  /** Returns the message for a server at one of the versions. */
  at(version: Version): ProtoMessage;
  readonly size: number;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

/** Sends typed messages. */
export interface TypedSender {
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: TypedRequest,
  ): Promise<MessageShape<O>>;
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    request: TypedRequest,
  ): AsyncGenerator<MessageShape<O>, void>;
}

type Reader = (
  input: MessageInitShape<DescMessage>,
  options?: Pick<CallOptions, "signal" | "timeoutMs">,
) => AsyncGenerator<unknown, void>;

/** Sends the RPCs of one typed service as messages. */
export class TypedTransport {
  readonly #sender: TypedSender;
  readonly #service: TypedService;
  readonly #registry: Registry;

  constructor(sender: TypedSender, service: DescService) {
    this.#sender = sender;
    this.#service = readService(service);
    this.#registry = createRegistry(...filesOf(service.file));
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    _header: Headers | undefined,
    input: MessageInitShape<I>,
    _values?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const message = await this.#sender.unary(method, this.#request(method, input, signal, timeoutMs));
    const { parent } = method;
    return { stream: false, service: parent, method, header: new Headers(), trailer: new Headers(), message };
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    _header: Headers | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    _values?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    if (method.methodKind !== "server_streaming") {
      throw invalid(`${method.parent.typeName}.${method.name}: this package does not send streams`);
    }
    const first = await input[Symbol.asyncIterator]().next();
    if (first.done) {
      throw new RPCError("BadArguments", "the request is missing", { safeToRetry: true });
    }
    const message = this.#sender.stream(method, this.#request(method, first.value, signal, timeoutMs));
    const { parent } = method;
    return { stream: true, service: parent, method, header: new Headers(), trailer: new Headers(), message };
  }

  /**
   * Returns functions for the methods that stream their answers. They replace the functions of
   * Connect's clients: with them, leaving the loop would not cancel the method.
   */
  readers(service: DescService): Record<string, Reader> {
    const streaming = service.methods.filter((m) => m.methodKind === "server_streaming");
    return Object.fromEntries(
      streaming.map((m) => [m.localName, this.#reader(m as DescMethodServerStreaming)]),
    );
  }

  #reader(method: DescMethodServerStreaming): Reader {
    return (input, { signal, timeoutMs } = {}) => {
      return this.#sender.stream(method, this.#request(method, input, signal, timeoutMs));
    };
  }

  #request(
    method: DescMethod,
    input: MessageInitShape<DescMessage>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): TypedRequest {
    const message = create(method.input, input);
    const { since, delivery, service } = this.#method(method);
    const needs = new Needs(since, this.#registry);
    return {
      method: method.name,
      delivery,
      service,
      versions: needs.steps(method.input, message),
      at: (version) => fitTo(needs, method.input, message, version),
      size: toBinary(method.input, message).length,
      signal,
      timeoutMs,
    };
  }

  #method(method: DescMethod): TypedMethod {
    return readMethod(method, this.#service);
  }
}

/** Returns a file and all its dependencies. */
function filesOf(file: DescFile, found = new Set<DescFile>()): DescFile[] {
  if (!found.has(file)) {
    found.add(file);
    for (const dependency of file.dependencies) {
      filesOf(dependency, found);
    }
  }
  return [...found];
}

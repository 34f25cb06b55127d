/** Typed services of servers: a program's own protobuf services, and their methods. */

import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { getOption } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import { method as methodOption } from "../gen/oslorpc/v1/options_pb.js";
import type { RequestContext } from "../server/context.js";
import type { Interface } from "../server/endpoint.js";
import { Method } from "../server/method.js";
import { formatVersion, parseVersion, serves, type Version } from "../versions.js";
import { readMethod, readService, type TypedMethod } from "./service.js";

type Later<T> = T | Promise<T>;

/** The function that implements a method of a typed service. */
export type TypedFunction<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: RequestContext) => Later<MessageInitShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: RequestContext) => AsyncIterable<MessageInitShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageShape<I>>, context: RequestContext) => Later<MessageInitShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageShape<I>>,
              context: RequestContext,
            ) => AsyncIterable<MessageInitShape<O>>
          : never;

/** The functions for all methods of a typed service, by their names in TypeScript. */
export type TypedFunctions<S extends DescService> = {
  [name in keyof S["method"]]: TypedFunction<S["method"][name]>;
};

/** A typed service that a server offers, among its endpoints. */
export class Offer {
  readonly service: DescService;
  readonly methods: ReadonlyMap<string, TypedMethod>;
  /** The first version of the service's major version. Messages without a version ask for it. */
  readonly oldest: Version;
  readonly #version: Version;
  readonly #functions: Readonly<Record<string, unknown>>;

  /** Use service(). */
  constructor(of: DescService, functions: object, version: string | undefined) {
    const rules = readService(of);
    this.service = of;
    this.#version = version === undefined ? rules.version : earlier(of, rules.version, version);
    this.#functions = functions as Record<string, unknown>;
    this.oldest = { major: this.#version.major, minor: 0, revision: 0 };
    this.methods = new Map(of.methods.map((m) => [m.name, readMethod(m, rules)]));
    for (const m of of.methods) {
      if (typeof this.#functions[m.localName] !== "function") {
        throw invalid(`service ${of.typeName}: the implementation has no function ${m.localName}`);
      }
    }
  }

  /** Returns the interface that a server implements: the methods that exist at its version. */
  interface(): Interface {
    const methods = new Map<string, Method>();
    for (const m of this.service.methods) {
      const since = this.methods.get(m.name)?.since;
      if (since !== undefined && serves(this.#version, since)) {
        methods.set(m.name, this.#method(m, since));
      }
    }
    const { namespace } = readService(this.service);
    return { namespaces: [namespace], version: this.#version, methods, offer: this };
  }

  #method(m: DescMethod, since: Version): Method {
    const run = this.#functions[m.localName] as (request: unknown, context: RequestContext) => unknown;
    const { deprecatedSince } = getOption(m, methodOption);
    const description = {
      since: since.minor === 0 && since.revision === 0 ? "" : formatVersion(since),
      deprecatedSince,
      // A status that a method throws is an expected error.
      expected: [ConnectError],
    };
    const streaming = m.methodKind === "server_streaming" || m.methodKind === "bidi_streaming";
    const call = (context: RequestContext, { content }: { content: unknown }) =>
      run.call(this.#functions, content, context);
    return new Method(description, call, streaming);
  }
}

function earlier(of: DescService, latest: Version, text: string): Version {
  let version: Version;
  try {
    version = parseVersion(text);
  } catch (e) {
    throw invalid(`service ${of.typeName}: ${(e as Error).message}`);
  }
  if (!serves(latest, version)) {
    const own = formatVersion(latest);
    throw invalid(
      `service ${of.typeName}: its options say version ${own}, so it cannot be offered at ${text}`,
    );
  }
  return version;
}

/** Settings of a typed service at a server. */
export interface ServiceOptions {
  /**
   * An earlier version than the options of the service say, with the same major version. Use it
   * when a server runs new code before the fleet may use the new version. Methods that appeared
   * later are not offered.
   */
  version?: string;
}

/**
 * Returns a typed service for Transport.server(), among the endpoints. The functions have the names
 * of the methods in TypeScript.
 */
export function service<S extends DescService>(
  of: S,
  functions: TypedFunctions<S>,
  options: ServiceOptions = {},
): Offer {
  return new Offer(of, functions, options.version);
}

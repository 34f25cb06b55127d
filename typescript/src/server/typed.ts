/**
 * Messages of typed services at a server. What other messages have as fields of the request, these
 * have as headers.
 */

import { create, type DescMessage, type DescMethod, type DescService, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { RemoteError, RPCError, refused } from "../errors.js";
import { ErrorDetailSchema } from "../gen/oslorpc/v1/errors_pb.js";
import { readText } from "../json.js";
import type { Offer } from "../typed/offer.js";
import { formatVersion, parseVersion, type Version } from "../versions.js";
import { exchangeKey } from "./adapter.js";
import { Incoming } from "./context.js";
import type { Accepted } from "./dispatcher.js";
import { absent, invalidTarget, readHeader, type Served } from "./intake.js";
import { begin, callerOf, type Process, statusOf } from "./service.js";

const names = ["exchange", "topic", "server", "instance", "id", "order-key", "version", "missed"] as const;
const CONTEXT = "oslorpc-context-bin";
const UNITS = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 } as const;
const DURATION = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/;

/** The headers of a typed message. */
type Said = Partial<Record<(typeof names)[number], string>>;

/** An accepted message. */
interface Taken {
  readonly served: Served;
  readonly accepted: Accepted;
  readonly context: Readonly<Record<string, unknown>>;
}

/**
 * Adds a typed service to a router. For each message, it looks up whether a server offers the
 * service.
 */
export function routeTyped(router: ConnectRouter, service: DescService, process: Process): void {
  const methods = service.methods.map((m) => [m.localName, new Route(m, process).handler()]);
  router.service(service, Object.fromEntries(methods) as Partial<ServiceImpl<DescService>>);
}

/** One method of a typed service. */
class Route {
  readonly #method: DescMethod;
  readonly #process: Process;

  constructor(method: DescMethod, process: Process) {
    this.#method = method;
    this.#process = process;
  }

  handler(): unknown {
    const { methodKind } = this.#method;
    if (methodKind === "unary") {
      return (request: unknown, context: HandlerContext) => this.#unary(request, context);
    }
    const items = (request: unknown, context: HandlerContext) => this.#stream(request, context);
    return methodKind === "client_streaming"
      ? async (requests: unknown, context: HandlerContext) => {
          for await (const answer of items(requests, context)) {
            return answer;
          }
          throw statusOf(new RPCError("BadResult", "the method returned nothing"));
        }
      : items;
  }

  async #unary(request: unknown, context: HandlerContext): Promise<unknown> {
    const size = toBinary(this.#method.input, request as never).length;
    const about: { served?: Served } = {};
    try {
      const delivery = this.#find(context).offer.methods.get(this.#method.name)?.delivery;
      const cast = delivery !== undefined && delivery !== "call";
      const taken = this.#take(context, size, cast, about);
      if (cast) {
        if (taken !== undefined) {
          void taken.served.dispatcher.cast(taken.accepted, () => contentOf(taken, request));
        }
        return {};
      }
      for await (const answer of this.#items(taken as Taken, request)) {
        return answer;
      }
      throw new RPCError("BadResult", "the method returned nothing");
    } catch (e) {
      throw this.#status(e, about.served);
    } finally {
      this.#process.last = performance.now();
    }
  }

  async *#stream(requests: unknown, context: HandlerContext): AsyncGenerator<unknown, void> {
    const about: { served?: Served } = {};
    try {
      const taken = this.#take(context, 0, false, about) as Taken;
      begin(context);
      yield* this.#items(taken, requests);
    } catch (e) {
      throw this.#status(e, about.served);
    } finally {
      this.#process.last = performance.now();
    }
  }

  /** Runs a message, and yields the checked results of its method. */
  async *#items(taken: Taken, content: unknown): AsyncGenerator<unknown, void> {
    const { output } = this.#method;
    for await (const item of taken.served.dispatcher.run(taken.accepted, () => contentOf(taken, content))) {
      yield this.#sendable(output, item);
    }
  }

  #sendable(output: DescMessage, item: unknown): unknown {
    let message: unknown;
    let size: number;
    try {
      const made = create(output, (item ?? {}) as never);
      size = toBinary(output, made).length;
      message = made;
    } catch (e) {
      const why = `the method ran, and its result is not a ${output.typeName}: ${(e as Error).message}`;
      throw new RPCError("BadResult", why);
    }
    const most = this.#process.maxSize;
    if (size > most) {
      const why = `the method ran, and its result has ${size} bytes, and this server sends at most ${most}`;
      throw new RPCError("TooLarge", `${why}: return less at a time`);
    }
    return message;
  }

  /**
   * Accepts a message. It returns undefined for a repeated cast: its sender is told that it was
   * accepted, but it does not run again.
   */
  #take(context: HandlerContext, size: number, cast: boolean, about: { served?: Served }): Taken | undefined {
    this.#process.last = performance.now();
    const { served, offer, said } = this.#find(context);
    about.served = served;
    const version = said.version === undefined ? offer.oldest : versionOf(said.version);
    const values = contextOf(context.requestHeader);
    if (size > this.#process.maxSize) {
      const why = `the request has ${size} bytes, and this server accepts at most ${this.#process.maxSize}`;
      throw new RPCError("TooLarge", `${why}: send less at a time`, { safeToRetry: true });
    }
    if (said.missed !== undefined && said.id) {
      served.reports?.tell(millisecondsOf(said.missed));
    }
    const timeoutMs = context.timeoutMs();
    const incoming = new Incoming({
      method: this.#method.name,
      service: this.#method.parent.typeName,
      id: said.id ?? "",
      namespace: served.dispatcher.table.namespaceOf(offer.service.typeName),
      version: formatVersion(version),
      server: served.instance.server,
      caller: callerOf(context),
      orderKey: said["order-key"] ?? "",
      metadata: metadataOf(context.requestHeader),
      deadline: cast || timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
      size,
    });
    try {
      const accepted = served.dispatcher.accept(incoming, version);
      if (!cast) {
        context.values.get(exchangeKey).signal.addEventListener("abort", () => incoming.cancel());
      }
      return { served, accepted, context: values };
    } catch (e) {
      if (cast && e instanceof RPCError && e.kind === "OutcomeUnknown") {
        return undefined;
      }
      throw e;
    }
  }

  /** Returns the server that a message is for. Headers that the message lacks are not compared. */
  #find(context: HandlerContext): { served: Served; offer: Offer; said: Said } {
    const said = read(context.requestHeader);
    const { servers, bootId } = this.#process;
    const { typeName } = this.#method.parent;
    contradicted(servers, said);
    const meant = servers.filter(({ instance: i }) => {
      const claims = [
        [said.exchange, i.exchange],
        [said.topic, i.topic],
        [said.server, i.server],
        [said.instance, i.id],
      ];
      return claims.every(([claim, is]) => claim === undefined || claim === is);
    });
    const able = meant.filter((s) => s.dispatcher.table.offer(typeName) !== undefined);
    const served = able.find((s) => s.dispatcher.phase === "active") ?? able[0];
    const offer = served?.dispatcher.table.offer(typeName);
    if (served !== undefined && offer !== undefined) {
      return { served, offer, said };
    }
    if (meant.length > 0) {
      const why = `no server that matches the target offers the service ${typeName}`;
      throw new RPCError("NoSuchMethod", why, { safeToRetry: true });
    }
    const gone = absent(servers, said.instance ?? "", bootId);
    const why = `no server of this process that offers the service ${typeName} matches the target`;
    throw gone.reason === "stopping" ? gone : refused("misdirected", why);
  }

  /**
   * Returns an error as a status. A status that the method itself threw stays the same, and says
   * that the method ran.
   */
  #status(e: unknown, served: Served | undefined): ConnectError {
    if (e instanceof RPCError) {
      e.method = this.#method.name;
      e.server = served?.instance.server ?? "";
      e.instanceId = served?.instance.id ?? "";
    }
    const status = statusOf(e, served);
    const own = e instanceof RemoteError ? e.cause : undefined;
    if (own instanceof ConnectError && own.code !== undefined) {
      const others = own.details.filter(
        (d) => !("desc" in d) || d.desc.typeName !== ErrorDetailSchema.typeName,
      );
      const details = [...others, ...status.details].filter((d) => "desc" in d);
      return new ConnectError(own.rawMessage, own.code || Code.Unknown, own.metadata, details);
    }
    return status;
  }
}

function contentOf(
  { context }: Taken,
  content: unknown,
): { context: Taken["context"]; args: { content: unknown } } {
  return { context, args: { content } };
}

function read(headers: Headers): Said {
  const said: Said = {};
  for (const name of names) {
    const value = readHeader(headers, `oslorpc-${name}`);
    if (value !== undefined) {
      said[name] = value;
    }
  }
  if (said.missed !== undefined && !DURATION.test(said.missed)) {
    const shown = JSON.stringify(said.missed.slice(0, 64));
    throw invalidTarget(`the header oslorpc-missed: ${shown} is not a duration such as 1.5s`);
  }
  return said;
}

/** Parses a duration such as 1m1.5s, and returns milliseconds. */
function millisecondsOf(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  return parts.reduce((sum, [, n, unit]) => sum + Number(n) * UNITS[unit as keyof typeof UNITS], 0);
}

function versionOf(text: string): Version {
  try {
    return parseVersion(text);
  } catch (e) {
    throw invalidTarget(`the header oslorpc-version: ${(e as Error).message}`);
  }
}

function contextOf(headers: Headers): Record<string, unknown> {
  const text = headers.get(CONTEXT);
  if (text === null) {
    return {};
  }
  const value = readText(Buffer.from(text, "base64").toString(), "BadArguments");
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RPCError("BadArguments", "the request context must be a JSON object", { safeToRetry: true });
  }
  return value as Record<string, unknown>;
}

/** Returns the metadata that code around the method gets. */
function metadataOf(headers: Headers): Record<string, string> {
  const ours = /^(oslorpc-|grpc-|content-type$|user-agent$|te$|accept-encoding$)/;
  return Object.fromEntries([...headers].filter(([name]) => !ours.test(name)));
}

/**
 * Refuses a message that names an instance, but another topic, exchange or server than the instance
 * has.
 */
function contradicted(servers: readonly Served[], said: Said): void {
  const found = servers.find((s) => s.instance.id === said.instance)?.instance;
  for (const what of ["exchange", "topic", "server"] as const) {
    const claim = said[what];
    if (found !== undefined && claim !== undefined && claim !== found[what]) {
      const is = `whose ${what} is ${JSON.stringify(found[what])}`;
      throw invalidTarget(
        `the message is for instance ${JSON.stringify(found.id)}, ${is}, and for the ${what} ` +
          `${JSON.stringify(claim)}: leave one of them out`,
      );
    }
  }
}

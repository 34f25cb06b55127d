/** Endpoints: methods for messages, in a namespace and at a version. */

import { invalid, RPCError } from "../errors.js";
import { checkName } from "../target.js";
import { Offer } from "../typed/offer.js";
import {
  DEFAULT_VERSION,
  describeNamespace,
  describeOffer,
  formatVersion,
  type Implementation,
  parseVersion,
  serves,
  type Version,
} from "../versions.js";
import { Method, type MethodFunction, method } from "./method.js";
import { didYouMean } from "./similar.js";

const PING = "oslo_rpc_server_ping";
const LISTED = 20;

/** An interface that a server offers. */
export interface Endpoint {
  /** The namespace, by default the default namespace. */
  namespace?: string | undefined;
  /** Further namespaces of the endpoint; undefined is the default namespace. */
  legacyNamespaces?: readonly (string | undefined)[] | undefined;
  /** The version that it implements. The default is 1.0. */
  version?: string | undefined;
  /**
   * The methods, by name. An instance of a class offers the methods of its class. Names that begin
   * with _ are left out.
   */
  methods: object;
}

/** An endpoint in the form that a server uses. */
export interface Interface {
  readonly namespaces: readonly string[];
  readonly version: Version;
  readonly methods: ReadonlyMap<string, Method>;
  /** The typed service; undefined if the methods are called through RPCService. */
  readonly offer?: Offer;
}

function readEndpoint(e: Endpoint): Interface {
  const namespaces = [
    ...new Set([e.namespace ?? "", ...(e.legacyNamespaces ?? []).map((name) => name ?? "")]),
  ];
  for (const name of namespaces) {
    checkName("namespace", name);
  }
  let version = DEFAULT_VERSION;
  try {
    version = e.version === undefined ? DEFAULT_VERSION : parseVersion(e.version);
  } catch (why) {
    throw invalid(`endpoint: ${(why as Error).message}`);
  }
  const methods = new Map<string, Method>();
  for (let from = e.methods; from && from !== Object.prototype; from = Object.getPrototypeOf(from)) {
    for (const name of Object.getOwnPropertyNames(from)) {
      const value = Object.getOwnPropertyDescriptor(from, name)?.value;
      if (!name.startsWith("_") && name !== "constructor" && !methods.has(name) && isMethod(value)) {
        methods.set(name, (value instanceof Method ? value : method({}, value)).fresh(e.methods));
      }
    }
  }
  return { namespaces, version, methods };
}

function isMethod(value: unknown): value is Method | MethodFunction {
  return value instanceof Method || typeof value === "function";
}

/** Selects the method for a message. It is immutable. */
export class Table {
  readonly #ping: Method | undefined;
  readonly interfaces: readonly Interface[];
  /** The interfaces that the server implements. */
  readonly implemented: readonly Implementation[];

  constructor(endpoints: readonly (Endpoint | Offer)[], ping: boolean) {
    this.interfaces = endpoints.map((e) => (e instanceof Offer ? e.interface() : readEndpoint(e)));
    const services = this.interfaces.flatMap(({ offer }) => (offer ? [offer.service.typeName] : []));
    const twice = services.find((name, n) => services.indexOf(name) !== n);
    if (twice !== undefined) {
      throw invalid(`service ${twice} appears twice: a server offers it once`);
    }
    this.#ping = ping ? method({ result: "string" }, () => "pong") : undefined;
    const implemented = new Map<string, Implementation>();
    for (const { namespaces, version } of this.interfaces) {
      for (const namespace of namespaces) {
        implemented.set(`${namespace}=${formatVersion(version)}`, { namespace, version });
      }
    }
    this.implemented = [...implemented.values()];
  }

  /** Returns a typed service by its full name; undefined if it is not offered. */
  offer(service: string): Offer | undefined {
    return this.interfaces.find((i) => i.offer?.service.typeName === service)?.offer;
  }

  /** Returns the namespace of a typed service. */
  namespaceOf(service: string): string {
    return this.interfaces.find((i) => i.offer?.service.typeName === service)?.namespaces[0] ?? "";
  }

  /**
   * Returns the method from the first endpoint that has it and can serve the message. Methods of a
   * typed service are only for messages that name the service.
   */
  select(namespace: string, version: Version, name: string, service = ""): Method {
    const able = this.interfaces.filter(
      (i) =>
        (i.offer?.service.typeName ?? "") === service &&
        i.namespaces.includes(namespace) &&
        serves(i.version, version),
    );
    for (const i of able) {
      const found = i.methods.get(name);
      if (found !== undefined) {
        return found;
      }
    }
    if (this.#ping !== undefined && name === PING && namespace === "") {
      return this.#ping;
    }
    if (able.length === 0) {
      const what = `version ${formatVersion(version)} of the ${describeNamespace(namespace)} is not served`;
      throw new RPCError("UnsupportedVersion", `${what}; ${describeOffer(this.implemented)}`, {
        safeToRetry: true,
      });
    }
    throw new RPCError("NoSuchMethod", noSuchMethod(able, name), { safeToRetry: true });
  }
}

function noSuchMethod(able: readonly Interface[], name: string): string {
  const there = [...new Set(able.flatMap((i) => [...i.methods.keys()]))].sort();
  const few = there.length > LISTED ? [...there.slice(0, LISTED), "…"] : there;
  return `no endpoint has a method "${name}"${didYouMean(name, there, `there is ${few.join(", ") || "none at all"}`)}`;
}

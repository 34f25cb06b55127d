/** Transports find other programs, and manage the connections to them. */

import { randomBytes, randomInt } from "node:crypto";
import { hostname } from "node:os";
import { basename } from "node:path";
import { Client, type ClientHost, type ClientOptions } from "./client/client.js";
import { Fleet } from "./client/fleet.js";
import { Link } from "./client/link.js";
import { Pool } from "./client/pool.js";
import type { Instance } from "./discovery/instance.js";
import type { Registry } from "./discovery/registry.js";
import { invalid } from "./errors.js";
import { type ErrorClass, ErrorTypes } from "./errortypes.js";
import { type Logger, standardLogger } from "./log.js";
import type { Endpoint } from "./server/endpoint.js";
import { Host } from "./server/host.js";
import { Server, type ServerOptions } from "./server/server.js";
import type { Target } from "./target.js";
import type { Offer } from "./typed/offer.js";
import { parseURL, type Settings } from "./url.js";

/** The maximum size of a list of instances from a gateway, in bytes. */
const MAX_LIST = 64 << 20;
/** The default for the largest message, in bytes. */
const MAX_SIZE = 16 << 20;
/** How long servers have to finish when their transport is closed, in milliseconds. */
const STOP_TIMEOUT = 25_000;

/** The settings of a transport. */
export interface TransportOptions {
  /** The exchange of targets that name none, by default "openstack". The URL may set another. */
  exchange?: string;
  /**
   * Where the program runs, such as an availability zone. The URL may set another zone, and the
   * default is the environment variable OSLORPC_ZONE, or none. Servers publish the zone, and
   * messages for any server go to the client's own zone first.
   */
  zone?: string;
  /** The name that the program gives itself, by default the names of its file and its machine. */
  caller?: string;
  /**
   * Error classes by the names under which both ends register them. Remote errors with these names
   * are thrown as instances of the classes.
   */
  errors?: Readonly<Record<string, ErrorClass>>;
  /**
   * The maximum size of the arguments plus the context, and of the result, in bytes of JSON text.
   * The default is 16 MiB.
   */
  maxSize?: number;
  /**
   * The address on which servers listen: host:port, or unix: and a path. The default is a socket
   * with local://, and 127.0.0.1:0 otherwise.
   */
  listen?: string;
  /** The address to which others connect, if it differs: host:port, or a host. */
  advertise?: string;
  /** How long a stopping server still accepts messages, in milliseconds. The default is 500. */
  stopGraceMs?: number;
  /**
   * Receives the lines of the library's log. The default writes warnings and errors to standard
   * error.
   */
  log?: Logger;
}

/** Finds other programs, and manages the connections to them. Close it at the end. */
export class Transport {
  readonly #settings: Settings;
  readonly #registry: Registry;
  readonly #pool: Pool;
  readonly #clients: ClientHost;
  readonly #host: Host;
  readonly #servers: Server[] = [];
  #closed = false;

  /** Use open(). */
  constructor(settings: Settings, options: TransportOptions = {}) {
    this.#settings = settings;
    const maxSize = options.maxSize ?? MAX_SIZE;
    const caller = word(options.caller || defaultCaller()).slice(0, 128);
    const errors = new ErrorTypes(options.errors);
    const log = options.log ?? standardLogger;
    const { trust, zone } = settings;
    const toGateways = { trust, caller, maxSize: MAX_LIST, changed() {} };
    this.#registry = settings.openRegistry(log, (addr) => new Link(addr, toGateways));
    const changed = () => this.#clients.fleet.wake();
    this.#pool = new Pool({ trust, caller, maxSize, changed });
    const prefix = randomBytes(8).toString("hex");
    let messages = 0;
    let turn = randomInt(1 << 16);
    this.#clients = {
      exchange: settings.exchange,
      maxSize,
      errors,
      fleet: new Fleet(this.#registry, (i) => this.#pool.get(i), zone),
      check: () => this.#check(),
      nextID: () => `${prefix}.${++messages}`,
      nextTurn: () => turn++,
    };
    this.#host = new Host({
      exchange: settings.exchange,
      zone,
      maxSize,
      registry: this.#registry,
      trust,
      errors,
      log,
      listen: options.listen ?? "",
      advertise: options.advertise ?? "",
      stopGraceMs: options.stopGraceMs ?? 500,
    });
  }

  #check(): void {
    if (this.#closed) {
      throw invalid("the transport is closed");
    }
  }

  /** The exchange of targets that name none. */
  get exchange(): string {
    return this.#settings.exchange;
  }

  /** Returns a client for a target. */
  client(target: Target, options: ClientOptions = {}): Client {
    return new Client(this.#clients, target, options);
  }

  /**
   * Returns a server, which must be started. Its endpoints may include typed services, which
   * service() makes.
   */
  server(target: Target, endpoints: readonly (Endpoint | Offer)[], options: ServerOptions = {}): Server {
    this.#check();
    const server = new Server(this.#host, target, endpoints, options);
    this.#servers.push(server);
    return server;
  }

  /** Reads all instances from discovery, without a cache. */
  async instances(): Promise<Instance[]> {
    this.#check();
    return this.#registry.list();
  }

  /** Stops the servers, withdraws them from discovery, and closes the connections. */
  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    const stopped = await Promise.allSettled(this.#servers.map((server) => server.stop(STOP_TIMEOUT)));
    await this.#host.close();
    this.#clients.fleet.close();
    this.#pool.close();
    await this.#registry.close();
    for (const end of stopped) {
      if (end.status === "rejected") {
        throw end.reason;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Opens a transport. The URL selects discovery: `local://`, `consul://host:8500`,
 * `gateway://host:8600` or `static://topic=host:port`. Without a URL, the environment variable
 * OSLORPC_TRANSPORT_URL is used, and then `local://`.
 */
export function open(url?: string, options: TransportOptions = {}): Transport {
  return new Transport(parseURL(url, options.exchange, options.zone), options);
}

function defaultCaller(): string {
  const program = basename(process.argv[1] ?? "") || "node";
  return [program, hostname()].map((part) => part.slice(0, 63)).join("@");
}

/** Returns a name in a form that is valid in a header. */
function word(text: string): string {
  return text.replace(/[^!-~]/g, "_");
}

/** Transports find other programs, and hold the connections to them. */

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

/** The largest list of instances that a gateway may send, in bytes. */
const MAX_LIST = 64 << 20;
/** The largest message in bytes, unless a transport has another limit. */
const MAX_SIZE = 16 << 20;
/** How long servers of a transport that is closed have to finish, in milliseconds. */
const STOP_TIMEOUT = 25_000;

/** The settings of a transport. */
export interface TransportOptions {
  /**
   * The exchange of targets that name none; the URL may have another. The default is "openstack".
   */
  exchange?: string;
  /**
   * Where the program runs, such as an availability zone; the URL may have another. Its servers
   * announce it, and messages for any server go to its clients' own zone first. The default is that
   * of the environment variable OSLORPC_ZONE, else none.
   */
  zone?: string;
  /** The name that the program gives itself. The default is its file and its machine. */
  caller?: string;
  /** Error classes that arrive as themselves, by the names under which both ends register them. */
  errors?: Readonly<Record<string, ErrorClass>>;
  /** The largest arguments with the context, and the largest result, in bytes of JSON text. */
  maxSize?: number;
  /**
   * Where servers listen: host:port, or unix: and a path. The default is a socket with local://,
   * else 127.0.0.1:0.
   */
  listen?: string;
  /** What others connect to, if it differs: host:port, or a host. */
  advertise?: string;
  /** How long a server that stops goes on accepting, in milliseconds: 500. */
  stopGraceMs?: number;
  /**
   * Takes the lines of the library's log. The default writes warnings and errors to the standard
   * error.
   */
  log?: Logger;
}

/** Finds other programs, and holds the connections to them. Close it at the end. */
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
   * Returns a server, which does nothing until it is started. Typed services, from service(), are
   * among its endpoints.
   */
  server(target: Target, endpoints: readonly (Endpoint | Offer)[], options: ServerOptions = {}): Server {
    this.#check();
    const server = new Server(this.#host, target, endpoints, options);
    this.#servers.push(server);
    return server;
  }

  /** Returns all instances that discovery lists, read now. */
  async instances(): Promise<Instance[]> {
    this.#check();
    return this.#registry.list();
  }

  /** Stops the servers, withdraws them, and closes the connections. */
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
 * Opens a transport. The URL says how programs find each other: `local://`, `consul://host:8500`,
 * `gateway://host:8600` or `static://topic=host:port`. Without one, the environment variable
 * OSLORPC_TRANSPORT_URL has it, else it is `local://`.
 */
export function open(url?: string, options: TransportOptions = {}): Transport {
  return new Transport(parseURL(url, options.exchange, options.zone), options);
}

function defaultCaller(): string {
  const program = basename(process.argv[1] ?? "") || "node";
  return [program, hostname()].map((part) => part.slice(0, 63)).join("@");
}

/** Returns a name as a header may hold it. */
function word(text: string): string {
  return text.replace(/[^!-~]/g, "_");
}

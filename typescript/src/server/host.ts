/** A serving process: its listener, its servers, and their publication. */

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { SLACK } from "../client/link.js";
import {
  ACTIVE,
  checkHost,
  DRAINING,
  HELD,
  type Instance,
  joinAddr,
  socketPath,
  splitAddr,
} from "../discovery/instance.js";
import type { Registry } from "../discovery/registry.js";
import { invalid, textOf } from "../errors.js";
import type { ErrorTypes } from "../errortypes.js";
import type { Logger } from "../log.js";
import { environment, type Trust } from "../trust.js";
import { Adapter } from "./adapter.js";
import type { Dispatcher, Phase } from "./dispatcher.js";
import { HealthReport } from "./health.js";
import type { Served } from "./intake.js";
import { Listener, splitListen } from "./listener.js";
import { routeReflection } from "./reflection.js";
import { Reports } from "./reports.js";
import { type Process, routeContract, unknownMethod } from "./service.js";
import { routeTyped } from "./typed.js";

/** How long a server waits until others can find it, and until it is withdrawn, in milliseconds. */
const LISTED_WITHIN = 5000;
const WITHDRAWN_WITHIN = 3000;
/**
 * When a process ends, it first refuses late messages, until none has arrived for QUIET, and for at
 * most LINGER. Then connections have CLOSED_WITHIN to end. All are in milliseconds.
 */
const LINGER = 1000;
const QUIET = 100;
const CLOSED_WITHIN = 500;

/** The part of a transport that a host uses. */
export interface HostConfig {
  readonly exchange: string;
  /** The zone where the process runs; empty if unknown. */
  readonly zone: string;
  readonly maxSize: number;
  readonly registry: Registry;
  readonly trust: Trust;
  readonly errors: ErrorTypes;
  readonly log: Logger;
  /**
   * The address to listen on: host:port, or unix: and a path. Empty means a Unix socket if the
   * registry has a place for it, and a port of 127.0.0.1 otherwise.
   */
  readonly listen: string;
  /** The address to publish: host:port, or a host. Empty means the address of the listener. */
  readonly advertise: string;
  /** How long a stopping server still accepts messages, in milliseconds. */
  readonly stopGraceMs: number;
}

/** The servers of a process. */
export class Host implements Process {
  readonly config: HostConfig;
  readonly bootId = randomBytes(8).toString("hex");
  readonly began = performance.now();
  readonly #health = new HealthReport(this);
  servers: readonly Served[] = [];
  last = 0;
  #announced: readonly Served[] = [];
  #announcing: Promise<unknown> = Promise.resolve();
  #opening: Promise<Listener> | undefined;
  #adapter: Adapter | undefined;
  readonly #routed = new Set<string>();
  #addr = "";
  #count = 0;

  constructor(config: HostConfig) {
    this.config = config;
    config.registry.lapsed = (reason) => {
      for (const s of this.servers) {
        s.missed?.(reason);
      }
    };
  }

  get exchange(): string {
    return this.config.exchange;
  }

  get zone(): string {
    return this.config.zone;
  }

  get maxSize(): number {
    return this.config.maxSize;
  }

  /** Adds a server, which is ready for messages. It is not published yet. */
  async add(
    target: { exchange?: string | undefined; topic: string; server: string },
    dispatcher: Dispatcher,
    missed: Served["missed"],
  ): Promise<Served> {
    this.#opening ??= this.#open();
    await this.#opening.catch((e: unknown) => {
      this.#opening = undefined;
      throw e;
    });
    for (const { offer } of dispatcher.table.interfaces) {
      this.#route(offer?.service);
    }
    const instance: Instance = {
      id: `${this.bootId}.${++this.#count}`,
      bootId: this.bootId,
      exchange: target.exchange ?? this.exchange,
      topic: target.topic,
      server: target.server,
      addr: this.#addr,
      state: stateOf(dispatcher.phase),
      implemented: dispatcher.table.implemented,
      zone: this.config.zone,
    };
    const reports = missed && new Reports(missed, this.config.log);
    const served: Served = { instance, dispatcher, missed, reports };
    this.servers = [...this.servers, served];
    this.#announced = [...this.#announced, served];
    return served;
  }

  /** Accepts messages of a typed service from now on. */
  #route(service: DescService | undefined): void {
    if (service !== undefined && !this.#routed.has(service.typeName)) {
      this.#routed.add(service.typeName);
      const router = this.#router();
      routeTyped(router, service, this);
      this.#adapter?.add(router.handlers);
    }
  }

  #router(): ConnectRouter {
    return createConnectRouter({
      connect: false,
      grpcWeb: false,
      acceptCompression: [compressionGzip],
      readMaxBytes: this.maxSize + SLACK,
    });
  }

  /** The typed services that the servers offer now. */
  get #offered(): DescService[] {
    const offers = this.servers.flatMap((s) => s.dispatcher.table.interfaces.map((i) => i.offer?.service));
    const byName = new Map(offers.flatMap((s) => (s === undefined ? [] : [[s.typeName, s] as const])));
    return [...byName.values()];
  }

  /** Removes a server. */
  remove(served: Served): void {
    served.reports?.end();
    this.servers = this.servers.filter((s) => s !== served);
    this.#announced = this.#announced.filter((s) => s !== served);
    this.#health.changed();
  }

  /** Publishes the servers. */
  async announce(): Promise<void> {
    this.#health.changed();
    const publish = () => this.config.registry.publish(this.#announced.map((s) => s.instance));
    this.#announcing = this.#announcing.then(publish, publish);
    await this.#announcing;
  }

  /** Publishes a server, and waits until others can find it. */
  async introduce(served: Served): Promise<void> {
    await this.announce();
    if (!(await this.config.registry.awaitListed([served.instance], LISTED_WITHIN))) {
      this.config.log.warn(
        `server ${served.instance.server} is registered, and discovery does not list it yet`,
      );
    }
  }

  /** Changes the phase of a server, and publishes it. */
  async change(served: Served, phase: Phase): Promise<void> {
    served.dispatcher.phase = phase;
    served.instance = { ...served.instance, state: stateOf(phase) };
    await this.announce();
  }

  /** Withdraws a server from discovery. If that takes too long, it continues in the background. */
  async withdraw(served: Served, milliseconds = WITHDRAWN_WITHIN): Promise<void> {
    this.#announced = this.#announced.filter((s) => s !== served);
    const withdrawn = this.announce().then(
      () => true,
      () => false,
    );
    const late = sleep(Math.min(milliseconds, WITHDRAWN_WITHIN), false, { ref: false });
    if (!(await Promise.race([withdrawn, late]))) {
      const { server } = served.instance;
      this.config.log.warn(
        `registration of ${server} was not withdrawn in time; senders learn from the server`,
      );
    }
  }

  /**
   * Closes the listener when messages stop coming, so that late messages are refused, not cut off.
   */
  async close(): Promise<void> {
    const listener = await this.#opening?.catch(() => undefined);
    if (listener === undefined) {
      return;
    }
    const end = performance.now() + LINGER;
    while (performance.now() < Math.min(end, this.last + QUIET)) {
      await sleep(QUIET / 5);
    }
    await listener.close(CLOSED_WITHIN);
    this.#opening = undefined;
  }

  async #open(): Promise<Listener> {
    const { registry, trust, log, listen, advertise } = this.config;
    if (environment("OSLORPC_POLICY")) {
      throw invalid(
        "OSLORPC_POLICY is set, and servers of the TypeScript package would not obey the policy: unset it for " +
          "programs that only call, and put servers behind a gateway that has the policy",
      );
    }
    let listener: Listener | undefined;
    const attached = registry.attach?.((connection) => listener?.take(connection));
    if (attached !== undefined && (listen || advertise)) {
      throw invalid(
        "a server that is attached to a gateway does not listen: leave listen and advertise out, " +
          "or give the servers a transport of their own, such as consul://",
      );
    }
    const socket = advertise || trust.secure ? undefined : registry.socket();
    const address = attached ?? (listen || (socket === undefined ? "127.0.0.1:0" : `unix:${socket}`));
    const router = this.#router();
    routeContract(router, this);
    this.#health.route(router);
    routeReflection(router, () => this.#offered);
    this.#adapter = new Adapter(router.handlers, unknownMethod, log);
    this.#routed.clear();
    listener = await Listener.open(address, trust, this.#adapter, log);
    const asIs = attached !== undefined || socketPath(address) !== undefined;
    this.#addr = asIs ? address : this.#advertised(address, listener.port);
    return listener;
  }

  /** Returns the address to publish. */
  #advertised(listen: string, port: number): string {
    const { advertise } = this.config;
    const { host } = splitListen(listen);
    try {
      if (!advertise) {
        checkHost(host);
        return joinAddr(host, port);
      }
      if (!advertise.includes(":")) {
        return joinAddr(advertise, port);
      }
      splitAddr(advertise);
      return advertise;
    } catch (e) {
      throw invalid(
        advertise
          ? `the address to advertise, "${advertise}": ${textOf(e)}`
          : `"${listen}" is every address of this machine: say with advertise which one others connect to`,
      );
    }
  }
}

function stateOf(phase: Phase): string {
  return phase === "held" ? HELD : phase === "draining" ? DRAINING : ACTIVE;
}

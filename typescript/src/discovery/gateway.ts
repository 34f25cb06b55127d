/**
 * The registry of programs that reach the fleet through gateways only:
 * gateway://host:port,host:port.
 *
 * All messages go to one of the gateways, with the id of the intended instance. When that gateway
 * is lost or stops, the next one replaces it. docs/protocol.md has the protocol.
 */

import { randomInt } from "node:crypto";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Link } from "../client/link.js";
import { invalid, RPCError, textOf } from "../errors.js";
import {
  GatewayService,
  type WatchResponse,
  type Instance as WireInstance,
} from "../gen/oslorpc/v1/gateway_pb.js";
import { State } from "../gen/oslorpc/v1/introspection_pb.js";
import type { Logger } from "../log.js";
import { reasonOf } from "../plain.js";
import { ATTACHED, type Trust } from "../trust.js";
import { parseVersion } from "../versions.js";
import { Attacher, type Connect } from "./attacher.js";
import { ACTIVE, DRAINING, HELD, type Instance, splitAddr } from "./instance.js";
import type { Notify, Registry, Update } from "./registry.js";

const CONNECT_WITHIN = 5000;
const LIST_WITHIN = 10_000;
const MIN_PAUSE = 200;
const MAX_PAUSE = 3000;

/** Parses the addresses of a URL. */
function readAddresses(rest: string, trust: Trust): string[] {
  const addrs = rest.split(",");
  for (const addr of addrs) {
    try {
      splitAddr(addr);
    } catch (e) {
      throw invalid(`transport URL "gateway://${rest}": the address "${addr}" of a gateway: ${textOf(e)}`);
    }
    if (addrs.indexOf(addr) !== addrs.lastIndexOf(addr)) {
      throw invalid(`transport URL "gateway://${rest}": "${addr}" appears twice: remove one`);
    }
    trust.client(addr);
  }
  return addrs;
}

/** A gateway while it is in use. */
class Gate {
  readonly addr: string;
  readonly link: Link;
  /** The watches at this gateway, to be aborted when it is left. */
  readonly watches = new Set<AbortController>();
  /** Whether another gateway has replaced it. */
  left = false;

  constructor(addr: string, link: Link) {
    this.addr = addr;
    this.link = link;
  }

  close(): void {
    this.left = true;
    for (const controller of this.watches) {
      controller.abort();
    }
    this.link.close();
  }
}

/** The registry that a gateway offers. */
export class GatewayRegistry implements Registry {
  readonly name: string;
  readonly #addrs: readonly string[];
  readonly #connect: Connect;
  readonly #log: Logger;
  readonly #ended = new AbortController();
  readonly #attacher: Attacher;
  #current: Gate | undefined;
  #next: number;

  constructor(rest: string, trust: Trust, connect: Connect, log: Logger) {
    this.#addrs = readAddresses(rest, trust);
    this.name = `the gateway at ${this.#addrs.join(" or ")}`;
    this.#connect = connect;
    this.#log = log;
    this.#attacher = new Attacher(this.#addrs, connect, log);
    this.#next = randomInt(this.#addrs.length); // spreads the programs over the gateways
  }

  /** Attaches the servers of this process to one of the gateways. */
  async publish(instances: readonly Instance[]): Promise<void> {
    await this.#attacher.publish(instances);
  }

  attach(take: (connection: Duplex) => void): string {
    this.#attacher.take = take;
    return ATTACHED;
  }

  set lapsed(notify: (reason: string) => void) {
    this.#attacher.lapsed = notify;
  }

  watch(exchange: string, topic: string, notify: Notify): () => void {
    const ended = new AbortController();
    const watch = { exchange, topic, notify, ended: ended.signal };
    this.#ended.signal.addEventListener("abort", () => ended.abort(), { signal: ended.signal });
    void this.#keep(watch);
    return () => ended.abort();
  }

  async list(): Promise<Instance[]> {
    const failures: RPCError[] = [];
    while (failures.length < this.#addrs.length) {
      const gate = this.#gate();
      try {
        await reach(gate);
        const settings = { timeoutMs: LIST_WITHIN, signal: this.#ended.signal };
        const response = await gate.link.unary(GatewayService.method.list, {}, settings);
        return this.#instances(response.instances, gate, response.bootId);
      } catch (e) {
        const error = refusedBy(gate, e);
        failures.push(error);
        if (error.kind === "AccessDenied") {
          break;
        }
        this.#leave(gate);
      }
    }
    throw asked(failures);
  }

  /** Returns at once: when a gateway has accepted instances, others can find them. */
  async awaitListed(): Promise<boolean> {
    return true;
  }

  socket(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    await this.#attacher.close();
    this.#ended.abort();
    this.#current?.close();
  }

  /** Returns the gateway in use. */
  #gate(): Gate {
    if (this.#current === undefined) {
      const addr = this.#addrs[this.#next] as string;
      this.#next = (this.#next + 1) % this.#addrs.length;
      this.#current = new Gate(addr, this.#connect(addr));
    }
    return this.#current;
  }

  /** Replaces a gateway that failed or stops by the next one. */
  #leave(gate: Gate): void {
    if (this.#current === gate) {
      this.#current = undefined;
      gate.close();
    }
  }

  /** Watches a topic at the gateway in use until the watch ends. */
  async #keep(watch: Watch): Promise<void> {
    let failures: RPCError[] = []; // of the gateways since the last update
    let pause = MIN_PAUSE;
    while (!watch.ended.aborted) {
      const gate = this.#gate();
      const { told, error } = await this.#follow(gate, watch);
      if (watch.ended.aborted) {
        return;
      }
      if (told) {
        failures = [];
        pause = MIN_PAUSE;
      }
      if (gate.left) {
        continue; // another watch has replaced the gateway already
      }
      this.#leave(gate);
      failures.push(error);
      if (failures.length < this.#addrs.length) {
        continue;
      }
      const why = asked(failures);
      this.#log.debug(`no gateway can be asked about the topic ${watch.topic}: ${why.message}`);
      watch.notify({ instances: [], reset: false, error: why });
      failures = [];
      const options = { signal: watch.ended, ref: false };
      await sleep(pause * (0.5 + Math.random() / 2), undefined, options).catch(() => {});
      pause = Math.min(2 * pause, MAX_PAUSE);
    }
  }

  /**
   * Watches a topic at one gateway until the watch ends. It returns whether there was any update,
   * and why the watch ended.
   */
  async #follow(
    gate: Gate,
    { exchange, topic, notify, ended }: Watch,
  ): Promise<{ told: boolean; error: RPCError }> {
    const controller = new AbortController();
    const end = () => controller.abort();
    ended.addEventListener("abort", end);
    gate.watches.add(controller);
    let told = false;
    try {
      await reach(gate);
      const settings = { signal: controller.signal, background: true };
      for await (const response of gate.link.stream(
        GatewayService.method.watch,
        { exchange, topic },
        settings,
      )) {
        notify(this.#update(response, gate));
        told = true;
      }
      throw new RPCError("Unreachable", "it ended the watch");
    } catch (e) {
      return { told, error: refusedBy(gate, e) };
    } finally {
      ended.removeEventListener("abort", end);
      gate.watches.delete(controller);
    }
  }

  #update(response: WatchResponse, gate: Gate): Update {
    if (response.error) {
      const why = `the gateway at ${gate.addr} cannot read its registry: ${response.error}`;
      const error = new RPCError("Unreachable", why, { safeToRetry: true });
      return { instances: [], reset: false, error };
    }
    return { instances: this.#instances(response.instances, gate, response.bootId), reset: response.reset };
  }

  /**
   * Returns instances for clients. Their process is the gateway, which is at the other end of the
   * connection.
   */
  #instances(list: readonly WireInstance[], gate: Gate, bootId: string): Instance[] {
    return list.flatMap((i) => {
      try {
        return [decode(i, gate.addr, bootId)];
      } catch (e) {
        this.#log.error(
          `an instance of the gateway at ${gate.addr} cannot be used: id=${i.id}: ${textOf(e)}`,
        );
        return [];
      }
    });
  }
}

/** A watched topic, and the end of the watch. */
interface Watch {
  readonly exchange: string;
  readonly topic: string;
  readonly notify: Notify;
  readonly ended: AbortSignal;
}

async function reach(gate: Gate): Promise<void> {
  if (!(await gate.link.connect(CONNECT_WITHIN))) {
    throw gate.link.unreachable("it");
  }
}

const states = new Map([
  [State.HELD, HELD],
  [State.DRAINING, DRAINING],
]);

function decode(i: WireInstance, addr: string, bootId: string): Instance {
  return {
    id: i.id,
    bootId,
    exchange: i.exchange,
    topic: i.topic,
    server: i.server,
    addr,
    state: states.get(i.state) ?? ACTIVE,
    implemented: i.implemented.map(({ namespace, version }) => ({
      namespace: namespace ?? "",
      version: parseVersion(version),
    })),
    zone: i.zone,
    relayed: true,
  };
}

/** Returns the error for a gateway that does not answer a List or a Watch. */
function refusedBy(gate: Gate, e: unknown): RPCError {
  const error = e instanceof RPCError ? e : new RPCError("Unreachable", reasonOf(e));
  const foreign = error.reason === "foreign" || error.kind === "NoSuchMethod";
  const text = foreign ? "it is no gateway: give gateway:// the address of an oslorpc gateway" : error.detail;
  const kind = error.kind === "OutcomeUnknown" || error.kind === "Refused" ? "Unreachable" : error.kind;
  return new RPCError(foreign ? "Unreachable" : kind, `the gateway at ${gate.addr}: ${text}`, {
    safeToRetry: true,
    cause: error,
  });
}

/** Returns the error for when no gateway answered. */
function asked(failures: readonly RPCError[]): RPCError {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) {
    return first;
  }
  const texts = failures.map((e) => e.detail).join("; ");
  return new RPCError(first?.kind ?? "Unreachable", `no gateway answers: ${texts}`, {
    safeToRetry: true,
    cause: first,
  });
}

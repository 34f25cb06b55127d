/** The registry of addresses that the transport URL lists. */

import { isIP } from "node:net";
import { invalid, RPCError } from "../errors.js";
import { checkClientTarget, checkZone } from "../target.js";
import { ACTIVE, type Instance, sameInstance, socketPath, splitAddr } from "./instance.js";
import type { Notify, Registry } from "./registry.js";

/** Separates an address from its zone. */
const ZONE = ";zone=";

/**
 * The instances of a URL such as
 * static://topic=host:port,topic/server=host:port,topic=host:port;zone=az1.
 */
export class StaticRegistry implements Registry {
  readonly #instances: Instance[] = [];
  readonly name = "the addresses in the transport URL";
  lapsed = () => {};

  constructor(rest: string, exchange: string) {
    for (const entry of rest.split(",")) {
      const instance = read(entry, exchange, rest);
      if (this.#instances.some((known) => sameInstance(known, instance))) {
        throw invalid(`transport URL "static://${rest}": "${entry}" appears twice: remove one`);
      }
      this.#instances.push(instance);
    }
  }

  /** Checks that the instances are at addresses of the URL. Nothing is published. */
  async publish(instances: readonly Instance[]): Promise<void> {
    for (const i of instances) {
      const known = this.#of(i.exchange, i.topic).map((k) => k.addr);
      if (known.length > 0 && !known.some((addr) => mayBe(addr, i.addr))) {
        throw invalid(
          `server ${i.server} is at ${i.addr}, where no message goes: the transport URL has the topic at ` +
            `${known.join(", ")}; listen there, or advertise the one that leads here`,
        );
      }
    }
  }

  watch(exchange: string, topic: string, notify: Notify): () => void {
    notify({ instances: this.#of(exchange, topic), reset: false });
    return () => {};
  }

  async list(): Promise<Instance[]> {
    return [...this.#instances];
  }

  async awaitListed(): Promise<boolean> {
    return true;
  }

  socket(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}

  #of(exchange: string, topic: string): Instance[] {
    return this.#instances.filter((i) => i.exchange === exchange && i.topic === topic);
  }
}

function read(entry: string, exchange: string, rest: string): Instance {
  try {
    return parse(entry, exchange);
  } catch (e) {
    const why = e instanceof RPCError ? e.detail : (e as Error).message;
    throw invalid(`transport URL "static://${rest}": ${why}`);
  }
}

function parse(entry: string, exchange: string): Instance {
  const equals = entry.indexOf("=");
  if (equals < 0) {
    throw new TypeError(`"${entry}" is not of the form topic=host:port or topic/server=host:port`);
  }
  const [topicText = "", serverText, ...more] = entry.slice(0, equals).split("/");
  if (more.length > 0 || serverText === "") {
    throw new TypeError(
      `"${entry}" needs one server name after the slash: write %2F for a slash within a name`,
    );
  }
  const topic = decodeURIComponent(topicText);
  const server = serverText === undefined ? "" : decodeURIComponent(serverText);
  checkClientTarget({ topic, ...(server ? { server } : {}) });
  const [addr = "", zone, ...others] = entry.slice(equals + 1).split(ZONE);
  return {
    id: "",
    bootId: "",
    exchange,
    topic,
    server,
    addr: address(addr),
    state: ACTIVE,
    implemented: [],
    zone: zone === undefined ? "" : zoneOf(entry, [zone, ...others].join(ZONE)),
  };
}

function zoneOf(entry: string, text: string): string {
  try {
    const zone = decodeURIComponent(text);
    checkZone(zone);
    if (zone) {
      return zone;
    }
  } catch {
    // The name is malformed.
  }
  throw new TypeError(`the zone in "${entry}": write topic=host:port;zone=NAME, with a percent-encoded name`);
}

function address(text: string): string {
  if (text.startsWith("unix:")) {
    const path = decodeURIComponent(text);
    if (!path.startsWith("unix:/")) {
      throw new TypeError(`address "${path}" is malformed: write unix: and an absolute path`);
    }
    return path;
  }
  try {
    splitAddr(text);
  } catch (e) {
    throw new TypeError(`address "${text}" is not host:port: ${(e as Error).message}`);
  }
  return text;
}

/**
 * Whether two addresses may be the same. Host names are not resolved, so two that differ may be the
 * same.
 */
function mayBe(a: string, b: string): boolean {
  if (a === b) {
    return true;
  }
  if (socketPath(a) !== undefined || socketPath(b) !== undefined) {
    return false;
  }
  const [one, other] = [splitAddr(a), splitAddr(b)];
  return one.port === other.port && (isIP(one.host) === 0 || isIP(other.host) === 0);
}

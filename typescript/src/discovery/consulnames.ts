/**
 * The names and metadata of Consul services, encoded and decoded. docs/protocol.md has the rules.
 */

import { createHash, randomBytes } from "node:crypto";
import { invalid, textOf } from "../errors.js";
import {
  DRAINING,
  formatImplementation,
  type Instance,
  joinAddr,
  parseImplementation,
  socketPath,
  splitAddr,
} from "./instance.js";

/** The prefix of the names of our services. */
export const PREFIX = "oslorpc-";
/** The suffix of the names of processes' services. */
export const PROCESS = "--process";

const PLAIN = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const PLAIN_EXCHANGE = /^[a-z0-9]{1,23}$/;
const MAX_NAME = 63 - PROCESS.length;
const HASH_LENGTH = 20;
const MAX_VALUE = 512;
/**
 * How many parts of the list of implementations fit: a service has at most 64 metadata entries, and
 * eight are reserved for other keys.
 */
const MAX_PARTS = 56;
const DEREGISTER = "5m0s";

/** Returns the name of a topic's services. */
export function serviceName(exchange: string, topic: string): string {
  const plainExchange = PLAIN_EXCHANGE.test(exchange);
  const name = `${PREFIX}${exchange}-${topic}`;
  if (plainExchange && PLAIN.test(topic) && name.length <= MAX_NAME) {
    return name;
  }
  const readable = Array.from(`${exchange}-${topic}`, mapped).join("");
  const start = plainExchange ? PREFIX : `${PREFIX}-`;
  const key = `${Buffer.byteLength(exchange)}:${exchange}${topic}`;
  const digest = base32(createHash("sha256").update(key).digest()).toLowerCase().slice(0, HASH_LENGTH);
  return `${(start + readable).slice(0, MAX_NAME - 2 - HASH_LENGTH)}--${digest}`;
}

function mapped(c: string): string {
  if (/^[a-z0-9-]$/.test(c)) {
    return c;
  }
  return c >= "A" && c <= "Z" && c.length === 1 ? c.toLowerCase() : "-";
}

function base32(bytes: Uint8Array): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = 0;
  let value = 0;
  let text = "";
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) {
      text += alphabet[(value >> (bits - 5)) & 31];
    }
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text;
}

/** Returns the name of the services of processes that register under a topic. */
export function processName(exchange: string, topic: string): string {
  return serviceName(exchange, topic) + PROCESS;
}

/**
 * The ids of a service and of its check at an agent. They cannot be guessed, so holders of other
 * tokens cannot register under them first.
 */
export interface IDs {
  service: string;
  check: string;
}

/** Returns ids for the service of an instance, or of a process, with this id. */
export function newIDs(of: string): IDs {
  const service = `${PREFIX}${of}-${base32(randomBytes(20)).slice(0, 26)}`;
  return { service, check: `${service}-${base32(randomBytes(20)).slice(0, 26)}` };
}

/** A service in the form that the agent accepts. */
export interface Service {
  ID: string;
  Name: string;
  Address: string;
  Port: number;
  Meta: Record<string, string>;
  Check: Record<string, string>;
}

/** Returns the service of an instance. Its check follows the check of its process. */
export function instanceService(i: Instance, ids: IDs, processID: string): Service {
  const { host, port } = hostPort(i);
  const meta: Record<string, string> = {
    "rpc-exchange": i.exchange,
    "rpc-topic": i.topic,
    "rpc-server": i.server,
    "rpc-instance": i.id,
    "rpc-boot": i.bootId,
    "rpc-state": i.state,
    ...(i.zone ? { "rpc-zone": i.zone } : {}),
  };
  const text = i.implemented.map(formatImplementation).join(",");
  const parts = Math.ceil(text.length / MAX_VALUE);
  if (parts > MAX_PARTS) {
    throw invalid(`publish ${i.server} of ${i.topic}: its interfaces do not fit into Consul's metadata`);
  }
  for (let n = 0; n < parts; n++) {
    meta[`rpc-versions-${n}`] = text.slice(n * MAX_VALUE, (n + 1) * MAX_VALUE);
  }
  const check = {
    CheckID: ids.check,
    Name: "The process is alive",
    Status: "passing",
    AliasService: processID,
    DeregisterCriticalServiceAfter: DEREGISTER,
  };
  const name = serviceName(i.exchange, i.topic);
  return { ID: ids.service, Name: name, Address: host, Port: port, Meta: meta, Check: check };
}

/**
 * Returns the service that represents the process of an instance. Its check has a TTL, a duration
 * in Go's format.
 */
export function processService(i: Instance, ids: IDs, ttl: string): Service {
  const { host, port } = hostPort(i);
  const check = {
    CheckID: ids.check,
    Name: "The process sends a sign of life",
    Status: "passing",
    TTL: ttl,
    DeregisterCriticalServiceAfter: DEREGISTER,
  };
  const name = processName(i.exchange, i.topic);
  return {
    ID: ids.service,
    Name: name,
    Address: host,
    Port: port,
    Meta: { "rpc-boot": i.bootId },
    Check: check,
  };
}

function hostPort(i: Instance): { host: string; port: number } {
  if (socketPath(i.addr) !== undefined) {
    throw invalid(
      `publish ${i.addr}: Consul's services have a host and a port: listen on TCP, or use local://`,
    );
  }
  try {
    return splitAddr(i.addr);
  } catch (e) {
    throw invalid(`publish "${i.addr}": ${textOf(e)}`);
  }
}

/**
 * A service in the answer of the health endpoint. Other programs wrote it, so no field can be
 * trusted.
 */
interface Entry {
  Node?: { Address?: string } | null;
  Service?: {
    ID?: string;
    Service?: string;
    Address?: string;
    Port?: number;
    Meta?: Record<string, string>;
  } | null;
  Checks?: { CheckID?: string; Status?: string }[] | null;
}

/**
 * Returns the instances among the services of a name, and why each other service is unusable, by
 * id.
 */
export function readEntries(
  entries: readonly unknown[],
  name: string,
): { instances: Instance[]; broken: Map<string, string> } {
  const found = new Map<string, Instance>();
  const broken = new Map<string, string>();
  for (const e of entries as readonly (Entry | null)[]) {
    if (!e?.Service) {
      broken.set("(null)", "null was sent instead of the service");
      continue;
    }
    const { alive, maintained } = health(e);
    try {
      const i = alive ? readInstance(e, name, maintained) : undefined;
      if (i !== undefined) {
        found.set(i.id, i);
      }
    } catch (why) {
      broken.set(String(e.Service.ID), textOf(why));
    }
  }
  return { instances: [...found.values()].sort(byName), broken };
}

function byName(a: Instance, b: Instance): number {
  const keys = (i: Instance) => [i.exchange, i.topic, i.server, i.id];
  const others = keys(b);
  const differing = keys(a).findIndex((key, n) => key !== others[n]);
  return differing < 0 ? 0 : (keys(a)[differing] as string) < (others[differing] as string) ? -1 : 1;
}

/**
 * Whether no check is critical, and whether an operator put the service or its node into
 * maintenance.
 */
function health(e: Entry): { alive: boolean; maintained: boolean } {
  const checks = e.Checks ?? [];
  const maintains = (id: string) => id === "_node_maintenance" || id.startsWith("_service_maintenance:");
  return {
    alive: !checks.some((c) => c.Status === "critical" && !maintains(String(c.CheckID))),
    maintained: checks.some((c) => maintains(String(c.CheckID))),
  };
}

function readInstance(entry: Entry, name: string, maintained: boolean): Instance {
  const service = entry.Service ?? {};
  const meta = service.Meta ?? {};
  for (const key of ["rpc-topic", "rpc-instance", "rpc-boot"]) {
    if (!meta[key]) {
      throw new TypeError(`its metadata has no ${key}`);
    }
  }
  let text = "";
  for (let n = 0; meta[`rpc-versions-${n}`] !== undefined; n++) {
    text += meta[`rpc-versions-${n}`];
  }
  const addr = joinAddr(service.Address || entry.Node?.Address || "", service.Port ?? 0);
  splitAddr(addr);
  const exchange = meta["rpc-exchange"] ?? "";
  const topic = meta["rpc-topic"] ?? "";
  if (service.Service !== name || serviceName(exchange, topic) !== name) {
    throw new TypeError(
      `its name is "${service.Service}", and its metadata says topic "${topic}" of "${exchange}"`,
    );
  }
  return {
    id: meta["rpc-instance"] ?? "",
    bootId: meta["rpc-boot"] ?? "",
    exchange,
    topic,
    server: meta["rpc-server"] ?? "",
    addr,
    state: maintained ? DRAINING : (meta["rpc-state"] ?? ""),
    implemented: text ? text.split(",").map(parseImplementation) : [],
    zone: meta["rpc-zone"] ?? "",
  };
}

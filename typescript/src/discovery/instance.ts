/** Instances, and their text forms. */

import { isIP } from "node:net";
import { formatVersion, type Implementation, parseVersion } from "../versions.js";

/** The state of a server that accepts all messages. Unknown states count as active. */
export const ACTIVE = "active";
/** The state of a server that queues messages and runs none. Messages for any server avoid it. */
export const HELD = "held";
/** The state of a server that accepts only messages that name it. */
export const DRAINING = "draining";

/**
 * One server in one process, in the view of discovery. Instances at static addresses have neither
 * id nor boot id.
 */
export interface Instance {
  readonly id: string;
  readonly bootId: string;
  readonly exchange: string;
  readonly topic: string;
  readonly server: string;
  /** `host:port`, or `unix:` and an absolute path. */
  readonly addr: string;
  readonly state: string;
  /** The interfaces that it implements; empty if they are not known. */
  readonly implemented: readonly Implementation[];
  /** The zone where its process runs, such as an availability zone; empty if unknown. */
  readonly zone: string;
  /** Whether the address and the boot id belong to a gateway. */
  readonly relayed?: boolean;
}

/** Whether two instances are equal. */
export function sameInstance(a: Instance, b: Instance): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whether two lists of instances are equal, including the order. */
export function sameInstances(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((i, n) => sameInstance(i, b[n] as Instance));
}

/** Returns "namespace=version", with the namespace encoded as a value in the query of a URL. */
export function formatImplementation(i: Implementation): string {
  const encoded = encodeURIComponent(i.namespace)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
  return `${encoded}=${formatVersion(i.version)}`;
}

/** Parses the result of formatImplementation. Throws a TypeError if it is malformed. */
export function parseImplementation(text: unknown): Implementation {
  const at = typeof text === "string" ? text.indexOf("=") : -1;
  if (typeof text !== "string" || at < 0) {
    throw new TypeError(`implementation ${JSON.stringify(text)} is not of the form "namespace=version"`);
  }
  const namespace = decodeURIComponent(text.slice(0, at).replaceAll("+", " "));
  return { namespace, version: parseVersion(text.slice(at + 1)) };
}

/**
 * Splits an address that others can connect to into host and port. Throws a TypeError for any other
 * address.
 */
export function splitAddr(addr: string): { host: string; port: number } {
  const colon = addr.lastIndexOf(":");
  if (colon < 0) {
    throw new TypeError('it has no port: write "host:port"');
  }
  let host = addr.slice(0, colon);
  const port = addr.slice(colon + 1);
  if (host.startsWith("[") && host.endsWith("]")) {
    host = host.slice(1, -1);
  } else if (host.includes(":")) {
    throw new TypeError('it has too many colons: write an IPv6 address in brackets, as in "[::1]:7000"');
  }
  checkHost(host);
  if (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65535) {
    throw new TypeError(`the port must be a number from 1 to 65535, and is ${JSON.stringify(port)}`);
  }
  return { host, port: Number(port) };
}

/** Joins host and port. An IPv6 address gets brackets. */
export function joinAddr(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Throws an error if others cannot connect to a host. */
export function checkHost(host: string): void {
  if (isIP(host) === 0 && /[\s:/=%?#[\]@,\p{Cc}]/u.test(host)) {
    throw new TypeError(`${JSON.stringify(host)} is not a host: write a name or an IP address`);
  }
  if (host === "" || /^0+(\.0+){3}$/.test(host) || (isIP(host) === 6 && /^[0:.]+$/.test(host))) {
    throw new TypeError("others cannot connect to an unspecified host: name one that they can reach");
  }
}

/** Returns the path of a socket; undefined for other addresses. */
export function socketPath(addr: string): string | undefined {
  return addr.startsWith("unix:") ? addr.slice("unix:".length) : undefined;
}

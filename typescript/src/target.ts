/** Targets say who a message is for, in oslo.messaging's terms. */

import { type Kind, RPCError } from "./errors.js";
import { parseVersion } from "./versions.js";

/** The exchange of targets that name none, unless the transport has another. */
export const DEFAULT_EXCHANGE = "openstack";

const MAX_NAME = 255;
const names = ["exchange", "topic", "namespace", "server"] as const;

/**
 * The receiver of messages: a client sends to a target, and a server listens on one. Every field is
 * optional. A version is text such as "1.4".
 */
export interface Target {
  topic?: string | undefined;
  exchange?: string | undefined;
  namespace?: string | undefined;
  version?: string | undefined;
  server?: string | undefined;
  fanout?: boolean | undefined;
}

/** Returns a target as text, for errors. */
export function formatTarget(t: Target): string {
  const given = (["exchange", "topic", "namespace", "version", "server"] as const)
    .filter((name) => t[name] !== undefined)
    .map((name) => `${name}=${t[name]}`);
  if (t.fanout) {
    given.push("fanout=true");
  }
  return `<Target ${given.join(", ")}>`;
}

/**
 * Returns the given fields of a target, for the text of an error: "topic volumes, server node2".
 */
export function targetWords(t: Target): string {
  const given = (["topic", "server", "exchange", "namespace", "version"] as const)
    .filter((name) => t[name])
    .map((name) => `${name} ${word(t[name] as string)}`);
  if (t.fanout) {
    given.push("all servers");
  }
  return given.join(", ");
}

/** Returns a name for use in a sentence. It is quoted unless it is one word. */
export function word(name: string): string {
  return /[\s,;:()\p{Cc}]/u.test(name) ? JSON.stringify(name) : name;
}

/** Throws an error of kind InvalidTarget for an invalid name or version. */
export function checkTarget(t: Target): void {
  for (const name of names) {
    const value = t[name];
    if (value === "") {
      throw invalidTarget(t, `the ${name} is empty: leave it out`);
    }
    if (value !== undefined) {
      checkName(name, value);
    }
  }
  if (t.version !== undefined) {
    try {
      parseVersion(t.version);
    } catch (e) {
      throw invalidTarget(t, (e as Error).message);
    }
  }
}

/** Checks a client's target, which needs a topic. */
export function checkClientTarget(t: Target): asserts t is Target & { topic: string } {
  if (!t.topic) {
    throw invalidTarget(t, "a topic is required to send: give the target one");
  }
  checkTarget(t);
}

/** Checks a server's target, which needs a topic and a server name. */
export function checkServerTarget(t: Target): asserts t is Target & { topic: string; server: string } {
  if (!t.topic || !t.server) {
    throw invalidTarget(t, "a server's target must have topic and server names");
  }
  checkTarget(t);
}

function invalidTarget(target: Target, detail: string): RPCError {
  return new RPCError("InvalidTarget", detail, { target, safeToRetry: true });
}

/** Throws an error of kind InvalidTarget unless a value can be a name. */
export function checkName(what: string, value: unknown): void {
  check("InvalidTarget", what, value);
}

/** Throws an error of kind Invalid unless a value can be a zone. An empty zone means none. */
export function checkZone(value: unknown): void {
  check("Invalid", "zone", value);
}

function check(kind: Kind, what: string, value: unknown): void {
  const why = badName(value);
  if (why) {
    const shown = JSON.stringify(value) ?? String(value);
    const detail = `the ${what} ${shown.length <= MAX_NAME ? shown : `${shown.slice(0, 64)}…`} ${why}`;
    throw new RPCError(kind, detail, { safeToRetry: true });
  }
}

function badName(value: unknown): string {
  if (typeof value !== "string") {
    return `is of type ${typeof value}: give a string`;
  }
  if (!value.isWellFormed()) {
    return "has a lone surrogate, which UTF-8 cannot hold: remove it";
  }
  if (Buffer.byteLength(value) > MAX_NAME) {
    return `is longer than ${MAX_NAME} bytes: shorten it`;
  }
  return /\p{Cc}/u.test(value) ? "has control characters: remove them" : "";
}

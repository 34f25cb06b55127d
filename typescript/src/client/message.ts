/** What is known of a message on its way. */

import { RPCError } from "../errors.js";
import type { Target } from "../target.js";
import {
  describeNamespace,
  describeOffer,
  formatVersion,
  type Implementation,
  type Version,
} from "../versions.js";
import type { Entry } from "./topic.js";

/** What delivery needs to know of a message. */
export interface Message {
  readonly target: Target;
  readonly method: string;
  readonly namespace: string;
  /** The versions at which it can be sent, the preferred first. */
  readonly versions: readonly Version[];
  /** Until when it may be delivered, by performance.now(). */
  readonly deadline: number;
  /** When it began, by performance.now(); left out if how long it waited says nothing. */
  readonly begun?: number;
  /** Its place in the round robin. */
  readonly turn: number;
  /** How often it is offered again; negative until the deadline. */
  readonly retry: number;
  /** Whether it does not wait for servers. */
  readonly failFast: boolean;
  /** Gives it up. */
  readonly signal: AbortSignal | undefined;
}

/** Completes an error with the message that it is about. */
export function about(
  error: RPCError,
  m: Pick<Message, "target" | "method"> & Partial<Pick<Message, "begun" | "deadline">>,
): RPCError {
  error.target = m.target;
  error.method = m.method;
  if (error.kind === "Timeout" && error.waitedMs === 0) {
    error.waitedMs = waited(m);
  }
  return error;
}

/** Whether errors are what a server said. */
const told = new WeakMap<RPCError, boolean>();

/** Whether an error is what a server said. */
export function answered(error: RPCError): boolean {
  return told.get(error) ?? error.server !== "";
}

/** Returns how long a message has waited, until its deadline at most; 0 if it is not known. */
export function waited(m: Partial<Pick<Message, "begun" | "deadline">>): number {
  const { begun, deadline = Number.POSITIVE_INFINITY } = m;
  return begun === undefined ? 0 : Math.min(performance.now(), deadline) - begun;
}

/** Completes an error with the instance that it is about. What the server said of itself stays. */
export function from(error: RPCError, e: Entry): RPCError {
  told.set(error, answered(error));
  error.addr ||= e.instance.addr;
  error.server ||= e.instance.server;
  error.instanceId ||= e.instance.id;
  return error;
}

/** Whether an instance can serve a message, in any of its forms. */
export function canServe(e: Entry, m: Message): boolean {
  return m.versions.some((v) => e.serves(m.namespace, v));
}

/** Returns the error when none of the instances implements what a message needs. */
export function unable(m: Message, entries: readonly Entry[]): RPCError {
  const seen = new Map<string, Implementation>();
  for (const i of entries.flatMap((e) => e.instance.implemented)) {
    seen.set(`${i.namespace}=${formatVersion(i.version)}`, i);
  }
  const who = m.target.server
    ? `server "${m.target.server}" does not serve`
    : "no server on the topic serves";
  const what = `version ${m.versions.map(formatVersion).join(" or ")} of the ${describeNamespace(m.namespace)}`;
  const detail = `${who} ${what}; ${describeOffer([...seen.values()])}`;
  return new RPCError("UnsupportedVersion", detail, { safeToRetry: true });
}

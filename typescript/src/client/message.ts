/** The state of a message that is being delivered. */

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

/** The part of a message that delivery uses. */
export interface Message {
  readonly target: Target;
  readonly method: string;
  readonly namespace: string;
  /** The versions at which the message can be sent, preferred ones first. */
  readonly versions: readonly Version[];
  /** The deadline of the delivery, as performance.now() counts. */
  readonly deadline: number;
  /**
   * When the delivery began, as performance.now() counts. It is left out if errors should not say
   * how long the message waited.
   */
  readonly begun?: number;
  /** The turn of the message in the round robin. */
  readonly turn: number;
  /** How often to try again; negative means until the deadline. */
  readonly retry: number;
  /** Whether the message does not wait for servers. */
  readonly failFast: boolean;
  /** Cancels the message. */
  readonly signal: AbortSignal | undefined;
}

/** Adds the message to an error. */
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

/** For each error, whether a server sent it. */
const told = new WeakMap<RPCError, boolean>();

/** Whether an error was sent by a server. */
export function answered(error: RPCError): boolean {
  return told.get(error) ?? error.server !== "";
}

/** Returns how many milliseconds a message has waited, at most until its deadline; 0 if unknown. */
export function waited(m: Partial<Pick<Message, "begun" | "deadline">>): number {
  const { begun, deadline = Number.POSITIVE_INFINITY } = m;
  return begun === undefined ? 0 : Math.min(performance.now(), deadline) - begun;
}

/** Adds the instance to an error. Fields that the server set stay the same. */
export function from(error: RPCError, e: Entry): RPCError {
  told.set(error, answered(error));
  error.addr ||= e.instance.addr;
  error.server ||= e.instance.server;
  error.instanceId ||= e.instance.id;
  return error;
}

/** Whether an instance can serve a message, in any of its versions. */
export function canServe(e: Entry, m: Message): boolean {
  return m.versions.some((v) => e.serves(m.namespace, v));
}

/** Returns the error for when no instance implements what a message needs. */
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

/** The errors of oslorpc. Each says what went wrong and whether the message may have run. */

import { type Target, targetWords, word } from "./target.js";

/** What went wrong. docs/delivery.md describes each kind. */
export type Kind = keyof typeof words;

const words = {
  InvalidTarget: "invalid target",
  VersionCapExceeded: "version cap exceeded",
  UnsupportedVersion: "unsupported version",
  NoSuchMethod: "no such method",
  BadArguments: "bad arguments",
  BadResult: "bad result",
  TooLarge: "too large",
  AccessDenied: "access denied",
  NoInstance: "not delivered: no instance",
  Refused: "not delivered: refused",
  Unreachable: "not delivered: unreachable",
  Untrusted: "not delivered: untrusted",
  Timeout: "timed out",
  MonitorTimeout: "heartbeats stopped",
  OutcomeUnknown: "outcome unknown",
  Remote: "remote error",
  Canceled: "canceled",
  Invalid: "invalid use",
} as const;

/** Returns a kind in words. */
export function wordsOf(kind: Kind): string {
  return words[kind];
}

/** Reasons why a server did not accept a message, for the kind Refused. */
export type Reason = keyof typeof reasons;

/** The reasons in words. */
export const reasons = {
  full: "its queue is full",
  stopping: "it is stopping",
  misdirected: "it is not the intended instance",
  declined: "one of its interceptors refused it",
  foreign: "another program has its address",
} as const;

/** The details of an error, as far as they are known. */
export interface About {
  /** True if the method provably did not run. */
  safeToRetry?: boolean;
  target?: Target | undefined;
  method?: string;
  server?: string;
  instanceId?: string;
  addr?: string;
  path?: string;
  reason?: Reason | "";
  cause?: unknown;
}

/** The error of every operation of oslorpc. */
export class RPCError extends Error {
  /** What went wrong. */
  readonly kind: Kind;
  /** What was wrong, and what to do, without the information in the other properties. */
  detail: string;
  /**
   * True if the method provably did not run, so that sending the message again cannot make it run
   * twice; false if it may have run.
   */
  safeToRetry: boolean;
  /** The target of the message. */
  target: Target | undefined;
  /** The requested method. */
  method: string;
  /** The name of the server that the error is about; empty if it is not about a server. */
  server: string;
  /** The id of the instance that the error is about. */
  instanceId: string;
  /** The address of the instance that the error is about. */
  addr: string;
  /** A place within the arguments or the result, as a JSON pointer (RFC 6901). */
  path: string;
  /** Why the server did not accept the message; empty unless the kind is Refused. */
  reason: Reason | "";
  /** How many milliseconds the client waited before it gave up; 0 if it did not give up. */
  waitedMs = 0;

  constructor(kind: Kind, detail = "", about: About = {}) {
    super(detail, about.cause === undefined ? undefined : { cause: about.cause });
    this.kind = kind;
    this.detail = detail;
    this.safeToRetry = about.safeToRetry ?? false;
    this.target = about.target;
    this.method = about.method ?? "";
    this.server = about.server ?? "";
    this.instanceId = about.instanceId ?? "";
    this.addr = about.addr ?? "";
    this.path = about.path ?? "";
    this.reason = about.reason ?? "";
    Object.defineProperty(this, "message", { get: () => describe(this), configurable: true });
    // The stack keeps the message of this moment; the getter `message` changes when the error is
    // completed.
    Object.defineProperty(this, "name", { value: new.target.name, configurable: true, writable: true });
  }

  /** Whether no server accepted the message. */
  get notDelivered(): boolean {
    return ["NoInstance", "Refused", "Unreachable", "Untrusted"].includes(this.kind);
  }
}

function describe(e: RPCError): string {
  let kind: string = words[e.kind];
  let waited = "";
  if (e.waitedMs > 0) {
    if (e.kind === "Timeout") {
      kind += ` after ${seconds(e.waitedMs)}`;
    } else {
      waited = ` (waited ${seconds(e.waitedMs)})`;
    }
  }
  return [kind, ...aboutOf(e)].filter((part) => part !== "").join(": ") + waited;
}

/**
 * Describes the message and the server of an error, and returns the rest of the text. A server that
 * the text names already is not repeated.
 */
function aboutOf(e: RPCError): [about: string, rest: string] {
  const { addr, detail, method, server } = e;
  const named = !addr || detail.includes(addr);
  const begin = `server "${server}" `;
  let { target = {} } = e;
  if (server && server === target.server && (!named || detail.includes(server))) {
    target = { ...target, server: undefined };
  }
  const join = (what: string, by: string) => [what, targetWords(target)].filter(Boolean).join(by);
  if (named) {
    return [join(word(method), " on "), detail];
  }
  if (detail.startsWith(begin)) {
    return [join(word(method), " on "), `server "${server}" at ${addr} ${detail.slice(begin.length)}`];
  }
  return [join(placeOf(e), ", "), detail];
}

/** Describes the method of an error, and the server. */
function placeOf({ addr, method, server }: RPCError): string {
  if (method) {
    return `${word(method)} at ${server ? `${word(server)} (${addr})` : addr}`;
  }
  return server ? `server "${server}" at ${addr}` : `the server at ${addr}`;
}

/** Formats milliseconds for errors, with two or three digits: "250ms", "2.5s", "60s". */
function seconds(milliseconds: number): string {
  if (milliseconds < 1000) {
    return `${Math.max(Math.round(milliseconds), 1)}ms`;
  }
  return `${Number((milliseconds / 1000).toFixed(milliseconds > 10_000 ? 0 : 1))}s`;
}

/** The failure of a method in the form that is sent. */
export interface Failure {
  /** The name of the error's class at the server, or the name that both ends registered. */
  type: string;
  /** The error's text. */
  message: string;
  /** The lines of its stack; none if the error was expected. */
  stack?: readonly string[];
  /** The servers that it passed through, beginning with the one that threw it. */
  hops?: readonly string[];
  /** The fields of a registered error, as JSON text. */
  data?: string;
}

/** The method ran and failed. */
export class RemoteError extends RPCError {
  /** The name of the error's class at the server, or the name that both ends registered. */
  readonly type: string;
  /** The error's text. */
  readonly remoteMessage: string;
  /** The lines of its stack at the server; none if the error was expected. */
  readonly remoteStack: readonly string[];
  /** The servers that it passed through, beginning with the one that threw it. */
  readonly hops: readonly string[];
  /** The fields of a registered error, as JSON text. */
  readonly data: string;

  constructor(failure: Failure, about: About = {}) {
    super(
      "Remote",
      failure.type === "error" ? failure.message : `${failure.type}: ${failure.message}`,
      about,
    );
    this.type = failure.type;
    this.remoteMessage = failure.message;
    this.remoteStack = failure.stack ?? [];
    this.hops = failure.hops ?? [];
    this.data = failure.data ?? "";
  }
}

/** Returns the error for a wrong use of the library. */
export function invalid(detail: string, cause?: unknown): RPCError {
  return new RPCError("Invalid", detail, { safeToRetry: true, cause });
}

/** Returns the error for a message that a server does not accept. */
export function refused(reason: Reason, detail = ""): RPCError {
  return new RPCError("Refused", detail || reasons[reason], { reason, safeToRetry: true });
}

/** Returns the text of any thrown value. */
export function textOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

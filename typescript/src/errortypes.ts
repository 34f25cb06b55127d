/**
 * Error classes that a program registers. Remote errors with their names are thrown as instances of
 * them.
 */

import { RPCError as Family, RemoteError, type RPCError } from "./errors.js";
import { readText, writeText } from "./json.js";

/** A class of errors. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** The remote errors from which registered errors were made. */
const origins = new WeakMap<object, RemoteError>();

/** The error classes of a program, by the names under which both ends register them. */
export class ErrorTypes {
  readonly #byName: ReadonlyMap<string, ErrorClass>;

  constructor(classes: Readonly<Record<string, ErrorClass>> = {}) {
    this.#byName = new Map(Object.entries(classes));
  }

  /**
   * Returns the registered name of an error and its fields as JSON text; undefined if its class is
   * not registered.
   */
  describe(error: Error): { name: string; data: string } | undefined {
    for (let proto = Object.getPrototypeOf(error); proto !== null; proto = Object.getPrototypeOf(proto)) {
      for (const [name, cls] of this.#byName) {
        if (cls.prototype === proto) {
          return { name, data: fieldsOf(error) };
        }
      }
    }
    return undefined;
  }

  /** Returns the error to throw: an instance of the registered class, if there is one. */
  thrown(error: RPCError): Error {
    if (!(error instanceof RemoteError)) {
      return error;
    }
    const cls = this.#byName.get(error.type);
    return (cls && rebuild(cls, error)) ?? error;
  }
}

function fieldsOf(error: Error): string {
  const hidden = ["stack", "message", "cause", "name"];
  const fields = Object.entries(error).filter(([name]) => !hidden.includes(name) && !name.startsWith("_"));
  if (fields.length === 0) {
    return "";
  }
  try {
    return writeText(Object.fromEntries(fields), "BadResult");
  } catch {
    return "";
  }
}

/**
 * Makes an error of a class from its fields. It does not call the constructor, whose parameters are
 * not known.
 */
function rebuild(cls: ErrorClass, error: RemoteError): Error | undefined {
  try {
    const rebuilt = Reflect.construct(Error, [error.remoteMessage, { cause: error }], cls) as Error;
    const fields = error.data ? readText(error.data, "BadResult") : {};
    Object.assign(rebuilt, fields);
    origins.set(rebuilt, error);
    return rebuilt;
  } catch {
    return undefined;
  }
}

/** Returns the RPCError itself, or the RPCError behind a registered error. */
export function find(error: unknown): RPCError | undefined {
  if (error instanceof Family) {
    return error;
  }
  return typeof error === "object" && error !== null ? origins.get(error) : undefined;
}

/**
 * Returns the kind of an error, or of the RPCError behind a registered error; undefined for other
 * errors.
 */
export function kindOf(error: unknown): RPCError["kind"] | undefined {
  return find(error)?.kind;
}

/** Whether the message behind an error provably did not run, so that it may be sent again. */
export function safeToRetry(error: unknown): boolean {
  return find(error)?.safeToRetry ?? false;
}

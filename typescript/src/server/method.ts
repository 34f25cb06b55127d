/** Methods for messages, and the descriptions of their arguments. */

import type { ErrorClass } from "../errortypes.js";
import { escapePointer, misfit } from "../json.js";
import type { RequestContext } from "./context.js";
import { didYouMean } from "./similar.js";

/** The type of an argument or a result: a JSON type, in the words of introspection. */
export type ArgumentType =
  | "string"
  | "integer"
  | "number"
  | "boolean"
  | "object"
  | "any"
  | `array of ${string}`;

/**
 * The types of arguments by their names. A question mark at the end of a name marks an optional
 * argument.
 */
export type Shape = Readonly<Record<string, ArgumentType>>;

type ValueOf<T extends ArgumentType> = T extends "string"
  ? string
  : T extends "integer"
    ? number | bigint
    : T extends "number"
      ? number | bigint
      : T extends "boolean"
        ? boolean
        : T extends "object"
          ? Record<string, unknown>
          : T extends `array of ${infer I extends ArgumentType}`
            ? ValueOf<I>[]
            : unknown;

/** The arguments of a method with a shape. Null counts as absent for an optional argument. */
export type ArgumentsOf<S extends Shape> = {
  [K in keyof S as K extends `${string}?` ? never : K]: ValueOf<S[K]>;
} & {
  [K in keyof S as K extends `${infer N}?` ? N : never]?: ValueOf<S[K]> | null;
};

/** A function that runs for a message. A generator streams its items. */
// biome-ignore lint/suspicious/noExplicitAny: undescribed methods choose their types
export type MethodFunction<A = any> = (context: RequestContext, args: A) => unknown;

/** The description of a method. */
export interface MethodDescription<S extends Shape> {
  /** The arguments. The server refuses unknown and missing arguments, and wrong types. */
  arguments?: S;
  /** Whether the method accepts further arguments, with any name. */
  extraArguments?: boolean;
  /** The type of its result, or of its items. */
  result?: ArgumentType | "null";
  /**
   * Errors that the method is expected to throw. They are not logged, and are sent without a stack.
   */
  expected?: readonly ErrorClass[];
  /** The version in which it appeared, as "1.2". */
  since?: string;
  /** The version in which it was deprecated. */
  deprecatedSince?: string;
}

interface Argument {
  readonly name: string;
  readonly type: ArgumentType;
  readonly optional: boolean;
}

/** A method with its description. */
export class Method {
  readonly arguments: readonly Argument[];
  readonly extraArguments: boolean;
  readonly result: string;
  readonly streaming: boolean;
  readonly expected: readonly ErrorClass[];
  readonly since: string;
  readonly deprecatedSince: string;
  readonly run: MethodFunction;
  readonly #description: MethodDescription<Shape>;
  started = 0;
  failed = 0;

  /** Use method(). */
  constructor(
    description: MethodDescription<Shape>,
    run: MethodFunction,
    streaming = /GeneratorFunction$/.test(run.constructor.name),
  ) {
    this.arguments = Object.entries(description.arguments ?? {}).map(([name, type]) => {
      const optional = name.endsWith("?");
      return { name: optional ? name.slice(0, -1) : name, type, optional };
    });
    this.extraArguments = description.extraArguments ?? description.arguments === undefined;
    this.result = description.result ?? "any";
    this.streaming = streaming;
    this.expected = description.expected ?? [];
    this.since = description.since ?? "";
    this.deprecatedSince = description.deprecatedSince ?? "";
    this.run = run;
    this.#description = description;
  }

  /** Returns a copy of the method with new counters, for another server. */
  fresh(receiver: object): Method {
    return new Method(this.#description, this.run.bind(receiver));
  }

  /** Throws an error of kind BadArguments unless the arguments fit. */
  check(args: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(args)) {
      const argument = this.arguments.find((a) => a.name === name);
      const path = `/${escapePointer(name)}`;
      if (argument === undefined) {
        if (!this.extraArguments) {
          const known = this.arguments.map((a) => a.name);
          const takes = didYouMean(name, known, `the method takes ${this.#signature()}`);
          const why = `there is no argument "${name.slice(0, 64)}"${takes}`;
          throw misfit("BadArguments", path, why);
        }
      } else if (!(argument.optional && value === null)) {
        checkType(argument.type, value, path);
      }
    }
    const missing = this.arguments.filter((a) => !a.optional && !Object.hasOwn(args, a.name));
    if (missing.length > 0) {
      const names = missing.map((a) => `"${a.name}"`).join(", ");
      const why = `missing argument${missing.length > 1 ? "s" : ""} ${names}; the method takes ${this.#signature()}`;
      throw misfit("BadArguments", "", why);
    }
  }

  #signature(): string {
    const words = this.arguments.map((a) => `${a.name} (${a.type}${a.optional ? ", optional" : ""})`);
    return (this.extraArguments ? [...words, "any others"] : words).join(", ") || "no arguments";
  }
}

/**
 * Describes a method, so that its arguments are checked before it runs, and introspection shows
 * them.
 */
export function method<const S extends Shape>(
  description: MethodDescription<S>,
  run: MethodFunction<ArgumentsOf<S>>,
): Method {
  return new Method(description, run);
}

function checkType(type: ArgumentType, value: unknown, path: string): void {
  const word = wordOf(value);
  if (type.startsWith("array of ")) {
    if (!Array.isArray(value)) {
      throw misfit("BadArguments", path, `wanted ${type}, got ${word}`);
    }
    const inner = type.slice("array of ".length) as ArgumentType;
    value.forEach((item, n) => {
      checkType(inner, item, `${path}/${n}`);
    });
    return;
  }
  if (type !== "any" && word !== type && !(type === "number" && word === "integer")) {
    throw misfit("BadArguments", path, `wanted ${type}, got ${word}`);
  }
}

function wordOf(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return "integer";
    case "number":
      return Number.isInteger(value) ? "integer" : "number";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "array" : "object";
    default:
      return typeof value;
  }
}

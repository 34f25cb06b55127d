/**
 * JSON as the protocol requires: exact integers, and errors that name the place.
 *
 * Integers beyond ±(2^53 - 1) are read as bigints, and bigints are written as integers. A `number`
 * beyond that is written as a float.
 */

import { parse } from "lossless-json";
import { type Kind, RPCError } from "./errors.js";
import { locate } from "./jsontext.js";

const MAX_DEPTH = 900;
const MAX_DIGITS = 4300;

/** A number that is written with a fraction, as in 1.0, so that it arrives as a float. */
export class Float {
  constructor(readonly value: number) {}
}

/**
 * Makes a number arrive as a float, for receivers that distinguish 1.0 from 1. Numbers with a
 * fraction do not need it.
 */
export function float(value: number): Float {
  return new Float(value);
}

/** Returns the error for a value in a payload, at the JSON pointer `path`. */
export function misfit(kind: Kind, path: string, why: string): RPCError {
  return new RPCError(kind, path ? `at ${path}: ${why}` : why, {
    path,
    safeToRetry: kind === "BadArguments",
  });
}

/** Escapes a name for a JSON pointer. */
export function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/**
 * Returns a value as JSON text. An error of the given kind names the place of a value that cannot
 * be sent.
 */
export function writeText(value: unknown, kind: Kind): string {
  return write(value, "", 0, kind);
}

function write(value: unknown, path: string, depth: number, kind: Kind): string {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) {
        throw misfit(kind, path, "has a lone surrogate, which UTF-8 cannot hold");
      }
      return JSON.stringify(value);
    case "boolean":
      return String(value);
    case "number":
      return writeNumber(value, path, kind);
    case "bigint":
      return writeInteger(value, path, kind);
    case "object":
      break;
    case "undefined":
      throw misfit(kind, path, "undefined cannot be sent: leave the member out, or send null");
    default:
      throw misfit(kind, path, `a ${typeof value} cannot be sent`);
  }
  if (value === null) {
    return "null";
  }
  if (value instanceof Float) {
    return writeFloat(value.value, path, kind);
  }
  if (depth > MAX_DEPTH) {
    throw misfit(kind, path.slice(0, 200), "it nests too deep, or contains itself");
  }
  return Array.isArray(value)
    ? `[${Array.from(value, (item, n) => write(item, `${path}/${n}`, depth + 1, kind)).join(",")}]`
    : writeObject(value, path, depth, kind);
}

function writeObject(value: object, path: string, depth: number, kind: Kind): string {
  const proto = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null) {
    const name = value.constructor?.name || "an unknown class";
    const advice = ArrayBuffer.isView(value) ? "decode the bytes, or write them in base64" : "convert it";
    throw misfit(kind, path, `a value of class ${name} cannot be sent: ${advice}`);
  }
  const members: string[] = [];
  for (const [name, inner] of Object.entries(value)) {
    if (!name.isWellFormed()) {
      throw misfit(kind, path, "a name has a lone surrogate, which UTF-8 cannot hold");
    }
    members.push(
      `${JSON.stringify(name)}:${write(inner, `${path}/${escapePointer(name)}`, depth + 1, kind)}`,
    );
  }
  return `{${members.join(",")}}`;
}

function writeNumber(value: number, path: string, kind: Kind): string {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return String(value);
  }
  return writeFloat(value, path, kind);
}

function writeFloat(value: number, path: string, kind: Kind): string {
  if (!Number.isFinite(value)) {
    throw misfit(kind, path, `${value} is not a JSON number`);
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function writeInteger(value: bigint, path: string, kind: Kind): string {
  const text = String(value);
  if (text.length > MAX_DIGITS + (value < 0n ? 1 : 0)) {
    throw misfit(kind, path, `an integer may have at most ${MAX_DIGITS} digits`);
  }
  return text;
}

/** Parses JSON text. An error of the given kind names the place of a mistake. */
export function readText(text: string, kind: Kind): unknown {
  let value: unknown;
  let odd: boolean;
  try {
    value = readPlain(text) ?? parse(text, undefined, { parseNumber: readNumber });
    odd = suspicious(text, value);
  } catch (e) {
    const found = locate(text);
    throw misfit(kind, found?.path ?? "", found?.why ?? `it cannot be read as JSON: ${(e as Error).message}`);
  }
  // The parser accepts lone surrogates, and a duplicate name with the same value.
  const found = odd ? locate(text) : undefined;
  if (found) {
    throw misfit(kind, found.path, found.why);
  }
  return value;
}

/** Matches numbers that JSON.parse may round, or read differently than the protocol requires. */
const SPECIAL = /\d{16}|[eE][+-]?\d{3}|-0(?![.\d])/;

/**
 * Parses a text with JSON.parse, which is many times as fast as a lossless parser. It returns
 * undefined if the text may need the latter.
 */
function readPlain(text: string): unknown {
  try {
    return SPECIAL.test(text) ? undefined : (JSON.parse(text) ?? undefined);
  } catch {
    return undefined;
  }
}

function readNumber(text: string): number | bigint {
  if (/^-?\d+$/.test(text)) {
    if (text.replace("-", "").length > MAX_DIGITS) {
      throw new RangeError("the integer has too many digits");
    }
    const number = Number(text);
    return Number.isSafeInteger(number) ? number || 0 : BigInt(text);
  }
  const number = Number(text);
  if (!Number.isFinite(number)) {
    throw new RangeError(`${text} is larger than any float`);
  }
  return number;
}

/** Whether a text may have mistakes that the parser accepts. */
function suspicious(text: string, value: unknown): boolean {
  return /\\u[dD][89a-fA-F]/.test(text) || countNames(text) !== countMembers(value);
}

/** Counts the names of members. A regular expression would overflow the stack on a long string. */
function countNames(text: string): number {
  const colon = /[ \t\r\n]*:/y;
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    at = endOfString(text, at + 1) + 1;
    colon.lastIndex = at;
    count += colon.test(text) ? 1 : 0;
  }
  return count;
}

/** Returns the end of the string that begins at an index. */
function endOfString(text: string, begin: number): number {
  for (let from = begin; ; ) {
    const quote = text.indexOf('"', from);
    let slashes = 0;
    while (quote - slashes > from && text[quote - slashes - 1] === "\\") {
      slashes++;
    }
    if (quote < 0 || slashes % 2 === 0) {
      return quote < 0 ? text.length : quote;
    }
    from = quote + 1; // this quote is escaped
  }
}

function countMembers(value: unknown): number {
  if (typeof value !== "object" || value === null) {
    return 0;
  }
  const inner = Object.values(value);
  return inner.reduce((sum: number, v) => sum + countMembers(v), Array.isArray(value) ? 0 : inner.length);
}

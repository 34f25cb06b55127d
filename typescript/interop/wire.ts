/**
 * The line protocol of `make interop`: JSON values, one on each line. internal/interop/wire
 * describes it.
 */

import { createInterface } from "node:readline";
import { isSafeNumber, parse, stringify } from "lossless-json";

/** A request. Package internal/interop/wire describes the fields. */
export interface Request {
  id: number;
  do: string;
  of?: number;
  topic: string;
  server?: string;
  version?: string;
  method: string;
  args?: Record<string, unknown>;
  fill?: number;
  context?: Record<string, unknown>;
  timeout?: number;
  monitor?: number;
  take?: number;
}

/**
 * Yields the requests on the standard input until it ends. Integers that a number cannot hold are
 * bigints.
 */
export async function* requests(): AsyncGenerator<Request, void> {
  for await (const line of createInterface({ input: process.stdin })) {
    yield parse(line, undefined, number) as Request;
  }
}

function number(text: string): number | bigint {
  return /^-?\d+$/.test(text) && !isSafeNumber(text) ? BigInt(text) : Number(text);
}

/** Writes a value to the standard output, as one line. */
export function write(value: Record<string, unknown>): void {
  process.stdout.write(`${stringify(value)}\n`);
}

/** Reports an event of a server. */
export function event(name: string, note = ""): void {
  write({ event: name, note });
}

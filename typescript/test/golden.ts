/**
 * Reads the golden files in proto/testdata, which the implementations in all languages are tested
 * with.
 */

import { readFileSync } from "node:fs";
import { type Endpoint, method } from "../src/index.js";

/** A case. Each section has its own fields, which may include a name. */
// biome-ignore lint/suspicious/noExplicitAny: each test knows the fields of its cases
export type Case = Record<string, any>;

/** Returns the cases of a section, each with a name. */
export function load(file: string, section: string): [string, Case][] {
  const url = new URL(`../../proto/testdata/${file}`, import.meta.url);
  const cases: Case[] = JSON.parse(readFileSync(url, "utf8"))[section];
  if (cases.length === 0) {
    throw new Error(`${file} has no ${section}`);
  }
  return cases.map((c) => [String(c["case"] ?? JSON.stringify(c).slice(0, 60)), c]);
}

/** The interfaces that the requests in requests.json and badinput.json are for. */
export const goldenEndpoints: readonly Endpoint[] = [
  {
    version: "1.2",
    methods: {
      add: method(
        { arguments: { a: "integer", b: "integer" }, result: "integer" },
        (_, { a, b }) => BigInt(a) + BigInt(b),
      ),
      echo: (_: unknown, args: object) => args,
      fail: method({ arguments: {} }, () => {
        throw new TypeError("broken");
      }),
      unsendable: method({ arguments: {} }, () => ({ x: [Number.NaN] })),
      count: method({ arguments: { n: "integer" } }, function* (_, { n }) {
        for (let i = 1; i <= n; i++) {
          yield i;
        }
      }),
    },
  },
  { namespace: "other", version: "2.0", methods: { whoami: method({ arguments: {} }, () => "node1") } },
];

/** Reads proto/testdata, by which the implementations agree. */

import { readFileSync } from "node:fs";
import { type Endpoint, method } from "../src/index.js";

/** A case: data of the section's own form, perhaps with a name. */
// biome-ignore lint/suspicious/noExplicitAny: the files are data, whose form is the test's
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

/** What the cases of requests.json and badinput.json ask for. */
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

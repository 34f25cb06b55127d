/** Reads proto/testdata, by which the implementations agree. */

import { readFileSync } from "node:fs";

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

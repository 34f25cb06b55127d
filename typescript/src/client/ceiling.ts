/** The versions that the whole fleet can serve. */

import { compareVersions, serves, type Version } from "../versions.js";
import type { Entry } from "./topic.js";

/**
 * Whether every instance that implements the interface can serve a version. False if no instance
 * implements it.
 */
export function ceiling(
  entries: readonly Entry[],
  namespace: string,
  version: Version,
  server: string | undefined,
): boolean {
  const now = performance.now();
  let some = false;
  for (const e of entries) {
    const counts = server === undefined ? !e.draining : e.instance.server === server;
    if (!counts || !e.usable(now)) {
      continue;
    }
    if (e.instance.implemented.length === 0) {
      return false;
    }
    const offered = e.instance.implemented.filter((i) => i.namespace === namespace).map((i) => i.version);
    if (offered.length === 0) {
      continue;
    }
    const highest = offered
      .filter((v) => v.major === version.major)
      .sort(compareVersions)
      .at(-1);
    if (highest === undefined || !serves(highest, version)) {
      return false;
    }
    some = true;
  }
  return some;
}

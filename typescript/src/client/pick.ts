/** Which instance a message goes to. */

import type { Version } from "../versions.js";
import { canServe, type Message } from "./message.js";
import type { Entry, Topic } from "./topic.js";

/** Why there is no instance to send to. */
export type Verdict = "absent" | "no server" | "unable" | "away" | "exhausted";

/**
 * Returns the instance for a message, in turn among those that do equally well; or why there is
 * none.
 */
export function pick(
  topic: Topic,
  entries: readonly Entry[],
  m: Message,
  tried: ReadonlySet<Entry>,
): Entry | Verdict {
  const now = performance.now();
  const groups = m.versions.flatMap((version) => candidates(topic, entries, m, version, now));
  for (const group of groups) {
    let best: Entry | undefined;
    for (let n = 0; n < group.length; n++) {
      const e = group[(m.turn + n) % group.length] as Entry;
      if (!tried.has(e) && (best === undefined || e.link.health < best.link.health)) {
        best = e;
      }
    }
    if (best !== undefined) {
      return best;
    }
  }
  if (groups.some((group) => group.length > 0)) {
    return "exhausted";
  }
  return verdict(entries, m, now);
}

/** Returns the instances that a message may go to, in groups: the preferred first. */
function candidates(
  topic: Topic,
  entries: readonly Entry[],
  m: Message,
  version: Version,
  now: number,
): (readonly Entry[])[] {
  const able = entries.filter((e) => e.usable(now) && e.serves(m.namespace, version));
  if (m.target.server !== undefined) {
    const named = able.filter((e) => e.instance.server === m.target.server);
    return [named.filter((e) => !e.draining), named.filter((e) => e.draining)];
  }
  const open = able.filter((e) => !e.draining);
  const active = open.filter((e) => !e.held);
  const few = topic.preferred(active);
  const rest = few === active ? [] : active.filter((e) => !few.includes(e));
  return [few, rest, open.filter((e) => e.held)];
}

function verdict(entries: readonly Entry[], m: Message, now: number): Verdict {
  const { server } = m.target;
  const meant = entries.filter((e) => (server === undefined ? !e.draining : e.instance.server === server));
  if (meant.some((e) => e.usable(now))) {
    return meant.some((e) => e.away(now) && canServe(e, m)) ? "away" : "unable";
  }
  return server === undefined ? "absent" : "no server";
}

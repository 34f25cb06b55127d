/** Picks the instance that a message is sent to. */

import type { Version } from "../versions.js";
import { canServe, type Message } from "./message.js";
import type { Entry, Topic } from "./topic.js";

/** Why there is no instance to send to. */
export type Verdict = "absent" | "no server" | "unable" | "away" | "exhausted";

/**
 * Returns the instance for a message, or why there is none. Equally healthy instances take turns.
 */
export function pick(
  topic: Topic,
  entries: readonly Entry[],
  m: Message,
  tried: ReadonlySet<Entry>,
): Entry | Verdict {
  const now = performance.now();
  const ranks = m.versions.flatMap((version) => candidates(topic, entries, m, version, now));
  for (const groups of ranks) {
    const best = bestOf(groups, m.turn, tried);
    if (best !== undefined) {
      return best;
    }
  }
  if (ranks.flat(2).length > 0) {
    return "exhausted";
  }
  return verdict(entries, m, now);
}

/**
 * Returns the healthiest entry that was not tried, or the next in turn among equals. A group counts
 * only if no earlier group has an entry that is likely to accept the message.
 */
function bestOf(groups: readonly Group[], turn: number, tried: ReadonlySet<Entry>): Entry | undefined {
  let best: Entry | undefined;
  for (const group of groups) {
    for (let n = 0; n < group.length; n++) {
      const e = group[(turn + n) % group.length] as Entry;
      if (!tried.has(e) && (best === undefined || e.link.health < best.link.health)) {
        best = e;
      }
    }
    if (best?.link.health === 0) {
      return best;
    }
  }
  return best;
}

type Group = readonly Entry[];

/**
 * Returns the instances that a message may go to, in groups, preferred ones first. A rank of groups
 * counts only if all earlier ranks are empty.
 */
function candidates(
  topic: Topic,
  entries: readonly Entry[],
  m: Message,
  version: Version,
  now: number,
): Group[][] {
  const able = entries.filter((e) => e.usable(now) && e.serves(m.namespace, version));
  if (m.target.server !== undefined) {
    const named = able.filter((e) => e.instance.server === m.target.server);
    return [[named.filter((e) => !e.draining)], [named.filter((e) => e.draining)]];
  }
  const open = able.filter((e) => !e.draining);
  const near = open.filter((e) => topic.near(e));
  const far = open.filter((e) => !topic.near(e));
  const active = [near, far].flatMap((zone) => fewFirst(topic, zone));
  return [active, [near, far].map((zone) => zone.filter((e) => e.held))];
}

/**
 * Returns the instances that are not held. In a large fleet, the few that this client prefers form
 * the first group.
 */
function fewFirst(topic: Topic, entries: Group): Group[] {
  const active = entries.filter((e) => !e.held);
  const few = topic.preferred(active);
  return few === active ? [active] : [few, active.filter((e) => !few.includes(e))];
}

function verdict(entries: readonly Entry[], m: Message, now: number): Verdict {
  const { server } = m.target;
  const meant = entries.filter((e) => (server === undefined ? !e.draining : e.instance.server === server));
  if (meant.some((e) => e.usable(now))) {
    return meant.some((e) => e.away(now) && canServe(e, m)) ? "away" : "unable";
  }
  return server === undefined ? "absent" : "no server";
}

/** Which version a typed message needs: a server at that version knows all fields that are set. */

import type { DescMessage, Message, Registry } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { compareVersions, type Version } from "../versions.js";
import { ALWAYS, pinned, type Rule, ruleOf, ruleOfValue } from "./rules.js";
import { latest } from "./service.js";

/** A version that is later than every real one. */
export const UNLIMITED: Version = { major: 2 ** 32, minor: 0, revision: 0 };
/** The maximum nesting of google.protobuf.Any. Values that are nested deeper are not examined. */
const MAX_ANYS = 32;

/**
 * The version that a message needs, and the version that remains if all droppable parts are
 * dropped.
 */
export interface Need {
  readonly version: Version;
  readonly floor: Version;
}

/** Whether a version is later than another. */
export function later(a: Version, b: Version): boolean {
  return compareVersions(a, b) > 0;
}

/**
 * Computes which versions messages of a method need. Rules whose version is not later than the
 * method's have no effect.
 */
export class Needs {
  readonly #base: Version;
  readonly #registry: Registry;

  constructor(base: Version, registry: Registry) {
    this.#base = base;
    this.#registry = registry;
  }

  /** Returns which versions a message needs. */
  of(schema: DescMessage, message: Message): Need {
    const { version, floor } = this.#message(reflect(schema, message), UNLIMITED, 0);
    return { version: latest(version, this.#base), floor: latest(floor, this.#base) };
  }

  /**
   * Returns the versions at which a message can be sent, the latest first. The first is for the
   * whole message. Each dropped part may lead to a lower one.
   */
  steps(schema: DescMessage, message: Message): Version[] {
    const need = this.of(schema, message);
    const steps = [need.version];
    for (let step = need.version; later(step, need.floor); steps.push(step)) {
      step = latest(this.#message(reflect(schema, message), step, 0).version, this.#base);
    }
    return steps;
  }

  /** Whether an element may be dropped. */
  drops(rule: Rule): boolean {
    return rule.drop && later(rule.since, this.#base);
  }

  /**
   * Returns the message in a google.protobuf.Any; undefined if its type is unknown, or it cannot be
   * decoded.
   */
  unpack(any: Message): ReflectMessage | undefined {
    try {
      const inner = anyUnpack(any as Any, this.#registry);
      const schema = inner && this.#registry.getMessage(inner.$typeName);
      return schema && reflect(schema, inner);
    } catch {
      return undefined;
    }
  }

  /**
   * Returns two versions that a message needs: `version` if all droppable parts of version `limit`
   * or later are dropped, and `floor` if all droppable parts are.
   */
  #message(m: ReflectMessage, limit: Version, anys: number): Need {
    if (m.desc.typeName === AnySchema.typeName) {
      const inner = anys < MAX_ANYS ? this.unpack(m.message) : undefined;
      return inner ? this.#message(inner, limit, anys + 1) : { version: ALWAYS, floor: ALWAYS };
    }
    let need: Need = { version: ALWAYS, floor: ALWAYS };
    for (const field of m.fields) {
      if (m.isSet(field)) {
        const inner = this.#field(m, field, limit, anys);
        need = { version: latest(need.version, inner.version), floor: latest(need.floor, inner.floor) };
      }
    }
    return need;
  }

  #field(m: ReflectMessage, field: ReflectMessage["fields"][number], limit: Version, anys: number): Need {
    const rule = ruleOf(field);
    const sum = new Sum();
    for (const value of valuesOf(m, field)) {
      if (field.enum !== undefined) {
        this.#number(sum, ruleOfValue(field.enum, value as number), rule, pinned(field), limit);
      } else if (field.message !== undefined) {
        const { version, floor } = this.#message(value as ReflectMessage, limit, anys);
        sum.stays(version, floor);
      } else {
        sum.stays(ALWAYS, ALWAYS);
      }
    }
    const version = sum.some ? latest(sum.version, rule.since) : sum.version;
    const floor = sum.solid ? latest(sum.floor, rule.since) : sum.floor;
    if (!this.drops(rule)) {
      return { version, floor };
    }
    // The field is dropped, either because it is too new itself, or because it has a part that is
    // too new and cannot be dropped alone.
    return { version: later(limit, floor) ? version : ALWAYS, floor: ALWAYS };
  }

  #number(sum: Sum, value: Rule, field: Rule, stays: boolean, limit: Version): void {
    if (!this.drops(value) || stays) {
      sum.stays(value.since, value.since);
      return;
    }
    // Without its last value the field would not be set, so the value is dropped if either is too
    // new.
    const since = latest(value.since, field.since);
    if (later(limit, since)) {
      sum.some = true;
      sum.version = latest(since, sum.version);
    }
  }
}

/** Which versions the values of a field need. */
class Sum {
  version = ALWAYS;
  floor = ALWAYS;
  /** Whether any value is below the limit. */
  some = false;
  /** Whether any value must not be dropped. */
  solid = false;

  stays(version: Version, floor: Version): void {
    this.version = latest(version, this.version);
    this.floor = latest(floor, this.floor);
    this.some = true;
    this.solid = true;
  }
}

/** Returns the values of a field that is set; for a list or a map, all of its elements. */
function valuesOf(m: ReflectMessage, field: ReflectMessage["fields"][number]): Iterable<unknown> {
  const value: unknown = m.get(field);
  switch (field.fieldKind) {
    case "list":
      return value as Iterable<unknown>;
    case "map":
      return (value as ReadonlyMap<unknown, unknown>).values();
    default:
      return [value];
  }
}

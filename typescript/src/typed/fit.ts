/** Copies of typed messages for older servers. */

import { clone, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type ReflectList, type ReflectMap, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import type { Version } from "../versions.js";
import { later, type Needs } from "./need.js";
import { ALWAYS, pinned, ruleOf, ruleOfValue } from "./rules.js";
import { latest } from "./service.js";

/**
 * Returns the message for a server at a version. This is the message itself if nothing must be
 * dropped, or if dropping does not help, and otherwise a copy without newer parts.
 */
export function fit<D extends DescMessage>(
  needs: Needs,
  schema: D,
  message: MessageShape<D>,
  version: Version,
): MessageShape<D> {
  const need = needs.of(schema, message);
  if (!later(need.version, version) || later(need.floor, version)) {
    return message;
  }
  const fitted = clone(schema, message);
  new Fit(needs, version).message(reflect(schema, fitted));
  return fitted;
}

/** Drops parts that are later than a version, and returns which version the rest needs. */
class Fit {
  readonly #needs: Needs;
  readonly #version: Version;

  constructor(needs: Needs, version: Version) {
    this.#needs = needs;
    this.#version = version;
  }

  message(m: ReflectMessage): Version {
    if (m.desc.typeName === AnySchema.typeName) {
      return this.#any(m.message as Any);
    }
    let need = ALWAYS;
    for (const field of m.fields) {
      if (m.isSet(field)) {
        need = latest(need, this.#field(m, field));
      }
    }
    return need;
  }

  #any(any: Any): Version {
    const inner = this.#needs.unpack(any);
    if (inner === undefined) {
      return ALWAYS;
    }
    const need = this.message(inner);
    any.value = toBinary(inner.desc, inner.message);
    return need;
  }

  #field(m: ReflectMessage, field: ReflectMessage["fields"][number]): Version {
    const rule = ruleOf(field);
    const drops = this.#needs.drops(rule);
    if (drops && later(rule.since, this.#version)) {
      m.clear(field);
      return ALWAYS;
    }
    const need = this.#values(m, field);
    if (!m.isSet(field)) {
      return ALWAYS;
    }
    if (drops && later(need, this.#version)) {
      m.clear(field);
      return ALWAYS;
    }
    return latest(need, rule.since);
  }

  #values(m: ReflectMessage, field: ReflectMessage["fields"][number]): Version {
    const value: unknown = m.get(field);
    switch (field.fieldKind) {
      case "message":
        return this.message(value as ReflectMessage);
      case "enum":
        return this.#number(field, value as number, () => m.clear(field));
      case "list":
        return this.#list(field, value as ReflectList);
      case "map":
        return this.#map(field, value as ReflectMap);
      default:
        return ALWAYS;
    }
  }

  /**
   * Returns which version an enum value needs. If the value must be dropped, it calls `go` to drop
   * it.
   */
  #number(field: ReflectMessage["fields"][number], number: number, go: () => void): Version {
    if (field.enum === undefined) {
      return ALWAYS;
    }
    const rule = ruleOfValue(field.enum, number);
    if (
      this.#needs.drops(rule) &&
      !pinned(field) &&
      later(latest(rule.since, ruleOf(field).since), this.#version)
    ) {
      go();
      return ALWAYS;
    }
    return rule.since;
  }

  #list(field: ReflectMessage["fields"][number], all: ReflectList): Version {
    let need = ALWAYS;
    const left: unknown[] = [];
    for (const value of all) {
      let stays = true;
      const inner = field.message
        ? this.message(value as ReflectMessage)
        : this.#number(field, value as number, () => {
            stays = false;
          });
      need = latest(need, inner);
      if (stays) {
        left.push(value);
      }
    }
    if (left.length < all.size) {
      all.clear();
      for (const value of left) {
        all.add(value as never);
      }
    }
    return need;
  }

  #map(field: ReflectMessage["fields"][number], all: ReflectMap): Version {
    let need = ALWAYS;
    for (const [key, value] of [...all]) {
      const inner = field.message
        ? this.message(value as ReflectMessage)
        : this.#number(field, value as number, () => all.delete(key));
      need = latest(need, inner);
    }
    return need;
  }
}

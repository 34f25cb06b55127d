/** In which version fields and enum values appeared, and what older peers get. */

import { type DescEnum, type DescField, getOption, hasOption } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  type ElementRules,
  enum_value,
  field as fieldOption,
  OlderPeers,
} from "../gen/oslorpc/v1/options_pb.js";
import { compareVersions, parseVersion, type Version } from "../versions.js";

/** A version that is earlier than every real one. */
export const ALWAYS: Version = { major: 0, minor: 0, revision: 0 };

/** In which version an element appeared, and whether older peers get the message without it. */
export interface Rule {
  readonly since: Version;
  readonly drop: boolean;
}

const always: Rule = { since: ALWAYS, drop: false };
const fieldRules = new WeakMap<DescField, Rule>();
const valueRules = new WeakMap<DescEnum, ReadonlyMap<number, Rule>>();

/** Returns the rule of a field. */
export function ruleOf(field: DescField): Rule {
  let rule = fieldRules.get(field);
  if (rule === undefined) {
    rule = hasOption(field, fieldOption) ? read(String(field), getOption(field, fieldOption)) : always;
    if (rule.drop && pinned(field)) {
      throw new TypeError(
        `${field}: older_peers must not be OLDER_PEERS_DROP: the field is in a oneof, or required`,
      );
    }
    fieldRules.set(field, rule);
  }
  return rule;
}

/** Whether a field must not be cleared because of its value: it is in a oneof, or required. */
export function pinned(field: DescField): boolean {
  return field.oneof !== undefined || field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED;
}

/**
 * Returns the rule of an enum value. If a number has several names, the rule of the oldest applies.
 */
export function ruleOfValue(of: DescEnum, number: number): Rule {
  let rules = valueRules.get(of);
  if (rules === undefined) {
    const all = new Map<number, Rule>();
    for (const value of of.values) {
      const rule = hasOption(value, enum_value) ? read(String(value), getOption(value, enum_value)) : always;
      const other = all.get(value.number);
      if (other === undefined || compareVersions(other.since, rule.since) > 0) {
        all.set(value.number, rule);
      }
    }
    rules = all;
    valueRules.set(of, rules);
  }
  return rules.get(number) ?? always;
}

function read(what: string, rules: ElementRules): Rule {
  const drop = rules.olderPeers === OlderPeers.DROP;
  if (!rules.since) {
    if (drop) {
      throw new TypeError(`${what}: older_peers needs since: say in which version it appeared`);
    }
    return always;
  }
  try {
    return { since: parseVersion(rules.since), drop };
  } catch (e) {
    throw new TypeError(`${what}: since: ${(e as Error).message}`);
  }
}

/**
 * The options of typed services: their topic and namespace, the versions of their methods, and how
 * messages are delivered.
 */

import { type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { invalid } from "../errors.js";
import { Delivery, method as methodOption, service as serviceOption } from "../gen/oslorpc/v1/options_pb.js";
import { compareVersions, DEFAULT_VERSION, formatVersion, parseVersion, type Version } from "../versions.js";

const EMPTY = "google.protobuf.Empty";

/** A typed service as its options describe it. */
export interface TypedService {
  readonly topic: string;
  readonly namespace: string;
  readonly version: Version;
}

/** A method of a typed service. */
export interface TypedMethod {
  readonly service: TypedService;
  /** The version in which the method appeared. */
  readonly since: Version;
  readonly delivery: "call" | "cast" | "fanout";
}

/** Returns the later of two versions. */
export function latest(a: Version, b: Version): Version {
  return compareVersions(a, b) >= 0 ? a : b;
}

/**
 * Reads the options of a service. Without options, its namespace is its full name, and its version
 * is 1.0.
 */
export function readService(of: DescService): TypedService {
  if (!hasOption(of, serviceOption)) {
    return { topic: "", namespace: of.typeName, version: DEFAULT_VERSION };
  }
  const rules = getOption(of, serviceOption);
  if (!rules.version) {
    const why = "version is missing: the options of a service say which version its file describes";
    throw invalid(`service ${of.typeName}: ${why}`);
  }
  return {
    topic: rules.topic,
    namespace: rules.namespace ?? "",
    version: versionIn(of, "version", rules.version),
  };
}

/** Reads the options of a method. */
export function readMethod(of: DescMethod, service: TypedService): TypedMethod {
  const beginning = { major: service.version.major, minor: 0, revision: 0 };
  const rules = getOption(of, methodOption);
  let since = beginning;
  if (rules.since) {
    since = latest(versionIn(of, "since", rules.since), beginning);
    if (compareVersions(since, service.version) > 0) {
      const version = formatVersion(service.version);
      throw invalid(`${of}: since "${rules.since}" is later than the version of the service, ${version}`);
    }
  }
  return { service, since, delivery: deliveryOf(of, rules.delivery) };
}

function deliveryOf(of: DescMethod, d: Delivery): TypedMethod["delivery"] {
  if (d !== Delivery.CAST && d !== Delivery.FANOUT) {
    return "call";
  }
  if (of.methodKind !== "unary" || of.output.typeName !== EMPTY) {
    throw invalid(`${of}: a cast or a fanout has no result: it must return ${EMPTY}, and may not stream`);
  }
  return d === Delivery.CAST ? "cast" : "fanout";
}

function versionIn(of: DescService | DescMethod, option: string, text: string): Version {
  try {
    return parseVersion(text);
  } catch (e) {
    throw invalid(`${of}: ${option}: ${(e as Error).message}`);
  }
}

/** Transport URLs, which select discovery. docs/discovery.md has the grammar. */

import { normalize } from "node:path";
import { CONSUL_PARAMETERS } from "./discovery/agents.js";
import type { Connect } from "./discovery/attacher.js";
import { ConsulRegistry } from "./discovery/consul.js";
import { GatewayRegistry } from "./discovery/gateway.js";
import { LocalRegistry } from "./discovery/local.js";
import type { Registry } from "./discovery/registry.js";
import { StaticRegistry } from "./discovery/static.js";
import { invalid, type RPCError } from "./errors.js";
import type { Logger } from "./log.js";
import { checkTarget, checkZone, DEFAULT_EXCHANGE } from "./target.js";
import { environment, TRUST_PARAMETERS, Trust } from "./trust.js";

/** The settings of a transport URL and the environment. */
export interface Settings {
  exchange: string;
  /** The zone where the program runs; empty if unknown. */
  zone: string;
  trust: Trust;
  /** Opens the registry. `connect` opens its connections to gateways. */
  openRegistry(log: Logger, connect: Connect): Registry;
}

/** The schemes of message brokers in OpenStack's configuration. */
const brokers = ["amqp", "amqps", "kafka", "kombu", "nats", "rabbit", "zmq"];
const schemes = ["local", "consul", "gateway", "static"];

/** Parses a transport URL. If there is none, it parses the one in the environment, or local://. */
export function parseURL(url?: string, exchange?: string, zone?: string): Settings {
  const text = url?.trim() || environment("OSLORPC_TRANSPORT_URL") || "local://";
  const colon = text.indexOf("://");
  if (colon < 0) {
    throw invalid(
      `transport URL "${text}" has no scheme: write local://, consul://host:8500, gateway://host:8600 or static://topic=host:port`,
    );
  }
  const scheme = text.slice(0, colon).toLowerCase();
  const after = text.slice(colon + 3);
  if (!schemes.includes(scheme)) {
    const broker = brokers.includes(scheme.split("+")[0] ?? "")
      ? `there is no broker; write consul://host:8500 where ${scheme}:// was; `
      : "";
    throw invalid(
      `transport URL has the unknown scheme "${scheme}": ${broker}known are ${schemes.join(", ")}`,
    );
  }
  const question = after.indexOf("?");
  const rest = question < 0 ? after : after.slice(0, question);
  if (rest.includes("@") && scheme !== "static") {
    throw invalid("transport URL has an @: there are no user names and passwords in it");
  }
  if (after.includes("#")) {
    throw invalid("transport URL has a #: write %23 for one within a name");
  }
  const known = ["exchange", "zone", ...TRUST_PARAMETERS, ...(scheme === "consul" ? CONSUL_PARAMETERS : [])];
  const parameters = readParameters(question < 0 ? "" : after.slice(question + 1), known);
  const chosen = chooseExchange(parameters.get("exchange") || exchange);
  const trust = new Trust(parameters);
  return {
    exchange: chosen,
    zone: chooseZone(parameters.get("zone") || zone),
    trust,
    openRegistry: opener(scheme, rest, chosen, trust, parameters),
  };
}

function opener(
  scheme: string,
  rest: string,
  exchange: string,
  trust: Trust,
  parameters: ReadonlyMap<string, string>,
): Settings["openRegistry"] {
  return (log, connect) => {
    switch (scheme) {
      case "gateway":
        return new GatewayRegistry(rest, trust, connect, log);
      case "static":
        return new StaticRegistry(rest, exchange);
      case "local":
        return new LocalRegistry(directory(rest), log);
      default:
        return new ConsulRegistry(rest, parameters, log);
    }
  };
}

function chooseExchange(given: string | undefined): string {
  const exchange = given || environment("OSLORPC_EXCHANGE") || DEFAULT_EXCHANGE;
  try {
    checkTarget({ exchange });
  } catch (e) {
    throw invalid(`default exchange: ${(e as RPCError).detail}`);
  }
  return exchange;
}

function chooseZone(given: string | undefined): string {
  const zone = given || environment("OSLORPC_ZONE");
  checkZone(zone);
  return zone;
}

/** The parameters for Consul's service mesh, which only Go programs support. */
const onlyGo = new Set(["connect", "service"]);

function readParameters(query: string, known: readonly string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query ? query.split("&") : []) {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    if (onlyGo.has(name)) {
      throw invalid(
        `transport URL has the parameter "${name}", which only programs in Go understand: use certificates ` +
          "(ca, cert, key), or a gateway or a proxy of the mesh beside this program; see docs/mesh.md",
      );
    }
    if (!known.includes(name)) {
      throw invalid(
        `transport URL has the unknown parameter "${name}": there are ${[...known].sort().join(", ")}`,
      );
    }
    if (parameters.has(name) || !value) {
      throw invalid(`transport URL: parameter "${name}" must be given once, with a value`);
    }
    parameters.set(name, decode(value.replaceAll("+", " "), `parameter "${name}"`));
  }
  return parameters;
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(`transport URL: ${what} is not UTF-8 with percent signs before two hexadecimal digits`);
  }
}

function directory(rest: string): string | undefined {
  const path = decode(rest, "the directory");
  if (path && !path.startsWith("/")) {
    throw invalid(
      `transport URL "local://${rest}": a directory is absolute: write local:///${path} with three slashes`,
    );
  }
  return path ? normalize(path) : undefined;
}

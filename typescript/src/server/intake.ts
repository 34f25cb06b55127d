/** The checks of a request before a server runs it. Their order is in docs/protocol.md. */

import { randomInt } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import type { Instance } from "../discovery/instance.js";
import { milliseconds } from "../duration.js";
import { RPCError, refused } from "../errors.js";
import { type Payload, PayloadSchema } from "../gen/oslorpc/v1/payload_pb.js";
import type { Message } from "../gen/oslorpc/v1/rpc_pb.js";
import { readPayload } from "../payload.js";
import { checkName } from "../target.js";
import { DEFAULT_VERSION, parseVersion, type Version } from "../versions.js";
import { Incoming } from "./context.js";
import type { Content, Dispatcher } from "./dispatcher.js";
import type { Reports } from "./reports.js";

/** The maximum number of bytes that a payload has besides its text. */
const SLACK = 16;

const fields = ["exchange", "topic", "namespace", "version", "server"] as const;

/**
 * Headers that repeat a field of the message. The request decides; a header that differs is an
 * error.
 */
const headerFields: Readonly<Record<string, (m: Message) => string>> = {
  "oslorpc-exchange": (m) => m.target?.exchange ?? "",
  "oslorpc-topic": (m) => m.target?.topic ?? "",
  "oslorpc-server": (m) => m.target?.server ?? "",
  "oslorpc-version": (m) => m.target?.version ?? "",
  "oslorpc-instance": (m) => m.instanceId,
  "oslorpc-id": (m) => m.id,
  "oslorpc-order-key": (m) => m.orderKey,
};

/** A server of the process, with what finding the server of a message needs. */
export interface Served {
  instance: Instance;
  readonly dispatcher: Dispatcher;
  /** Called with a reason when messages may have been missed. */
  readonly missed: ((reason: string) => void) | undefined;
  /** Handles reports of senders about missed messages. */
  readonly reports: Reports | undefined;
}

/** Checks the receiver of a message, and returns the message with the version that it asks for. */
export function checkMessage(m: Message | undefined): { message: Message; version: Version } {
  if (m === undefined) {
    throw invalidTarget("`message` is required: it names the receiver and the method");
  }
  for (const name of fields) {
    if (m.target?.[name] === "") {
      throw invalidTarget(`\`target.${name}\` is present and empty: leave it out`);
    }
  }
  if (m.target?.fanout) {
    throw invalidTarget(
      "a request reaches one server: to fan out, send one to each and leave `target.fanout` out",
    );
  }
  if (!m.method) {
    throw invalidTarget("`method` is required: name the method to run");
  }
  for (const name of ["missed", "remaining"] as const) {
    const duration = m[name];
    if (duration !== undefined && (milliseconds(duration) < 0 || Math.abs(duration.nanos) >= 1e9)) {
      throw invalidTarget(`\`${name}\` is negative or malformed: leave it out, or give a duration`);
    }
  }
  checkName("order key", m.orderKey);
  checkName("method name", m.method);
  if (!m.target?.topic) {
    throw invalidTarget("a topic is required to send: give the target one");
  }
  for (const name of ["exchange", "topic", "namespace", "server"] as const) {
    checkName(name, m.target[name] ?? "");
  }
  return { message: m, version: versionOf(m) };
}

function versionOf(m: Message): Version {
  try {
    return m.target?.version === undefined ? DEFAULT_VERSION : parseVersion(m.target.version);
  } catch (e) {
    throw invalidTarget((e as Error).message);
  }
}

/** Refuses a message whose headers contradict it, or are malformed. */
export function checkHeaders(m: Message, headers: Headers): void {
  for (const [name, said] of Object.entries(headerFields)) {
    const claimed = readHeader(headers, name);
    const meant = said(m);
    if (claimed !== undefined && claimed !== meant) {
      const says = meant ? `says ${JSON.stringify(meant.slice(0, 64))}` : "does not set it";
      const claim = JSON.stringify(claimed.slice(0, 64));
      throw invalidTarget(`the header ${name} says ${claim}, but the request ${says}: leave the header out`);
    }
  }
}

/** Returns the value of a percent-encoded header; undefined if it is absent. */
export function readHeader(headers: Headers, name: string): string | undefined {
  const value = headers.get(name);
  return value === null ? undefined : decoded(name, value);
}

function decoded(name: string, value: string): string {
  if (value === "") {
    throw invalidTarget(`the header ${name} is empty: leave it out to say nothing`);
  }
  if (value.includes(",")) {
    throw invalidTarget(`the header ${name} was sent more than once: send it once`);
  }
  try {
    return decodeURIComponent(value);
  } catch {
    const shown = JSON.stringify(value.slice(0, 64));
    throw invalidTarget(`the header ${name}: ${shown} is malformed: percent-encode the name's UTF-8 bytes`);
  }
}

/** Returns the error for a message whose receiver is unclear. */
export function invalidTarget(detail: string): RPCError {
  return new RPCError("InvalidTarget", detail, { safeToRetry: true });
}

/**
 * Returns the server for a message. A server that is stopping, held or draining is used only if
 * there is no other.
 */
export function findServer(servers: readonly Served[], m: Message, exchange: string, bootId: string): Served {
  const { topic, server, exchange: given } = m.target ?? {};
  const meant = servers.filter(
    ({ instance: i }) =>
      i.exchange === (given ?? exchange) &&
      i.topic === topic &&
      (server === undefined || i.server === server) &&
      (!m.instanceId || i.id === m.instanceId),
  );
  const active = meant.filter((s) => s.dispatcher.phase === "active");
  const choice = active.length > 0 ? active : meant;
  const found = choice.length > 1 ? choice[randomInt(choice.length)] : choice[0];
  if (found === undefined) {
    throw absent(servers, m.instanceId, bootId);
  }
  return found;
}

/** Returns the refusal of a message whose server does not exist in this process. */
export function absent(servers: readonly Served[], instanceId: string, bootId: string): RPCError {
  if (instanceId.startsWith(`${bootId}.`) && servers.every((s) => s.instance.id !== instanceId)) {
    return refused("stopping", "the instance has stopped");
  }
  const why =
    "no server of this process matches the target; if the address is right, the topic, exchange or server name is not";
  return refused("misdirected", why);
}

/** Throws an error unless the process has an instance with this id that is not stopping. */
export function checkPing(servers: readonly Served[], instanceId: string, bootId: string): void {
  if (!instanceId) {
    return;
  }
  const served = servers.find((s) => s.instance.id === instanceId);
  if (served === undefined) {
    throw absent(servers, instanceId, bootId);
  }
  if (served.dispatcher.phase === "stopping") {
    throw refused("stopping");
  }
}

/** The properties of the RPC of a message. */
export interface Arrival {
  readonly caller: string;
  /** The timeout of the RPC, in milliseconds. */
  readonly timeoutMs: number | undefined;
  readonly cast: boolean;
  /** The maximum size of the content in bytes. */
  readonly most: number;
}

/** Returns a received message. */
export function receive(m: Message, server: string, arrival: Arrival): Incoming {
  const size = sizeOf(m.kwargs) + sizeOf(m.context);
  if (size > arrival.most + SLACK) {
    const why = `the request has ${size} bytes, and this server accepts at most ${arrival.most}: send less at a time`;
    throw new RPCError("TooLarge", why, { safeToRetry: true });
  }
  const waits = [arrival.timeoutMs, m.remaining && milliseconds(m.remaining)].filter(
    (ms) => ms !== undefined,
  );
  const metadata = Object.entries(m.metadata)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !/^(oslorpc|grpc)-/.test(name));
  return new Incoming({
    method: m.method,
    id: m.id,
    namespace: m.target?.namespace ?? "",
    version: m.target?.version ?? "",
    server,
    caller: arrival.caller,
    orderKey: m.orderKey,
    metadata: Object.fromEntries(metadata),
    deadline: arrival.cast || waits.length === 0 ? undefined : performance.now() + Math.min(...waits),
    size,
  });
}

function sizeOf(payload: Payload | undefined): number {
  switch (payload?.encoding.case) {
    case "json":
      return Buffer.byteLength(payload.encoding.value);
    case "value":
      return toBinary(PayloadSchema, payload).length;
    default:
      return 0;
  }
}

/** Decodes the request context and the keyword arguments. */
export function contentOf(m: Message): Content {
  return { context: objectOf("context", m.context), args: objectOf("kwargs", m.kwargs) };
}

function objectOf(part: "context" | "kwargs", payload: Payload | undefined): Record<string, unknown> {
  let value: unknown;
  try {
    value = readPayload(payload, "BadArguments", {});
  } catch (e) {
    const error = e as RPCError;
    error.detail = `${part}: ${error.detail}`;
    throw error;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = part === "context" ? "the request context" : "the arguments";
    throw new RPCError("BadArguments", `${what} must be a JSON object`, { safeToRetry: true });
  }
  return value as Record<string, unknown>;
}

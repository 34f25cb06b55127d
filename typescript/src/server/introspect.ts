/** The report of a process about its servers. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { toDuration } from "../duration.js";
import {
  type GetInfoRequest,
  type GetInfoResponse,
  GetInfoResponseSchema,
  type MethodInfoSchema,
  type ServerInfoSchema,
  State,
} from "../gen/oslorpc/v1/introspection_pb.js";
import { formatVersion } from "../versions.js";
import type { Phase } from "./dispatcher.js";
import type { Served } from "./intake.js";
import type { Method } from "./method.js";
import type { Process } from "./service.js";

const states: Readonly<Record<Phase, State>> = {
  active: State.ACTIVE,
  held: State.HELD,
  draining: State.DRAINING,
  stopping: State.STOPPING,
  stopped: State.STOPPING,
};

/** Describes the process and its servers. */
export function describeProcess(of: Process, request: GetInfoRequest): GetInfoResponse {
  const meant = of.servers.filter((s) => request.topic === undefined || s.instance.topic === request.topic);
  return create(GetInfoResponseSchema, {
    bootId: of.bootId,
    processId: BigInt(process.pid),
    build: "typescript",
    zone: of.zone,
    uptime: toDuration(performance.now() - of.began),
    servers: meant.map((s) => describeServer(s, request.requests)),
  });
}

function describeServer(s: Served, requests: boolean): MessageInitShape<typeof ServerInfoSchema> {
  const { instance: i, dispatcher: d } = s;
  return {
    instanceId: i.id,
    exchange: i.exchange,
    topic: i.topic,
    server: i.server,
    state: states[d.phase],
    endpoints: d.table.interfaces.map((e) => ({
      namespaces: [...e.namespaces],
      version: formatVersion(e.version),
      service: e.offer?.service.typeName ?? "",
      methods: [...e.methods]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, m]) => describeMethod(name, m)),
    })),
    running: BigInt(d.queue.running),
    queued: BigInt(d.queue.waiting),
    refused: BigInt(d.queue.refused),
    requests: requests
      ? d.census.rows().map(({ accepted, refused, first, last, ...row }) => ({
          ...row,
          accepted: BigInt(accepted),
          refused: BigInt(refused),
          firstSeen: timestampFromMs(first),
          lastSeen: timestampFromMs(last),
        }))
      : [],
    uncounted: BigInt(d.census.uncounted),
  };
}

function describeMethod(name: string, m: Method): MessageInitShape<typeof MethodInfoSchema> {
  return {
    name,
    streaming: m.streaming,
    arguments: m.arguments.map((a) => ({ ...a })),
    extraArguments: m.extraArguments,
    result: m.result,
    started: BigInt(m.started),
    failed: BigInt(m.failed),
    since: m.since,
    deprecatedSince: m.deprecatedSince,
  };
}

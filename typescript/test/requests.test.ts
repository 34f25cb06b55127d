/**
 * A server answers every request of proto/testdata as Go's server does, malformed ones included.
 */

import { create, fromBinary, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorDetailSchema, ErrorKind, ErrorKindSchema } from "../src/gen/oslorpc/v1/errors_pb.js";
import { IntrospectionService } from "../src/gen/oslorpc/v1/introspection_pb.js";
import type { Payload } from "../src/gen/oslorpc/v1/payload_pb.js";
import { PayloadSchema } from "../src/gen/oslorpc/v1/payload_pb.js";
import {
  CallRequestSchema,
  CastRequestSchema,
  type Message,
  MessageSchema,
  MulticallRequestSchema,
  RPCService,
} from "../src/gen/oslorpc/v1/rpc_pb.js";
import { type Instance, open, type Transport } from "../src/index.js";
import { type Case, goldenEndpoints, load } from "./golden.js";

const GOLDEN_BOOT = "5f0e7c1a9b3d2e48";
const requests = { Call: CallRequestSchema, Cast: CastRequestSchema, Multicall: MulticallRequestSchema };

let transport: Transport;
let instance: Instance;
let baseUrl: string;

beforeAll(async () => {
  transport = open("static://other=127.0.0.1:1", {
    listen: "127.0.0.1:0",
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const server = transport.server({ topic: "golden", server: "node1" }, goldenEndpoints);
  instance = await server.start();
  baseUrl = `http://${instance.addr}`;
});

afterAll(() => transport.close());

function rpc() {
  return createClient(RPCService, createGrpcTransport({ baseUrl }));
}

async function answer(c: Case, message: Message | undefined): Promise<(Payload | undefined)[]> {
  const given = message === undefined ? {} : { message };
  const headers = new Headers();
  for (const [name, value] of (c["headers"] ?? []) as [string, string][]) {
    headers.append(name, value);
  }
  if (c["rpc"] === "Call") {
    return [(await rpc().call(given, { headers })).result];
  }
  if (c["rpc"] === "Cast") {
    await rpc().cast(given, { headers });
    return [];
  }
  const items: (Payload | undefined)[] = [];
  for await (const { item } of rpc().multicall(given, { headers })) {
    items.push(item);
  }
  return items;
}

/**
 * Parses a payload's JSON text, so that comparing it ignores the order of names, and whether a
 * float is written as 1 or 1.0.
 */
function plain(payload: JsonValue): unknown {
  const { json } = payload as { json?: string };
  return json === undefined ? payload : { json: JSON.parse(json.replace(/\d{17,}/g, '"$&"')) };
}

describe("requests.json", () => {
  test.each(load("requests.json", "requests"))("%s", async (_, c) => {
    const schema = requests[c["rpc"] as keyof typeof requests];
    const text = JSON.stringify(c["request"])
      .replace(/\$\{instance\}/g, `${GOLDEN_BOOT}.1`)
      .replace(/\$\{boot\}/g, GOLDEN_BOOT);
    const { message } = fromBinary(schema, Buffer.from(c["bytes"], "base64"));
    expect(create(schema, message ? { message } : {})).toEqual(fromJson(schema, JSON.parse(text)));
    if (message !== undefined) {
      message.instanceId = message.instanceId.replace(GOLDEN_BOOT, instance.bootId);
    }
    let error: ConnectError | undefined;
    const results = await answer(c, message).catch((e: unknown) => {
      error = ConnectError.from(e);
      return [];
    });
    expect(error?.code ?? 0, error?.message).toBe(c["code"]);
    if (error === undefined) {
      const found = results.map((r) => plain(toJson(PayloadSchema, r ?? create(PayloadSchema))));
      expect(found).toEqual(c["results"].map(plain));
      return;
    }
    const details = error.findDetails(ErrorDetailSchema);
    expect(details).toHaveLength(1);
    const [detail] = details;
    expect(detail?.message || detail?.remote?.message).not.toBe("");
    const kind = ErrorKindSchema.value[detail?.kind ?? 0]?.name;
    expect([kind, detail?.notStarted, detail?.path]).toEqual([c["kind"], c["not_started"], c["path"]]);
  });
});

async function refusal(
  work: Promise<unknown>,
): Promise<{ code: Code; kind: ErrorKind | undefined; notStarted: boolean | undefined }> {
  const error = ConnectError.from(
    await work.then(
      () => undefined,
      (e: unknown) => e,
    ),
  );
  const [detail] = error.findDetails(ErrorDetailSchema);
  return { code: error.code, kind: detail?.kind, notStarted: detail?.notStarted };
}

const add = () =>
  create(MessageSchema, {
    target: { topic: "golden" },
    method: "add",
    kwargs: { encoding: { case: "json", value: '{"a":1,"b":2}' } },
  });

test("headers that contradict the request are refused", async () => {
  const send = (topic: string) => rpc().call({ message: add() }, { headers: { "oslorpc-topic": topic } });
  expect((await send("golden")).result?.encoding.value).toBe("3");
  expect(await refusal(send("other"))).toMatchObject({
    code: Code.InvalidArgument,
    kind: ErrorKind.INVALID_TARGET,
  });
  await expect(send("other")).rejects.toThrow(/oslorpc-topic says "other", but the request says "golden"/);
});

test("RPCs that it does not know are refused with a detail", async () => {
  const unknown = createClient(
    {
      ...IntrospectionService,
      typeName: "inventory.v1.Inventory",
      method: IntrospectionService.method,
    } as typeof IntrospectionService,
    createGrpcTransport({
      baseUrl,
      interceptors: [(next) => (req) => next({ ...req, url: `${baseUrl}/inventory.v1.Inventory/Get` })],
    }),
  );
  const found = await refusal(unknown.ping({}));
  expect(found).toEqual({ code: Code.Unimplemented, kind: ErrorKind.NO_SUCH_METHOD, notStarted: true });
});

test("a message that comes twice runs once", async () => {
  const message = create(MessageSchema, { ...add(), id: "once" });
  await rpc().call({ message });
  const found = await refusal(rpc().call({ message }));
  expect(found).toEqual({ code: Code.Aborted, kind: ErrorKind.OUTCOME_UNKNOWN, notStarted: false });
  await rpc().cast({ message }); // the sender of a repeated cast is told that it was accepted
});

test("a call waits no longer than it says", async () => {
  const message = create(MessageSchema, { ...add(), remaining: create(DurationSchema, { nanos: 1 }) });
  expect(await refusal(rpc().call({ message }))).toMatchObject({ kind: ErrorKind.TIMEOUT, notStarted: true });
});

/**
 * Which answers of peers prove that a message did not run, and which do not. The peers break the
 * protocol in many ways.
 */

import * as http2 from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Attempt } from "../src/client/attempt.js";
import { keepAlive } from "../src/client/session.js";
import { RPCError } from "../src/index.js";
import { goldenEndpoints } from "./golden.js";
import { opened, until } from "./programs.js";

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;
const grpc = { ":status": 200, "content-type": "application/grpc+proto" };

type Answer = (stream: http2.ServerHttp2Stream, session: http2.ServerHttp2Session) => void;

/**
 * Starts a peer that answers each stream with the given function, when it has the whole request.
 */
async function peer(answer: Answer): Promise<{ addr: string; streams: () => number }> {
  let streams = 0;
  const server = http2.createServer();
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  server.on("sessionError", () => {});
  server.on("session", (session) => session.on("error", () => {}));
  server.on("stream", (stream) => {
    streams++;
    stream.on("error", () => {});
    stream.resume().once("end", () => answer(stream, stream.session as http2.ServerHttp2Session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  return { addr: `127.0.0.1:${(server.address() as AddressInfo).port}`, streams: () => streams };
}

async function outcome(answer: Answer): Promise<RPCError> {
  const { addr } = await peer(answer);
  const client = opened(`static://t=${addr}`).client({ topic: "t" }, { retry: 0, timeoutMs: 5000 });
  const e = await client.call("m").catch((e: unknown) => e);
  expect(e).toBeInstanceOf(RPCError);
  return e as RPCError;
}

function status(code: number, more: http2.OutgoingHttpHeaders = {}): http2.OutgoingHttpHeaders {
  return { "grpc-status": String(code), "grpc-message": "text", ...more };
}

function afterHeaders(stream: http2.ServerHttp2Stream, trailers: http2.OutgoingHttpHeaders): void {
  stream.respond(grpc, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end();
}

describe("a message was not sent, provably, when the peer", () => {
  test.each<[string, Answer]>([
    ["refuses the stream", (stream) => stream.close(NGHTTP2_REFUSED_STREAM)],
    [
      "does not know the contract",
      (stream) => stream.respond({ ...grpc, ...status(12) }, { endStream: true }),
    ],
  ])("%s", async (_, answer) => {
    expect(await outcome(answer)).toMatchObject({ safeToRetry: true, notDelivered: true });
  });

  test("goes away, and names an earlier stream as its last", async () => {
    const { addr } = await peer((stream, session) => {
      if (stream.id === 1) {
        stream.respond({ ...grpc, ...status(14) }, { endStream: true });
      } else {
        session.goaway(NGHTTP2_NO_ERROR, 1);
      }
    });
    const client = opened(`static://t=${addr}`).client({ topic: "t" }, { retry: 0, timeoutMs: 5000 });
    await expect(client.call("m")).rejects.toMatchObject({ safeToRetry: false });
    await expect(client.call("m")).rejects.toMatchObject({ safeToRetry: true, notDelivered: true });
  });

  test("refuses it, and another instance gets it", async () => {
    const deaf = await peer((stream) => stream.close(NGHTTP2_REFUSED_STREAM));
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const serving = opened("static://other=127.0.0.1:1", { listen: "127.0.0.1:0", log });
    const { addr } = await serving.server({ topic: "golden", server: "s" }, goldenEndpoints).start();
    const client = opened(`static://golden=${deaf.addr},golden=${addr}`).client({ topic: "golden" });
    for (let n = 0; n < 4; n++) {
      expect(await client.call("add", { a: n, b: 1 })).toBe(n + 1);
    }
    expect(deaf.streams()).toBeGreaterThan(0);
  });
});

describe("a message may have run when the peer", () => {
  test.each<[string, Answer]>([
    ["cuts the connection", (_, session) => session.destroy()],
    ["resets the stream", (stream) => stream.close(NGHTTP2_INTERNAL_ERROR)],
    ["cancels the stream", (stream) => stream.close(NGHTTP2_CANCEL)],
    ["goes away in that stream", (_, session) => session.goaway(NGHTTP2_INTERNAL_ERROR, 1)],
    [
      "goes away with the code of a refused stream, and says that it processed it",
      (_, session) => session.goaway(NGHTTP2_REFUSED_STREAM, 1),
    ],
    [
      "says that all went well, without a result",
      (stream) => stream.respond({ ...grpc, ...status(0) }, { endStream: true }),
    ],
    ["ends the stream without a status", (stream) => stream.respond(grpc, { endStream: true })],
    ["answers as a web server", (stream) => stream.respond({ ":status": 404 }, { endStream: true })],
    ["fails without a detail", (stream) => stream.respond({ ...grpc, ...status(14) }, { endStream: true })],
    ["does not know the method, after headers", (stream) => afterHeaders(stream, status(12))],
    [
      "sends details that cannot be read",
      (stream) => afterHeaders(stream, status(14, { "grpc-status-details-bin": "AQID" })),
    ],
    [
      "answers, and refuses the stream then",
      (stream) => {
        stream.respond(grpc);
        stream.write(Buffer.from([0, 0, 0, 0, 9]), () => stream.close(NGHTTP2_REFUSED_STREAM));
      },
    ],
  ])("%s", async (_, answer) => {
    expect(await outcome(answer)).toMatchObject({ safeToRetry: false });
  });

  // Servers cancel streams at the deadline, too. The cancellation may arrive before the client's
  // own timer fires.
  test.each([
    ["with a reset", { canceled: true }, "OutcomeUnknown"],
    ["with a status", { status: { code: 1, text: "canceled" } }, "Canceled"],
  ])("cancels the stream %s a moment before the deadline", (_, seen, otherwise) => {
    const attempt = new Attempt();
    const error = () => attempt.error(new Error("canceled"));
    Object.assign(attempt, { sent: true, deadline: performance.now() + 25, ...seen });
    expect(error()).toMatchObject({ kind: "Timeout", safeToRetry: false });
    attempt.gaveUp = true; // as if the client had canceled
    expect(error()).toMatchObject({ kind: otherwise, safeToRetry: false });
    Object.assign(attempt, { gaveUp: false, deadline: performance.now() + 60_000 });
    expect(error()).toMatchObject({ kind: otherwise, safeToRetry: false });
  });

  test("says nothing until the deadline", async () => {
    const { addr } = await peer(() => {});
    const client = opened(`static://t=${addr}`).client({ topic: "t" }, { timeoutMs: 300 });
    await expect(client.call("m")).rejects.toMatchObject({ kind: "Timeout", safeToRetry: false });
    const monitored = client.prepare({ timeoutMs: 20_000, callMonitorTimeoutMs: 300 });
    await expect(monitored.call("m")).rejects.toMatchObject({ kind: "MonitorTimeout", safeToRetry: false });
  });
});

test("a connection on which nothing comes back is given up", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.pause().on("error", () => {}))); // never answers pings
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    silent.close();
  });
  const session = http2.connect(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  let why: Error | undefined;
  session.on("error", (e: Error) => {
    why = e;
  });
  await new Promise((resolve) => session.once("connect", resolve));
  keepAlive(session, 20, 40);
  await until("it is given up", () => session.destroyed && why !== undefined);
  expect(why?.message).toContain("no ping was answered");
});

test("a connection that answers pings is kept", async () => {
  const server = http2.createServer();
  let pings = 0;
  server.on("session", (s) => s.on("ping", () => pings++));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  await new Promise((resolve) => session.once("connect", resolve));
  keepAlive(session, 5, 10_000);
  await until("pings are answered", () => pings > 10);
  expect(session.destroyed).toBe(false);
});

/** The listener of a process. */

import { chmodSync, rmSync } from "node:fs";
import * as http2 from "node:http2";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import { keepAlive } from "../client/session.js";
import { socketPath } from "../discovery/instance.js";
import { invalid, textOf } from "../errors.js";
import type { Logger } from "../log.js";
import { whyNotListening } from "../plain.js";
import { ATTACHED, type Trust } from "../trust.js";
import type { Adapter } from "./adapter.js";

/**
 * The interval and the timeout of pings, in milliseconds. Servers ping idle connections, because
 * their clients may have vanished.
 */
const PING_EVERY = 20_000;
const PONG_WITHIN = 20_000;
const MAX_STREAMS = 1000;
const MAX_HEADERS = 16 << 10;
const WINDOW = 1 << 20;
/**
 * Node counts the data that streams have queued, in MiB, and resets new streams beyond this limit.
 * It is large, since our own limit bounds messages.
 */
const SESSION_MEMORY = 1024;

/** A listening socket and its connections. */
export class Listener {
  readonly #server: http2.Http2Server | http2.Http2SecureServer;
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  readonly #connections = new Set<Duplex>();
  readonly #path: string | undefined;
  #listens = false;

  private constructor(
    server: http2.Http2Server | http2.Http2SecureServer,
    adapter: Adapter,
    path: string | undefined,
  ) {
    this.#server = server;
    this.#path = path;
    server.on("connection", (connection: Duplex) => {
      this.#connections.add(connection);
      connection.once("close", () => this.#connections.delete(connection));
    });
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.setLocalWindowSize(4 * WINDOW);
      keepAlive(session, PING_EVERY, PONG_WITHIN);
      session.on("error", () => {});
      session.on("close", () => this.#sessions.delete(session));
    });
    server.on("stream", (stream, headers) => void adapter.answer(stream, headers));
  }

  /**
   * Listens on an address: host:port, or unix: and a path. With ATTACHED, it only handles
   * connections that are passed to take().
   */
  static async open(address: string, trust: Trust, adapter: Adapter, log: Logger): Promise<Listener> {
    const settings = {
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListSize: MAX_HEADERS,
      initialWindowSize: WINDOW,
    };
    const options = { settings, maxSessionMemory: SESSION_MEMORY };
    const tls = trust.server(address);
    const server = tls ? http2.createSecureServer({ ...options, ...tls }) : http2.createServer(options);
    server.on("sessionError", (e) => log.debug(`a connection broke: ${textOf(e)}`));
    server.on("tlsClientError", (e) => log.debug(`a caller was not trusted: ${textOf(e)}`));
    if (address === ATTACHED) {
      return new Listener(server, adapter, undefined);
    }
    const path = socketPath(address);
    const place = path === undefined ? splitListen(address) : { path };
    if (path !== undefined) {
      await removeDeadSocket(path);
    }
    await new Promise<void>((resolve, reject) => {
      server.once("error", (e) => reject(invalid(`cannot listen on ${address}: ${whyNotListening(e)}`, e)));
      server.listen(place, resolve);
    });
    if (path !== undefined) {
      chmodSync(path, 0o600);
    }
    const listener = new Listener(server, adapter, path);
    listener.#listens = true;
    return listener;
  }

  /** Handles a connection that was opened elsewhere, as if it had been accepted. */
  take(connection: Duplex): void {
    this.#server.emit("connection", connection);
  }

  /** The port of the listener; 0 for a socket. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" ? (address?.port ?? 0) : 0;
  }

  /**
   * Stops accepting connections, and closes the open ones: gracefully at first, and by force after
   * `milliseconds`.
   */
  async close(milliseconds: number): Promise<void> {
    const ended = [...this.#sessions].map((session) => closed(session));
    const over = this.#listens ? new Promise((resolve) => this.#server.close(resolve)) : Promise.all(ended);
    for (const session of this.#sessions) {
      session.close();
    }
    const timer = setTimeout(() => {
      for (const session of this.#sessions) {
        session.destroy();
      }
      // Destroying a session may leave its connection open while there is unsent data.
      for (const connection of this.#connections) {
        connection.destroy();
      }
    }, milliseconds);
    await over;
    clearTimeout(timer);
    if (this.#path !== undefined) {
      rmSync(this.#path, { force: true });
    }
  }
}

function closed(session: http2.Http2Session): Promise<void> {
  return new Promise((resolve) => session.once("close", () => resolve()));
}

/** Splits an address to listen on into host and port. */
export function splitListen(address: string): { host: string; port: number } {
  const match = /^(.*):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[2]) > 65535) {
    throw invalid(`the address to listen on, "${address}", is malformed: write "host:port" or "unix:/path"`);
  }
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port: Number(match[2]) };
}

async function removeDeadSocket(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = net.connect(path, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on("error", (e: NodeJS.ErrnoException) => resolve(e.code ?? ""));
  });
  if (code === undefined) {
    throw invalid(`another process listens on "${path}"`);
  }
  if (code === "ECONNREFUSED") {
    rmSync(path, { force: true });
  }
}

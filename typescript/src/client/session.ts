/**
 * An HTTP/2 connection to a process: how it is opened, kept alive, and closed when the process does
 * not answer.
 */

import * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import { socketPath, splitAddr } from "../discovery/instance.js";
import type { Trust } from "../trust.js";

/** The timeout for opening a connection, in milliseconds. */
const CONNECT_WITHIN = 10_000;
/** Pings detect frozen processes and lost hosts. Servers allow one every five seconds. */
const PING_EVERY = 10_000;
const PONG_WITHIN = 10_000;
/** The flow-control window of a stream, and of all streams together, in bytes. */
const WINDOW = 1 << 20;
/**
 * Node counts the data that streams have queued, in MiB, and resets new streams beyond this limit.
 * It is large, since our own limit bounds messages.
 */
const SESSION_MEMORY = 1024;

/**
 * Connections whose peer went away with the code REFUSED_STREAM. Node closes all streams with that
 * code then, even those that the peer processed.
 */
const misleading = new WeakSet<http2.Http2Session>();

/** Whether the peer did not process a stream that ended with REFUSED_STREAM. */
export function refusedStream(stream: http2.ClientHttp2Stream, session: http2.Http2Session): boolean {
  return stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM && !misleading.has(session);
}

/** Events of a connection. */
export interface SessionEvents {
  /** The process has shown that it speaks HTTP/2. No message may be sent earlier. */
  ready(): void;
  /** The connection is closed, or accepts no more streams. */
  ended(why: Error | undefined): void;
}

/** Opens a connection to an address. */
export function openSession(addr: string, trust: Trust, events: SessionEvents): http2.ClientHttp2Session {
  const { authority, connect } = dial(addr, trust);
  const session = http2.connect(authority, {
    createConnection: connect,
    maxSessionMemory: SESSION_MEMORY,
    settings: { enablePush: false, initialWindowSize: WINDOW },
  });
  let ended = false;
  let why: Error | undefined;
  const end = () => {
    if (!ended) {
      ended = true;
      clearTimeout(timer);
      events.ended(why);
    }
  };
  const timer = setTimeout(
    () => session.destroy(new Error(`connecting took longer than ${CONNECT_WITHIN / 1000} s`)),
    CONNECT_WITHIN,
  );
  session.once("remoteSettings", () => {
    clearTimeout(timer);
    session.setLocalWindowSize(4 * WINDOW);
    keepAlive(session);
    events.ready();
  });
  session.on("error", (e: Error) => {
    why ??= e;
  });
  session.on("goaway", (code) => {
    if (code === http2.constants.NGHTTP2_REFUSED_STREAM) {
      misleading.add(session);
    }
    end(); // open streams may end; no new ones may begin
  });
  session.on("close", end);
  return session;
}

function dial(addr: string, trust: Trust): { authority: string; connect: () => net.Socket | tls.TLSSocket } {
  const context = trust.client(addr);
  const path = socketPath(addr);
  const place = path === undefined ? splitAddr(addr) : { path };
  const name = trust.serverName || ("host" in place ? place.host : "localhost");
  const port = "port" in place && !trust.serverName ? `:${place.port}` : "";
  const host = net.isIP(name) === 6 ? `[${name}]` : name;
  if (context === undefined) {
    return { authority: `http://${host}${port}`, connect: () => net.connect(place).setNoDelay() };
  }
  const servername = net.isIP(name) === 0 ? { servername: name } : {};
  return {
    authority: `https://${host}${port}`,
    connect: () => tls.connect({ ...context, ...place, ...servername, ALPNProtocols: ["h2"] }).setNoDelay(),
  };
}

/**
 * Sends a ping every `every` milliseconds, and closes the connection if no answer arrives within
 * `within` milliseconds.
 */
export function keepAlive(session: http2.Http2Session, every = PING_EVERY, within = PONG_WITHIN): void {
  const timer = setInterval(() => {
    if (session.destroyed) {
      clearInterval(timer);
      return;
    }
    let answered = false;
    const sent = session.ping(() => {
      answered = true;
    });
    if (!sent) {
      return;
    }
    setTimeout(() => {
      // If this process was busy, the answer may have arrived without being read. Node reads it
      // before it calls the function of setImmediate.
      setImmediate(() => {
        if (!answered && !session.destroyed) {
          session.destroy(new Error(`no ping was answered for ${(every + within) / 1000} s`));
        }
      });
    }, within).unref();
  }, every).unref();
  session.once("close", () => clearInterval(timer));
}

/** What errors of the system say of connections, in plain words. */

import { RPCError, textOf } from "./errors.js";

const NOTHING = "nothing listens there; its process is probably dead";
const UNREACHED = "nothing answers there; its host may be down, or the network may not reach it";
const RESET = "the other end, or something on the way to it, reset the connection";

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: NOTHING,
  ENOENT: NOTHING,
  ETIMEDOUT: UNREACHED,
  EHOSTUNREACH: UNREACHED,
  ENETUNREACH: UNREACHED,
  ECONNRESET: RESET,
  EPIPE: RESET,
};

/** Returns why connecting or asking failed, without the kind or the code of the error. */
export function reasonOf(e: unknown): string {
  if (e instanceof RPCError) {
    return e.detail;
  }
  const { code, hostname, syscall } = e as NodeJS.ErrnoException & { hostname?: string };
  if (syscall === "getaddrinfo") {
    return `the name ${hostname} cannot be resolved (${code}): check it, and DNS`;
  }
  if (code === "ERR_HTTP2_ERROR" && textOf(e) === "Protocol error") {
    return "it answers with something other than gRPC; another program may have the address";
  }
  return (code !== undefined && words[code]) || textOf(e);
}

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "the address is in use: stop the program that has it, or listen elsewhere; port 0 is any that is free",
  EADDRNOTAVAIL:
    "this machine does not have the address: write one of its own, or 0.0.0.0 and the address to advertise",
  EACCES: "permission denied: ports below 1024, and directories of other users, need more rights",
  ENOENT: "there is no such directory",
};

/** Returns why a process cannot listen on an address. */
export function whyNotListening(e: unknown): string {
  const { code } = e as NodeJS.ErrnoException;
  return (code !== undefined && advice[code]) || textOf(e);
}

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

/** Translates the system's errors about connections to plain words. */

import { RPCError, textOf } from "./errors.js";

const NOTHING = "nothing listens there; its process is probably dead";
const UNREACHED = "nothing answers there; its host may be down, or the network may not reach it";
const RESET = "the other end, or something on the way to it, reset the connection";

const UNSIGNED =
  "no trusted authority signed its certificate: look at ca, and at the certificate of the server";
const REFUSES =
  "it refuses the certificate of this client, or requires one: look at cert and key, and at the server's ca";
const PLAINTEXT = "it does not speak TLS, and this client requires it: give the server cert and key";

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: NOTHING,
  ENOENT: NOTHING,
  ETIMEDOUT: UNREACHED,
  EHOSTUNREACH: UNREACHED,
  ENETUNREACH: UNREACHED,
  ECONNRESET: RESET,
  EPIPE: RESET,
  SELF_SIGNED_CERT_IN_CHAIN: UNSIGNED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNSIGNED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNSIGNED,
  UNABLE_TO_GET_ISSUER_CERT: UNSIGNED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNSIGNED,
  CERT_SIGNATURE_FAILURE: UNSIGNED,
  CERT_HAS_EXPIRED: "its certificate expired: renew it, or set the clock of this machine",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: set the clock of this machine, or the server's",
  ERR_SSL_WRONG_VERSION_NUMBER: PLAINTEXT,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAINTEXT,
  ERR_SSL_HTTP_REQUEST: PLAINTEXT,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: REFUSES,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: REFUSES,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: REFUSES,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: REFUSES,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: REFUSES,
};

/** Returns in plain words why a connection or a request failed. */
export function reasonOf(e: unknown): string {
  if (e instanceof RPCError) {
    return e.detail;
  }
  const { code, hostname, syscall } = e as NodeJS.ErrnoException & { hostname?: string };
  if (syscall === "getaddrinfo") {
    return `the name ${hostname} cannot be resolved (${code}): check it, and DNS`;
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const { reason } = e as Error & { reason?: string };
    return `its certificate has another name (${reason}): look at server-name, and at the certificate of the server`;
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

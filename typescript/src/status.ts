/**
 * Converts errors to gRPC statuses and back, and knows what a status proves about whether the
 * method ran.
 *
 * This is the only module that maps kinds to status codes.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  type About,
  type Kind,
  type Reason,
  RemoteError,
  RPCError,
  reasons,
  refused,
  wordsOf,
} from "./errors.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { type ErrorDetail, ErrorDetailSchema, ErrorKind } from "./gen/oslorpc/v1/errors_pb.js";
import { MAX_STATUS, MAX_TEXT, trimDetail, trimText } from "./statustrim.js";
import { formatVersion, type Implementation } from "./versions.js";

const kinds: Partial<Record<Kind, [ErrorKind, Code]>> = {
  InvalidTarget: [ErrorKind.INVALID_TARGET, Code.InvalidArgument],
  UnsupportedVersion: [ErrorKind.UNSUPPORTED_VERSION, Code.FailedPrecondition],
  NoSuchMethod: [ErrorKind.NO_SUCH_METHOD, Code.Unimplemented],
  BadArguments: [ErrorKind.BAD_ARGUMENTS, Code.InvalidArgument],
  BadResult: [ErrorKind.BAD_RESULT, Code.Internal],
  TooLarge: [ErrorKind.TOO_LARGE, Code.ResourceExhausted],
  AccessDenied: [ErrorKind.ACCESS_DENIED, Code.PermissionDenied],
  Remote: [ErrorKind.REMOTE, Code.Unknown],
  Timeout: [ErrorKind.TIMEOUT, Code.DeadlineExceeded],
  OutcomeUnknown: [ErrorKind.OUTCOME_UNKNOWN, Code.Aborted],
  Canceled: [ErrorKind.CANCELED, Code.Canceled],
};
const refusals: Partial<Record<Reason, [ErrorKind, Code]>> = {
  full: [ErrorKind.FULL, Code.ResourceExhausted],
  stopping: [ErrorKind.STOPPING, Code.Unavailable],
  misdirected: [ErrorKind.MISDIRECTED, Code.Unavailable],
  declined: [ErrorKind.REFUSED, Code.Unavailable],
};
const kindByWire = invert(kinds);
const reasonByWire = invert(refusals);
/** Kinds that contradict "not started". */
const ran: readonly Kind[] = ["Remote", "BadResult", "OutcomeUnknown"];

function invert<K extends string>(forms: Partial<Record<K, [ErrorKind, Code]>>): Map<ErrorKind, K> {
  return new Map(Object.entries<[ErrorKind, Code]>(forms as never).map(([key, [wire]]) => [wire, key as K]));
}

/** Returns an error as a code, a text and a detail, trimmed to what HTTP/2 can carry. */
export function encodeError(
  e: RPCError,
  implemented: readonly Implementation[] = [],
): { code: Code; text: string; detail: ErrorDetail } {
  const form = e.kind === "Refused" ? refusals[e.reason || "declined"] : kinds[e.kind];
  const [kind, code] = form ?? [ErrorKind.OUTCOME_UNKNOWN, Code.Aborted];
  const detail = create(ErrorDetailSchema, {
    kind,
    notStarted: e.safeToRetry,
    message: e.detail.toWellFormed(),
    method: e.method.toWellFormed(),
    path: e.path.toWellFormed(),
    server: e.server,
    instanceId: e.instanceId,
    implemented: implemented.map((i) => ({
      version: formatVersion(i.version),
      ...(i.namespace ? { namespace: i.namespace } : {}),
    })),
  });
  if (e instanceof RemoteError) {
    detail.remote = {
      $typeName: "oslorpc.v1.RemoteError",
      type: e.type.toWellFormed(),
      message: e.remoteMessage.toWellFormed(),
      stack: e.remoteStack.map((line) => line.toWellFormed()),
      hops: e.hops.map((hop) => hop.toWellFormed()),
      data: e.data,
    };
  }
  const text = trimText(detail.message ? `${wordsOf(e.kind)}: ${detail.message}` : wordsOf(e.kind));
  trimDetail(detail, text);
  return { code, text, detail };
}

/** What is known about an RPC besides its status. */
export interface Evidence {
  /** Whether a stream may have been opened for it. */
  sent: boolean;
  /** Whether the server sent headers before the status. */
  headers: boolean;
  /** Whether a reply, or an item, came before the status. */
  replied: boolean;
  /** Whether the RPC is one of a typed service. By default, it is one of the library's protocol. */
  typed?: boolean;
}

/** A received status. */
export interface WireStatus {
  code: number;
  text: string;
  /** The bytes of its google.rpc.Status, if it had one. */
  details?: Uint8Array | undefined;
}

/** Returns the error for a status. Only our own detail proves that a message did not run. */
export function decodeStatus(status: WireStatus, seen: Evidence): RPCError {
  const text = status.text.slice(0, MAX_TEXT);
  const detail = detailOf(status.details);
  if (detail === "garbled") {
    const why = `the RPC ended with several details, or one that cannot be read: ${text}`;
    return new RPCError("OutcomeUnknown", why, { safeToRetry: !seen.sent });
  }
  return detail ? ofDetail(detail, text, seen) : bare(status.code, text, seen);
}

/**
 * Returns the detail in the bytes of a google.rpc.Status, or "garbled" if it cannot be understood.
 */
export function detailOf(bytes: Uint8Array | undefined): ErrorDetail | "garbled" | undefined {
  if (!bytes || bytes.length === 0) {
    return undefined;
  }
  try {
    const ours = fromBinary(StatusSchema, bytes).details.filter((d) =>
      d.typeUrl.endsWith(`/${ErrorDetailSchema.typeName}`),
    );
    if (ours.length > 1) {
      return "garbled";
    }
    return ours[0] && fromBinary(ErrorDetailSchema, ours[0].value);
  } catch {
    return "garbled";
  }
}

function bare(code: number, text: string, seen: Evidence): RPCError {
  const safeToRetry = !seen.sent;
  const far = safeToRetry ? "it was not sent" : "no answer came; the method may have run";
  switch (code) {
    case Code.DeadlineExceeded:
      return new RPCError("Timeout", far, { safeToRetry });
    case Code.Canceled:
      return new RPCError("Canceled", far, { safeToRetry });
    case Code.PermissionDenied:
    case Code.Unauthenticated:
      return new RPCError("AccessDenied", text, { safeToRetry });
  }
  if (safeToRetry) {
    return new RPCError(code === Code.Internal ? "Invalid" : "Unreachable", text, { safeToRetry });
  }
  if (code === Code.Unimplemented && !seen.headers && !seen.typed) {
    return text.includes("grpc-encoding")
      ? new RPCError("Invalid", `the server does not know the compressor: ${text}`, { safeToRetry: true })
      : refused("foreign", `${reasons.foreign}, which does not speak oslorpc: ${text}`);
  }
  return unproven(code, text);
}

/** How errors of an unknown outcome end. */
export const CHECK = "it may have run: check that before you send it again";

function unproven(code: number, text: string): RPCError {
  if (code === Code.ResourceExhausted && /larger than max/.test(text)) {
    const why = "gRPC refused the size of the request or the result; the method may have run";
    return new RPCError("TooLarge", `${why}: ${text}`);
  }
  if (code === Code.Unimplemented) {
    return new RPCError("NoSuchMethod", `the peer does not speak oslorpc: ${text}`);
  }
  if (code === Code.Unavailable) {
    const why = text && ` (${text})`;
    return new RPCError(
      "OutcomeUnknown",
      `the connection was lost after the message was sent${why}; ${CHECK}`,
    );
  }
  const why = `the RPC ended with status ${code}, which does not say whether the method ran`;
  return new RPCError("OutcomeUnknown", `${why}: ${text}`);
}

function ofDetail(d: ErrorDetail, text: string, seen: Evidence): RPCError {
  if (toBinary(ErrorDetailSchema, d).length > MAX_STATUS) {
    trimDetail(d, "");
  }
  const about: About = { method: d.method, path: d.path, server: d.server, instanceId: d.instanceId };
  const reason = reasonByWire.get(d.kind);
  const known = reason !== undefined || kindByWire.has(d.kind);
  const kind = reason ? "Refused" : (kindByWire.get(d.kind) ?? "OutcomeUnknown");
  const message = known
    ? d.message || (reason ? reasons[reason] : "")
    : `kind ${d.kind}, which is not known here: ${text}`;
  const safe = d.notStarted && (!known || !ran.includes(kind));
  if (seen.replied && (d.notStarted || kind === "Refused")) {
    const why = "the server answered, and then said that it did not start the method";
    return new RPCError("OutcomeUnknown", `${why}: ${message}`, about);
  }
  if (kind === "Refused" && !safe) {
    const why = "the server refused the message, and does not say that it did not start the method";
    return new RPCError("OutcomeUnknown", `${why}: ${message}`, about);
  }
  if (kind === "Remote") {
    const r = d.remote;
    const failure = {
      type: r?.type || "error",
      message: r?.message || d.message,
      stack: r?.stack ?? [],
      hops: r?.hops ?? [],
      data: r?.data ?? "",
    };
    return new RemoteError(failure, about);
  }
  return new RPCError(!known && safe ? "Refused" : kind, message, {
    ...about,
    safeToRetry: safe,
    reason: reason ?? "",
  });
}

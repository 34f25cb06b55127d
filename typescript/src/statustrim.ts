/**
 * Trims statuses to what HTTP/2 can carry: proxies and libraries allow headers of 8 KiB or less.
 */

import { toBinary } from "@bufbuild/protobuf";
import { type ErrorDetail, ErrorDetailSchema } from "./gen/oslorpc/v1/errors_pb.js";

/** The maximum size of a status with its details, in bytes. */
export const MAX_STATUS = 4 << 10;
/** The maximum size of its percent-encoded text, in bytes. */
export const MAX_TEXT = 1 << 10;
const ENVELOPE = 64;

/**
 * Trims a detail to the size that the text leaves for it: stack lines first, then duplicate text,
 * then the data, then the longest texts.
 */
export function trimDetail(d: ErrorDetail, text: string): void {
  const budget = MAX_STATUS - ENVELOPE - Buffer.byteLength(text);
  const size = () => toBinary(ErrorDetailSchema, d).length;
  if (d.remote) {
    let excess = size() - budget;
    while (d.remote.stack.length > 0 && excess > 0) {
      excess -= Buffer.byteLength(d.remote.stack.pop() ?? "");
    }
    if (size() > budget) {
      d.message = ""; // the remote error repeats it
    }
    if (size() > budget) {
      d.remote.data = ""; // a part of the data would not be JSON
    }
  }
  for (let limit = budget; size() > budget; limit -= Math.floor(limit / 16) + 1) {
    shorten(d, limit);
  }
}

function shorten(d: ErrorDetail, limit: number): void {
  const few = Math.floor(limit / 64);
  d.implemented.splice(few);
  d.message = cut(d.message, limit);
  d.method = cut(d.method, limit);
  d.path = cut(d.path, limit);
  d.server = cut(d.server, limit);
  d.instanceId = cut(d.instanceId, limit);
  for (const i of d.implemented) {
    i.version = cut(i.version, limit);
    if (i.namespace !== undefined) {
      i.namespace = cut(i.namespace, limit);
    }
  }
  if (d.remote) {
    const r = d.remote;
    r.hops.splice(few);
    r.type = cut(r.type, limit);
    r.message = cut(r.message, limit);
    r.data = cut(r.data, limit);
    r.stack = r.stack.map((line) => cut(line, limit));
    r.hops = r.hops.map((hop) => cut(hop, limit));
  }
}

/** Shortens a text to a number of bytes, without breaking a character. */
function cut(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) {
    return text;
  }
  if (limit < 3) {
    return "";
  }
  let end = limit - 3;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) {
    end--;
  }
  return `${bytes.toString("utf8", 0, end)}…`;
}

/** Shortens a text so that its percent-encoded form in HTTP/2 has at most 1 KiB. */
export function trimText(text: string): string {
  let size = 0;
  let end = 0;
  let at = 0;
  for (const c of text.toWellFormed()) {
    if (size <= MAX_TEXT - 9) {
      end = at;
    }
    size += c >= " " && c <= "~" && c !== "%" ? 1 : 3 * Buffer.byteLength(c);
    if (size > MAX_TEXT) {
      return `${text.slice(0, end)}…`;
    }
    at += c.length;
  }
  return text;
}

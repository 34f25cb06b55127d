/**
 * Payloads: JSON text, which our programs send, and protobuf values, which other programs may send.
 */

import { create, toBinary } from "@bufbuild/protobuf";
import { NullValue, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Kind, RPCError } from "./errors.js";
import { type Payload, PayloadSchema } from "./gen/oslorpc/v1/payload_pb.js";
import { escapePointer, misfit, readText, writeText } from "./json.js";

/**
 * The maximum depth of a protobuf value. Other implementations allow 100 nested messages, and each
 * level needs three.
 */
const MAX_DEPTH = 30;

/** Decodes a payload. */
export function readPayload(payload: Payload | undefined, kind: Kind, absent: unknown): unknown {
  switch (payload?.encoding.case) {
    case "json":
      return readText(payload.encoding.value, kind);
    case "value":
      return fromValue(payload.encoding.value, kind);
    default:
      return absent;
  }
}

/**
 * Returns a result as a payload, in the requested encoding. `most` is the maximum size in bytes.
 * Throws an RPCError if the result cannot be sent.
 */
export function writeResult(result: unknown, asValue: boolean, most: number): Payload {
  const text = writeText(result === undefined ? null : result, "BadResult");
  let payload = create(PayloadSchema, { encoding: { case: "json", value: text } });
  let size = Buffer.byteLength(text);
  if (asValue) {
    payload = create(PayloadSchema, {
      encoding: { case: "value", value: toValue(readText(text, "BadResult"), "BadResult") },
    });
    size = toBinary(PayloadSchema, payload).length;
  }
  if (size > most) {
    const detail = `the method ran, and its result has ${size} bytes, and this server sends at most ${most}: return less at a time`;
    throw new RPCError("TooLarge", detail);
  }
  return payload;
}

/** Converts a JSON value to a protobuf value. */
export function toValue(value: unknown, kind: Kind, path = "", depth = 0): Value {
  if (depth > MAX_DEPTH) {
    throw misfit(kind, path, `a protobuf value may nest ${MAX_DEPTH} deep: send it as \`json\``);
  }
  return create(ValueSchema, { kind: kindOf(value, kind, path, depth) });
}

function kindOf(value: unknown, kind: Kind, path: string, depth: number): Value["kind"] {
  switch (typeof value) {
    case "string":
      return { case: "stringValue", value };
    case "boolean":
      return { case: "boolValue", value };
    case "number":
      return { case: "numberValue", value };
    case "bigint":
      throw misfit(kind, path, unsafe(value));
  }
  if (value === null || value === undefined) {
    return { case: "nullValue", value: NullValue.NULL_VALUE };
  }
  const inner = Object.entries(value).map(
    ([name, v]) => [name, toValue(v, kind, `${path}/${escapePointer(name)}`, depth + 1)] as const,
  );
  return Array.isArray(value)
    ? {
        case: "listValue",
        value: { $typeName: "google.protobuf.ListValue", values: inner.map(([, v]) => v) },
      }
    : {
        case: "structValue",
        value: { $typeName: "google.protobuf.Struct", fields: Object.fromEntries(inner) },
      };
}

/**
 * Converts a protobuf value to a JavaScript value. An integer beyond 2^53 - 1 may have been
 * rounded, so it is an error.
 */
export function fromValue(value: Value, kind: Kind, path = ""): unknown {
  switch (value.kind.case) {
    case "numberValue":
      return checkNumber(value.kind.value, kind, path);
    case "stringValue":
    case "boolValue":
      return value.kind.value;
    case "listValue":
      return value.kind.value.values.map((v, n) => fromValue(v, kind, `${path}/${n}`));
    case "structValue": {
      const fields = Object.entries(value.kind.value.fields);
      return Object.fromEntries(
        fields.map(([name, v]) => [name, fromValue(v, kind, `${path}/${escapePointer(name)}`)]),
      );
    }
    default:
      return null;
  }
}

function checkNumber(number: number, kind: Kind, path: string): number {
  if (!Number.isFinite(number)) {
    throw misfit(kind, path, `${number} is not a JSON number`);
  }
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw misfit(kind, path, unsafe(number));
  }
  return number === 0 ? 0 : number;
}

function unsafe(number: number | bigint): string {
  return (
    `${String(number).slice(0, 64)} is beyond 2^53 - 1, where the numbers of a protobuf value stop being exact: ` +
    "use `json`, in which a server then answers too, or a string"
  );
}

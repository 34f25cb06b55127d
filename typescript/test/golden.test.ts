/**
 * This package agrees with the Go library on all cases of proto/testdata that need no processes.
 */

import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { type Kind, type Reason, RemoteError, RPCError } from "../src/errors.js";
import { ErrorDetailSchema } from "../src/gen/oslorpc/v1/errors_pb.js";
import { readText, writeText } from "../src/json.js";
import { fromValue, toValue } from "../src/payload.js";
import { decodeStatus, encodeError } from "../src/status.js";
import { type Case, load } from "./golden.js";

function refusal(action: () => unknown): { value?: unknown; refused: unknown } {
  try {
    return { value: action(), refused: null };
  } catch (e) {
    if (e instanceof RPCError) {
      return { refused: { kind: e.kind, path: e.path } };
    }
    throw e;
  }
}

/**
 * Returns JSON text in a form that does not depend on what JavaScript cannot preserve: the fraction
 * of 1.0, and the order of names.
 */
function canonical(text: string): string {
  return [...text.replace(/\b(\d+)\.0\b/g, "$1").replace("-0", "0")].sort().join("");
}

describe("payloads.json", () => {
  test("texts of any length are read, and of no more than some depth", () => {
    const long = JSON.stringify({ "\\": `${'x"\\'.repeat(4 << 20)}`, n: 2 });
    expect(readText(long, "BadArguments")).toEqual(JSON.parse(long));
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    expect(refusal(() => readText(deep, "BadArguments")).refused).toMatchObject({ kind: "BadArguments" });
  });

  test.each(load("payloads.json", "texts"))("text: %s", (_, c) => {
    const { value, refused } = refusal(() => readText(c["text"], "BadArguments"));
    expect(refused).toEqual(c["refused"]);
    if (refused === null) {
      expect(value).toEqual(readText(c["again"], "BadArguments"));
      expect(canonical(writeText(value, "BadArguments"))).toBe(canonical(c["again"]));
    }
  });

  test.each(load("payloads.json", "values"))("value: %s", (_, c) => {
    const to = refusal(() => toValue(readText(c["text"], "BadResult"), "BadResult"));
    // JavaScript cannot distinguish 1e20 from the integer 10^20.
    expect(to.refused).toEqual(c["refused"]);
    if (to.refused !== null) {
      return;
    }
    const wanted = fromBinary(ValueSchema, Buffer.from(c["value"], "base64"));
    expect(toJson(ValueSchema, to.value as typeof wanted)).toEqual(toJson(ValueSchema, wanted));
    expect(toBinary(ValueSchema, to.value as typeof wanted)).toHaveLength(
      toBinary(ValueSchema, wanted).length,
    );
    const back = refusal(() => fromValue(wanted, "BadResult"));
    expect(back.refused).toEqual(c["back_refused"]);
    if (back.refused === null) {
      expect(back.value).toEqual(readText(c["back"], "BadResult"));
    }
  });

  test.each(load("payloads.json", "unreadable_values"))("unreadable value: %s", (_, c) => {
    const value = fromBinary(ValueSchema, Buffer.from(c["value"], "base64"));
    const { refused } = refusal(() => fromValue(value, "BadArguments"));
    expect(refused).toEqual({ kind: c["kind"], path: c["path"] });
  });
});

function remote(e: RPCError): unknown {
  return e instanceof RemoteError
    ? { type: e.type, message: e.remoteMessage, stack: e.remoteStack, hops: e.hops, data: e.data }
    : null;
}

describe("statuses.json", () => {
  test.each(load("statuses.json", "decoded"))("decoded: %s", (_, c) => {
    const details = c["details"] ? Buffer.from(c["status"], "base64") : undefined;
    const seen = { sent: c["sent"], headers: c["headers"], replied: c["replied"] };
    const found = decodeStatus({ code: c["code"], text: c["text"], details }, seen);
    const wanted: Case = c["error"];
    expect({
      kind: found.kind,
      safe_to_retry: found.safeToRetry,
      reason: found.reason,
      method: found.method,
      path: found.path,
      server: found.server,
      instance_id: found.instanceId,
    }).toEqual({ ...wanted, remote: undefined });
    const failure: Case | null = wanted["remote"];
    if (failure) {
      const lists = { stack: failure["stack"] ?? [], hops: failure["hops"] ?? [] };
      expect(remote(found)).toEqual({ ...failure, ...lists });
    }
  });

  test.each(load("statuses.json", "encoded"))("encoded: %s", (_, c) => {
    const wanted: Case = c["error"];
    const about = {
      safeToRetry: wanted["safe_to_retry"] as boolean,
      method: wanted["method"] as string,
      path: wanted["path"] as string,
      server: wanted["server"] as string,
      instanceId: wanted["instance_id"] as string,
      reason: wanted["reason"] as Reason | "",
    };
    const error = wanted["remote"]
      ? new RemoteError(wanted["remote"], about)
      : new RPCError(wanted["kind"] as Kind, c["message"], about);
    const { code, text, detail } = encodeError(error);
    expect({ code, text }).toEqual({ code: c["code"], text: c["text"] });
    expect(toJson(ErrorDetailSchema, detail)).toEqual(c["detail"]);
  });
});

/** Durations of the protocol. */

import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";

/** Converts milliseconds to a duration. */
export function toDuration(milliseconds: number): Duration {
  const seconds = Math.floor(milliseconds / 1000);
  const nanos = Math.round((milliseconds - seconds * 1000) * 1e6);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos });
}

/** Converts a duration to milliseconds. */
export function milliseconds(d: Duration): number {
  return Number(d.seconds) * 1000 + d.nanos / 1e6;
}

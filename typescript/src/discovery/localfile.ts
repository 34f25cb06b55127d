/** The names and contents of the files of local://. docs/protocol.md has the rules. */

import { formatImplementation, type Instance, parseImplementation } from "./instance.js";

const FORMAT = 1;
const PROCESS = /^oslorpc-.*-[A-Z2-7]{26}\.json$/s;
const TEMPORARY = /^oslorpc-.*-[A-Z2-7]{26}\.json\.[0-9]*\.tmp$/s;
const SOCKET = /^[0-9a-f]{8}\.sock$/;

/** Whether a file name has the form for files of processes. */
export function isProcessFile(name: string): boolean {
  return PROCESS.test(name);
}

/** Whether a file name has the form for temporary files. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

/** Whether a file name has the form for sockets of servers. */
export function isSocketName(name: string): boolean {
  return SOCKET.test(name);
}

/** Returns the content of a process's file. */
export function encodeFile(instances: readonly Instance[]): string {
  const records = instances.map((i) => ({
    id: i.id,
    boot_id: i.bootId,
    exchange: i.exchange,
    topic: i.topic,
    server: i.server,
    addr: i.addr,
    state: i.state,
    ...(i.implemented.length > 0 ? { implemented: i.implemented.map(formatImplementation) } : {}),
    ...(i.zone ? { zone: i.zone } : {}),
  }));
  return JSON.stringify({ format: FORMAT, instances: records });
}

/** Parses the content of a process's file. Throws an error if it is malformed. */
export function decodeFile(text: string): Instance[] {
  const file: unknown = JSON.parse(text);
  if (!isRecord(file) || file["format"] !== FORMAT) {
    throw new TypeError("its format is not known to this program");
  }
  return list(file["instances"]).map((record) => {
    if (!isRecord(record)) {
      throw new TypeError("an instance is not an object");
    }
    return {
      id: textIn(record, "id"),
      bootId: textIn(record, "boot_id"),
      exchange: textIn(record, "exchange"),
      topic: textIn(record, "topic"),
      server: textIn(record, "server"),
      addr: textIn(record, "addr"),
      state: textIn(record, "state"),
      implemented: list(record["implemented"]).map(parseImplementation),
      zone: textIn(record, "zone"),
    };
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown): unknown[] {
  if (value === undefined || value === null) {
    return [];
  }
  if (!Array.isArray(value)) {
    throw new TypeError("a value that must be a list is not one");
  }
  return value;
}

function textIn(record: Record<string, unknown>, name: string): string {
  const value = record[name] ?? "";
  if (typeof value !== "string") {
    throw new TypeError(`${name} is not text`);
  }
  return value;
}

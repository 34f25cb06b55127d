/** The library's log, for events outside the operations of a program. */

/** Receives log lines. console is one. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Writes warnings and errors to standard error. */
export const standardLogger: Logger = {
  debug() {},
  info() {},
  warn: (message) => process.stderr.write(`oslorpc: warning: ${message}\n`),
  error: (message) => process.stderr.write(`oslorpc: error: ${message}\n`),
};

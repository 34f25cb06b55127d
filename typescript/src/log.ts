/** Where the library writes what happens beside the operations of a program. */

/** Takes lines of a log, such as console. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Writes warnings and errors to the standard error. */
export const standardLogger: Logger = {
  debug() {},
  info() {},
  warn: (message) => process.stderr.write(`oslorpc: warning: ${message}\n`),
  error: (message) => process.stderr.write(`oslorpc: error: ${message}\n`),
};

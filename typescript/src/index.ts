/** The RPC semantics of OpenStack's oslo.messaging on gRPC, without a message broker. */

export { type Arguments, Client, type ClientOptions, type OperationOptions } from "./client/client.js";
export { type Outcome, type Reply, Report } from "./client/fanout.js";
export type { Instance } from "./discovery/instance.js";
export { type Kind, type Reason, RemoteError, RPCError } from "./errors.js";
export { type ErrorClass, kindOf, safeToRetry } from "./errortypes.js";
export { Float, float } from "./json.js";
export type { Logger } from "./log.js";
export type { RequestContext } from "./server/context.js";
export type { Endpoint } from "./server/endpoint.js";
export {
  type ArgumentsOf,
  type ArgumentType,
  type Method,
  type MethodDescription,
  type MethodFunction,
  method,
  type Shape,
} from "./server/method.js";
export { Server, type ServerOptions } from "./server/server.js";
export type { Target } from "./target.js";
export { open, Transport, type TransportOptions } from "./transport.js";
export { type Offer, type ServiceOptions, service, type TypedFunctions } from "./typed/offer.js";
export type { Implementation, Version } from "./versions.js";

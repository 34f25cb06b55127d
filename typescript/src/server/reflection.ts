/** gRPC's reflection service, from which tools such as grpcurl learn the protocol. */

import {
  createFileRegistry,
  type DescFile,
  type DescService,
  type FileRegistry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { file_grpc_health_v1_health, Health } from "../gen/grpc/health/v1/health_pb.js";
import {
  file_grpc_reflection_v1_reflection,
  ServerReflection,
  type ServerReflectionRequest,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import {
  file_grpc_reflection_v1alpha_reflection,
  ServerReflection as ServerReflectionAlpha,
} from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { file_oslorpc_v1_errors } from "../gen/oslorpc/v1/errors_pb.js";
import { file_oslorpc_v1_introspection, IntrospectionService } from "../gen/oslorpc/v1/introspection_pb.js";
import { file_oslorpc_v1_rpc, RPCService } from "../gen/oslorpc/v1/rpc_pb.js";

const services = [RPCService, IntrospectionService, Health, ServerReflection, ServerReflectionAlpha];
const files = [
  file_oslorpc_v1_rpc,
  file_oslorpc_v1_errors,
  file_oslorpc_v1_introspection,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
];

/**
 * Adds the service to a router, in both of its versions. Typed returns the typed services that are
 * currently offered.
 */
export function routeReflection(router: ConnectRouter, typed: () => readonly DescService[]): void {
  for (const service of [ServerReflection, ServerReflectionAlpha]) {
    router.service(service, {
      async *serverReflectionInfo(requests: AsyncIterable<Request>) {
        const offered = typed();
        const all = new Set([...files, ...offered.map((s) => s.file)]);
        const known = createFileRegistry(
          ...[...all].map((file) => createFileRegistry(file.proto, (name) => find(file, name))),
        );
        for await (const request of requests) {
          yield {
            originalRequest: originalOf(request),
            messageResponse: answer(known, [...services, ...offered], request),
          };
        }
      },
    });
  }
}

type Request = Pick<ServerReflectionRequest, "host" | "messageRequest">;

function originalOf({ host, messageRequest }: Request): Request {
  return { host, messageRequest };
}

function find(file: DescFile, name: string): DescFile | undefined {
  const all = [...file.dependencies, ...file.dependencies.flatMap((d) => d.dependencies)];
  return all.find((d) => d.proto.name === name);
}

function answer(known: FileRegistry, offered: readonly DescService[], { messageRequest: asked }: Request) {
  switch (asked.case) {
    case "listServices":
      return {
        case: "listServicesResponse" as const,
        value: { service: offered.map((s) => ({ name: s.typeName })) },
      };
    case "fileByFilename":
      return filesOf(known.getFile(asked.value.replace(/\.proto$/, "")));
    case "fileContainingSymbol":
      return filesOf(fileOf(known, asked.value));
    default:
      return failure(Code.Unimplemented, "this server does not answer that");
  }
}

function fileOf(known: FileRegistry, symbol: string): DescFile | undefined {
  const found = known.get(symbol) ?? known.get(symbol.slice(0, symbol.lastIndexOf(".")));
  return found?.kind === "extension" ? undefined : found?.file;
}

/** Returns a file with all its dependencies, so that one answer is enough. */
function filesOf(file: DescFile | undefined) {
  if (file === undefined) {
    return failure(Code.NotFound, "there is no such symbol or file");
  }
  const all = new Set<DescFile>();
  const add = (f: DescFile) => {
    if (!all.has(f)) {
      all.add(f);
      f.dependencies.forEach(add);
    }
  };
  add(file);
  const fileDescriptorProto = [...all].map((f) => toBinary(FileDescriptorProtoSchema, f.proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}

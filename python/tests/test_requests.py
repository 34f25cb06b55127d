"""A Python server answers every request of proto/testdata as Go's server does, malformed ones
included.
"""

import base64

import golden
import grpc
import pytest
from google.protobuf import json_format

import oslorpc
from oslorpc import connection, status
from oslorpc.v1 import errors_pb2
from oslorpc.v1 import rpc_pb2 as pb

RPCS = {
    "Call": (connection.CALL, pb.CallRequest, pb.CallResponse),
    "Cast": (connection.CAST, pb.CastRequest, pb.CastResponse),
    "Multicall": (connection.MULTICALL, pb.MulticallRequest, pb.MulticallResponse),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("r")
    directory.chmod(0o700)
    with oslorpc.open(f"local://{directory}") as t:
        instance = t.server(
            oslorpc.Target(topic="golden", server="node1"), [golden.GoldenServer(), golden.OtherServer()]
        ).start()
        with grpc.insecure_channel(instance.addr, [("grpc.default_authority", "localhost")]) as channel:
            yield instance, channel


def payload(p):
    return json_format.MessageToDict(p)


@pytest.mark.parametrize("case", golden.load("requests.json", "requests"), ids=golden.name)
def test_request(served, case):
    instance, channel = served
    path, request_type, response_type = RPCS[case["rpc"]]
    request = request_type.FromString(base64.b64decode(case["bytes"]))
    assert json_format.MessageToDict(request) == plain(case["request"], "5f0e7c1a9b3d2e48.1", request_type)
    if "5f0e7c1a9b3d2e48" in request.message.instance_id:
        request.message.instance_id = request.message.instance_id.replace("5f0e7c1a9b3d2e48", instance.boot_id)
    kind = channel.unary_stream if case["rpc"] == "Multicall" else channel.unary_unary
    method = kind(path, request_type.SerializeToString, response_type.FromString)
    results, code, detail = [], 0, None
    try:
        answer = method(request, timeout=10, metadata=[tuple(h) for h in case.get("headers", ())])
        if case["rpc"] == "Call":
            results.append(payload(answer.result))
        elif case["rpc"] == "Multicall":
            for response in answer:
                results.append(payload(response.item))
    except grpc.RpcError as e:
        code = e.code().value[0]
        trailers = dict(e.trailing_metadata())
        detail, garbled = status.details_of(trailers.get(status.DETAILS))
        assert detail is not None and not garbled, "a server must attach a detail"
        assert detail.message or detail.remote.message
    assert code == case["code"], detail
    assert [canonical(r) for r in results] == [canonical(r) for r in case["results"]]
    if code:
        assert errors_pb2.ErrorKind.Name(detail.kind) == case["kind"]
        assert detail.not_started == case["not_started"]
        assert detail.path == case["path"]


def plain(request, instance, request_type):
    import json

    text = json.dumps(request).replace("${instance}", instance).replace("${boot}", instance.partition(".")[0])
    return json_format.MessageToDict(json_format.Parse(text, request_type()))


def canonical(p):
    import json

    return {"json": json.dumps(json.loads(p["json"]), sort_keys=True)} if "json" in p else p


def test_a_contradiction_names_both(served):
    _, channel = served
    method = channel.unary_unary(connection.CALL, pb.CallRequest.SerializeToString, pb.CallResponse.FromString)
    request = pb.CallRequest()
    request.message.target.topic, request.message.method = "golden", "add"
    with pytest.raises(grpc.RpcError) as e:
        method(request, timeout=10, metadata=[("oslorpc-topic", "other")])
    assert "oslorpc-topic" in e.value.details() and "'other'" in e.value.details() and "'golden'" in e.value.details()


def test_unknown_services_are_refused_with_a_detail(served):
    _, channel = served
    method = channel.unary_unary("/inventory.v1.Inventory/Get")
    with pytest.raises(grpc.RpcError) as e:
        method(b"", timeout=10)
    detail, _ = status.details_of(dict(e.value.trailing_metadata())[status.DETAILS])
    assert detail.not_started
    assert e.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_repeated_messages(served):
    _, channel = served
    call = channel.unary_unary(connection.CALL, pb.CallRequest.SerializeToString, pb.CallResponse.FromString)
    cast = channel.unary_unary(connection.CAST, pb.CastRequest.SerializeToString, pb.CastResponse.FromString)
    m = pb.Message(method="echo", id="once")
    m.target.topic = "golden"
    assert call(pb.CallRequest(message=m), timeout=10)
    with pytest.raises(grpc.RpcError) as e:
        call(pb.CallRequest(message=m), timeout=10)
    assert e.value.code() is grpc.StatusCode.ABORTED
    cast(pb.CastRequest(message=m), timeout=10)

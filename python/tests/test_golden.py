"""This package agrees with the Go library on all cases of proto/testdata that need no processes."""

import base64

import golden
import pytest
from google.protobuf.struct_pb2 import Value

from oslorpc import errors, payload, status
from oslorpc.discovery import consulnames, localfile
from oslorpc.discovery.base import Instance, format_implementation, parse_implementation
from oslorpc.errors import Kind


def instance(record):
    implemented = tuple(parse_implementation(text) for text in record["implemented"])
    return Instance(**{**record, "implemented": implemented})


def record(i):
    fields = {name: getattr(i, name) for name in ("id", "boot_id", "exchange", "topic", "server", "addr", "state")}
    fields["implemented"] = [format_implementation(one) for one in i.implemented]
    return fields | ({"zone": i.zone} if i.zone else {})


@pytest.mark.parametrize("case", golden.load("registrations.json", "consul_names"))
def test_names(case):
    assert consulnames.service_name(case["exchange"], case["topic"]) == case["name"]
    assert consulnames.process_name(case["exchange"], case["topic"]) == case["process"]


@pytest.mark.parametrize("case", golden.load("registrations.json", "consul_services"))
def test_services(case):
    i = instance(case["instance"])
    process = consulnames.process_service(i, consulnames.IDs("PROCESS", "PROCESS-CHECK"), f"{case['ttl_seconds']}s")
    service = consulnames.instance_service(i, consulnames.IDs("INSTANCE", "INSTANCE-CHECK"), "PROCESS")
    want_process, want_service = case["services"]
    want_process["Check"]["TTL"] = f"{case['ttl_seconds']}s"
    for want in (want_process, want_service):
        want.pop("Checks")
    assert process == want_process
    assert service == want_service


@pytest.mark.parametrize("case", golden.load("registrations.json", "consul_entries"), ids=golden.name)
def test_entries(case):
    name = consulnames.service_name(case["exchange"], case["topic"])
    found, broken = consulnames.read_entries(case["entries"], name)
    assert [record(i) for i in found] == case["instances"]
    assert sorted(broken) == case["skipped"]


@pytest.mark.parametrize("case", golden.load("registrations.json", "local_files"), ids=golden.name)
def test_local_files(case):
    import json

    if not case["reads"]:
        with pytest.raises(ValueError):
            localfile.decode(json.dumps(case["file"]))
        return
    assert json.loads(localfile.encode(localfile.decode(json.dumps(case["file"])))) == {
        "format": 1,
        "instances": case["writes"]["instances"] or [],
    }


@pytest.mark.parametrize("case", golden.load("registrations.json", "local_names"))
def test_local_names(case):
    found = (
        localfile.is_process_file(case["name"]),
        localfile.is_temporary(case["name"]),
        localfile.is_socket(case["name"]),
    )
    assert found == (case["process"], case["temporary"], case["socket"])


def refusal(call):
    try:
        return call(), None
    except errors.Error as e:
        return "", {"kind": e.kind.value, "path": e.path}


@pytest.mark.parametrize("case", golden.load("payloads.json", "texts"), ids=golden.name)
def test_texts(case):
    read = lambda: payload.loads(case["text"], Kind.BAD_ARGUMENTS)  # noqa: E731
    value, refused = refusal(read)
    assert refused == case["refused"]
    if refused is None:
        assert value == payload.loads(case["again"], Kind.BAD_ARGUMENTS)
        again = payload.dumps(value, Kind.BAD_ARGUMENTS)
        assert sorted(again) == sorted(case["again"])  # the order of names is not specified


@pytest.mark.parametrize("case", golden.load("payloads.json", "values"), ids=golden.name)
def test_values(case):
    value, refused = refusal(lambda: payload.to_value(payload.loads(case["text"], Kind.BAD_RESULT), Kind.BAD_RESULT))
    assert refused == case["refused"]
    if refused is not None:
        return
    assert value == Value.FromString(base64.b64decode(case["value"]))
    back, refused = refusal(lambda: payload.from_value(value, Kind.BAD_RESULT))
    assert refused == case["back_refused"]
    if refused is None:
        want = payload.loads(case["back"], Kind.BAD_RESULT)
        assert (back, type(back)) == (want, type(want))


@pytest.mark.parametrize("case", golden.load("payloads.json", "unreadable_values"), ids=golden.name)
def test_unreadable_values(case):
    value = Value.FromString(base64.b64decode(case["value"]))
    _, refused = refusal(lambda: payload.from_value(value, Kind.BAD_ARGUMENTS))
    assert refused == {"kind": case["kind"], "path": case["path"]}


def remote(error):
    if not isinstance(error, errors.RemoteError):
        return None
    return {
        "type": error.type,
        "message": error.remote_message,
        "stack": list(error.stack) or None,
        "hops": list(error.hops) or None,
        "data": error.data,
    }


@pytest.mark.parametrize("case", golden.load("statuses.json", "decoded"), ids=golden.name)
def test_statuses(case):
    seen = status.Evidence(sent=case["sent"], headers=case["headers"], replied=case["replied"])
    found = seen.decode(case["code"], case["text"], base64.b64decode(case["status"]) if case["details"] else None)
    want = case["error"]
    assert found.kind == want["kind"]
    assert found.safe_to_retry == want["safe_to_retry"]
    assert found.reason == want["reason"]
    assert (found.method, found.path) == (want["method"], want["path"])
    assert (found.server, found.instance_id) == (want["server"], want["instance_id"])
    if want["remote"]:
        want["remote"].update({k: want["remote"][k] or None for k in ("stack", "hops")})
        assert remote(found) == want["remote"]


@pytest.mark.parametrize("case", golden.load("statuses.json", "encoded"), ids=golden.name)
def test_errors(case):
    from google.protobuf import json_format

    want = case["error"]
    about = {
        "safe_to_retry": want["safe_to_retry"],
        "method": want["method"],
        "path": want["path"],
        "server": want["server"],
        "instance_id": want["instance_id"],
    }
    if r := want["remote"]:
        error = errors.RemoteError(
            r["type"], r["message"], tuple(r["stack"] or ()), tuple(r["hops"] or ()), r["data"], **about
        )
    else:
        error = errors.Error(Kind(want["kind"]), case["message"], reason=want["reason"], **about)
    code, text, encoded = status.encode(error)
    assert (code, text) == (case["code"], case["text"])
    details, garbled = status.details_of(encoded)
    assert not garbled
    assert json_format.MessageToDict(details) == case["detail"]
    assert len(encoded) <= 4 << 10

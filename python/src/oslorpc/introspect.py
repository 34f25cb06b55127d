"""The report of a process about its servers."""

from __future__ import annotations

from oslorpc.dispatcher import ACTIVE, DRAINING, HELD
from oslorpc.endpoint import Method
from oslorpc.gate import Gate
from oslorpc.intake import Served
from oslorpc.v1 import introspection_pb2 as pb

_STATES = {ACTIVE: pb.STATE_ACTIVE, HELD: pb.STATE_HELD, DRAINING: pb.STATE_DRAINING}


def describe(to: pb.ServerInfo, s: Served, requests: bool) -> None:
    """Describe a server."""
    i, d = s.instance, s.dispatcher
    to.instance_id, to.exchange, to.topic, to.server = i.id, i.exchange, i.topic, i.server
    to.state = _STATES.get(d.phase, pb.STATE_STOPPING)
    d.settle()
    to.running, to.queued, to.refused = d.queue.running, d.queue.waiting, d.queue.refused
    for e in d.table.endpoints:
        endpoint = to.endpoints.add(version=str(e.version))
        endpoint.namespaces.extend(e.namespaces)
        endpoint.service = e.service
        for name in sorted(e.methods):
            _describe_method(endpoint.methods.add(), e.methods[name])
    if not requests:
        return
    to.uncounted = d.uncounted
    for (namespace, method, version, caller, proved), (accepted, refused, first, last) in sorted(d.requests.items()):
        row = to.requests.add(
            namespace=namespace,
            method=method,
            version=version,
            caller=caller,
            identity=proved,
            accepted=int(accepted),
            refused=int(refused),
        )
        row.first_seen.FromNanoseconds(int(first * 1e9))
        row.last_seen.FromNanoseconds(int(last * 1e9))


def _describe_method(to: pb.MethodInfo, m: Method) -> None:
    to.name, to.streaming, to.extra_arguments, to.result = m.name, m.streaming, m.extra, m.result
    to.started, to.failed = m.started, m.failed
    if m.typed is not None:
        to.extra_arguments = False
        to.since, to.deprecated_since = str(m.typed.declared.since), m.typed.declared.deprecated_since
    for a in m.arguments:
        to.arguments.add(name=a.name, type=a.type, optional=a.optional)


def describe_policy(to: pb.PolicyInfo, gate: Gate) -> None:
    """Describe the policy in force."""
    to.dry_run, to.denied, to.would_deny, to.problem = (
        gate.policy.dry_run,
        gate.denied,
        gate.would_deny,
        gate.problem,
    )
    to.since.FromNanoseconds(int(gate.since * 1e9))
    for rule in gate.policy.rules:
        to.rules.add(name=rule.name, allowed=gate.allowed.get(rule.name, 0))

"""The driver of oslo.messaging: services of OpenStack over oslorpc, by their transport_url.

A driver never uses gRPC itself, since services replace sockets and threads by eventlet's, and
fork. A helper process of its own does, which ``python -m oslorpc.oslo.helper`` runs. Both ends
of the driver are here: driver, listener, link and failure for the service's process, and helper,
sending and serving for the helper's. docs/oslo-messaging.md is the reference.
"""

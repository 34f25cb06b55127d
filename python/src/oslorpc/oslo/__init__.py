"""The driver of oslo.messaging: services of OpenStack use oslorpc with their transport_url.

A driver never uses gRPC in the service's process, because services replace sockets and threads with
eventlet's, and fork. A helper process does, which ``python -m oslorpc.oslo.helper`` runs. Both ends
of the driver are in this package: driver, listener, link and failure for the service's process, and
helper, sending and serving for the helper process. See docs/oslo-messaging.md.
"""

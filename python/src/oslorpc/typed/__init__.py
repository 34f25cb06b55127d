"""Typed services: a program's own protobuf services, with options that say in which version each
part appeared.
"""

"""Typed services: a program's own protobuf services, with options that say since when what exists."""

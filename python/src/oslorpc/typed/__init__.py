"""Typed services: a program's own protobuf services. Their options say in which version each part
appeared.
"""

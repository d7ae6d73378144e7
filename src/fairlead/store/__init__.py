"""Shared state in Redis: every key name, and what happens when Redis is away. Keys start with `fl:1:`."""

PREFIX = "fl:1:"
"""`1` is the version of everything stored; another format gets another number, so that two versions can share a
Redis during a rolling update."""

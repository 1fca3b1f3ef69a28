"""Drives build/*/tests/tools/wire_tool: records in, what the C code makes of them out."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgpack

ROOT = Path(__file__).resolve().parents[2]
MSGPACK_TYPE = "application/vnd.msgpack"
JSON_TYPE = "application/json"


@dataclass
class Record:
    """A request record as it would lie on the topic."""

    value: bytes | None
    content_type: str | None = MSGPACK_TYPE
    key: bytes | None = b"c-1"
    headers: list[tuple[bytes, bytes | None]] = field(default_factory=list)

    def frame(self) -> bytes:
        headers = list(self.headers)
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode()))
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers:
            parts += [_field(name), _field(value)]
        return b"".join([*parts, _field(self.key), _field(self.value)])


def _field(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else struct.pack(">I", len(value)) + value


def tool_path() -> Path:
    """The tool of the build folder that CHAT_BUILD names; build/dev by default."""
    return ROOT / os.environ.get("CHAT_BUILD", "build/dev") / "tests/tools/wire_tool"


def _run(command: str, stdin: bytes) -> list[dict]:
    done = subprocess.run([tool_path(), command], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return [json.loads(line) for line in done.stdout.split(b"\n")[:-1]]


def read(records: list[Record]) -> list[dict]:
    """One verdict a record, in their order."""
    verdicts = _run("read", b"".join(record.frame() for record in records))
    assert len(verdicts) == len(records)
    return verdicts


def replies() -> list[dict]:
    return _run("replies", b"")


def headers_of(outgoing: dict) -> dict[str, str | None]:
    """Headers by name; the last one of a name counts."""
    return {
        bytes.fromhex(name).decode(): None if value is None else bytes.fromhex(value).decode()
        for name, value in outgoing["headers"]
    }


def body_of(outgoing: dict):
    """The reply's value, read by Python's own libraries, strictly."""
    value = bytes.fromhex(outgoing["value"])
    if headers_of(outgoing)["content-type"] == JSON_TYPE:
        return json.loads(value)
    return msgpack.unpackb(value, raw=False, strict_map_key=True)

"""A ScriptedServer that behaves as planned whatever the chats say, for tests with a worker in front of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from scripted_server import Request, ScriptedServer  # noqa: E402


class Planned(ScriptedServer):
    """One plan a chat in order of arrival, then good answers."""

    def __init__(self, *plans: dict[str, Any]) -> None:
        super().__init__()
        self.plans = list(plans)

    def _note(self, request: Request) -> Request:
        if request.method == "POST":
            request.order = self.plans.pop(0) if self.plans else {"behaviour": "normal"}
        return super()._note(request)

    @property
    def chats(self) -> list[Request]:
        """Without the probes of the key."""
        return [request for request in self.requests if request.method == "POST"]

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.chats]


def error(status: int, message: str = "", headers: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    """A plan: an error as the whole response."""
    body = {"error": {"code": status, "message": message, **members}}
    return {"behaviour": "plain", "status": status, "body": body, "headers": headers or {}}

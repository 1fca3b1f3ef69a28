"""The schema of `config:` in the chart's values, made from the table of settings of the worker.

    .cache/venv/bin/python tests/chart/settings.py      writes it anew into helm/chat-worker/values.schema.json
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "worker" / "settings_rows.h"
SCHEMA = ROOT / "helm" / "chat-worker" / "values.schema.json"

# Settings that have a value of their own in the chart, so that nothing can be said in two places.
OWNED = {
    "kafka.bootstrap_servers",
    "kafka.group_id",
    "kafka.requests_topic",
    "kafka.responses_topic",
    "kafka.dead_letter_topic",
    "kafka.group_instance_id",
    "openrouter.models",
    "admin.listen",
    "worker.grace_ms",
}

TEXT = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(
    rf"ROW\(\s*(\w+),\s*(\w+),\s*(\w+),\s*{TEXT},\s*([\w.-]+),\s*([\w.-]+),\s*{TEXT},\s*{TEXT},\s*((?:{TEXT}\s*)+)\)"
)
SIZE = re.compile(r"#define (SETTINGS_\w+_MAX) (\d+)")


def rows() -> list[dict]:
    """Every setting: key, kind, default, least, most, choices, help."""
    source = re.sub(r"/\*.*?\*/", "", TABLE.read_text().replace("\\\n", " "), flags=re.DOTALL)
    sizes = {name: float(value) for name, value in SIZE.findall(source)}

    def number(text: str) -> float:
        return sizes[text] if text in sizes else float(text)

    found = [
        {
            "key": f"{match[1]}.{match[2]}",
            "kind": match[3],
            "default": match[4],
            "least": number(match[5]),
            "most": number(match[6]),
            "choices": match[8].split("|") if match[8] else [],
            "help": "".join(re.findall(TEXT, match[9])).replace('\\"', '"'),
        }
        for match in ROW.finditer(source)
    ]
    written = len(re.findall(r"ROW\(\w+, ", source))
    assert len(found) == written, f"{TABLE}: read {len(found)} of {written} rows"
    return found


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value


def schema_of(row: dict) -> dict:
    """The JSON Schema of one setting, with the same limits as the worker checks."""
    about = {"description": row["help"]}
    items = {"enum": row["choices"]} if row["choices"] else {"type": "string"}
    kind = row["kind"]
    if kind == "BOOL":
        return {"type": "boolean", **about}
    if kind in ("INT", "FLOAT"):
        limits = {"minimum": _whole(row["least"]), "maximum": _whole(row["most"])}
        return {"type": "integer" if kind == "INT" else "number", **limits, **about}
    if kind == "TEXT":
        return {"type": "string", "minLength": _whole(row["least"]), **about}
    if kind in ("LIST", "PROPERTIES"):
        return {"type": "array", "items": items, "maxItems": _whole(row["most"]), **about}
    assert kind.startswith("CHOICE_"), f"{row['key']}: a kind of setting the chart does not know: {kind}"
    return {"enum": row["choices"], **about}


def config_schema() -> dict:
    """The JSON Schema of the whole of `config:`. Secrets are not in it: values end up in a ConfigMap."""
    sections: dict[str, dict] = {}
    for row in rows():
        section, name = row["key"].split(".")
        group = sections.setdefault(section, {"type": "object", "additionalProperties": False, "properties": {}})
        if row["key"] not in OWNED and row["kind"] != "SECRET":
            group["properties"][name] = schema_of(row)
    sections["fallback"]["properties"]["texts"] = {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "The text for one reason: timeout, rate_limited, …",
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "Settings of chat-worker, as in its configuration file",
        "properties": sections,
    }


if __name__ == "__main__":
    whole = json.loads(SCHEMA.read_text())
    whole["properties"]["config"] = config_schema()
    SCHEMA.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")

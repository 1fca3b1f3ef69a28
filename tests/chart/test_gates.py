"""Independent tools judge what the chart makes: helm's linter, the schemas of Kubernetes, kube-score, promtool; and
the chart's own tables agree with the program's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import settings
import yaml
from alert_cases import FIRES, HEALTHY, IDLE
from chart import BIN, CHART, ROOT, TWO_VALUES, merged

EVERYTHING = {
    "networkPolicy": {"enabled": True},
    "metrics": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}},
    "tests": {"roundTrip": {"enabled": True}},
    "config": {"chat": {"system_prompt": "Be kind.\nBe short."}},
}
VARIANTS = {
    "two-values": {},
    "everything": merged(EVERYTHING, {"autoscaling": {"enabled": True}}),
    "stateful": merged(EVERYTHING, {"workload": "StatefulSet", "keda": {"enabled": True}}),
    "secrets": {"kafka": {"existingSecret": "sasl"}},
    "service-monitor": {"metrics": {"serviceMonitor": {"enabled": True}}},
}
# Kinds that are not Kubernetes' own, so that its schemas do not know them.
OTHERS_KINDS = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject"}

# What kube-score asks for and we do not give, and why.
EXCEPTIONS = {
    "container-image-pull-policy": "tags are versions and never move; pods start while the registry is away",
    "deployment-has-host-podantiaffinity": "a topology spread constraint spreads the pods over nodes",
    "statefulset-has-host-podantiaffinity": "a topology spread constraint spreads the pods over nodes",
}


def done(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_lint_finds_nothing(tmp_path, helm, variant) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(merged(TWO_VALUES, VARIANTS[variant])))
    lint = done(BIN / helm, "lint", "--strict", CHART, "--values", values)
    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_helms_make_the_same(render, variant) -> None:
    old, new = (render(VARIANTS[variant], helm=helm).all for helm in ("helm3", "helm4"))
    assert sorted(map(json.dumps, old)) == sorted(map(json.dumps, new))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", ["1.28", "1.34"])
def test_objects_are_valid_for_kubernetes(render, tmp_path, version, variant) -> None:
    objects = [each for each in render(VARIANTS[variant]).all if each["kind"] not in OTHERS_KINDS]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    validator = Path(sys.executable).with_name("kubernetes-validate")
    check = done(validator, "-k", version, "--strict", file)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("variant", ["everything", "stateful"])
def test_kube_score_finds_only_the_written_exceptions(render, tmp_path, variant) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(render(VARIANTS[variant]).text)
    # No limit of processor time: it would only make chats late; the request keeps our share.
    score = (BIN / "kube-score", "score", "--ignore-container-cpu-limit", "--output-format", "json", file)
    scored = json.loads(done(*score).stdout)
    found = {
        f"{each['check']['id']} {thing['object_name']}: {comment['summary']}"
        for thing in scored
        for each in thing["checks"]
        if not each["skipped"] and each["grade"] < 7
        for comment in each["comments"] or [{"summary": "", "path": ""}]
        if each["check"]["id"] not in EXCEPTIONS
    }
    assert not found


def test_schema_of_config_is_made_from_the_settings_table() -> None:
    schema = json.loads(settings.SCHEMA.read_text())
    assert schema["properties"]["config"] == settings.config_schema(), "run tests/chart/settings.py"


def test_every_value_is_in_the_schema() -> None:
    def missing(values: dict, schema: dict, path: str) -> list[str]:
        if "properties" not in schema:
            return []
        found = [f"{path}{key}" for key in values if key not in schema["properties"]]
        for key, value in values.items():
            if isinstance(value, dict) and key in schema["properties"]:
                found += missing(value, schema["properties"][key], f"{path}{key}.")
        return found

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert missing(values, json.loads(settings.SCHEMA.read_text()), "") == []


def test_owned_settings_exist() -> None:
    assert settings.OWNED <= {row["key"] for row in settings.rows()}


def test_memory_limit_covers_the_chats_held() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    limit = values["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    worker = values["config"]["worker"]
    assert worker["max_bytes"] + worker["park_bytes"] <= int(limit[:-2]) * 2**20 // 2


def program_metrics() -> set[str]:
    """The names in the worker's metric table, with the series that a histogram has."""
    source = (ROOT / "worker" / "metrics_table.h").read_text()
    rows = re.findall(r'ROW\(METRIC_\w+,\s*"(\w+)",\s*(\w+)', source.replace("\\\n", " "))
    assert len(rows) > 30
    names = {name for name, _ in rows}
    return names | {f"{name}_{part}" for name, kind in rows if kind == "HISTOGRAM" for part in ("bucket", "sum", "count")}


def used_metrics(expressions: list[str]) -> set[str]:
    return {name for each in expressions for name in re.findall(r"\b(?:chat_worker|gen_ai_client|messaging)_\w+", each)}


def test_alerts_use_metrics_that_exist(render) -> None:
    groups = render(EVERYTHING).one("PrometheusRule")["spec"]["groups"]
    used = used_metrics([rule["expr"] for rule in groups[0]["rules"]])
    assert used and used <= program_metrics()


def test_dashboard_uses_metrics_that_exist() -> None:
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    used = used_metrics([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    assert used and used <= program_metrics()


def rules_file(render, folder: Path, values: dict | None = None) -> Path:
    rule = render(merged(EVERYTHING, values or {})).one("PrometheusRule")
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    return file


def test_alerts_are_valid_rules(render, tmp_path) -> None:
    check = done(BIN / "promtool", "check", "rules", rules_file(render, tmp_path))
    assert check.returncode == 0, check.stdout + check.stderr
    assert "11 rules found" in check.stdout


def promtool_test(folder: Path, series: dict[str, str], at: str, expected: dict[str, list[dict]]) -> None:
    """Has promtool play the series to the rules: minute by minute, then look at each alert at the time given."""
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
        ],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}))
    check = done(BIN / "promtool", "test", "rules", file)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.fixture
def alerts(render, tmp_path) -> dict[str, dict]:
    return {rule["alert"]: rule for rule in yaml.safe_load(rules_file(render, tmp_path).read_text())["groups"][0]["rules"]}


@pytest.mark.parametrize("name", FIRES)
def test_alert_fires(alerts, tmp_path, name) -> None:
    series, labels = FIRES[name]
    rule = alerts[name]
    wanted = {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}
    promtool_test(tmp_path, series, "30m", {name: [wanted]})


def test_healthy_worker_fires_no_alert(alerts, tmp_path) -> None:
    promtool_test(tmp_path, HEALTHY, "30m", {name: [] for name in alerts})


def test_worker_without_traffic_fires_no_alert(alerts, tmp_path) -> None:
    promtool_test(tmp_path, IDLE, "30m", {name: [] for name in alerts})


def test_other_namespace_fires_no_alert(alerts, tmp_path) -> None:
    series = {name.replace('"talk"', '"elsewhere"'): values for each in FIRES.values() for name, values in each[0].items()}
    promtool_test(tmp_path, {**HEALTHY, **series}, "30m", {name: [] for name in alerts})


def test_each_alert_is_proved_to_fire(alerts) -> None:
    assert set(FIRES) == set(alerts)


def test_alerts_can_be_left_out_and_name_the_runbook(render, tmp_path) -> None:
    values = {"metrics": {"prometheusRule": {"disabled": ["ChatWorkerDlq"], "runbookUrl": "https://runbook"}}}
    rules = yaml.safe_load(rules_file(render, tmp_path, values).read_text())["groups"][0]["rules"]
    assert "ChatWorkerDlq" not in {rule["alert"] for rule in rules}
    down = next(rule for rule in rules if rule["alert"] == "ChatWorkerDown")
    assert down["annotations"]["runbook_url"] == "https://runbook#chatworkerdown"

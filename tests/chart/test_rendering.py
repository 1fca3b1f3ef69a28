"""What the chart makes of its values: every switch, and what it refuses."""

from __future__ import annotations

import hashlib
import re

import libconf
import pytest
from chart import RenderFailed

KINDS_OF_TWO_VALUES = ["ConfigMap", "Deployment", "Pod", "PodDisruptionBudget", "ServiceAccount"]


def refusal(render, values: dict, **options) -> str:
    with pytest.raises(RenderFailed) as failed:
        render(values, **options)
    return str(failed.value)


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_two_values_install_the_chart(render, helm) -> None:
    assert render(helm=helm).kinds() == KINDS_OF_TWO_VALUES


def test_missing_brokers_are_refused(render) -> None:
    message = refusal(render, {"openrouter": {"existingSecret": "openrouter"}}, two_values=False)
    assert "kafka.bootstrapServers is missing" in message


def test_missing_secret_is_refused_with_the_way_to_make_one(render) -> None:
    message = refusal(render, {"kafka": {"bootstrapServers": "kafka:9092"}}, two_values=False)
    assert "openrouter.existingSecret is missing" in message
    assert "kubectl create secret generic openrouter --from-file=OPENROUTER_API_KEY=FILE" in message


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 3},
        {"kafka": {"bootstrapServer": "kafka:9092"}},
        {"metrics": {"podMonitor": {"enable": True}}},
        {"config": {"kafka": {"sesion_timeout_ms": 10000}}},
        {"config": {"retries": {}}},
    ],
    ids=["top", "kafka", "metrics", "setting", "section"],
)
def test_unknown_value_is_refused(render, values) -> None:
    assert re.search("additional propert(y|ies)", refusal(render, values), re.IGNORECASE)


@pytest.mark.parametrize(
    "values",
    [
        {"workload": "DaemonSet"},
        {"kafka": {"bootstrapServers": "kafka:9092,"}},
        {"image": {"digest": "sha256:12"}},
        {"config": {"kafka": {"session_timeout_ms": 10}}},
        {"config": {"kafka": {"delivery": "at_most_once"}}},
        {"config": {"openrouter": {"insecure_http": "yes"}}},
        {"openrouter": {"models": []}},
    ],
    ids=["workload", "brokers", "digest", "range", "choice", "type", "models"],
)
def test_meaningless_value_is_refused(render, values) -> None:
    refusal(render, values)


@pytest.mark.parametrize(
    "section, key",
    [("kafka", "bootstrap_servers"), ("openrouter", "models"), ("admin", "listen"), ("openrouter", "proxy")],
)
def test_setting_that_does_not_belong_into_config_is_refused(render, section, key) -> None:
    refusal(render, {"config": {section: {key: "x"}}})


def test_grace_shorter_than_drain_and_ten_seconds_is_refused(render) -> None:
    values = {"terminationGracePeriodSeconds": 54, "config": {"worker": {"drain_ms": 45000}}}
    assert "needs at least 10 s more than that: 55" in refusal(render, values)
    render({**values, "terminationGracePeriodSeconds": 55})


def test_two_autoscalers_are_refused(render) -> None:
    assert "exclude each other" in refusal(render, {"autoscaling": {"enabled": True}, "keda": {"enabled": True}})


def test_two_monitors_are_refused(render) -> None:
    values = {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
    assert "choose one" in refusal(render, values)


def test_config_holds_the_chart_values_and_the_settings(render) -> None:
    config = libconf.loads(
        render(
            {
                "kafka": {"groupId": "talkers"},
                "metrics": {"port": 9999},
                "config": {
                    "publish": {"max_bytes": 67108864},
                    "retry": {"budget_ratio": 0.25},
                    "openrouter": {"insecure_http": True, "allowed_models": ["openai/*"]},
                    "fallback": {"texts": {"timeout": "Too slow."}},
                },
            }
        ).config
    )
    assert config.kafka.bootstrap_servers == "kafka-0:9092,kafka-1:9093"
    assert config.kafka.group_id == "talkers"
    assert config.admin.listen == "0.0.0.0:9999"
    assert config.worker == {"drain_ms": 45000, "grace_ms": 60000, "max_bytes": 67108864, "park_bytes": 33554432}
    assert config.publish.max_bytes == 67108864
    assert config.retry.budget_ratio == 0.25
    assert config.openrouter.insecure_http is True
    assert list(config.openrouter.allowed_models) == ["openai/*"]
    assert config.fallback.texts.timeout == "Too slow."


@pytest.mark.parametrize(
    "text",
    [
        'She said "hello" and \\n is no line',
        "two\nlines\tand a tab\r",
        "<b>&amp;</b> üñî 你好 🙂",
        "a\\u0041b\\\\u0041",
        "bell \x07 and \x08\x08 form \x0c",
        "/* no comment */ # nor // this; }",
        "",
    ],
)
def test_any_text_survives_the_configuration_file(render, text) -> None:
    objects = render({"config": {"chat": {"system_prompt": text}}})
    assert libconf.loads(objects.config).chat.system_prompt == text


def test_line_ends_of_yaml_are_written_as_bytes(render) -> None:
    config = render({"config": {"chat": {"system_prompt": "a\u2028b\u2029c\u0085d"}}}).config
    assert r'system_prompt = "a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85d";' in config


def test_changed_setting_restarts_the_pods(render) -> None:
    def annotation(values: dict) -> str:
        return render(values).one("Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert annotation({}) == annotation({})
    assert annotation({}) != annotation({"config": {"chat": {"deadline_ms": 9000}}})
    assert len(annotation({})) == len(hashlib.sha256().hexdigest())


def test_key_is_mounted_as_a_file_and_never_in_the_environment(render) -> None:
    objects = render({"openrouter": {"existingSecret": "vault", "secretKey": "the-key"}})
    container = objects.pod["containers"][0]
    assert {"name": "OPENROUTER_API_KEY_FILE", "value": "/etc/chat-worker/openrouter/the-key"} in container["env"]
    volume = next(each for each in objects.pod["volumes"] if each["name"] == "openrouter")
    assert volume["secret"]["secretName"] == "vault"
    assert volume["secret"]["defaultMode"] == 0o440
    assert "secretKeyRef" not in objects.text


def test_kafka_secret_is_mounted_for_workers_and_tests(render) -> None:
    objects = render({"kafka": {"existingSecret": "sasl"}})
    for spec in (objects.pod, objects.one("Pod")["spec"]):
        container = spec["containers"][0]
        expected = {"name": "CHAT_WORKER_KAFKA_PROPERTIES_FILE", "value": "/etc/chat-worker/kafka/properties"}
        assert expected in container["env"]
        assert {"name": "kafka", "mountPath": "/etc/chat-worker/kafka", "readOnly": True} in container["volumeMounts"]
        assert any(each.get("secret", {}).get("secretName") == "sasl" for each in spec["volumes"])


@pytest.mark.parametrize("workload", ["Deployment", "StatefulSet"])
def test_pods_meet_the_restricted_pod_security_standard(render, workload) -> None:
    objects = render({"workload": workload})
    for spec in (objects.pod, objects.one("Pod")["spec"]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["runAsUser"] == 65532
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            assert "lifecycle" not in container
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not any("hostPath" in volume for volume in spec["volumes"])


def test_probes_keep_liveness_and_readiness_apart(render) -> None:
    container = render().pod["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_deployment_rolls_without_losing_a_pod(render) -> None:
    strategy = render().one("Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_stateful_set_has_static_members_and_its_service(render) -> None:
    objects = render({"workload": "StatefulSet"})
    workload = objects.one("StatefulSet")
    assert workload["spec"]["serviceName"] == objects.one("Service")["metadata"]["name"]
    assert objects.one("Service")["spec"]["clusterIP"] == "None"
    member = next(e for e in objects.pod["containers"][0]["env"] if e["name"] == "CHAT_WORKER_KAFKA_GROUP_INSTANCE_ID")
    assert member["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_deployment_has_no_static_members(render) -> None:
    assert "GROUP_INSTANCE_ID" not in render().text


def test_test_pod_is_not_counted_as_a_worker(render) -> None:
    objects = render()
    selector = objects.one("Deployment")["spec"]["selector"]["matchLabels"]
    labels = objects.one("Pod")["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_tests_can_be_left_out(render) -> None:
    assert "Pod" not in render({"tests": {"enabled": False}}).kinds()


def test_round_trip_is_opt_in(render) -> None:
    assert render().kinds().count("Pod") == 1
    objects = render({"tests": {"roundTrip": {"enabled": True}}})
    container = objects.one("Pod", "chat-chat-worker-test-round-trip")["spec"]["containers"][0]
    assert container["command"] == ["chat-replay"]
    assert container["args"][0] == "send"
    assert "kafka-0:9092,kafka-1:9093" in container["args"]


def test_round_trip_without_a_login_is_refused(render) -> None:
    values = {"tests": {"roundTrip": {"enabled": True}}, "kafka": {"existingSecret": "sasl"}}
    assert "chat-replay does not read that secret" in refusal(render, values)


def test_service_account_of_others_can_be_used(render) -> None:
    objects = render({"serviceAccount": {"create": False, "name": "shared"}})
    assert "ServiceAccount" not in objects.kinds()
    assert objects.pod["serviceAccountName"] == "shared"


def test_disruption_budget_lets_one_pod_go(render) -> None:
    assert render().one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "PodDisruptionBudget" not in render({"podDisruptionBudget": {"enabled": False}}).kinds()


@pytest.mark.parametrize("switch, kind", [("autoscaling", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")])
def test_autoscaler_owns_the_number_of_pods(render, switch, kind) -> None:
    objects = render({switch: {"enabled": True}})
    assert "replicas" not in objects.one("Deployment")["spec"]
    assert objects.one(kind)["spec"]["scaleTargetRef"]["name"] == objects.one("Deployment")["metadata"]["name"]
    assert "scaleDown: {'stabilizationWindowSeconds': 300}" in str(objects.one(kind)).replace("'scaleDown'", "scaleDown")


def test_keda_scales_by_the_lag_of_one_full_pod(render) -> None:
    objects = render({"keda": {"enabled": True}, "config": {"worker": {"max_in_flight": 2500}}})
    spec = objects.one("ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 12)
    assert spec["triggers"][0]["metadata"] == {
        "bootstrapServers": "kafka-0:9092,kafka-1:9093",
        "consumerGroup": "chat-worker",
        "topic": "chat.requests",
        "lagThreshold": "2500",
        "excludePersistentLag": "false",
    }


def test_keda_takes_own_threshold_and_authentication(render) -> None:
    values = {"enabled": True, "lagThreshold": "50", "authenticationRef": "sasl", "metadata": {"tls": "enable"}}
    trigger = render({"keda": values}).one("ScaledObject")["spec"]["triggers"][0]
    assert trigger["metadata"]["lagThreshold"] == "50"
    assert trigger["metadata"]["tls"] == "enable"
    assert trigger["authenticationRef"] == {"name": "sasl"}


def test_network_policy_opens_only_what_is_needed(render) -> None:
    policy = render({"networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["egress"]] == [[53, 53], [9092, 9093], [443]]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["ingress"]] == [[9464]]


def test_network_policy_takes_ports_and_callers(render) -> None:
    values = {"enabled": True, "kafkaPorts": [9196], "openrouterPort": 3128, "metricsFrom": [{"namespaceSelector": {}}]}
    policy = render({"networkPolicy": values}).one("NetworkPolicy")["spec"]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 9196, 3128]
    assert policy["ingress"][0]["from"] == [{"namespaceSelector": {}}]


def test_pod_monitor_selects_the_workers(render) -> None:
    objects = render({"metrics": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}})
    monitor = objects.one("PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    labels = objects.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "admin"


def test_service_monitor_comes_with_a_service_it_selects(render) -> None:
    objects = render({"metrics": {"serviceMonitor": {"enabled": True}}})
    monitor, service = objects.one("ServiceMonitor"), objects.one("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_image_digest_wins_over_the_tag(render) -> None:
    digest = "sha256:" + "0" * 64
    assert render().pod["containers"][0]["image"] == "chat-worker:0.1.0"
    assert render({"image": {"tag": "7"}}).pod["containers"][0]["image"] == "chat-worker:7"
    assert render({"image": {"tag": "7", "digest": digest}}).pod["containers"][0]["image"] == f"chat-worker@{digest}"


def test_pod_takes_what_the_cluster_wants(render) -> None:
    spec = render(
        {
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "chat", "operator": "Exists"}],
            "priorityClassName": "high",
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "podLabels": {"team": "chat"},
            "podAnnotations": {"note": "x"},
            "extraEnv": [{"name": "MORE", "value": "yes"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        }
    ).pod
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"][0]["key"] == "chat"
    assert spec["priorityClassName"] == "high"
    assert spec["affinity"] == {"nodeAffinity": {}}
    assert spec["topologySpreadConstraints"][0]["maxSkew"] == 2
    assert {"name": "MORE", "value": "yes"} in spec["containers"][0]["env"]
    assert {"name": "more", "emptyDir": {}} in spec["volumes"]
    assert {"name": "more", "mountPath": "/more"} in spec["containers"][0]["volumeMounts"]


def test_extra_objects_are_templates(render) -> None:
    objects = render(
        {
            "extraObjects": [
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ .Release.Name }}-x"}},
                "apiVersion: v1\nkind: Endpoints\nmetadata: {name: '{{ include \"chat-worker.fullname\" . }}'}",
            ]
        }
    )
    assert objects.one("Secret")["metadata"]["name"] == "chat-x"
    assert objects.one("Endpoints")["metadata"]["name"] == "chat-chat-worker"


@pytest.mark.parametrize(
    "values, name",
    [({}, "chat-chat-worker"), ({"nameOverride": "chat"}, "chat"), ({"fullnameOverride": "talker"}, "talker")],
)
def test_names_can_be_chosen(render, values, name) -> None:
    assert render(values).one("Deployment")["metadata"]["name"] == name

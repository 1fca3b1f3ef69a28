"""Metrics over time, in promtool's notation (`0+60x30`: from 0, 60 more each minute, thirty times), under which
each alert fires, and under which none does."""

from __future__ import annotations

TALK = {"namespace": "talk"}
PLACE = 'namespace="talk",pod="chat-0"'


def counter(name: str, labels: str = "") -> str:
    return f"{name}{{{PLACE}{',' if labels else ''}{labels}}}"


UP = {counter("chat_worker_build_info"): "1x60"}
ATTEMPTS = "chat_worker_upstream_attempts_total"

# Alert: (series, labels of the alert besides its severity)
FIRES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "ChatWorkerDown": ({'chat_worker_build_info{namespace="elsewhere"}': "1x60"}, TALK),
    "ChatWorkerNoProgress": (
        {
            **UP,
            counter("chat_worker_consumer_lag", 'topic="chat.requests",partition="0"'): "5x60",
            counter("chat_worker_last_progress_timestamp_seconds"): "600x60",
        },
        TALK,
    ),
    "ChatWorkerLagGrowing": (
        {
            **UP,
            counter("chat_worker_consumer_lag", 'topic="chat.requests",partition="0"'): "0+200x60",
            counter("chat_worker_inflight_limit"): "1000x60",
        },
        TALK,
    ),
    "ChatWorkerHighFallbackRate": (
        {
            **UP,
            counter("chat_worker_requests_total", 'outcome="answered"'): "0+90x60",
            counter("chat_worker_requests_total", 'outcome="fallback"'): "0+10x60",
        },
        TALK,
    ),
    "ChatWorkerUpstreamErrors": ({**UP, counter(ATTEMPTS, 'status="502"'): "0+30x60"}, TALK),
    "ChatWorkerRateLimited": (
        {
            **UP,
            counter(ATTEMPTS, 'status="200"'): "0+80x60",
            counter(ATTEMPTS, 'status="429"'): "0+20x60",
        },
        TALK,
    ),
    # Its only event is the series' first sample, in the last minutes.
    "ChatWorkerQuotaOrAuth": ({**UP, counter("chat_worker_fallbacks_total", 'reason="credits"'): "_x28 1x60"}, TALK),
    "ChatWorkerSlow": (
        {
            **UP,
            counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="5.12"'): "0+80x60",
            counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="10.24"'): "0+99x60",
            counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="+Inf"'): "0+100x60",
        },
        TALK,
    ),
    "ChatWorkerDlq": (
        {**UP, counter("chat_worker_dlq_messages_total", 'reason="schema"'): "_x25 1x60"},
        {**TALK, "reason": "schema"},
    ),
    "ChatWorkerCostBurn": ({**UP, counter("chat_worker_cost_usd_total", 'gen_ai_request_model="m"'): "0+2x60"}, TALK),
    "ChatWorkerRebalanceStorm": ({**UP, counter("chat_worker_rebalances_total", 'type="assign"'): "0+4x60"}, TALK),
}

# A good day: a few fallbacks, retries, one rebalance, an old dead letter.
HEALTHY = {
    **UP,
    counter("chat_worker_consumer_lag", 'topic="chat.requests",partition="0"'): "3 4 2 5 3 1 4 2x60",
    counter("chat_worker_inflight_limit"): "1000x60",
    counter("chat_worker_last_progress_timestamp_seconds"): "0+60x60",
    counter("chat_worker_requests_total", 'outcome="answered"'): "0+600x60",
    counter("chat_worker_requests_total", 'outcome="fallback"'): "0+6x60",
    counter(ATTEMPTS, 'status="200"'): "0+600x60",
    counter(ATTEMPTS, 'status="429"'): "0+10x60",
    counter("chat_worker_fallbacks_total", 'reason="auth"'): "1x60",
    counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="5.12"'): "0+99x60",
    counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="10.24"'): "0+100x60",
    counter("chat_worker_end_to_end_duration_seconds_bucket", 'le="+Inf"'): "0+100x60",
    counter("chat_worker_dlq_messages_total", 'reason="schema"'): "1x60",
    counter("chat_worker_cost_usd_total", 'gen_ai_request_model="m"'): "0+0.1x60",
    counter("chat_worker_rebalances_total", 'type="assign"'): "1x20 2x40",
}

# A quiet night: nothing comes, so nothing has been committed for long.
IDLE = {
    **UP,
    counter("chat_worker_consumer_lag", 'topic="chat.requests",partition="0"'): "0x60",
    counter("chat_worker_inflight_limit"): "1000x60",
    counter("chat_worker_last_progress_timestamp_seconds"): "0x60",
    counter("chat_worker_requests_total", 'outcome="answered"'): "600x60",
    counter("chat_worker_requests_total", 'outcome="fallback"'): "6x60",
    counter(ATTEMPTS, 'status="200"'): "600x60",
}

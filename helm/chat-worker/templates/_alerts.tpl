{{/* Every alert, one item each. All are about the pods of this namespace; the names are headings of the runbook.
Where the very first event matters, `unless … offset` sees it: `increase` of a counter that begins at 1 is 0. */}}
{{- define "chat-worker.alerts" -}}
{{- $in := printf "namespace=%q" .Release.Namespace }}
{{- $limit := .Values.metrics.prometheusRule.thresholds }}
- alert: ChatWorkerDown
  expr: absent(chat_worker_build_info{ {{- $in -}} })
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: No chat-worker is running; requests are not answered.
- alert: ChatWorkerNoProgress
  expr: |-
    sum by (namespace) (chat_worker_consumer_lag{ {{- $in -}} }) > 0
    and time() - max by (namespace) (chat_worker_last_progress_timestamp_seconds{ {{- $in -}} }) > {{ $limit.noProgressSeconds }}
  for: 1m
  labels: {severity: critical}
  annotations:
    summary: Requests wait, but no reply has been committed for {{ $limit.noProgressSeconds }} s.
- alert: ChatWorkerLagGrowing
  expr: |-
    sum by (namespace) (chat_worker_consumer_lag{ {{- $in -}} }) > sum by (namespace) (chat_worker_inflight_limit{ {{- $in -}} })
    and deriv(sum by (namespace) (chat_worker_consumer_lag{ {{- $in -}} })[10m:1m]) > 0
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: More requests come than are answered; add pods or partitions.
- alert: ChatWorkerHighFallbackRate
  expr: |-
    sum by (namespace) (rate(chat_worker_requests_total{ {{- $in -}} ,outcome="fallback"}[5m]))
    / sum by (namespace) (rate(chat_worker_requests_total{ {{- $in -}} }[5m])) > {{ $limit.fallbackRatio }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Too many users read the fallback text; chat_worker_fallbacks_total names the reasons.
- alert: ChatWorkerUpstreamErrors
  expr: |-
    sum by (namespace) (rate(chat_worker_upstream_attempts_total{ {{- $in -}} ,status!="200"}[5m]))
    / sum by (namespace) (rate(chat_worker_upstream_attempts_total{ {{- $in -}} }[5m])) > {{ $limit.upstreamErrorRatio }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Many attempts at the model fail; chat_worker_upstream_attempts_total names how.
- alert: ChatWorkerRateLimited
  expr: |-
    sum by (namespace) (rate(chat_worker_upstream_attempts_total{ {{- $in -}} ,status="429"}[5m]))
    / sum by (namespace) (rate(chat_worker_upstream_attempts_total{ {{- $in -}} }[5m])) > {{ $limit.rateLimitedRatio }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: The model service limits our rate; slow down, add models or raise the limit.
- alert: ChatWorkerQuotaOrAuth
  expr: |-
    sum by (namespace) (increase(chat_worker_fallbacks_total{ {{- $in -}} ,reason=~"auth|credits"}[5m])) > 0
    or sum by (namespace) (chat_worker_fallbacks_total{ {{- $in -}} ,reason=~"auth|credits"} unless chat_worker_fallbacks_total{ {{- $in -}} ,reason=~"auth|credits"} offset 5m) > 0
  labels: {severity: critical}
  annotations:
    summary: The key is refused or the credits are used up; nothing can be answered.
- alert: ChatWorkerSlow
  expr: |-
    histogram_quantile(0.95, sum by (namespace, le) (rate(chat_worker_end_to_end_duration_seconds_bucket{ {{- $in -}} }[5m]))) > {{ $limit.slowSeconds }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: One reply in twenty takes longer than {{ $limit.slowSeconds }} s from request to commit.
- alert: ChatWorkerDlq
  expr: |-
    sum by (namespace, reason) (increase(chat_worker_dlq_messages_total{ {{- $in -}} }[15m])) > 0
    or sum by (namespace, reason) (chat_worker_dlq_messages_total{ {{- $in -}} } unless chat_worker_dlq_messages_total{ {{- $in -}} } offset 15m) > 0
  labels: {severity: info}
  annotations:
    summary: Requests went to the dead-letter topic; a producer sends what cannot be read.
- alert: ChatWorkerCostBurn
  expr: sum by (namespace) (rate(chat_worker_cost_usd_total{ {{- $in -}} }[30m])) * 3600 > {{ $limit.costPerHour }}
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The models cost more than {{ $limit.costPerHour }} US dollars an hour.
- alert: ChatWorkerRebalanceStorm
  expr: sum by (namespace) (increase(chat_worker_rebalances_total{ {{- $in -}} }[10m])) > {{ $limit.rebalances }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Partitions move all the time; pods restart, or the brokers lose them.
{{- end }}

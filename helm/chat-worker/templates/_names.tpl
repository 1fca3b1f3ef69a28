{{- define "chat-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "chat-worker.fullname" -}}
{{- $name := include "chat-worker.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "chat-worker.selectorLabels" -}}
app.kubernetes.io/name: {{ include "chat-worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: worker
{{- end }}

{{- define "chat-worker.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "chat-worker.labels" -}}
{{ include "chat-worker.selectorLabels" . }}
{{ include "chat-worker.commonLabels" . }}
{{- end }}

{{/* Of the pods of `helm test`, which must not count as workers. */}}
{{- define "chat-worker.testLabels" -}}
app.kubernetes.io/name: {{ include "chat-worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{ include "chat-worker.commonLabels" . }}
{{- end }}

{{- define "chat-worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "chat-worker.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "chat-worker.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Stops with a sentence what could be installed but not work. Templates that make objects include it. */}}
{{- define "chat-worker.validate" -}}
{{- if not .Values.kafka.bootstrapServers }}
{{- fail "kafka.bootstrapServers is missing: the brokers to begin with, such as kafka:9092" }}
{{- end }}
{{- if not .Values.openrouter.existingSecret }}
{{- fail (printf "openrouter.existingSecret is missing: a secret with the key %s; make one by `kubectl create secret generic openrouter --from-file=%s=FILE`" .Values.openrouter.secretKey .Values.openrouter.secretKey) }}
{{- end }}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling.enabled and keda.enabled exclude each other: keda makes an autoscaler of its own" }}
{{- end }}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}
{{- fail "metrics.podMonitor.enabled and metrics.serviceMonitor.enabled would count everything twice: choose one" }}
{{- end }}
{{- if and .Values.tests.roundTrip.enabled .Values.kafka.existingSecret }}
{{- fail "tests.roundTrip.enabled cannot be had with kafka.existingSecret: chat-replay does not read that secret" }}
{{- end }}
{{- $drain := int64 (dig "worker" "drain_ms" 25000 .Values.config) }}
{{- if lt (mul (int64 .Values.terminationGracePeriodSeconds) 1000) (add $drain 10000) }}
{{- fail (printf "terminationGracePeriodSeconds is %d, but config.worker.drain_ms of %d needs at least 10 s more than that: %d" (int64 .Values.terminationGracePeriodSeconds) $drain (div (add $drain 10999) 1000)) }}
{{- end }}
{{- end }}

{{- define "chat-worker.hasService" -}}
{{- if or (eq .Values.workload "StatefulSet") .Values.metrics.serviceMonitor.enabled }}yes{{ end }}
{{- end }}

{{- define "chat-worker.isScaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}yes{{ end }}
{{- end }}

{{/* The settings: what the chart's own values say, and .Values.config, which has no key of these. */}}
{{- define "chat-worker.settings" -}}
{{- $kafka := dict "bootstrap_servers" .Values.kafka.bootstrapServers "group_id" .Values.kafka.groupId }}
{{- $_ := set $kafka "requests_topic" .Values.kafka.requestsTopic }}
{{- $_ := set $kafka "responses_topic" .Values.kafka.responsesTopic }}
{{- $_ := set $kafka "dead_letter_topic" .Values.kafka.deadLetterTopic }}
{{- $admin := dict "listen" (printf "%s:%d" .Values.metrics.address (int64 .Values.metrics.port)) }}
{{- $worker := dict "grace_ms" (mul (int64 .Values.terminationGracePeriodSeconds) 1000) }}
{{- $openrouter := dict "models" .Values.openrouter.models }}
{{- $own := dict "kafka" $kafka "openrouter" $openrouter "admin" $admin "worker" $worker "log" (dict "format" "json") }}
{{- toJson (mergeOverwrite $own (deepCopy .Values.config)) }}
{{- end }}

{{/* One value in the syntax of libconfig. Texts are escaped as in JSON, but for the escapes that only JSON
has, and for what YAML would take for the end of a line; a pair of backslashes is set aside meanwhile, so that what follows it is not taken for an escape. */}}
{{- define "chat-worker.libconfigScalar" -}}
{{- if kindIs "string" . }}
{{- $text := toRawJson . | replace "\\\\" "\x01" | replace "\\b" "\\x08" | replace "\\u00" "\\x" }}
{{- $text = $text | replace "\\u2028" "\\xe2\\x80\\xa8" | replace "\\u2029" "\\xe2\\x80\\xa9" }}
{{- $text | replace "\u0085" "\\xc2\\x85" | replace "\x01" "\\\\" }}
{{- else if kindIs "bool" . }}
{{- . }}
{{- else }}
{{- toRawJson . }}
{{- end }}
{{- end }}

{{/* {"settings": map, "indent": text}: a group's members. */}}
{{- define "chat-worker.libconfigGroup" -}}
{{- range $key, $value := .settings }}
{{- if kindIs "map" $value }}
{{ $.indent }}{{ $key }}: {
{{- include "chat-worker.libconfigGroup" (dict "settings" $value "indent" (print $.indent "  ")) }}
{{ $.indent }}};
{{- else if kindIs "slice" $value }}
{{- $items := list }}
{{- range $value }}{{ $items = append $items (include "chat-worker.libconfigScalar" .) }}{{ end }}
{{ $.indent }}{{ $key }} = [{{ join ", " $items }}];
{{- else if not (kindIs "invalid" $value) }}
{{ $.indent }}{{ $key }} = {{ include "chat-worker.libconfigScalar" $value }};
{{- end }}
{{- end }}
{{- end }}

{{- define "chat-worker.configFile" -}}
# Made from the values of the chart.
{{- include "chat-worker.libconfigGroup" (dict "settings" (include "chat-worker.settings" . | fromJson) "indent" "") }}
{{ end }}

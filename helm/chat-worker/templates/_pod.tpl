{{- define "chat-worker.environment" -}}
- name: OPENROUTER_API_KEY_FILE
  value: /etc/chat-worker/openrouter/{{ .Values.openrouter.secretKey }}
{{- if .Values.kafka.existingSecret }}
- name: CHAT_WORKER_KAFKA_PROPERTIES_FILE
  value: /etc/chat-worker/kafka/properties
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "chat-worker.mounts" -}}
- name: config
  mountPath: /etc/chat-worker/config
  readOnly: true
- name: openrouter
  mountPath: /etc/chat-worker/openrouter
  readOnly: true
{{- if .Values.kafka.existingSecret }}
- name: kafka
  mountPath: /etc/chat-worker/kafka
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "chat-worker.volumes" -}}
- name: config
  configMap:
    name: {{ include "chat-worker.fullname" . }}
- name: openrouter
  secret:
    secretName: {{ .Values.openrouter.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .Values.openrouter.secretKey }}
        path: {{ .Values.openrouter.secretKey }}
{{- if .Values.kafka.existingSecret }}
- name: kafka
  secret:
    secretName: {{ .Values.kafka.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the pods of the worker and of the tests have in common. */}}
{{- define "chat-worker.podBasics" -}}
serviceAccountName: {{ include "chat-worker.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "chat-worker.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
{{ toYaml .timing }}
{{- end }}

{{- define "chat-worker.podTemplate" -}}
metadata:
  labels:
    {{- include "chat-worker.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: chat-worker
    checksum/config: {{ include "chat-worker.configFile" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "chat-worker.podBasics" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "chat-worker.selectorLabels" . | nindent 10 }}
    {{- end }}
  containers:
    - name: chat-worker
      image: {{ include "chat-worker.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run, -c, /etc/chat-worker/config/chat-worker.conf]
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      env:
        {{- if eq .Values.workload "StatefulSet" }}
        - name: CHAT_WORKER_KAFKA_GROUP_INSTANCE_ID
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- end }}
        {{- include "chat-worker.environment" . | nindent 8 }}
      ports:
        - name: admin
          containerPort: {{ .Values.metrics.port }}
          protocol: TCP
      startupProbe:
        {{- include "chat-worker.probe" (dict "path" "/healthz" "timing" .Values.probes.startup) | nindent 8 }}
      livenessProbe:
        {{- include "chat-worker.probe" (dict "path" "/healthz" "timing" .Values.probes.liveness) | nindent 8 }}
      readinessProbe:
        {{- include "chat-worker.probe" (dict "path" "/readyz" "timing" .Values.probes.readiness) | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        {{- include "chat-worker.mounts" . | nindent 8 }}
  volumes:
    {{- include "chat-worker.volumes" . | nindent 4 }}
{{- end }}

{{- define "chat-worker.roundTripArguments" -}}
- send
- --brokers
- {{ .Values.kafka.bootstrapServers | quote }}
- --topic
- {{ .Values.kafka.requestsTopic | quote }}
- --reply-topic
- {{ .Values.kafka.responsesTopic | quote }}
- --wait
- 60s
- Answer with one word.
{{- end }}

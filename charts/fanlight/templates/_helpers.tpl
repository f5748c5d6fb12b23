{{/* Name of an object; over 63 characters it ends in a hash, so that two long names stay two. */}}
{{- define "fanlight.short" -}}
{{- if gt (len .) 63 -}}{{ printf "%s-%s" (trunc 54 . | trimSuffix "-") (sha256sum . | trunc 8) }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{- define "fanlight.name" -}}{{ include "fanlight.short" (default .Chart.Name .Values.nameOverride) }}{{- end -}}

{{- define "fanlight.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}{{ include "fanlight.short" .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}{{ include "fanlight.short" .Release.Name }}
{{- else -}}{{ include "fanlight.short" (printf "%s-%s" .Release.Name $name) }}{{- end -}}
{{- end -}}

{{/* Selector labels never change over upgrades: selectors are immutable. Takes root and component. */}}
{{- define "fanlight.selector" -}}
app.kubernetes.io/name: {{ include "fanlight.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "fanlight.labels" -}}
{{ include "fanlight.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "fanlight.image" -}}
{{- if .image.digest -}}{{ .image.repository }}@{{ .image.digest }}
{{- else -}}{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}{{- end -}}
{{- end -}}

{{- define "fanlight.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "fanlight.fullname" .) .Values.serviceAccount.name }}
{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{/* Leaves room for what a StatefulSet appends: its pods' numbers and revision, `-nodes`. */}}
{{- define "fanlight.natsName" -}}
{{- $name := printf "%s-nats" (include "fanlight.fullname" .) -}}
{{- if gt (len $name) 50 -}}{{ printf "%s-%s" (trunc 41 $name | trimSuffix "-") (sha256sum $name | trunc 8) }}{{- else -}}{{ $name }}{{- end -}}
{{- end -}}

{{- define "fanlight.natsUrl" -}}
{{- if .Values.nats.enabled -}}
{{ ternary "tls" "nats" (ne .Values.nats.tls.existingSecret "") }}://{{ include "fanlight.natsName" . }}:4222
{{- else -}}
{{ required "nats.url: say where NATS is, for example nats://nats:4222, or set nats.enabled" .Values.nats.url }}
{{- end -}}
{{- end -}}

{{- define "fanlight.authSecret" -}}
{{- default (include "fanlight.short" (printf "%s-auth" (include "fanlight.fullname" .))) .Values.edge.auth.existingSecret -}}
{{- end -}}

{{/* Pod and container settings of the restricted Pod Security profile. */}}
{{- define "fanlight.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "fanlight.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Secrets for NATS: what is mounted below /run/secrets, and where from. */}}
{{- define "fanlight.natsSecrets" -}}
{{- $nats := .Values.nats -}}
{{- $all := list
  (dict "name" "nats" "secret" $nats.existingSecret "items" (list "password"))
  (dict "name" "nats-creds" "secret" $nats.credsSecret "items" (list "nats.creds"))
  (dict "name" "nats-ca" "secret" $nats.tls.existingSecret "items" (list "ca.crt"))
  (dict "name" "nats-client" "secret" $nats.tls.clientSecret "items" (list "tls.crt" "tls.key")) -}}
{{- $used := list -}}
{{- range $all -}}{{- if .secret -}}{{- $used = append $used . -}}{{- end -}}{{- end -}}
{{- toJson $used -}}
{{- end -}}

{{- define "fanlight.natsMounts" -}}
{{- range include "fanlight.natsSecrets" . | fromJsonArray }}
- name: {{ .name }}
  mountPath: /run/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "fanlight.natsVolumes" -}}
{{- range include "fanlight.natsSecrets" . | fromJsonArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    items:
      {{- range .items }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
{{- end }}
{{- end -}}

{{/* Where NATS is, credentials, and where traces go. */}}
{{- define "fanlight.natsEnv" -}}
- name: FANLIGHT_NATS_URL
  value: {{ include "fanlight.natsUrl" . | quote }}
- name: FANLIGHT_NATS_PREFIX
  value: {{ .Values.nats.prefix | quote }}
{{- if .Values.nats.existingSecret }}
- name: FANLIGHT_NATS_USER
  valueFrom:
    secretKeyRef:
      name: {{ .Values.nats.existingSecret }}
      key: user
- name: FANLIGHT_NATS_PASSWORD_FILE
  value: /run/secrets/nats/password
{{- end }}
{{- if .Values.nats.credsSecret }}
- name: FANLIGHT_NATS_CREDS
  value: /run/secrets/nats-creds/nats.creds
{{- end }}
{{- if .Values.nats.tls.existingSecret }}
- name: FANLIGHT_NATS_CA
  value: /run/secrets/nats-ca/ca.crt
{{- end }}
{{- if .Values.nats.tls.clientSecret }}
- name: FANLIGHT_NATS_CERT
  value: /run/secrets/nats-client/tls.crt
- name: FANLIGHT_NATS_KEY
  value: /run/secrets/nats-client/tls.key
{{- end }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ $.Values.tracing.protocol | quote }}
{{- end }}
{{- end -}}

{{/* Spread constraints with the label selector filled in. Takes list and context. */}}
{{- define "fanlight.spread" -}}
{{- range .list }}
- {{- toYaml . | nindent 2 }}
  labelSelector:
    matchLabels:
      {{- include "fanlight.selector" $.context | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Replicas come at once and go one in three minutes: each one that goes moves its viewers. */}}
{{- define "fanlight.scaling" -}}
scaleDown:
  stabilizationWindowSeconds: {{ .Values.edge.autoscaling.scaleDownSeconds }}
  policies:
    - { type: Pods, value: 1, periodSeconds: 180 }
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - { type: Percent, value: 100, periodSeconds: 30 }
{{- end -}}

{{/*
Viewers of this release as one series. The limit, which an edge exports from its start, stands in
for the viewers while there are none: no viewers is 0, but no edge scraped is no answer, and
replicas stay as they are.
*/}}
{{- define "fanlight.viewersQuery" -}}
{{- $name := include "fanlight.short" (printf "%s-edge" (include "fanlight.fullname" .)) -}}
{{- /* Of a long name Kubernetes keeps 58 characters, hash included. */ -}}
{{- $pods := ternary (printf "%s-[^-]+-[^-]+" $name) (printf "%s.*" (trunc 46 $name)) (le (len $name) 46) -}}
{{- $edges := printf "{namespace=%q, pod=~%q}" .Release.Namespace $pods -}}
sum(fanlight_edge_viewers{{ $edges }}) or 0 * sum(fanlight_edge_viewer_limit{{ $edges }})
{{- end -}}

{{/* Names that the edge goes by: asked for without authentication only. */}}
{{- define "fanlight.hosts" -}}
{{- $service := include "fanlight.short" (printf "%s-edge" (include "fanlight.fullname" .)) -}}
{{- $hosts := concat (default list .Values.edge.allowHosts) (list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace)) -}}
{{- if and .Values.edge.ingress.enabled .Values.edge.ingress.host -}}{{- $hosts = append $hosts .Values.edge.ingress.host -}}{{- end -}}
{{- if .Values.edge.httpRoute.enabled -}}{{- range .Values.edge.httpRoute.hostnames -}}{{- if not (hasPrefix "*" .) -}}{{- $hosts = append $hosts . -}}{{- end -}}{{- end -}}{{- end -}}
{{- uniq $hosts | join "," -}}
{{- end -}}

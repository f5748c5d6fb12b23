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
nats://{{ include "fanlight.natsName" . }}:4222
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

{{/* NATS credentials as environment and mount. */}}
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
{{- end -}}

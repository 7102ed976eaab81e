{{- define "dchat.labels" -}}
app.kubernetes.io/name: dchat
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "dchat.selector" -}}
app.kubernetes.io/name: dchat
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dchat.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Each validator's peers: all others, by the names of their services, and what values say. */}}
{{- define "dchat.peers" -}}
{{- $peers := list }}
{{- range .root.Values.validators }}
{{- if ne .name $.me }}
{{- $peers = append $peers (printf "%s-%s-p2p:26656" $.root.Release.Name .name) }}
{{- end }}
{{- end }}
{{- toJson (concat $peers .root.Values.peers) }}
{{- end }}

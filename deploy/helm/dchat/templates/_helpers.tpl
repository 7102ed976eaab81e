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

{{- /* By which a validator's service is called in the cluster, from its own namespace and from others. */ -}}
{{- define "dchat.names" -}}
{{- $name := printf "%s-%s" .root.Release.Name .me -}}
{{- $there := printf "%s.%s" $name .root.Release.Namespace -}}
{{- join "," (list $name $there (printf "%s.svc" $there) (printf "%s.svc.%s" $there .root.Values.clusterDomain)) -}}
{{- end }}

{{- /* Whether a validator's HTTP door speaks TLS, and whether it asks who calls. */ -}}
{{- define "dchat.speaksTls" -}}
{{- if or .me.tlsSecret (dig "tls" "cert_file" "" .root.Values.config) }}yes{{ end }}
{{- end }}

{{- define "dchat.asksClients" -}}
{{- if include "dchat.speaksTls" . }}
{{- if and .root.Values.tls.clientCaSecret (has "http" .root.Values.tls.clientCaDoors) }}yes
{{- else if dig "http" "client_ca_file" "" .root.Values.config }}yes{{ end }}
{{- end }}
{{- end }}

{{- /* What a probe does. path: of the HTTP door; the kubelet asks for no certificate's vouching and shows none of
its own, so a door that asks who calls is asked by a command in the pod, which takes longer. */ -}}
{{- define "dchat.probe" -}}
{{- if not (include "dchat.asksClients" .) -}}
httpGet: {path: {{ .path }}, port: http{{ if include "dchat.speaksTls" . }}, scheme: HTTPS{{ end }}}
{{- else if eq .path "/ready" -}}
exec: {command: [/bin/sh, -c, "dchat health | grep -q '\"ready\": true'"]}
{{- else -}}
exec: {command: [dchat, health]}
{{- end }}
{{- end }}

{{- /* Of the validator's container: where the files are that its secrets bring. */ -}}
{{- define "dchat.secretEnv" -}}
{{- if .me.tlsSecret }}
- {name: DCHAT_TLS_CERT, value: /run/dchat/tls/tls.crt}
- {name: DCHAT_TLS_KEY, value: /run/dchat/tls/tls.key}
{{- end }}
{{- if and .root.Values.tls.clientCaSecret (include "dchat.speaksTls" .) }}
{{- range .root.Values.tls.clientCaDoors }}
- {name: {{ eq . "metrics" | ternary "DCHAT_OBSERVABILITY__METRICS_CLIENT_CA_FILE" (printf "DCHAT_%s__CLIENT_CA_FILE" (upper .)) }}, value: /run/dchat/client-ca/ca.crt}
{{- end }}
{{- end }}
{{- if include "dchat.asksClients" . }}
{{- if .root.Values.tls.probeSecret }}
- {name: DCHAT_NODE_TLS_CERT, value: /run/dchat/probe/tls.crt}
- {name: DCHAT_NODE_TLS_KEY, value: /run/dchat/probe/tls.key}
{{- else if .me.tlsSecret }}
- {name: DCHAT_NODE_TLS_CERT, value: /run/dchat/tls/tls.crt}
- {name: DCHAT_NODE_TLS_KEY, value: /run/dchat/tls/tls.key}
{{- end }}
{{- end }}
{{- if .me.passphraseSecret }}
- {name: DCHAT_VALIDATOR__PASSPHRASE_FILE, value: /run/dchat/secrets/passphrase}
{{- end }}
{{- if .me.pinSecret }}
- {name: DCHAT_HSM__PKCS11_PIN_FILE, value: /run/dchat/secrets/pin}
{{- end }}
{{- end }}

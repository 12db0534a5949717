{{- define "part.labels" -}}
app: {{ .root.Release.Name }}-openwhisk
chart: "{{ .root.Chart.Name }}-{{ .root.Chart.Version }}"
release: {{ .root.Release.Name }}
heritage: {{ .root.Release.Service }}
name: {{ .root.Release.Name }}-{{ .part }}
{{- end -}}

{{- define "part.selector" -}}
name: {{ .root.Release.Name }}-{{ .part }}
{{- end -}}

{{- define "core.affinity" -}}
affinity:
  nodeAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      preference:
        matchExpressions:
        - {key: openwhisk-role, operator: In, values: [core]}
{{- end -}}

{{- define "wait.couchdb" -}}
{{- if .Values.db.wipeAndInit }}
- name: wait-for-couchdb
  image: {{ .Values.image }}
  command: [wait, {{ .Release.Name }}-couchdb]
{{- end }}
{{- end -}}

{{- define "part.env" -}}
env:
- {name: WHISK_API_HOST_PROTO, valueFrom: {configMapKeyRef: {name: {{ .Release.Name }}-whisk.config, key: whisk_api_host_proto}}}
- {name: WHISK_API_HOST_NAME, valueFrom: {configMapKeyRef: {name: {{ .Release.Name }}-whisk.config, key: whisk_api_host_name}}}
{{- end -}}

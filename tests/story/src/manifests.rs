//! What the admin, the deployer and the master write in the story.

/// Both template ConfigMaps.
pub fn templates(namespace: &str) -> String {
    format!("{}---\n{}", post_trade(namespace), credentials(namespace))
}

/// The template ConfigMap of the day's end, as the admin applies it.
pub fn post_trade(namespace: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: post-trade
  namespace: {namespace}
  labels:
    fledged.io/templates: "true"
  annotations:
    fledged.io/masters: eod
    fledged.io/duration: "3600"
    fledged.io/max-dependents: "20"
data:
  parameters: |
    run:      {{type: string, pattern: "[0-9]{{8}}", description: trading day}}
    workers:  {{type: integer, minimum: 1, maximum: 8, default: 2}}
    lifetime: {{type: string, format: duration, default: 1h}}
    level:    {{type: string, enum: [info, debug]}}
    part:     {{type: string, pattern: "[a-z]{{1,8}}"}}
  job.yaml: |
    apiVersion: batch/v1
    kind: Job
    metadata:
      name: "post-trade-${{run}}"
    spec:
      parallelism: ${{workers}}
      completions: 1
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: registry.example/post-trade:1.4
            args: ["--run", "${{run}}"]
            resources:
              requests: {{cpu: 0.5, memory: 1Gi}}
  report.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: "report-${{part}}"
      annotations:
        fledged.io/duration: "${{lifetime}}"
    data:
      level: ${{level}}
  worker.yaml: |
    apiVersion: v1
    kind: Pod
    metadata:
      generateName: worker-
    spec:
      containers:
      - name: main
        image: registry.example/worker:2
"#
    )
}

/// The template ConfigMap of the credentials. It sets no `max-dependents`: Secrets are not counted, since retinue's
/// webhook may not read them.
pub fn credentials(namespace: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: credentials
  namespace: {namespace}
  labels:
    fledged.io/templates: "true"
  annotations:
    fledged.io/masters: eod
data:
  parameters: |
    password: {{type: string, generated: {{length: 24}}}}
  credentials.yaml: |
    apiVersion: v1
    kind: Secret
    metadata:
      name: post-trade-db
    stringData:
      password: "${{password}}"
"#
    )
}

/// A template of a kind that the collector may not delete.
pub fn quota(namespace: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: quota
  namespace: {namespace}
  labels:
    fledged.io/templates: "true"
data:
  quota.yaml: |
    apiVersion: v1
    kind: ResourceQuota
    metadata:
      name: batch
    spec:
      hard: {{pods: "10"}}
"#
    )
}

/// The account `eod`, which may launch, and which RBAC lets do everything in its namespace that named verbs give. Not the
/// role `edit`, which may impersonate the other accounts there: what acts as another account is not judged.
fn account(namespace: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: eod, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: eod-launch, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: retinue-launch}}
subjects: [{{kind: ServiceAccount, name: eod, namespace: {namespace}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: eod-everything, namespace: {namespace}}}
rules:
- apiGroups: ["*"]
  resources: ["*"]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: eod-everything, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: eod-everything}}
subjects: [{{kind: ServiceAccount, name: eod, namespace: {namespace}}}]
"#
    )
}

/// The master: its account, and its Deployment.
pub fn master(namespace: &str) -> String {
    let account = account(namespace);
    format!(
        r#"{account}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: eod, namespace: {namespace}, labels: {{app: eod}}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: eod}}}}
  template:
    metadata:
      labels: {{app: eod}}
      annotations:
        fledged.io/manifests: post-trade, credentials
    spec:
      serviceAccountName: eod
      containers:
      - {{name: main, image: "registry.example/eod:9"}}
"#
    )
}

/// A master that is a bare pod.
pub fn bare_master(namespace: &str, config_maps: &str) -> String {
    let account = account(namespace);
    format!(
        r#"{account}---
apiVersion: v1
kind: Pod
metadata:
  name: eod
  namespace: {namespace}
  annotations:
    fledged.io/manifests: {config_maps}
spec:
  serviceAccountName: eod
  containers:
  - {{name: main, image: "registry.example/eod:9"}}
"#
    )
}

/// A Job as the master sends it.
pub fn job(run: &str) -> String {
    format!(
        r#"apiVersion: batch/v1
kind: Job
metadata:
  name: post-trade-{run}
spec:
  parallelism: 3
  completions: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: registry.example/post-trade:1.4
        args: ["--run", "{run}"]
        resources:
          requests: {{cpu: 500m, memory: 1Gi}}
"#
    )
}

/// A report, whose lifetime the master asks for.
pub fn report(part: &str, lifetime: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: report-{part}
  annotations:
    fledged.io/duration: "{lifetime}"
data:
  level: info
"#
    )
}

/// A worker pod, named by the API server.
pub const WORKER: &str = r#"apiVersion: v1
kind: Pod
metadata:
  generateName: worker-
spec:
  containers:
  - name: main
    image: registry.example/worker:2
"#;

/// Work with a sidecar that never ends by itself: a pod of nobody, and a Job.
pub const SETTLEMENT: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: settlement, labels: {app: settlement, essential-containers: main}}
spec:
  containers:
  - {name: main, image: "registry.example/settle:3"}
  - {name: proxy, image: "registry.example/proxy:1"}
---
apiVersion: batch/v1
kind: Job
metadata: {name: settle}
spec:
  template:
    metadata: {labels: {essential-containers: main}}
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "registry.example/settle:3"}
      - {name: proxy, image: "registry.example/proxy:1"}
"#;

/// What a kubelet says when the one container has completed and the other runs on.
pub const MAIN_COMPLETED: &str = r#"{"status": {"containerStatuses": [
  {"name": "main", "image": "registry.example/settle:3", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
  {"name": "proxy", "image": "registry.example/proxy:1", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}}"#;

/// Credentials, whose password retinue makes.
pub const CREDENTIALS: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: post-trade-db
"#;

/// `manifest` with one piece of text replaced; the piece must be there.
pub fn with(manifest: &str, from: &str, to: &str) -> String {
    assert!(manifest.contains(from), "{from:?} is not in the manifest");
    manifest.replacen(from, to, 1)
}

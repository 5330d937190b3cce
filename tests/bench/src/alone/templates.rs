//! The templates: a pod as people write it, and nine other kinds beside it, with the patterns that bound their holes.

/// What holes are bounded by, a mix of what templates of real applications hold, each with a value that it admits.
/// BENCHMARKS.md lists them.
pub const PATTERNS: [(&str, &str); 12] = [
    ("s3://trading-[a-z]+/[A-Za-z0-9/_.-]+", "s3://trading-eod/2026/11/20/fills_0001.parquet"),
    ("[0-9]{8}", "20261120"),
    ("[a-z0-9]([-a-z0-9]*[a-z0-9])?", "emea-rates-eod"),
    ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "705ab4f5-6393-11e8-b7cc-42010a800002"),
    ("[0-9]+\\\\.[0-9]+\\\\.[0-9]+(-[a-z0-9.]+)?", "1.14.2-rc.1"),
    ("(eod|intraday|replay)", "intraday"),
    ("[A-Z]{3}", "EUR"),
    ("[0-9a-f]{40}", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("(XLON|XNYS|XPAR|XETR)-[0-9]{4}", "XETR-0042"),
    ("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "2026-11-20T17:30:00Z"),
    ("jdbc:postgresql://[a-z0-9.-]+:[0-9]{1,5}/[a-z_]+", "jdbc:postgresql://fills-db.trading.svc:5432/fills"),
    ("-Xmx[0-9]+[mg]", "-Xmx1536m"),
];

/// One of many pod templates that differ as those of one application do: name, image, a label, and what bounds the
/// input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Which.
    pub number: usize,
    /// The pattern of `input`.
    pub pattern: &'static str,
    /// A value that it admits.
    pub value: &'static str,
}

impl Variant {
    /// The variant of this number.
    pub fn of(number: usize) -> Self {
        let (pattern, value) = PATTERNS[number % PATTERNS.len()];
        Self { number, pattern, value }
    }

    /// What the names of its pods begin with.
    pub fn application(self) -> String {
        format!("fills-{:04}", self.number)
    }

    /// The image of its pods.
    pub fn image(self) -> String {
        format!("registry.example.com/trading/{}:1.14.{}", self.application(), self.number % 10)
    }

    fn parameters(self) -> String {
        let Self { number, pattern, .. } = self;
        format!(
            "run: {{type: string, pattern: \"[0-9]{{8}}\", description: trading day}}\n\
             shard: {{type: integer, minimum: 0, maximum: 99999999}}\n\
             input-{number:04}: {{type: string, pattern: \"{pattern}\", maxLength: 200}}\n"
        )
    }

    fn input(self) -> String {
        format!("${{input-{:04}}}", self.number)
    }
}

/// A manifest of a template ConfigMap.
pub struct Manifest {
    /// The `data` key.
    pub key: String,
    /// The parameters that it uses, a line each.
    pub parameters: String,
    /// The YAML.
    pub text: String,
}

/// The pod template of this variant.
pub fn pod(variant: Variant) -> Manifest {
    let application = variant.application();
    let spec = indented(&pod_spec(variant), 2);
    Manifest {
        key: format!("pod-{:04}.yaml", variant.number),
        parameters: variant.parameters(),
        text: format!(
            "apiVersion: v1
kind: Pod
metadata:
  name: {application}-${{run}}-${{shard}}
  labels:
    app.kubernetes.io/name: {application}
    app.kubernetes.io/component: worker
    app.kubernetes.io/part-of: end-of-day
    example.com/run: \"${{run}}\"
  annotations:
    example.com/contact: end-of-day@example.com
spec:
{spec}"
        ),
    }
}

fn pod_spec(variant: Variant) -> String {
    format!(
        "restartPolicy: Never
securityContext: {{runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {{type: RuntimeDefault}}}}
containers:
- name: work
  image: {image}
  command: [/opt/post-trade/bin/run]
  args: [\"--run=${{run}}\", \"--shard=${{shard}}\", \"--input={input}\", --report]
  env:
  - {{name: RUN, value: \"${{run}}\"}}
  - {{name: LOG_LEVEL, value: info}}
  - {{name: JAVA_TOOL_OPTIONS, value: \"-XX:MaxRAMPercentage=75 -XX:+ExitOnOutOfMemoryError\"}}
  - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
  - {{name: DB_PASSWORD, valueFrom: {{secretKeyRef: {{name: fills-db, key: password}}}}}}
  ports:
  - {{name: http, containerPort: 8080}}
  resources:
    requests: {{cpu: 500m, memory: 1Gi}}
    limits: {{memory: 1Gi}}
  livenessProbe: {{httpGet: {{path: /healthz, port: http}}, initialDelaySeconds: 10}}
  readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 5}}
  securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
  volumeMounts:
  - {{name: scratch, mountPath: /scratch}}
  - {{name: settings, mountPath: /etc/post-trade, readOnly: true}}
volumes:
- {{name: scratch, emptyDir: {{sizeLimit: 2Gi}}}}
- {{name: settings, configMap: {{name: post-trade-settings}}}}
",
        image = variant.image(),
        input = variant.input(),
    )
}

/// The pod template of this variant and one of each of nine other kinds, as an application brings them.
pub fn every_kind(variant: Variant) -> Vec<Manifest> {
    let application = variant.application();
    let template = |spaces: usize| {
        indented(
            &format!(
                "template:\n  metadata: {{labels: {{app.kubernetes.io/name: {application}}}}}\n  spec:\n{}",
                indented(&pod_spec(variant), 4)
            ),
            spaces,
        )
    };
    // Whatever runs on belongs to what restarts.
    let lasting = |spaces: usize| template(spaces).replace("restartPolicy: Never", "restartPolicy: Always");
    let manifest = |kind: &str, api_version: &str, body: String| Manifest {
        key: format!("{}.yaml", kind.to_lowercase()),
        parameters: variant.parameters(),
        text: format!(
            "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {application}-${{run}}\n  labels: \
             {{app.kubernetes.io/name: {application}}}\n{body}"
        ),
    };
    let selector = format!("selector: {{matchLabels: {{app.kubernetes.io/name: {application}}}}}");
    vec![
        pod(variant),
        manifest("Job", "batch/v1", format!("spec:\n  parallelism: ${{shard}}\n  backoffLimit: 2\n{}", template(2))),
        manifest(
            "CronJob",
            "batch/v1",
            format!("spec:\n  schedule: \"0 18 * * 1-5\"\n  jobTemplate:\n    spec:\n{}", template(6)),
        ),
        manifest("Deployment", "apps/v1", format!("spec:\n  replicas: ${{shard}}\n  {selector}\n{}", lasting(2))),
        manifest(
            "StatefulSet",
            "apps/v1",
            format!("spec:\n  serviceName: {application}\n  {selector}\n{}", lasting(2)),
        ),
        manifest(
            "Service",
            "v1",
            format!(
                "spec:\n  selector: {{app.kubernetes.io/name: {application}}}\n  ports: [{{name: http, port: 80, targetPort: http}}]\n"
            ),
        ),
        manifest("ConfigMap", "v1", format!("data:\n  input: \"{}\"\n  mode: batch\n", variant.input())),
        manifest("Secret", "v1", format!("type: Opaque\nstringData:\n  input: \"{}\"\n", variant.input())),
        manifest(
            "PersistentVolumeClaim",
            "v1",
            "spec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 20Gi}}\n".into(),
        ),
        manifest(
            "NetworkPolicy",
            "networking.k8s.io/v1",
            format!(
                "spec:\n  podSelector: {{matchLabels: {{app.kubernetes.io/name: {application}}}}}\n  policyTypes: [Ingress]\n"
            ),
        ),
    ]
}

fn indented(text: &str, spaces: usize) -> String {
    text.lines().map(|line| format!("{:spaces$}{line}\n", "")).collect()
}

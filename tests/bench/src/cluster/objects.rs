//! What is created: the pod of some kilobytes, its template, and the mix of templates that a large cluster holds.

use anyhow::Result;
use serde_json::{Value, json};

/// The manifest with holes; its pods are of 4 to 6 KB as JSON.
const POD: &str = include_str!("pod.yaml");
/// What `${shard}` is until a create puts its own number there.
const SHARD: &str = "900000000";
const RUN: &str = "20261120";

/// The pod as its master sends it, ready to be numbered.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    /// The text around the numbers.
    pieces: Vec<String>,
}

impl Pod {
    /// The pod that the template renders, with whatever `change` does to it.
    pub(super) fn with(change: impl FnOnce(&mut Value)) -> Result<Self> {
        let text = POD
            .replace("${run}", RUN)
            .replace("${shard}", SHARD)
            .replace("${book}", "rates-chf")
            .replace("${level}", "info");
        let mut object = policies::yaml::value(&text).map_err(|error| anyhow::anyhow!("pod.yaml: {error:?}"))?;
        change(&mut object);
        Ok(Self { pieces: object.to_string().split(SHARD).map(Into::into).collect() })
    }

    /// The pod as it should be.
    pub(super) fn good() -> Result<Self> {
        Self::with(|_| {})
    }

    /// With an image that no template has.
    pub(super) fn bad() -> Result<Self> {
        Self::with(|pod| pod["spec"]["containers"][0]["image"] = json!("registry.example/miner:latest"))
    }

    /// The body of one create.
    pub(super) fn number(&self, number: usize) -> String {
        self.pieces.join(&number.to_string())
    }
}

/// The template ConfigMap of the pod.
pub(super) fn template(namespace: &str, name: &str) -> Value {
    let parameters = r#"run: {type: string, pattern: "[0-9]{8}", description: trading day}
shard: {type: integer, minimum: 0, maximum: 999999999}
book: {type: string, pattern: "(rates|equities|fx)-[a-z]{3}"}
level: {type: string, enum: [debug, info, warn], default: info}
"#;
    config_map(namespace, name, parameters, "pod.yaml", POD)
}

pub(super) fn config_map(namespace: &str, name: &str, parameters: &str, key: &str, manifest: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"fledged.io/templates": "true"},
            "annotations": {
                "fledged.io/masters": "eod", "fledged.io/duration": "24h", "fledged.io/max-dependents": "100000",
            },
        },
        "data": {"parameters": parameters, key: manifest},
    })
}

/// The `position`th template ConfigMap of a namespace: the pod's first, then what else masters launch.
pub(super) fn of_the_mix(namespace: &str, position: usize) -> Value {
    let Some((kind, parameters, manifest)) = position.checked_sub(1).map(|it| MIX[it % MIX.len()]) else {
        return template(namespace, "post-trade");
    };
    let name = format!("{kind}-{position}");
    // Teams write their own names and their own patterns: one in five differs from namespace to namespace.
    let team = |text: &str| text.replace("TEAM", namespace);
    config_map(namespace, &name, &team(parameters), &format!("{kind}.yaml"), &team(manifest))
}

/// What the template `settings` makes in a namespace, as the `number`th.
pub(super) fn settings(namespace: &str, number: usize) -> Value {
    let letters = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{namespace}-{letters}")},
        "data": {"level": "info", "team": namespace},
    })
}

/// Kind, parameters, manifest.
const MIX: [(&str, &str, &str); 9] = [
    (
        "job",
        "run: {type: string, pattern: \"[0-9]{8}\"}\nworkers: {type: integer, minimum: 1, maximum: 8, default: 2}\n",
        r#"apiVersion: batch/v1
kind: Job
metadata: {name: "TEAM-eod-${run}"}
spec:
  parallelism: ${workers}
  completions: 8
  backoffLimit: 2
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: registry.example/TEAM/eod:7
        args: ["--run", "${run}"]
        env: [{name: TEAM, value: TEAM}, {name: RUN, value: "${run}"}]
        resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi}}
"#,
    ),
    (
        "spark",
        r#"app: {type: string, pattern: "[a-z][-a-z0-9]{0,30}"}
id: {type: string, pattern: "[0-9a-f]{16}"}
port: {type: integer, minimum: 1024, maximum: 65535}
options:
  type: array
  items:
    type: object
    properties:
      name: {type: string, pattern: "SPARK_JAVA_OPT_[0-9]+"}
      value: {type: string, pattern: "-Dspark\\.[A-Za-z.]+=[A-Za-z0-9.:/_-]*"}
"#,
        r#"apiVersion: v1
kind: Pod
metadata:
  name: "${app}-${id}-exec"
  labels: {spark-app-selector: "spark-${id}", spark-role: executor, team: TEAM}
spec:
  restartPolicy: Never
  containers:
  - name: executor
    image: registry.example/TEAM/spark:4.0
    args: [executor]
    env:
    - {name: SPARK_DRIVER_URL, value: "spark://driver-${id}:${port}"}
    - {name: SPARK_EXECUTOR_CORES, value: "2"}
    - {name: SPARK_APPLICATION_ID, value: "spark-${id}"}
    - ${options}
    resources: {requests: {cpu: "2", memory: 4Gi}, limits: {memory: 4Gi}}
    volumeMounts: [{name: local, mountPath: /var/data}]
  volumes: [{name: local, emptyDir: {}}]
"#,
    ),
    (
        "notebook",
        r#"user: {type: string, pattern: "[a-z][a-z0-9-]{0,20}"}
size: {type: string, enum: [small, medium, large]}
memory: {type: string, format: quantity, maximum: 16Gi}
image: {type: string, format: image, registry: registry.example}
"#,
        r#"apiVersion: v1
kind: Pod
metadata:
  name: "notebook-${user}"
  labels: {user: "${user}", size: "${size}"}
spec:
  containers:
  - name: notebook
    image: "${image}"
    args: ["--base-url", "/TEAM/${user}"]
    ports: [{containerPort: 8888}]
    resources: {limits: {memory: "${memory}"}}
    volumeMounts: [{name: home, mountPath: /home/user}]
  volumes: [{name: home, persistentVolumeClaim: {claimName: "home-${user}"}}]
"#,
    ),
    (
        "claim",
        "user: {type: string, pattern: \"[a-z][a-z0-9-]{0,20}\"}\nsize: {type: string, format: quantity, maximum: 50Gi}\n",
        r#"apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: "home-${user}", annotations: {fledged.io/duration: none}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: "${size}"}}
"#,
    ),
    (
        "service",
        "id: {type: string, pattern: \"[0-9a-f]{16}\"}\nport: {type: integer, minimum: 1024, maximum: 65535}\n",
        r#"apiVersion: v1
kind: Service
metadata: {name: "driver-${id}"}
spec:
  clusterIP: None
  selector: {spark-app-selector: "spark-${id}"}
  ports:
  - name: driver
    port: 7078
    targetPort: ${port}
"#,
    ),
    (
        "settings",
        "part: {type: string, pattern: \"TEAM-[a-z]{1,12}\"}\nlevel: {type: string, enum: [info, debug]}\n",
        r#"apiVersion: v1
kind: ConfigMap
metadata: {name: "${part}"}
data:
  level: ${level}
  team: TEAM
"#,
    ),
    (
        "credentials",
        "part: {type: string, pattern: \"TEAM-[a-z]{1,12}\"}\npassword: {type: string, generated: {length: 24}}\n",
        r#"apiVersion: v1
kind: Secret
metadata: {name: "${part}-db"}
stringData: {password: "${password}"}
"#,
    ),
    (
        "worker",
        "release: {type: string, pattern: \"[0-9]+\\\\.[0-9]+\\\\.[0-9]+\"}\nreplicas: {type: integer, minimum: 0, maximum: 20}\n",
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: TEAM-workers}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: TEAM-workers}}
  template:
    metadata: {labels: {app: TEAM-workers}}
    spec:
      containers:
      - name: main
        image: "registry.example/TEAM/worker:${release}"
        env: [{name: QUEUE, value: "amqp://queue.TEAM.svc/TEAM"}]
        ports: [{containerPort: 8080}]
"#,
    ),
    (
        "build",
        "project: {type: string, pattern: \"[a-z][a-z0-9-]{0,30}\"}\ncommit: {type: string, pattern: \"[0-9a-f]{40}\"}\n",
        r#"apiVersion: v1
kind: Pod
metadata:
  name: "build-${commit}"
  labels: {project: "${project}"}
  annotations: {team: TEAM}
spec:
  restartPolicy: Never
  initContainers:
  - {name: clone, image: registry.example/ci/git:2, args: ["https://git.example/TEAM/${project}", "${commit}"]}
  containers:
  - name: build
    image: registry.example/ci/builder:12
    workingDir: /workspace
    command: [make, all]
    resources: {limits: {cpu: "4", memory: 8Gi}}
"#,
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use policies::library::TemplateSet;

    use super::*;

    #[test]
    fn every_template_of_the_mix_compiles() {
        for position in 0..10 {
            let set = TemplateSet::load(&of_the_mix("team-0001", position));
            assert!(set.usable(), "{}: {:?}", set.name, set.problems);
            assert!(set.errors().next().is_none(), "{}: {:?}", set.name, set.problems);
        }
    }

    #[test]
    fn the_pod_has_the_size_that_is_told() {
        let size = Pod::good().unwrap().number(7).len();
        assert!((4_000..=6_144).contains(&size), "{size} bytes");
        assert!(Pod::bad().unwrap().number(7).contains("post-trade-20261120-7\""));
    }
}

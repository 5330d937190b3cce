//! The command line as people use it: the real binary, files, exit codes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "cli/callers.rs"]
mod callers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const POST_TRADE: &str = "tests/corpus/cli/post-trade.yaml";
const JOB: &str = "tests/corpus/cli/job.yaml";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn retinue(args: &[&str]) -> Ran {
    with_input(args, "")
}

fn with_input(args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_retinue"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading, where its arguments are wrong.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    Ran {
        code: ended.status.code().unwrap(),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

fn job() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(JOB)).unwrap()
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_a_template_renders_it_admits() {
    let rendered = retinue(&["render", "--manifests", POST_TRADE, "--set", "run=20261120", "--set", "workers=4"]);
    assert_eq!(rendered.code, 0, "{}", rendered.err);
    let checked = with_input(&["check", "--manifests", POST_TRADE, "-f", "-", "-o", "json"], &rendered.out);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    let answer: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["template"], "trading/post-trade job.yaml");
    assert_eq!(answer["parameters"], json!({"run": "20261120", "workers": 4}));
    assert_eq!(answer["differences"], json!([]));
    let labels = answer["patch"].as_array().unwrap().iter().any(|step| step["path"] == "/metadata/labels");
    assert!(labels, "the stamp is in the patch: {}", answer["patch"]);
}

#[test]
fn rendering_gives_json_too_and_typed_values() {
    let yaml = retinue(&["render", "--manifests", POST_TRADE, "--template", "job.yaml", "--set", "run=20261120"]);
    assert_eq!(yaml.out, job());
    let args = ["render", "--manifests", POST_TRADE, "--set", "run=20261120", "--set-json", "workers=3", "-o", "json"];
    let json: Value = serde_json::from_str(&retinue(&args).out).unwrap();
    assert_eq!(json["spec"]["parallelism"], 3);
    assert_eq!(json["metadata"]["name"], "post-trade-20261120");
}

#[test]
fn what_is_rendered_says_what_the_template_leaves_to_the_master() {
    let text = std::fs::read_to_string(POST_TRADE).unwrap();
    let open = text
        .replace("  parameters: |\n", "  parameters: |\n    hours: {type: string, enum: [1h, 2h]}\n")
        .replace("-${run}\"}\n", "-${run}\", annotations: {fledged.io/duration: \"${hours}\"}}\n");
    assert!(open.matches("hours").count() == 2, "{open}");
    let folder = scratch();
    let file = folder.path().join("open.yaml");
    std::fs::write(&file, open).unwrap();
    let file = file.to_str().unwrap();
    let set = ["--set", "run=20261120", "--set", "hours=2h"];
    let rendered = retinue(&[&["render", "--manifests", file, "-o", "json"][..], &set].concat());
    assert_eq!(rendered.code, 0, "{}", rendered.err);
    let object: Value = serde_json::from_str(&rendered.out).unwrap();
    assert_eq!(object["metadata"]["annotations"], json!({"fledged.io/duration": "2h"}));
    let checked = with_input(&["check", "--manifests", file, "-f", "-", "-o", "json"], &rendered.out);
    let answer: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!((&answer["allowed"], &answer["parameters"]["hours"]), (&json!(true), &json!("2h")), "{answer}");
}

#[test]
fn a_refusal_names_the_template_and_the_difference_and_exits_1() {
    let other = job().replace(":1.4", ":1.5");
    let told = with_input(&["check", "--manifests", POST_TRADE, "-f", "-"], &other);
    assert_eq!(told.code, 1, "{}", told.err);
    for words in ["refused", "Job trading/post-trade-20261120", "image", "post-trade:1.4", "post-trade:1.5"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    let told = with_input(&["check", "--manifests", POST_TRADE, "-f", "-", "-o", "json"], &other);
    let answer: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(answer["allowed"], false);
    assert_eq!(
        answer["differences"],
        json!([{
            "path": "spec.template.spec.containers[name=main].image",
            "expected": "registry.example/post-trade:1.4",
            "got": "registry.example/post-trade:1.5",
        }])
    );
}

#[test]
fn of_several_objects_one_refused_decides() {
    let both = format!("{}---\n{}", job(), job().replace("20261120", "x"));
    let told = with_input(&["check", "--manifests", POST_TRADE, "-f", "-", "-o", "json"], &both);
    assert_eq!(told.code, 1);
    let answers: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&answers[0]["allowed"], &answers[1]["allowed"]), (&json!(true), &json!(false)));
}

#[test]
fn who_asks_matters() {
    let check = |account| retinue(&["check", "--manifests", POST_TRADE, "-f", JOB, "--as", account]);
    assert_eq!(check("trading/eod").code, 0);
    let stranger = check("trading/stranger");
    assert_eq!(stranger.code, 1);
    assert!(stranger.out.contains("trading/stranger"), "{}", stranger.out);
    let elsewhere = check("treasury/eod");
    assert_eq!(elsewhere.code, 1, "{}", elsewhere.out);
}

#[test]
fn a_caller_from_a_file_is_verified_as_in_the_cluster() {
    let caller = "tests/corpus/cli/caller.yaml";
    let told = retinue(&["check", "--manifests", POST_TRADE, "-f", JOB, "--caller", caller, "-o", "json"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("deployment-uid"), "the workload owns it: {}", told.out);

    let forged = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(caller)).unwrap();
    let folder = scratch();
    let file = folder.path().join("caller.yaml");
    std::fs::write(&file, forged.replace("uid: set-uid\n", "uid: another\n")).unwrap();
    let told = retinue(&["check", "--manifests", POST_TRADE, "-f", JOB, "--caller", file.to_str().unwrap()]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("ReplicaSet eod-7d"), "{}", told.err);
}

#[test]
fn lint_says_where_and_exits_1_for_errors() {
    let clean = retinue(&["lint", POST_TRADE]);
    assert_eq!(clean.code, 0, "{}", clean.out);
    let broken = "tests/corpus/cli/broken.yaml";
    let told = retinue(&["lint", broken]);
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(told.out.starts_with("tests/corpus/cli/broken.yaml:9: error: parameters: "), "{}", told.out);
    let told = retinue(&["lint", broken, "-o", "json"]);
    let problems: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(problems[0]["severity"], "error");
    assert_eq!(problems[0]["line"], 9);
}

#[test]
fn lint_of_what_names_no_namespace_says_so_or_takes_it_by_an_option() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(POST_TRADE)).unwrap();
    let bare = text.replacen("  namespace: trading\n", "", 1);
    assert_ne!(bare, text);
    let told = with_input(&["lint", "-"], &bare);
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(told.out.contains("metadata.namespace is missing") && told.out.contains("-n"), "{}", told.out);
    assert_eq!(told.out.matches("error").count(), 1, "{}", told.out);
    for option in ["-n", "--namespace"] {
        let told = with_input(&["lint", option, "trading", "-"], &bare);
        assert_eq!((told.code, told.out.contains("namespace is missing")), (0, false), "{}{}", told.out, told.err);
    }
    // One that is written counts.
    let told = with_input(&["lint", "-n", "another", "-"], &text);
    assert_eq!((told.code, told.out), (0, with_input(&["lint", "-"], &text).out), "{}", told.err);
}

#[test]
fn bad_input_is_one_clear_message_and_exit_2() {
    let check = |input: &str| with_input(&["check", "--manifests", POST_TRADE, "-f", "-"], input);
    for (input, expected) in [
        ("", "(standard input): no object"),
        ("a: 1\na: 2\n", "(standard input):2:1: "),
        ("kind: Job\n", "(standard input):1: "),
        ("apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\n", "--with CRD.yaml"),
    ] {
        let told = check(input);
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{input:?}: {}", told.err);
        assert!(told.err.starts_with("retinue: ") && told.err.contains(expected), "{input:?}: {}", told.err);
    }
    for (args, expected) in [
        (vec!["check", "--manifests", "absent.yaml", "-f", JOB], "absent.yaml: "),
        (vec!["check", "--manifests", JOB, "-f", JOB], "no ConfigMap"),
        (vec!["check", "--manifests", "tests/corpus/cli/broken.yaml", "-f", JOB], "parameters:"),
        (vec!["check", "--manifests", POST_TRADE, POST_TRADE, "-f", JOB], "given twice"),
        (vec!["check", "--manifests", POST_TRADE, "-f", JOB, "--operation", "update"], "--old"),
        (vec!["check", "--manifests", POST_TRADE, "-f", JOB, "--as", "eod"], "NAMESPACE/NAME"),
        (vec!["render", "--manifests", POST_TRADE], "`run`"),
        (vec!["render", "--manifests", POST_TRADE, "--set", "run=1"], "[0-9]{8}"),
        (vec!["render", "--manifests", POST_TRADE, "--set", "workers=99"], ", got 99"),
        (vec!["render", "--manifests", POST_TRADE, "--set", "day=1"], "declared are: run, workers"),
        (vec!["render", "--manifests", POST_TRADE, "--template", "pod.yaml"], "job.yaml"),
        (vec!["render", "--manifests", POST_TRADE, "--set", "run=1", "--set", "run=2"], "set twice"),
        (vec!["lint", "absent.yaml"], "absent.yaml: "),
        (vec!["certs"], "--out"),
        (vec!["webhook", "--certs", "absent"], "absent"),
        (vec!["install", "--url", "http://x"], "https://"),
        (vec!["install", "--template-memory", "10k"], "at least 1Mi"),
        (vec!["install", "--url", "https://x", "--template-memory", "1Gi"], "retinue webhook --template-memory"),
        (vec!["--log", "a=b=c", "lint", POST_TRADE], "--log"),
        (vec!["no-such-command"], "no-such-command"),
    ] {
        let told = retinue(&args);
        assert!(told.code != 0, "{args:?}");
        assert!(told.err.contains(expected), "{args:?}: {}{}", told.out, told.err);
        assert!(!told.err.contains("panicked"), "{args:?}: {}", told.err);
    }
}

#[test]
fn certificates_are_never_overwritten_unasked_and_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = scratch();
    let out: PathBuf = folder.path().join("certs");
    let out = out.to_str().unwrap();
    let made = retinue(&["certs", "--out", out, "--dns", "localhost", "--ip", "127.0.0.1"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let read = |name: &str| std::fs::read_to_string(Path::new(out).join(name)).unwrap();
    let key = std::fs::metadata(Path::new(out).join("tls.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let before = read("tls.crt");

    let again = retinue(&["certs", "--out", out]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(read("tls.crt"), before);
    assert_eq!(retinue(&["certs", "--out", out, "--force"]).code, 0);
    assert_ne!(read("tls.crt"), before);

    let mut names: Vec<_> = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.crt", "tls.crt", "tls.key"]);
}

#[test]
fn a_secret_of_certificates_can_be_applied() {
    let told = retinue(&["certs", "--secret", "retinue/retinue-webhook-tls"]);
    let secret = policies::yaml::value(&told.out).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert!(secret["stringData"]["tls.key"].as_str().unwrap().contains("PRIVATE KEY"));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = retinue(&["--help"]);
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
    for command in ["check", "render", "run", "lint", "certs", "install", "webhook", "controller", "dev", "doctor"] {
        let help = retinue(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Examples:\n  retinue "), "{command}: {}", help.out);
    }
}

#[test]
fn it_runs_as_a_kubectl_plugin() {
    let folder = scratch();
    let plugin = folder.path().join("kubectl-retinue");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_retinue"), &plugin).unwrap();
    let told = Command::new(plugin).arg("check").output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("Usage: kubectl retinue check"), "{told}");
}

#[test]
fn a_name_that_can_be_no_namespace_is_refused_where_it_is_written() {
    for (command, flag) in [
        ("controller", "--essential-namespace=trading,Risk!"),
        ("controller", "--collect-namespace=a/b"),
        ("doctor", "--namespace=a..b"),
    ] {
        let told = retinue(&[command, flag]);
        assert!(told.code == 2 && told.err.contains("expected the name of a namespace"), "{flag}: {}", told.err);
    }
}

#[test]
fn a_config_map_without_namespace_is_said_to_be_taken_as_one_of_default() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(POST_TRADE)).unwrap();
    assert!(text.contains("  namespace: trading\n"));
    let folder = scratch();
    let file = folder.path().join("templates.yaml");
    std::fs::write(&file, text.replace("  namespace: trading\n", "")).unwrap();
    let check = |more: &[&str]| {
        let mut args = vec!["check", "--manifests", file.to_str().unwrap(), "-f", JOB];
        args.extend(more);
        retinue(&args)
    };
    let note = "ConfigMap post-trade names no namespace and is taken as one of default: -n or --as says another";
    assert!(check(&[]).err.contains(note), "{}", check(&[]).err);
    for more in [["-n", "trading"], ["--as", "trading/eod"]] {
        let told = check(&more);
        assert!(!told.err.contains("names no namespace"), "{more:?}: {}", told.err);
    }
}

#[test]
fn what_is_no_name_of_a_namespace_is_refused_as_one() {
    for args in [
        vec!["lint", "-n", "Tr_ading", POST_TRADE],
        vec!["check", "-n", "Tr_ading", "--manifests", POST_TRADE, "-f", JOB],
        vec!["render", "-n", "Tr_ading", "--manifests", POST_TRADE],
        vec!["rbac", "-n", "Tr_ading", "--manifests", POST_TRADE, "--master", "trading/eod"],
        vec!["run", "-n", "Tr_ading", "--image", "a"],
        vec!["install", "-n", "Tr_ading"],
        vec!["certs", "-n", "Tr_ading", "--client", "--out", "certs"],
        vec!["doctor", "-n", "Tr_ading"],
    ] {
        let told = retinue(&args);
        assert_eq!(told.code, 2, "{args:?}: {}", told.err);
        assert!(told.err.contains("Tr_ading") && told.err.contains("the name of a namespace"), "{}", told.err);
    }
}

#[test]
fn every_command_asks_for_a_namespace_in_the_same_words() {
    for (sentence, commands) in [
        ("The namespace of manifests that name none", &["check", "render", "lint", "rbac", "run"][..]),
        ("The namespace of retinue itself", &["install", "certs", "doctor"]),
    ] {
        for command in commands {
            let help = retinue(&[command, "--help"]).out;
            let found = help.contains(&format!("  -n, --namespace <NAMESPACE>\n          {sentence}"));
            assert!(found && help.matches("--namespace <").count() == 1, "{command}: {help}");
        }
    }
}

#[test]
fn a_namespace_that_is_said_counts_before_the_masters() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(POST_TRADE)).unwrap();
    let bare = text.replacen("  namespace: trading\n", "", 1).replacen("masters: \"eod\"", "masters: a/eod", 1);
    assert!(bare.contains("a/eod") && !bare.contains("namespace: trading"), "{bare}");
    let roles =
        |more: &[&str]| with_input(&[&["rbac", "--manifests", "-", "--master", "a/eod"][..], more].concat(), &bare);
    let (told, other) = (roles(&[]), roles(&["-n", "b"]));
    assert_eq!((told.code, other.code), (0, 0), "{}{}", told.err, other.err);
    assert!(!told.out.contains("namespace: b") && told.out.contains("namespace: a"), "{}", told.out);
    let checked = |more: &[&str]| {
        let folder = scratch();
        let file = folder.path().join("templates.yaml");
        std::fs::write(&file, &bare).unwrap();
        let manifests = file.to_str().unwrap().to_owned();
        let args = ["check", "--manifests", &manifests, "-f", JOB, "--as", "a/eod"];
        retinue(&[&args[..], more].concat()).out
    };
    assert!(checked(&["-n", "b"]).contains("b/post-trade"), "{}", checked(&["-n", "b"]));
    assert!(checked(&[]).contains("a/post-trade"), "{}", checked(&[]));
    let set = ["--set", "run=20261120", "--as", "a/eod"];
    let rendered = with_input(&[&["render", "--manifests", "-", "-n", "b"][..], &set].concat(), &bare);
    assert_eq!((rendered.code, rendered.err.as_str()), (0, ""));
}

#[test]
fn check_of_a_kind_that_no_template_describes_names_the_config_map_and_no_pod_without_a_name() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 1}]}}";
    let told = with_input(&["check", "--manifests", POST_TRADE, "-f", "-"], service);
    assert_eq!(told.code, 1, "{}", told.err);
    for words in
        ["that the master's pod asks for describes a v1 Service", "ask the admin of ConfigMap trading/post-trade"]
    {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
}

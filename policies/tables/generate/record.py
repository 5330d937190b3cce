#!/usr/bin/env python3
"""Writes ../../tests/corpus/answers: what an API server shows of every manifest of the corpus.

Usage: KUBECONFIG=... record.py [NAME...]     (needs kubectl and openssl; an empty cluster on this machine)

It creates the namespaces and live objects of the corpus, registers a mutating and a validating webhook that only look,
creates every manifest with dry run, and removes the webhooks again. `final` is written where the server's answer is
not what its validating webhooks were shown.
"""
import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "corpus"
PHASES = ("mutating", "validating")
shown = {}


class Looking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        if request["operation"] == "CREATE" and request.get("dryRun"):
            shown[self.path.strip("/").split("?")[0]] = request["object"]
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        body = json.dumps(review | {"response": {"uid": request["uid"], "allowed": True}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def kubectl(*args, stdin=None, check=True):
    return subprocess.run(["kubectl", *args], input=stdin, capture_output=True, text=True, check=check)


def configuration(phase, url, authority):
    webhook = {
        "name": "looking.example.com",
        "clientConfig": {"url": f"{url}/{phase}", "caBundle": authority},
        "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "timeoutSeconds": 5,
    }
    kind = f"{phase.capitalize()}WebhookConfiguration"
    api = "admissionregistration.k8s.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "looking"}, "webhooks": [webhook]}


def record(path):
    namespace = "limited" if path.stem.startswith("limited-") else "trading"
    shown.clear()
    answer = kubectl("create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", str(path), check=False)
    if answer.returncode or set(shown) != set(PHASES):
        print(f"{path.stem}: {answer.stderr.strip() or 'the webhooks were not asked'}")
        return False
    answers = dict(shown)
    final = json.loads(answer.stdout)
    for one in [*answers.values(), final]:
        one["metadata"].pop("managedFields", None)
    if final != answers["validating"]:
        answers["final"] = final
    text = json.dumps(answers, indent=1, sort_keys=True) + "\n"
    (CORPUS / "answers" / f"{path.stem}.json").write_text(text)
    return True


def main():
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
        names = ["-subj", "/CN=looking", "-addext", "subjectAltName=IP:127.0.0.1"]
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        subprocess.run([*new, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        authority = base64.b64encode(pathlib.Path(certificate).read_bytes()).decode()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Looking)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_address[1]}"

    for namespace in ("trading", "limited"):
        kubectl("create", "namespace", namespace, check=False)
    kubectl("apply", "-f", str(CORPUS / "facts.yaml"))
    kubectl("wait", "--for=condition=Established", "crd/widgets.example.com")
    try:
        for phase in PHASES:
            kubectl("apply", "-f", "-", stdin=json.dumps(configuration(phase, url, authority)))
        # The server takes the configurations up by a watch: ask until it has.
        probe = CORPUS / "objects" / "configmap.yaml"
        while set(shown) != set(PHASES):
            kubectl("create", "--dry-run=server", "-n", "trading", "-f", str(probe))
        wanted = sys.argv[1:]
        paths = sorted(path for path in (CORPUS / "objects").glob("*.yaml") if not wanted or path.stem in wanted)
        return 0 if all([record(path) for path in paths]) else 1
    finally:
        for phase in PHASES:
            kubectl("delete", f"{phase}webhookconfiguration", "looking", "--ignore-not-found", check=False)


if __name__ == "__main__":
    sys.exit(main())

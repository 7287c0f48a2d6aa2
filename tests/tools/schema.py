#!/usr/bin/env python3
"""Writes src/schema/kubernetes.json: the Kubernetes types that a RayCluster embeds.

Input: the OpenAPI v3 document of the pinned API server's core group, from the Go module
k8s.io/kubernetes (fetched with `go mod download`). With --check nothing is written, and a stale file
is an error.
Output: every definition that src/schema/raycluster.json leads to, without descriptions, in the
dialect of structural schemas and with the defaults and validations that controller-gen puts into a
CRD. What OpenAPI lacks and controller-gen reads from Go stands in the tables below;
tests/crd.rs compares the outcome with KubeRay's CRD.
"""

import json
import pathlib
import subprocess
import sys

MODULE = "k8s.io/kubernetes@v1.34.2"
DOCUMENT = "api/openapi-spec/v3/api__v1_openapi.json"
SCHEMA = pathlib.Path(__file__).parents[2] / "src/schema"
MODEL = SCHEMA / "raycluster.json"
OUTPUT = SCHEMA / "kubernetes.json"

KEPT = [
    "format",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
]

INT_OR_STRING = {"x-kubernetes-int-or-string": True}

# k8s.io/apimachinery/pkg/api/resource, as controller-gen knows it.
QUANTITY = {
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    "x-kubernetes-int-or-string": True,
}

# controller-gen's generateEmbeddedObjectMeta: what an embedded object's metadata may hold.
TEXTS = {"additionalProperties": {"type": "string"}, "type": "object"}
EMBEDDED_META = {
    "properties": {
        "annotations": TEXTS,
        "finalizers": {"items": {"type": "string"}, "type": "array"},
        "labels": TEXTS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
    "type": "object",
}

QUALIFIED = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)

# +kubebuilder markers of k8s.io/apimachinery/pkg/apis/meta/v1 and k8s.io/api/core/v1.
MARKERS = {
    ("Condition", "message"): {"maxLength": 32768},
    ("Condition", "observedGeneration"): {"minimum": 0},
    ("Condition", "reason"): {
        "maxLength": 1024,
        "minLength": 1,
        "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    },
    ("Condition", "status"): {"enum": ["True", "False", "Unknown"]},
    ("Condition", "type"): {"maxLength": 316, "pattern": QUALIFIED},
    ("PortStatus", "error"): {"maxLength": 316, "pattern": QUALIFIED},
}

# Types that inline LocalObjectReference, a struct of atomic map type, which controller-gen inherits.
ATOMIC = {
    "ConfigMapEnvSource",
    "ConfigMapProjection",
    "ConfigMapVolumeSource",
    "SecretEnvSource",
    "SecretProjection",
}

# Optional for OpenAPI by +optional, required for controller-gen by its own marker.
REQUIRED = {"PortStatus": ["error"]}

# Fields that the next Kubernetes brought, in which the pinned KubeRay's Go types are written.
LATER = {
    "PodCertificateProjection": {"userAnnotations": "Kubernetes 1.35"},
    "PodSpec": {"workloadRef": "Kubernetes 1.35"},
}

# Defaults written as a reference to a Go constant, which controller-gen does not follow.
UNDEFAULTED = {("AzureDiskVolumeSource", "cachingMode"), ("AzureDiskVolumeSource", "kind")}


def document():
    answer = subprocess.run(
        ["go", "mod", "download", "-json", MODULE], check=True, capture_output=True, cwd="/"
    )
    directory = pathlib.Path(json.loads(answer.stdout)["Dir"])
    return json.loads((directory / DOCUMENT).read_text())


def short(name):
    return name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]


def default_of(source, is_property, is_required):
    """The zero values that OpenAPI shows for required fields and list entries are no defaults."""
    value = source.get("default")
    if value in (None, {}) or not is_property:
        return None
    if value in ("", 0) and is_required:
        return None
    return value


def convert(source, owner=None, name=None, required=()):
    reference = source.get("$ref") or next((part["$ref"] for part in source.get("allOf", [])), None)
    if reference:
        target = short(reference)
        if target == "ObjectMeta" and owner is not None:
            target = "EmbeddedObjectMeta"
        return {"$ref": target}
    # Keys of lists in an object's own metadata are not the schema's to hold: the server merges them.
    kept = [key for key in KEPT if owner != "ObjectMeta" or not key.startswith("x-")]
    out = {key: source[key] for key in kept if key in source}
    if "properties" in source:
        needed = source.get("required", []) + REQUIRED.get(owner, [])
        out["properties"] = {
            key: convert(value, owner, key, needed)
            for key, value in sorted(source["properties"].items())
        }
        if needed:
            out["required"] = sorted(needed)
    for key in ("items", "additionalProperties"):
        if key in source:
            out[key] = convert(source[key], owner)
    default = default_of(source, name is not None, name in required)
    if default is not None and (owner, name) not in UNDEFAULTED:
        out["default"] = default
    out.update(MARKERS.get((owner, name), {}))
    if name is None and "properties" in out:
        if owner in ATOMIC:
            out["x-kubernetes-map-type"] = "atomic"
        if owner in LATER:
            out["x-raywarden-later"] = LATER[owner]
    return dict(sorted(out.items()))


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)


def render(definitions):
    """One property a line: the file is read by people in reviews of a new pin."""

    def line(value):
        return json.dumps(value, separators=(",", ":"))

    blocks = []
    for name, definition in sorted(definitions.items()):
        rest = {key: value for key, value in definition.items() if key != "properties"}
        properties = definition.get("properties")
        if properties is None:
            blocks.append(f"{line(name)}:{line(rest)}")
            continue
        rows = ",\n".join(f"  {line(key)}:{line(value)}" for key, value in properties.items())
        tail = line(rest)[1:]
        blocks.append(f'{line(name)}:{{"properties":{{\n{rows}\n }},{tail}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main():
    schemas = {short(name): value for name, value in document()["components"]["schemas"].items()}
    model = json.loads(MODEL.read_text())
    fixed = {
        "EmbeddedObjectMeta": EMBEDDED_META,
        "FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "IntOrString": INT_OR_STRING,
        "Quantity": QUANTITY,
    }
    definitions = {}
    waiting = list(references(model))
    while waiting:
        name = waiting.pop()
        if name in definitions or name in model:
            continue
        definitions[name] = fixed.get(name) or convert(schemas[name], owner=name)
        waiting.extend(references(definitions[name]))
    text = render(definitions)
    if sys.argv[1:] == ["--check"]:
        if OUTPUT.read_text() != text:
            sys.exit(f"{OUTPUT} is stale: run {sys.argv[0]}")
        return
    OUTPUT.write_text(text)
    print(f"{OUTPUT}: {len(definitions)} definitions")


if __name__ == "__main__":
    main()

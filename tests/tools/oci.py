#!/usr/bin/env python3
"""Packs a folder as an OCI image archive with one layer, the same bytes for the same folder.

containerd takes the names from an annotation, other tools from the reference annotation beside it.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
import tempfile
from pathlib import Path

CHUNK = 1 << 22
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
KIND = "application/vnd.oci.image"


def layer_of(root: Path, excluded: list, layer: Path) -> None:
    """Write the folder as one tar, owned by root and without times."""
    command = ["tar", "--sort=name", "--mtime=@0", "--numeric-owner", "--owner=0", "--group=0"]
    command += [f"--exclude={pattern}" for pattern in excluded]
    subprocess.run([*command, "-C", root, "-cf", layer, "."], check=True)


def digest_of(file: Path) -> str:
    seen = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            seen.update(chunk)
    return seen.hexdigest()


def blob(content: object) -> tuple:
    data = json.dumps(content, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest(), data


def described(kind: str, digest: str, size: int) -> dict:
    return {"mediaType": f"{KIND}.{kind}", "digest": f"sha256:{digest}", "size": size}


def config_of(args: argparse.Namespace, architecture: str, layer: str) -> dict:
    config = {"WorkingDir": args.workdir}
    for key, value in (("Env", args.env), ("Cmd", args.cmd), ("Entrypoint", args.entrypoint), ("User", args.user)):
        if value:
            config[key] = value
    return {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }


def pack(args: argparse.Namespace, layer: Path) -> None:
    """Put layer, config, manifest and index into one archive."""
    architecture = MACHINES.get(platform.machine(), platform.machine())
    layer_digest = digest_of(layer)
    config_digest, config = blob(config_of(args, architecture, layer_digest))
    manifest_digest, manifest = blob({
        "schemaVersion": 2,
        "mediaType": f"{KIND}.manifest.v1+json",
        "config": described("config.v1+json", config_digest, len(config)),
        "layers": [described("layer.v1.tar", layer_digest, layer.stat().st_size)],
    })
    entry = described("manifest.v1+json", manifest_digest, len(manifest))
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    names = [{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
             for name in args.name]
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": each} for each in names]}
    with tarfile.open(args.out + ".new", "w") as archive:
        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add("index.json", json.dumps(index).encode())
        add(f"blobs/sha256/{config_digest}", config)
        add(f"blobs/sha256/{manifest_digest}", manifest)
        member = tarfile.TarInfo(f"blobs/sha256/{layer_digest}")
        member.size = layer.stat().st_size
        with layer.open("rb") as stream:
            archive.addfile(member, stream)
    os.replace(args.out + ".new", args.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("out")
    parser.add_argument("--name", action="append", required=True, metavar="REGISTRY/NAME:TAG")
    parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--cmd", action="append", default=[], metavar="WORD")
    parser.add_argument("--entrypoint", action="append", default=[], metavar="WORD")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--user", default="", metavar="UID:GID")
    parser.add_argument("--workdir", default="/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(args.out).resolve().parent) as folder:
        layer = Path(folder) / "layer.tar"
        layer_of(args.root, args.exclude, layer)
        pack(args, layer)


if __name__ == "__main__":
    main()

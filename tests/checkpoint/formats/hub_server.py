"""A small hub on localhost, which answers what huggingface_hub asks about repositories."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits with their files, and the branches and tags that name them."""

    commits: dict[str, Files] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    refused: str | None = None
    """When set, files are listed but not served; the value is the error code, or ''."""

    def commit(self, files: Files, revision: str = "main") -> str:
        """Add a commit and move the branch to it."""
        commit = hashlib.sha1(
            repr((len(self.commits), sorted(files))).encode(), usedforsecurity=False
        ).hexdigest()
        self.commits[commit] = files
        self.revisions[revision] = commit
        return commit

    def find(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit names, or None."""
        commit = self.revisions.get(revision, revision)
        return commit if commit in self.commits else None


@dataclass
class Hub:
    """The hub's content, and what was asked of it."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    """Names of files whose content was sent."""
    status: int | None = None
    """When set, the status of every answer."""
    moves: dict[str, str] = field(default_factory=dict)
    """Commits that the main branch moves to, each after a file was sent ('' for the listing)."""

    def forget(self) -> None:
        """Clear the log of requests."""
        self.listed.clear()
        self.served.clear()


def files(folder: Path) -> Files:
    """A folder's files by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that answers until the context ends."""
    hub = Hub()

    class Handler(_Handler):
        content = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    content: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        if self.content.status is not None:
            self._send(self.content.status, b"<html>", {"Content-Type": "text/html"})
            return
        parts = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
        api = parts[:2] == ["api", "models"]
        if len(parts) < 4:
            # Newer versions of the library also ask for other things than files.
            self._send(404, b"{}", {})
            return
        name, action, revision, *rest = (
            ["/".join(parts[2:4]), *parts[4:]] if api else ["/".join(parts[:2]), *parts[2:]]
        )
        assert action == ("revision" if api else "resolve")
        repository = self.content.repositories.get(name)
        if repository is None:
            # The real hub gives this answer to anonymous users.
            self._send(
                401, b'{"error": "Invalid username or password."}', {"X-Error-Code": "RepoNotFound"}
            )
        elif (commit := repository.find(revision)) is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif api:
            self._list(name, commit)
        elif repository.refused is not None:
            self._send(403, b"{}", {"X-Error-Code": repository.refused})
        else:
            self._serve(repository.commits[commit], commit, "/".join(rest))
            if self.command == "GET":
                self._move(repository, "/".join(rest))

    def _move(self, repository: Repository, asked: str) -> None:
        if asked in self.content.moves:
            repository.revisions["main"] = self.content.moves[asked]

    def _list(self, name: str, commit: str) -> None:
        self.content.listed.append(name)
        repository = self.content.repositories[name]
        siblings = [{"rfilename": path} for path in repository.commits[commit]]
        self._move(repository, "")
        info = {
            "_id": "0",
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": False,
            "tags": [],
            "siblings": siblings,
        }
        self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _serve(self, held: Files, commit: str, path: str) -> None:
        if path not in held:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        if self.command == "GET":
            self.content.served.append(path)
        etag = hashlib.sha256(held[path]).hexdigest()
        self._send(
            200,
            held[path],
            {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"},
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

"""A Hugging Face Hub on loopback: repositories in memory, and what pushing and pulling ask for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"


class Hub:
    """Repositories: for each its commits, the newest last, each {path: bytes}."""

    def __init__(self):
        self.repos = {}
        self.private = {}
        self.requests = []

    def commit(self, repo, files):
        history = self.repos[repo]
        tree = json.dumps([len(history), sorted((p, hashlib.sha1(d).hexdigest()) for p, d in files.items())])
        sha = hashlib.sha1(tree.encode()).hexdigest()
        history.append((sha, files))
        return sha

    def at(self, repo, revision):
        """(commit, files), None where there is no such repository or revision."""
        history = self.repos.get(repo, [])
        if revision == "main":
            return history[-1] if history else None
        return next((commit for commit in history if commit[0] == revision), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code, message):
        self.answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+).*)?", path):
            self.about(*found.groups())
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.file(*found.groups())
        else:
            self.refuse(404, "EntryNotFound", "no such page")

    do_HEAD = do_GET

    def about(self, repo, what, revision):
        if not self.allowed(repo):
            return self.refuse(401, "RepoNotFound", "Invalid username or password.")
        found = self.hub.at(repo, revision or "main")
        if found is None and self.hub.repos.get(repo) == []:
            found = ("0" * 40, {})
        if found is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        sha, files = found
        if what == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in sorted(files.items())
            ]
            return self.answer(200, entries)
        siblings = [{"rfilename": name} for name in sorted(files)]
        info = {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings, "private": False, "tags": []}
        return self.answer(200, info)

    def file(self, repo, revision, name):
        found = self.hub.at(repo, revision) if self.allowed(repo) else None
        if found is None:
            return self.refuse(404, "RepoNotFound", "Repository not found")
        sha, files = found
        if name not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        etag = hashlib.sha1(files[name]).hexdigest()
        return self.answer(200, files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": sha})

    def allowed(self, repo):
        known = repo in self.hub.repos
        return known and (not self.hub.private[repo] or self.with_token())

    def with_token(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_POST(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if not self.with_token():
            return self.refuse(401, "Unauthorized", "Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self.take(found[1], body)
        return self.refuse(404, "EntryNotFound", "no such page")

    def create(self, wanted):
        repo = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
        if repo in self.hub.repos:
            return self.answer(409, {"url": f"/{repo}", "error": "You already created this model repo"})
        self.hub.repos[repo] = []
        self.hub.private[repo] = wanted.get("visibility") == "private" or wanted.get("private") is True
        return self.answer(200, {"url": f"http://{self.headers['Host']}/{repo}"})

    def take(self, repo, body):
        files = dict(self.hub.repos[repo][-1][1]) if self.hub.repos[repo] else {}
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                files.pop(entry["value"]["path"])
        sha = self.hub.commit(repo, files)
        url = f"http://{self.headers['Host']}/{repo}/commit/{sha}"
        return self.answer(200, {"commitUrl": url, "commitOid": sha, "hookOutput": "", "success": True})


@contextmanager
def running_hub():
    """(hub, its address)."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

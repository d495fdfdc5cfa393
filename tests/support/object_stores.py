"""An object store in this process: moto answers as S3 does, conditional writes too."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest


@contextmanager
def served_bucket(monkeypatch: pytest.MonkeyPatch, bucket: str = "") -> Iterator[str]:
    """Serve a bucket; its address, for this process and those that it starts."""
    import s3fs
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # moto's own server looks at the disk, at each request, which services there are
    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        facts = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
        facts |= {"AWS_ENDPOINT_URL": f"http://{host}", "NO_PROXY": "127.0.0.1"}
        for name, value in facts.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        bucket = bucket or f"batches-{secrets.token_hex(4)}"  # the server keeps those of former tests
        s3fs.S3FileSystem().mkdir(bucket)
        yield f"s3://{bucket}/harbour"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()
        thread.join()

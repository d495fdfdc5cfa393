"""An object store in this process: moto answers as S3 does, conditional writes too."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def served_bucket(monkeypatch: pytest.MonkeyPatch, bucket: str = "") -> Iterator[str]:
    """Serve a bucket; its address, for this process and those that it starts."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        facts = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
        facts |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "NO_PROXY": "127.0.0.1"}
        for name, value in facts.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        bucket = bucket or f"batches-{secrets.token_hex(4)}"  # the server keeps those of former tests
        s3fs.S3FileSystem().mkdir(bucket)
        yield f"s3://{bucket}/harbour"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()

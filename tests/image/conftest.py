"""The daemon, and the images built from this tree, once for all tests of the folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import docker
import pytest

sys.path.insert(0, str(docker.ROOT / "tests"))


@pytest.fixture(scope="session", autouse=True)
def daemon() -> Iterator[None]:
    """A docker that answers: the machine's, else our own, which ends with the tests."""
    docker.run(str(docker.ROOT / "scripts" / "setup"), "image")
    if docker.answers():
        yield
        return
    own = docker.Daemon()
    own.start()
    os.environ["DOCKER_HOST"] = own.address
    try:
        yield
    finally:
        del os.environ["DOCKER_HOST"]
        own.stop()


@pytest.fixture(scope="session")
def base_image(daemon: None) -> str:
    docker.need_base_image()
    return docker.BASE_IMAGE


@pytest.fixture(scope="session")
def kafka_image(base_image: str) -> str:
    docker.need_kafka_image()
    return docker.KAFKA_IMAGE


@pytest.fixture(scope="session")
def image(base_image: str) -> str:
    """The image, built from this tree with its cache of layers."""
    name = "chat-worker:test"
    docker.run("docker", "build", "-t", name, "--build-arg", "VERSION=test", str(docker.ROOT), timeout_s=1800)
    return name

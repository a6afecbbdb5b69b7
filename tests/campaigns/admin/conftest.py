"""In: nothing. Out: a populated database and clients of each role."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from tests.campaigns.admin.vendors import Vendors, make_vendors
from tests.campaigns.admin.world import World, make_user, make_world


@pytest.fixture
def world(db: None, tmp_path: Path, settings: object) -> World:
    settings.MEDIA_ROOT = tmp_path
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    return make_world()


@pytest.fixture
def vendors(world: World) -> Vendors:
    return make_vendors()


@pytest.fixture
def root(world: World) -> Client:
    client = Client()
    client.force_login(make_user())
    return client


@pytest.fixture
def log_in(world: World) -> Callable[[str], Client]:
    def make_client(role: str) -> Client:
        client = Client()
        client.force_login(make_user(role))
        return client

    return make_client

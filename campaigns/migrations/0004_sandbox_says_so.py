"""Forget which accounts were taken for sandboxes by their address; a sandbox says so itself."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def forget(apps: Any, editor: Any) -> None:
    apps.get_model("campaigns", "Account").objects.update(is_sandbox=False)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0003_reason_values")]

    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]

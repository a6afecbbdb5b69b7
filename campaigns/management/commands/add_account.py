"""In: a platform, a name, settings, credentials. Out: an account, its callback addresses once."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.catalog import check_url_shape, make_callback_urls
from campaigns.drafting import WindowsUnreadable, read_call_hours
from campaigns.management.headless import HeadlessCommand, describe_errors
from campaigns.models import Account
from campaigns.platforms.contract import AccountField, Platform
from campaigns.platforms.registry import PLATFORMS, find_platform

#: what --set takes beside the platform's own settings
OWN_SETTINGS = ("time_zone", "region", "rate_limit", "cap_calls", "cap_days")


class Command(HeadlessCommand):
    help = "Add our login at a platform."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("platform", help=", ".join(sorted(PLATFORMS)))
        parser.add_argument("--name", required=True)
        parser.add_argument("--base-url", help="default: the one the platform documents")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
        parser.add_argument("--hours", default="", help="09:00-12:00,13:00-21:00 in its zone")
        parser.add_argument("--days", default="1-7", help="days of the week, 1 is Monday: 1-5")
        parser.add_argument("--credential", action="append", default=[], metavar="KEY=VALUE|@FILE")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        platform = find_platform(options["platform"])
        if platform is None:
            raise CommandError(
                _("There is no platform “%(slug)s”. Known: %(known)s.")
                % {"slug": options["platform"], "known": ", ".join(sorted(PLATFORMS))}
            )
        chosen = read_pairs(options["set"], what="--set")
        own = {name: chosen.pop(name) for name in OWN_SETTINGS if name in chosen}
        credentials = read_pairs(options["credential"], what="--credential")
        check_names(chosen, platform.settings, what="--set", also=OWN_SETTINGS)
        check_names(credentials, platform.credentials, what="--credential")
        check_choices(chosen, platform.settings)
        required = [field.name for field in platform.credentials if field.required]
        missing = [name for name in required if not credentials.get(name)]
        if missing:
            raise CommandError(
                _("%(platform)s needs: %(missing)s. Give each with --credential NAME=VALUE.")
                % {"platform": platform.name, "missing": ", ".join(missing)}
            )
        account = make_account(
            platform,
            name=options["name"],
            base_url=read_base_url(options["base_url"], platform=platform),
            settings=chosen,
            credentials=credentials,
            own={**own, **read_times(options["hours"], options["days"])},
        )
        with transaction.atomic():
            account.save()
            callbacks = make_callback_urls(account)
        return {"id": account.pk, "name": account.name, "callbacks": callbacks}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return "\n".join(
            [
                _("Account %(name)s (%(id)s). Callback addresses, shown this once:") % answer,
                *(f"  {kind}: {url}" for kind, url in answer["callbacks"].items()),
            ]
        )


def read_pairs(texts: Iterable[str], *, what: str) -> dict[str, str]:
    """``key=value`` texts as a dict; ``@FILE`` stands for the file's text, its last newline off."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            # The text itself may be a secret that somebody typed without its name.
            raise CommandError(_("%(what)s must look like KEY=VALUE.") % {"what": what})
        if value.startswith("@"):
            try:
                value = Path(value[1:]).read_text(encoding="utf-8-sig").rstrip("\r\n")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or _("not text")
                raise CommandError(
                    _("The file %(file)s cannot be read: %(reason)s.")
                    % {"file": value[1:], "reason": reason}
                ) from None
        pairs[key.strip()] = value
    return pairs


def read_times(hours: str, days: str) -> dict[str, Any]:
    """When people may be called, as the account keeps it."""
    chosen: set[int] = set()
    for part in days.split(","):
        first, _dash, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit() or len(part) > 5:
            raise CommandError(_("--days: write the days like 1-5 or 1,3,5. 1 is Monday."))
        chosen |= set(range(int(first), int(last or first) + 1))
    if not chosen or not chosen <= set(range(1, 8)):
        raise CommandError(_("--days: write the days like 1-5 or 1,3,5. 1 is Monday."))
    try:
        return {"call_hours": read_call_hours(hours), "call_days": sorted(chosen)}
    except WindowsUnreadable as error:
        raise CommandError(f"--hours: {error}") from None


def check_names(
    given: Mapping[str, str],
    fields: Iterable[AccountField],
    *,
    what: str,
    also: tuple[str, ...] = (),
) -> None:
    known = [field.name for field in fields] + list(also)
    for name in given:
        if name not in known:
            raise CommandError(
                _("%(what)s: there is no “%(name)s” here. Known: %(known)s.")
                % {"what": what, "name": name, "known": ", ".join(known)}
            )


def check_choices(given: Mapping[str, str], fields: Iterable[AccountField]) -> None:
    """A setting with choices takes no other value."""
    for field in fields:
        value = given.get(field.name)
        if value and field.choices and value not in field.choices:
            raise CommandError(
                _("--set: %(name)s is one of: %(choices)s.")
                % {"name": field.name, "choices": ", ".join(field.choices)}
            )


def read_base_url(text: str | None, *, platform: Platform) -> str:
    """The address of the platform; "" for one that takes no calls from us.

    Which hosts may be called is said by the environment of the worker, which need not be ours.
    """
    if platform.connect is None:
        if text:
            raise CommandError(
                _("%(platform)s takes no calls from us; leave --base-url out.")
                % {"platform": platform.name}
            )
        return ""
    url = (text or platform.default_base_url).strip().rstrip("/")
    if problem := check_url_shape(url):
        raise CommandError(f"base_url: {problem}")
    return url


def make_account(
    platform: Platform,
    *,
    name: str,
    base_url: str,
    settings: Mapping[str, str],
    credentials: Mapping[str, str],
    own: Mapping[str, Any],
) -> Account:
    """The account, checked and not yet saved."""
    account = Account(
        platform=platform.slug,
        name=name,
        base_url=base_url,
        settings=dict(settings),
        credentials=dict(credentials),
        **own,
    )
    try:
        account.full_clean()
    except ValidationError as error:
        raise CommandError(describe_errors(error.message_dict)) from None
    return account

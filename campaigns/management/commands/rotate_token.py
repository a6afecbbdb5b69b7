"""In: an account. Out: its next callback addresses, whole this once; or one of its tokens ended."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns import tokens
from campaigns.management.headless import HeadlessCommand, find_account


class Command(HeadlessCommand):
    help = "Make the next callback addresses of an account, or revoke those made before."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")
        parser.add_argument("--revoke", type=int, metavar="TOKEN_ID", help="end this one")
        parser.add_argument(
            "--although-in-use", action="store_true", help="even if the platform still uses it"
        )
        parser.add_argument("--list", action="store_true", help="change nothing")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        answer: dict[str, Any] = {}
        try:
            if options["revoke"] is not None:
                tokens.revoke_token(
                    account, options["revoke"], although_in_use=options["although_in_use"]
                )
                answer["revoked"] = options["revoke"]
            elif not options["list"]:
                answer["callbacks"] = tokens.add_addresses(account)
        except tokens.InUse as error:
            raise CommandError(
                f"{error} {_('If that is meant, add %(option)s.')}"
                % {"option": "--although-in-use"}
            ) from None
        except tokens.Refused as error:
            raise CommandError(str(error)) from None
        answer["tokens"] = [tokens.describe_token(one) for one in tokens.list_tokens(account)]
        return answer

    def describe(self, answer: Mapping[str, Any]) -> str:
        lines = []
        if "callbacks" in answer:
            lines.append(_("Callback addresses, shown this once:"))
            lines += [f"  {kind}: {url}" for kind, url in answer["callbacks"].items()]
        for one in answer["tokens"]:
            state = _("revoked") if one["revoked_at"] else _("valid")
            used = one["last_used_at"] or _("never")
            words = {"state": state, "used": used, **one}
            lines.append(_("%(id)s …%(ends_with)s: %(state)s, last used: %(used)s") % words)
        return "\n".join(lines)

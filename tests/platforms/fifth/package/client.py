"""In: an account's connection and a question. Out: acme's answer, or a ``PlatformError``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from campaigns.platforms.acme.vocabulary import LOGIN_REFUSED

from campaigns.platforms.bodies import read_body
from campaigns.platforms.contract import Client, Connection
from campaigns.platforms.errors import Rejected, Uncertain, Unrecognised
from campaigns.platforms.http import Reply
from campaigns.platforms.values import Fields

TOKEN_SECONDS = 3600.0


class AcmeClient(Client):
    """One account at acme, which can be asked for the jobs of a contact and for nothing else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def test_connection(self) -> None:
        self._fetch_token()

    def find_contact(
        self,
        *,
        key: str | None = None,
        number: str | None = None,
        begin_at: datetime,
        end_at: datetime,
    ) -> tuple[str, ...]:
        token = self._connection.tokens.get(self._fetch_token)
        wish = {"contact": key, "phone": number}
        reply = self._post("find", wish, headers={"Authorization": f"Token {token}"})
        jobs = _read(reply).get("jobs")
        if not isinstance(jobs, list):
            raise Uncertain("The answer holds no list of jobs.")
        found = (Fields({"job": job}).id("job") for job in jobs)
        return tuple(job for job in found if job)

    def _fetch_token(self) -> tuple[str, float]:
        credentials = self._connection.credentials
        told = {name: credentials.get(name, "") for name in ("app_key", "app_secret")}
        token = Fields(_read(self._post("login", told))).text("token", limit=1000)
        if token is None:
            raise Rejected(LOGIN_REFUSED)
        return token, TOKEN_SECONDS

    def _post(self, path: str, told: Any, *, headers: dict[str, str] | None = None) -> Reply:
        url = f"{self._connection.base_url.rstrip('/')}/{path}"
        return self._connection.transport.post_json(url, told, purpose=path, headers=headers)


def _read(reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        raise Uncertain(f"The answer is HTTP {reply.status}.")
    try:
        return read_body(reply.body).value
    except Unrecognised as error:
        raise Uncertain(f"The answer cannot be read: {error.reason}.") from None

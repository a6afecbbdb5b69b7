"""In: nothing. Out: ``PLATFORM``, what the made-up vendor acme is and can do."""

from __future__ import annotations

from campaigns.platforms.acme.callbacks import KINDS, parse
from campaigns.platforms.acme.client import AcmeClient
from campaigns.platforms.acme.vocabulary import ERRORS, RESULTS, VOCABULARY

from campaigns.platforms.contract import AccountField, Can, Capability, Limits, Platform, Standing

PLATFORM = Platform(
    slug="acme",
    name="Acme Calls",
    default_base_url="https://api.acme.example/acme",
    can=frozenset({Can.FIND_CONTACTS}),
    limits=Limits(),
    settings=(),
    credentials=(
        AccountField("app_key", "app_key", help="Given by the platform.", required=True),
        AccountField("app_secret", "app_secret", help="Given by the platform.", required=True),
    ),
    kinds=KINDS,
    errors=ERRORS,
    parse=parse,
    connect=AcmeClient,
    documents=("made up, to prove that a platform can be added",),
    secret_fields=frozenset({"app_key", "app_secret", "token"}),
    results=RESULTS,
    vocabulary=VOCABULARY,
    capabilities=(
        Capability("Call records", Standing.DOCUMENTED, "a call", group="Receiving"),
        Capability("Jobs of a contact", Standing.DOCUMENTED, "asked in doubt", group="Asking"),
    ),
)

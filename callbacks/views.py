"""In: a push. Out: one row on disk, and then the word that it is taken.

``POST /callbacks/<token>/<kind>``, with or without a closing slash, with or without a kind. The
door understands nothing: it authenticates, stores the bytes as they came, answers. What the bytes
mean is found out afterwards (``callbacks.processing``), so no content can make a push fail. yeta
takes any reply with the word "success" in it for a yes, so no other reply holds that word, and
none repeats anything that was sent.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from callbacks import inbox
from campaigns.answering import ask
from campaigns.models.accounts import hash_token
from campaigns.platforms.registry import PLATFORMS
from campaigns.platforms.values import clean_text

logger = logging.getLogger(__name__)

TAKEN = b'{"code":0,"message":"success"}'
#: every kind with which some platform asks something, by its name
QUESTIONS = {kind: asked for one in PLATFORMS.values() for kind, asked in one.questions.items()}
#: patience where the platform waits with a person on the line
ANSWER_SECONDS = 0.25
LEAST_ANSWER_SECONDS = 0.05
CHUNK = 65_536


class TooLarge(Exception):
    pass


class CutShort(Exception):
    pass


class LengthMissing(Exception):
    pass


class TakeAnything(BaseContentNegotiation):
    """Whatever the request says it sends or wants: nothing of that can fail."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return None

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), "application/json"


@method_decorator(csrf_exempt, name="dispatch")
class Door(APIView):
    """Authenticate, store, acknowledge."""

    http_method_names = ["post"]
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = TakeAnything
    schema = None

    def post(self, request: Request, address: str) -> HttpResponse:
        raw: HttpRequest = request._request
        token, kind = split_address(address)
        token_hash = hash_token(token)
        arrived = raw.META.get("callboard.arrived") or time.monotonic()
        try:
            if kind in QUESTIONS:
                return answer_question(raw, token_hash, kind, arrived)
            ends = inbox.count_patience(arrived)
            if inbox.find_owner(token_hash, ends=ends) is None:
                return refuse(404, "Not found.")
            delivery = read_delivery(raw, kind)
            if inbox.store(token_hash, delivery, ends=inbox.count_patience(arrived)) is None:
                return refuse(404, "Not found.")
        except TooLarge:
            return refuse(413, "Too large.")
        except LengthMissing:
            return refuse(411, "The length is missing.")
        except CutShort:
            return refuse(400, "Cut short.")
        except inbox.DatabaseAway as error:
            logger.error("A push could not be stored: %s.", error)
            response = refuse(503, "Not taken. Send it again.")
            response["Retry-After"] = "5"
            return response
        return HttpResponse(TAKEN, content_type="application/json")

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        response = refuse(405, "Only POST.")
        response["Allow"] = "POST"
        return response

    def handle_exception(self, exc: Exception) -> HttpResponseBase:
        """Nothing of ours is known to come here. Not taken is the one thing it must say."""
        logger.error("The door failed: %s.", type(exc).__name__, exc_info=exc)
        return refuse(503, "Not taken. Send it again.")


def answer_question(
    request: HttpRequest, token_hash: str, kind: str, arrived: float
) -> HttpResponse:
    """Store the request, and answer it in time, with a person on the line: at worst with nothing
    to say. Raises as ``read_delivery`` does."""
    # one that waited long for a thread still gets a moment
    deadline = max(arrived + ANSWER_SECONDS, time.monotonic() + LEAST_ANSWER_SECONDS)
    try:
        owner = inbox.find_owner(token_hash, ends=deadline)
    except inbox.DatabaseAway as error:
        logger.error("A question could not be answered: %s.", error)
        return HttpResponse(QUESTIONS[kind].empty, content_type="application/json")
    if owner is None:
        return refuse(404, "Not found.")
    delivery = read_delivery(request, kind)
    vendor = PLATFORMS.get(owner.platform)
    if vendor is None or kind not in vendor.questions:
        ends = inbox.count_patience(arrived)
        if inbox.store(token_hash, delivery, ends=ends) is None:
            return refuse(404, "Not found.")
        return HttpResponse(TAKEN, content_type="application/json")
    asked = ask(token_hash, vendor=vendor, kind=kind, body=delivery.body, deadline=deadline)
    try:
        if inbox.store(token_hash, delivery, ends=deadline) is None:
            return refuse(404, "Not found.")
    except inbox.DatabaseAway as error:
        logger.error("A question could not be stored: %s.", error)
    return HttpResponse(asked.wait(), content_type="application/json")


def split_address(address: str) -> tuple[str, str]:
    """``<token>/<kind>/`` as (token, kind), the kind fit for its column."""
    token, _, kind = address.partition("/")
    return token, clean_text(kind.removesuffix("/"))[:64]


def read_delivery(request: HttpRequest, kind: str) -> inbox.Delivery:
    """The push as it came. Raises ``TooLarge``, ``CutShort`` or ``LengthMissing``."""
    return inbox.Delivery(
        kind=kind,
        body=read_body(request),
        content_type=clean_text(request.META.get("CONTENT_TYPE") or "")[:200],
        content_encoding=clean_text(request.META.get("HTTP_CONTENT_ENCODING") or "")[:100],
    )


def read_body(request: HttpRequest) -> bytes:
    """Every byte of the body, at most one more than is allowed is read."""
    limit = settings.PUSH_MAX_BYTES
    environ = request.META
    declared = str(environ.get("CONTENT_LENGTH") or "")
    length = int(declared) if declared.isdecimal() and len(declared) < 20 else None
    if declared and length is None:
        raise TooLarge if declared.isdecimal() else CutShort
    stream: Any = request
    if length is None and environ.get("HTTP_TRANSFER_ENCODING"):
        # Django's own stream ends at Content-Length, so that of a chunked body is empty. The
        # server's stream is read instead, if it is one that ends by itself.
        if not (
            environ.get("wsgi.input_terminated") or environ.get("SERVER_SOFTWARE") == "Granian"
        ):
            raise LengthMissing
        stream = environ["wsgi.input"]
    if length is not None and length > limit:
        raise TooLarge
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= limit and (piece := stream.read(min(CHUNK, limit + 1 - size))):
            pieces.append(piece)
            size += len(piece)
    except Exception as error:  # servers raise what they like when a client breaks off
        raise CutShort from error
    if size > limit:
        raise TooLarge
    if length is not None and size < length:
        raise CutShort
    return b"".join(pieces)


def refuse(status: int, sentence: str) -> HttpResponse:
    """A plain refusal, the same for everyone."""
    logger.warning("A push was refused: %d %s", status, sentence)
    response: Any = HttpResponse(
        f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8"
    )
    response._has_been_logged = True  # by Django it would be with the path, and so the token
    return response  # type: ignore[no-any-return]

"""In: a push. Out: a row, by the two ways that the door is compared with.

``bare`` is a Django view that does the same INSERT and nothing else: it asks for no token, looks
for no repeat, and knows no limit of time. ``stock`` is what Django REST framework does with a model
when nobody adds a line. Both answer as platforms want it, from the same server.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import generics, serializers

from callbacks.models import Receipt

INSERT = (
    "INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,"
    " content_encoding, received_at, deliveries, status, reason, detail, tries, platform_call_id,"
    " problems)"
    " VALUES (%s, %s, 'live', %s, %s, %s, '', now(), 1, 'received', '', '', 0, '', '{}')"
)


@csrf_exempt
def insert_bare(request: HttpRequest, account: int) -> HttpResponse:
    body = request.body
    with connection.cursor() as cursor:
        digest = hashlib.sha256(body).digest()
        values = [account, "receiveCallRecord", body, digest, request.content_type]
        cursor.execute(INSERT, values)
    return HttpResponse(b'{"code":0,"message":"success"}', content_type="application/json")


class Bytes(serializers.Field):
    """Bytes in JSON."""

    def to_internal_value(self, data: Any) -> bytes:
        try:
            return base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise serializers.ValidationError("No base64.") from None

    def to_representation(self, value: Any) -> str:
        return base64.b64encode(bytes(value)).decode()


class ReceiptSerializer(serializers.ModelSerializer):
    body = Bytes()
    sha256 = Bytes()

    class Meta:
        model = Receipt
        fields = ("account", "kind", "source", "body", "sha256", "content_type")
        validators: list[Any] = []  # it would ask for a repeat before it inserts


class CreateReceipt(generics.CreateAPIView):
    queryset = Receipt.objects.all()
    serializer_class = ReceiptSerializer
    authentication_classes = ()
    permission_classes = ()


urlpatterns = [
    path("healthz", lambda request: HttpResponse("ok")),
    path("callbacks/bare/<int:account>", insert_bare),
    path("callbacks/stock", CreateReceipt.as_view()),
]

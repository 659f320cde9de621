"""Two views that always say the same: what Django and DRF cost at the least, to hold our routes against."""

from __future__ import annotations

import json
import os
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

# As long as the answer it is held against, so that writing and sending cost the same.
BODY: Any = json.loads(os.environ.get("BENCH_BODY", "{}"))


def plain(request: HttpRequest) -> HttpResponseBase:
    """Answer with Django alone."""
    return JsonResponse(BODY)


class Constant(APIView):
    """Answer with DRF at its cheapest: no key, no permission, no throttle."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Answer."""
        return Response(BODY)


urlpatterns = [path("plain", plain), path("drf", Constant.as_view())]

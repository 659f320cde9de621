"""What the OpenAPI generator is told: the API's title, the names of its enumerations, and who may read the result."""

from __future__ import annotations

from typing import Any

API_DESCRIPTION: dict[str, Any] = {
    "TITLE": "smplat",
    "DESCRIPTION": "Which bundle offer should this product page make? Experiments, telemetry and decisions.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "ENUM_NAME_OVERRIDES": {
        "ExperimentStatusEnum": "catalog_experiments.models.ExperimentStatus",
        "OrderStatusEnum": "catalog_experiments.models.OrderStatus",
        "ReactionEnum": "catalog_experiments.api.serializers.ramps.REACTIONS",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "storefront.openapi.add_decisions"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

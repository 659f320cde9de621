"""Who may do what: four Django groups and their permissions, kept in step by `sync_roles`."""

from django.contrib.auth.models import Group, Permission
from django.db import transaction

_TABLES_SEEN_BY_ALL = (
    "experiment",
    "variant",
    "phase",
    "bundle",
    "bundleacceptancemetric",
    "variantmetric",
    "moment",
    "guardrailtally",
    "guardrailevaluation",
    "experimentevent",
    "overridepublication",
    "publisheddocument",
    "jobrun",
    "joblease",
    "scheduleorigin",
    "exposure",
    "order",
    "orderoutcome",
    "unitalias",
    "erasedcohort",
    "intakeoutcome",
    "alert",
    "delivery",
    "deliveryattempt",
    "targethealth",
    "aggregationcursor",
    "exclusiongroup",
    "holdout",
    "calibrationrun",
    "canaryalarm",
)
_VIEW = tuple(f"view_{table}" for table in _TABLES_SEEN_BY_ALL)
_DRAFT = (
    "add_experiment",
    "change_experiment",
    "delete_experiment",
    "add_variant",
    "change_variant",
    "delete_variant",
    "add_bundle",
    "change_bundle",
    "delete_bundle",
    "add_exclusiongroup",
)
_DECIDE = ("publish_experiment", "pause_experiment", "complete_experiment", "add_holdout", "change_holdout")
_OPERATE = (
    "pause_experiment",
    "change_alert",
    "change_delivery",
    "add_apikey",
    "change_apikey",
    "view_apikey",
    "view_erasedunit",
)

ROLES: dict[str, tuple[str, ...]] = {
    "viewer": _VIEW,
    "merchandiser": _VIEW + _DRAFT + _DECIDE,
    "approver": _VIEW + _DRAFT + _DECIDE,
    "operator": _VIEW + _OPERATE,
}


@transaction.atomic
def sync_roles() -> dict[str, int]:
    """Make each role's group hold exactly its permissions; return how many each holds. Safe to repeat.

    Raises:
        LookupError: a permission does not exist, so migrations have not been run.
    """
    return {name: _sync_role(name, codenames) for name, codenames in ROLES.items()}


def _sync_role(name: str, codenames: tuple[str, ...]) -> int:
    permissions = list(
        Permission.objects.filter(
            codename__in=codenames, content_type__app_label__in=["catalog_experiments", "notifications"]
        )
    )
    missing = set(codenames) - {permission.codename for permission in permissions}
    if missing:
        raise LookupError(f"Unknown permissions {sorted(missing)}; run migrate first.")
    Group.objects.get_or_create(name=name)[0].permissions.set(permissions)
    return len(permissions)

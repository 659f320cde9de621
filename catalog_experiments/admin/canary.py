"""A/A alarms: listed, read, and acknowledged with a reason by somebody who looked into them."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from catalog_experiments.admin.pages import actor_of, requires, show
from catalog_experiments.admin.read_only import ReadOnlyAdmin
from catalog_experiments.canary import AlarmIsOver, acknowledge
from catalog_experiments.models import CalibrationRun, CanaryAlarm
from smplat.admin_theme import display

_MAY_ACKNOWLEDGE = "catalog_experiments.pause_experiment"


class AcknowledgeForm(forms.Form):
    """Acknowledging asks why the numbers may be trusted again."""

    reason = forms.CharField(
        label="Why",
        max_length=500,
        help_text="What was found, and why may the numbers be trusted again? Stands in the audit trail.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


@requires("view_canaryalarm")
def canary_alarm_page(request: HttpRequest, alarm_id: str) -> HttpResponse:
    """Show one alarm with its numbers; posted with a reason, acknowledge it."""
    alarm = _find(alarm_id)
    may_acknowledge = request.user.has_perm(_MAY_ACKNOWLEDGE)
    form = AcknowledgeForm(request.POST or None)
    if request.method == "POST" and not may_acknowledge:
        raise PermissionDenied
    if request.method == "POST" and form.is_valid():
        return _acknowledged(request, alarm, form.cleaned_data["reason"])
    return show(
        request,
        "canary_alarm.html",
        title="A/A canary",
        alarm=alarm,
        form=form if may_acknowledge and alarm.ended_at is None else None,
    )


def standing_alarms() -> list[CanaryAlarm]:
    """Return the alarms that hold all verdicts now, the newest first; none on a good day."""
    return list(CanaryAlarm.objects.standing())


def _acknowledged(request: HttpRequest, alarm: CanaryAlarm, reason: str) -> HttpResponse:
    try:
        acknowledge(alarm.pk, actor=actor_of(request), reason=reason, now=timezone.now())
        messages.success(request, "Acknowledged: verdicts are held for this alarm no more.")
    except AlarmIsOver as over:
        messages.info(request, str(over))
    return redirect("control-center-canary-alarm", alarm.pk)


def _find(alarm_id: str) -> CanaryAlarm:
    known = CanaryAlarm.objects.select_related("phase__experiment", "calibration")
    alarm = known.filter(pk=uuid.UUID(alarm_id)).first()
    if alarm is None:
        raise Http404(f"No alarm {alarm_id}.")
    return alarm


@admin.register(CalibrationRun)
class CalibrationRunAdmin(ReadOnlyAdmin):
    """What re-splitting past visitors came to, week by week."""

    list_display = ("ran_at", "unit_count", "buyer_count", "split_count", "rejection_count", "is_red", "seed")
    list_filter = ("is_red",)


@admin.register(CanaryAlarm)
class CanaryAlarmAdmin(ReadOnlyAdmin):
    """Red A/A comparisons, what they found, and who ended them."""

    list_display = ("raised_at", "subject", "finding", "ended_at", "ended_by", "end_reason")
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    list_select_related = ("phase__experiment", "calibration")

    @display(description="Of")
    def subject(self, alarm: CanaryAlarm) -> str:
        """Name what turned red, with a link to the page where it is acknowledged."""
        return format_html('<a href="{}">{}</a>', reverse("control-center-canary-alarm", args=[alarm.pk]), str(alarm))

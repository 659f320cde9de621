"""Mail by SMTP: one mail per recipient, text and HTML, the same Message-ID at every try."""

from __future__ import annotations

import smtplib
from dataclasses import replace
from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string

from notifications.channels.envelope import Envelope
from notifications.messages import html_context, plain_text, subject_line
from notifications.outcomes import Outcome, OutcomeClass, scrubbed

CUT_OFF = "The connection ended before the server confirmed; the mail may have arrived."


def send(envelope: Envelope) -> Outcome:
    """Hand the mail to the configured server; never raises for what the server does."""
    return replace(_sent(envelope), message_id=message_id(envelope.delivery_id))


def message_id(delivery_id: UUID) -> str:
    """Return the Message-ID of a delivery: the same at every try, so that a reader drops the double."""
    return f"<{delivery_id}@{_domain()}>"


def _sent(envelope: Envelope) -> Outcome:
    connection: BaseEmailBackend = get_connection(fail_silently=False)
    try:
        return _handed_over(connection, envelope)
    finally:
        _close(connection)


def _handed_over(connection: BaseEmailBackend, envelope: Envelope) -> Outcome:
    try:
        connection.open()
    except (OSError, smtplib.SMTPException) as error:
        return _failed_to_connect(error)
    try:
        connection.send_messages([_mail(envelope, connection)])
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return _failed_to_send(error, envelope.recipient)
    return Outcome(OutcomeClass.OK, 250)


def _mail(envelope: Envelope, connection: BaseEmailBackend) -> EmailMultiAlternatives:
    thread = f"<{envelope.notice.alert_id}@{_domain()}>"
    mail = EmailMultiAlternatives(
        subject=subject_line(envelope.notice),
        body=plain_text(envelope.notice),
        from_email=settings.SMTP_SENDER_EMAIL,
        to=[envelope.recipient],
        connection=connection,
        headers={
            "Message-ID": message_id(envelope.delivery_id),
            "References": thread,
            "In-Reply-To": thread,
            "Auto-Submitted": "auto-generated",
        },
    )
    if not envelope.is_plain:
        mail.attach_alternative(
            render_to_string("notifications/alert_email.html", html_context(envelope.notice)), "text/html"
        )
    return mail


def _failed_to_connect(error: Exception) -> Outcome:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        kind = OutcomeClass.GONE if error.smtp_code >= 500 else OutcomeClass.TRANSIENT
        return Outcome(kind, error.smtp_code, _words(error.smtp_error), is_target_wide=True)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Outcome(OutcomeClass.GONE, None, "The server lacks what the settings ask for.", is_target_wide=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return Outcome(OutcomeClass.TRANSIENT, error.smtp_code, _words(error.smtp_error), is_target_wide=True)
    return Outcome(OutcomeClass.TRANSIENT, None, "The mail server could not be reached.", is_target_wide=True)


def _failed_to_send(error: Exception, recipient: str) -> Outcome:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = error.recipients.get(recipient) or next(iter(error.recipients.values()))
        return _answered(code, _words(words), is_about_recipient=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answered(error.smtp_code, _words(error.smtp_error), is_about_recipient=False)
    if isinstance(error, ValueError):  # no server was asked: the address itself cannot be written
        return Outcome(OutcomeClass.GONE, None, "The recipient's address is not valid.")
    return Outcome(OutcomeClass.AMBIGUOUS, None, CUT_OFF, is_target_wide=True)


def _answered(code: int, words: str, *, is_about_recipient: bool) -> Outcome:
    if code == 421:  # the server goes away: no other mail would fare better
        return Outcome(OutcomeClass.THROTTLED, code, words, is_target_wide=True)
    if code < 500:
        return Outcome(OutcomeClass.THROTTLED if code <= 452 else OutcomeClass.TRANSIENT, code, words)
    if code in {530, 535}:
        return Outcome(OutcomeClass.GONE, code, words, is_target_wide=True)
    if is_about_recipient and code in {550, 551, 553}:
        return Outcome(OutcomeClass.GONE, code, words)
    if code in {552, 554} and not is_about_recipient:
        return Outcome(OutcomeClass.BAD_MESSAGE, code, words)
    return Outcome(OutcomeClass.UNKNOWN, code, words)


def _words(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return scrubbed(text, settings.EMAIL_HOST_PASSWORD)


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except (OSError, smtplib.SMTPException):
        return  # the mail's fate is known; how the server says goodbye is not our concern


def _domain() -> str:
    return parseaddr(settings.SMTP_SENDER_EMAIL)[1].rpartition("@")[2] or "localhost"

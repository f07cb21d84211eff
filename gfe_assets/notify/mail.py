"""Alert mails: composing one, and handing it to the mail server of the settings.

In: a `Message` and the `GFE_SMTP_*` settings → one mail to all recipients, plain text and HTML. Out: alerts to
other services, and whether a problem stops anything (`send.py`).

Mail to `GFE_NOTIFY_EMAIL` goes through Python's own smtplib, not through Apprise: Apprise makes the plain text
from the HTML, where columns run together, sends one mail a recipient, and says only that sending failed.
Certificates are checked against the system's authorities, or those that SSL_CERT_FILE names.
"""

import contextlib
import smtplib
import socket
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid

from gfe_assets.notify.models import Message
from gfe_assets.settings import Settings

_UNFOLDED = SMTP.clone(max_line_length=400)
"""Python folds a subject of about one line before its first word, which people then see as a space."""
TIMEOUT_SECONDS = 20.0
USUAL_PORTS = {"none": 25, "starttls": 587, "ssl": 465}
SENDER_NAME = "GFE assets"


def deliver(message: Message, settings: Settings) -> tuple[list[str], list[str]]:
    """Send one mail to all of `GFE_NOTIFY_EMAIL`; gives the addresses that were accepted, and problems as sentences."""
    recipients = list(dict.fromkeys(settings.notify_email))
    server = f"{settings.smtp_host}:{_port(settings)}"
    try:
        mail = compose(message, sender_address(settings), recipients)
        refused = _hand_over(mail, recipients, settings)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except (OSError, ValueError) as error:  # every SMTPException is an OSError
        return [], [f"no mail was sent: {_explanation(error, server, settings.smtp_user)}"]
    problems = [
        f"no mail was sent to {address}: {server} refuses it ({_answer(*answer)})" for address, answer in refused.items()
    ]
    return [address for address in recipients if address not in refused], problems


def _explanation(error: OSError | ValueError, server: str, user: str) -> str:
    """Why the server did not take the mail, and which setting to look at."""
    match error:
        case smtplib.SMTPAuthenticationError():
            answer = _answer(error.smtp_code, error.smtp_error)
            return f"{server} refuses the login of {user} ({answer}); check GFE_SMTP_USER and GFE_SMTP_PASSWORD"
        case smtplib.SMTPResponseException():
            return f"{server} refuses it ({_answer(error.smtp_code, error.smtp_error)})"
        case smtplib.SMTPNotSupportedError():
            return f"{server} cannot do what the settings ask for ({error}); check GFE_SMTP_TLS and GFE_SMTP_USER"
        case ssl.SSLError():
            reason = getattr(error, "verify_message", "") or error.reason or error
            return f"there is no encrypted connection to {server} ({reason}); check GFE_SMTP_TLS and GFE_SMTP_PORT"
        case OSError():
            hint = "check GFE_SMTP_HOST, GFE_SMTP_PORT and GFE_SMTP_TLS"
            return f"{server} does not answer ({error.strerror or error}); {hint}"
    return f"its headers cannot be written ({error}); check GFE_NOTIFY_EMAIL and GFE_SMTP_FROM"


def compose(message: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """The mail: plain text and HTML as alternatives, UTF-8, every line short enough for any server.

    Raises:
        ValueError: an address is none.
    """
    subject = " ".join(message.subject.split())
    mail = EmailMessage(policy=_UNFOLDED if subject.isascii() else SMTP)
    mail["From"] = Address(SENDER_NAME, addr_spec=sender)
    mail["To"] = tuple(Address(addr_spec=address) for address in recipients)
    mail["Subject"] = subject
    mail["Date"] = localtime()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text, charset="utf-8", cte="quoted-printable")
    mail.add_alternative(message.html, subtype="html", charset="utf-8", cte="quoted-printable")
    return mail


def sender_address(settings: Settings) -> str:
    """`GFE_SMTP_FROM`; without it the user of the mail server if that is an address, else one of this machine."""
    if settings.smtp_from:
        return settings.smtp_from
    return settings.smtp_user if "@" in settings.smtp_user else f"gfe-assets@{socket.gethostname()}"


def _hand_over(mail: EmailMessage, recipients: list[str], settings: Settings) -> dict[str, tuple[int, bytes]]:
    """One conversation with the server; gives the recipients it refused while it accepted others."""
    connection = _connect(settings)
    try:
        if _encryption(settings) == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if settings.smtp_user:
            connection.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        # Not send_message: it writes ">From" where a line begins with "From".
        return connection.sendmail(sender_address(settings), recipients, mail.as_bytes())
    finally:
        # The mail is accepted or refused by now; a farewell that fails changes neither.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            connection.quit()
        connection.close()


def _connect(settings: Settings) -> smtplib.SMTP:
    host, port = settings.smtp_host, _port(settings)
    if _encryption(settings) == "ssl":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)


def _encryption(settings: Settings) -> str:
    """What `GFE_SMTP_TLS` says; by default no password travels unencrypted."""
    return settings.smtp_tls or ("starttls" if settings.smtp_user else "none")


def _port(settings: Settings) -> int:
    return settings.smtp_port or USUAL_PORTS[_encryption(settings)]


def _answer(code: int, text: bytes | str) -> str:
    """What the server said, on one line."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(said.split())}"

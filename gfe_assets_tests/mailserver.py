"""Real SMTP servers on loopback, for tests that send mail."""
# ruff: noqa: ARG002 - aiosmtpd decides what its handlers are called with

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "alerts@example.org", "p@ss:w/rd-geheim"


class Inbox:
    """Keeps every mail it accepts; refuses recipients in `unknown`; hangs up at QUIT when told to be rude."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.unknown: set[str] = set()
        self.logins: list[str] = []
        self.encrypted: list[bool] = []
        self.rude = False

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.unknown:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        self.mails.append(cast(EmailMessage, message_from_bytes(content, policy=default)))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.rude:
            server.transport.abort()
        return "221 Bye"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if good:
            self.logins.append(data.login.decode())
        return AuthResult(success=good, handled=good)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[Inbox, int]]:
    """Run a server; gives its inbox and port. `options` are those of aiosmtpd; `login=True` asks for user and password."""
    inbox = Inbox()
    if options.pop("login", False):
        options |= {"authenticator": inbox.authenticate, "auth_required": True}
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield inbox, controller.port
    finally:
        controller.stop()

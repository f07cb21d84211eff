"""Sending alerts: to real SMTP servers and real HTTP endpoints on loopback."""

import logging
import socket
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path

import apprise
import hypothesis
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gfe_assets.errors import SettingsError
from gfe_assets.notify import mail
from gfe_assets.notify.models import Message
from gfe_assets.notify.send import SendResult, send, without_secrets
from gfe_assets.settings import Settings
from gfe_assets_tests.mailserver import PASSWORD, USER, free_port, mail_server

MESSAGE = Message(
    outcome="failure",
    subject="[GFE] failure: release 3580 – größer",
    text="Exon 2 → größer\n.\nFrom here on\n" + "long " * 400 + "\n",
    html="<html><body><p>Exon 2 → größer</p></body></html>\n",
)


def settings(**values) -> Settings:
    return Settings.load(_env_file=None, **values)


def unix(text: str) -> str:
    """Mail has CRLF at line ends."""
    return text.replace("\r\n", "\n")


def by_mail(port: int, **values) -> Settings:
    return settings(**{"notify_email": "curator@example.org", "smtp_host": "127.0.0.1", "smtp_port": port, **values})


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


# -- nobody to tell ---------------------------------------------------------------------------------------------


def test_without_addresses_and_urls_nothing_is_sent_and_nothing_is_wrong():
    assert send(MESSAGE, settings()) == SendResult()


# -- mail -------------------------------------------------------------------------------------------------------


def test_a_server_without_login_gets_exactly_one_well_formed_mail_in_utf8_with_text_and_html():
    with mail_server() as (inbox, port):
        result = send(MESSAGE, by_mail(port))
    assert result == SendResult(sent_to=("curator@example.org",))
    (received,) = inbox.mails
    assert not received.defects
    assert received["Subject"] == MESSAGE.subject
    assert received["To"] == "curator@example.org"
    assert parsedate_to_datetime(received["Date"]).tzinfo is not None
    assert received["Message-ID"].startswith("<")
    assert received["Auto-Submitted"] == "auto-generated"
    assert received.get_content_type() == "multipart/alternative"
    text, html = received.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content_charset() == html.get_content_charset() == "utf-8"
    assert unix(text.get_content()) == MESSAGE.text
    assert unix(html.get_content()) == MESSAGE.html


def test_every_line_of_a_mail_fits_the_limit_of_smtp():
    with mail_server() as (inbox, port):
        send(MESSAGE, by_mail(port))
    assert max(len(line) for line in inbox.envelopes[0].content.split(b"\r\n")) <= 998
    assert inbox.envelopes[0].content.isascii()


def test_several_addresses_get_one_mail_together():
    with mail_server() as (inbox, port):
        result = send(MESSAGE, by_mail(port, notify_email="a@example.org, b@example.org,a@example.org"))
    assert result.sent_to == ("a@example.org", "b@example.org")
    (envelope,) = inbox.envelopes
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]


@pytest.mark.usefixtures("trusted")
def test_with_a_login_the_mail_goes_through_starttls_by_default(certificate):
    with mail_server(tls_context=certificate, require_starttls=True, login=True) as (inbox, port):
        result = send(MESSAGE, by_mail(port, smtp_user=USER, smtp_password=PASSWORD))
    assert result == SendResult(sent_to=("curator@example.org",))
    assert (inbox.logins, inbox.encrypted, len(inbox.mails)) == ([USER], [True], 1)
    assert inbox.mails[0]["From"] == f"GFE assets <{USER}>"


@pytest.mark.usefixtures("trusted")
def test_starttls_works_without_a_login(certificate):
    with mail_server(tls_context=certificate, require_starttls=True) as (inbox, port):
        assert send(MESSAGE, by_mail(port, smtp_tls="starttls")).ok
    assert inbox.encrypted == [True]


@pytest.mark.usefixtures("trusted")
def test_a_server_that_speaks_tls_from_the_start_is_reached_with_ssl(certificate):
    with mail_server(ssl_context=certificate, login=True, auth_require_tls=False) as (inbox, port):
        assert send(MESSAGE, by_mail(port, smtp_tls="ssl", smtp_user=USER, smtp_password=PASSWORD)).ok
    assert (inbox.logins, len(inbox.mails)) == ([USER], 1)


def test_a_login_without_encryption_happens_only_when_it_is_asked_for():
    with mail_server(login=True, auth_require_tls=False) as (inbox, port):
        refused = send(MESSAGE, by_mail(port, smtp_user=USER, smtp_password=PASSWORD))
        assert not inbox.logins
        assert send(MESSAGE, by_mail(port, smtp_user=USER, smtp_password=PASSWORD, smtp_tls="none")).ok
    assert "check GFE_SMTP_TLS" in refused.problems[0]
    assert (inbox.logins, len(inbox.mails)) == ([USER], 1)


def test_the_sender_is_the_setting_before_the_user():
    with mail_server() as (inbox, port):
        send(MESSAGE, by_mail(port, smtp_from="gfe@example.org"))
    assert inbox.envelopes[0].mail_from == "gfe@example.org"
    assert inbox.mails[0]["From"] == "GFE assets <gfe@example.org>"
    assert inbox.mails[0]["Message-ID"].endswith("@example.org>")


def test_a_subject_with_line_breaks_becomes_one_line():
    with mail_server() as (inbox, port):
        assert send(MESSAGE.model_copy(update={"subject": "one\r\nBcc: everyone@example.org\n two"}), by_mail(port)).ok
    assert inbox.mails[0]["Subject"] == "one Bcc: everyone@example.org two"
    assert inbox.mails[0]["Bcc"] is None


def test_a_text_with_control_characters_and_lone_surrogates_is_sent_without_them():
    broken = Message(outcome="failure", subject="a\x00b", text="a\x1b[31mred\ud800\n", html="<p>\x07</p>")
    with mail_server() as (inbox, port):
        assert send(broken, by_mail(port)).ok
    assert unix(inbox.mails[0].get_body(("plain",)).get_content()) == "a\ufffd[31mred\ufffd\n"


# -- mail that cannot be sent -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_one_sentence_that_does_not_show_it(certificate):
    with mail_server(tls_context=certificate, login=True) as (inbox, port):
        result = send(MESSAGE, by_mail(port, smtp_user=USER, smtp_password="wrong-geheim"))
    assert not inbox.mails
    assert not result.sent_to
    (problem,) = result.problems
    assert f"127.0.0.1:{port} refuses the login of {USER} (535" in problem
    assert "check GFE_SMTP_USER and GFE_SMTP_PASSWORD" in problem
    assert "geheim" not in problem


def test_a_server_that_wants_a_login_says_so_when_there_is_none():
    with mail_server(login=True, auth_require_tls=False) as (_, port):
        (problem,) = send(MESSAGE, by_mail(port)).problems
    assert "530" in problem
    assert "Authentication required" in problem


def test_nobody_listening_is_a_problem_and_no_exception():
    (problem,) = send(MESSAGE, by_mail(free_port())).problems
    assert "does not answer (Connection refused); check GFE_SMTP_HOST, GFE_SMTP_PORT and GFE_SMTP_TLS" in problem


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (problem,) = send(MESSAGE, by_mail(silent.getsockname()[1])).problems
    assert "timed out); check GFE_SMTP_HOST" in problem


def test_a_host_that_does_not_exist_is_a_problem():
    (problem,) = send(MESSAGE, by_mail(25, smtp_host="no-such-host.invalid")).problems
    assert "no-such-host.invalid:25 does not answer" in problem


def test_a_certificate_of_an_unknown_authority_is_refused(certificate):
    with mail_server(tls_context=certificate, require_starttls=True) as (inbox, port):
        (problem,) = send(MESSAGE, by_mail(port, smtp_tls="starttls")).problems
    assert not inbox.mails
    assert "there is no encrypted connection" in problem
    assert "certificate" in problem


def test_ssl_to_a_server_without_it_names_the_setting():
    with mail_server() as (_, port):
        (problem,) = send(MESSAGE, by_mail(port, smtp_tls="ssl")).problems
    assert "check GFE_SMTP_TLS" in problem


def test_a_refused_recipient_does_not_keep_the_others_from_getting_the_mail():
    with mail_server() as (inbox, port):
        inbox.unknown = {"gone@example.org"}
        result = send(MESSAGE, by_mail(port, notify_email="gone@example.org,here@example.org"))
    assert result.sent_to == ("here@example.org",)
    (problem,) = result.problems
    assert problem == f"no mail was sent to gone@example.org: 127.0.0.1:{port} refuses it (550 5.1.1 no such user here)"
    assert len(inbox.mails) == 1


def test_when_all_recipients_are_refused_each_is_named():
    with mail_server() as (inbox, port):
        inbox.unknown = {"a@example.org", "b@example.org"}
        result = send(MESSAGE, by_mail(port, notify_email="a@example.org,b@example.org"))
    assert not result.sent_to
    assert [problem.split(":")[0] for problem in result.problems] == [
        "no mail was sent to a@example.org",
        "no mail was sent to b@example.org",
    ]


def test_a_mail_larger_than_the_server_takes_is_a_problem():
    with mail_server(data_size_limit=1000) as (inbox, port):
        (problem,) = send(MESSAGE, by_mail(port)).problems
    assert not inbox.mails
    assert "552" in problem


def test_a_server_that_hangs_up_after_accepting_has_got_the_mail():
    with mail_server() as (inbox, port):
        inbox.rude = True
        result = send(MESSAGE, by_mail(port))
    assert result.ok
    assert len(inbox.mails) == 1


# -- services by Apprise URL ------------------------------------------------------------------------------------


def test_a_json_endpoint_gets_title_text_and_type(httpserver: HTTPServer):
    httpserver.expect_oneshot_request("/alert", method="POST").respond_with_data("ok")
    result = send(MESSAGE, settings(notify_urls=f"json://{httpserver.host}:{httpserver.port}/alert"))
    assert result == SendResult(sent_to=("json:// (number 1 of GFE_NOTIFY_URLS)",))
    ((request, _),) = httpserver.log
    assert request.json["title"] == MESSAGE.subject
    assert request.json["message"].strip() == MESSAGE.text.strip()
    assert request.json["type"] == "failure"


@pytest.mark.parametrize(("outcome", "kind"), [("success", "success"), ("warning", "warning"), ("canceled", "warning")])
def test_the_outcome_is_the_type_of_the_notification(httpserver: HTTPServer, outcome: str, kind: str):
    httpserver.expect_request("/alert").respond_with_data("ok")
    sent = send(
        MESSAGE.model_copy(update={"outcome": outcome}), settings(notify_urls=f"json://127.0.0.1:{httpserver.port}/alert")
    )
    assert sent.ok
    assert httpserver.log[0][0].json["type"] == kind


def test_a_form_endpoint_gets_the_text(httpserver: HTTPServer):
    forms = []

    def keep(request: Request) -> Response:
        forms.append(request.form.to_dict())
        return Response("ok")

    httpserver.expect_request("/alert", method="POST").respond_with_handler(keep)
    assert send(MESSAGE, settings(notify_urls=f"form://127.0.0.1:{httpserver.port}/alert")).ok
    (form,) = forms
    assert form["title"] == MESSAGE.subject
    assert "Exon 2 → größer" in form["message"]


def test_a_mailto_url_gets_the_html():
    with mail_server() as (inbox, port):
        url = f"mailto://127.0.0.1:{port}?mode=insecure&from=gfe@example.org&to=curator@example.org"
        result = send(MESSAGE, settings(notify_urls=url))
    assert result.ok
    (received,) = inbox.mails
    assert received.get_body(("html",)).get_content().strip() == MESSAGE.html.strip()


def test_a_text_too_long_for_a_service_arrives_once_with_its_beginning(httpserver: HTTPServer):
    httpserver.expect_request("/alert").respond_with_data("ok")
    long = MESSAGE.model_copy(update={"text": "first line\n" + "x" * 200_000})
    assert send(long, settings(notify_urls=f"json://127.0.0.1:{httpserver.port}/alert")).ok
    ((request, _),) = httpserver.log
    assert request.json["message"].startswith("first line")
    assert len(request.json["message"]) < 50_000


def test_a_service_that_answers_with_an_error_is_a_problem_without_its_credentials(httpserver: HTTPServer, caplog):
    caplog.set_level(logging.DEBUG, logger=apprise.LOGGER_NAME)
    httpserver.expect_request("/secret-path").respond_with_data("no", status=500)
    url = f"json://robot:{'pass-geheim'}@127.0.0.1:{httpserver.port}/secret-path?+X-Token=tok-geheim"
    (problem,) = send(MESSAGE, settings(notify_urls=url)).problems
    assert problem.startswith("no alert was sent to json:// (number 1 of GFE_NOTIFY_URLS): ")
    assert "error=500" in problem
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")
    for secret in ("geheim", "secret-path", "robot"):
        assert secret not in problem + logged


def test_a_service_that_cannot_be_reached_is_a_problem():
    (problem,) = send(MESSAGE, settings(notify_urls=f"json://127.0.0.1:{free_port()}/x")).problems
    assert "Connection error" in problem


@pytest.mark.parametrize("url", ["nosuchservice://token-geheim/x", "slack://geheim", "json://", "mailto://u:geheim@"])
def test_a_url_that_apprise_does_not_understand_is_a_problem_that_does_not_repeat_it(url: str, caplog):
    (problem,) = send(MESSAGE, settings(notify_urls=url)).problems
    assert "Apprise cannot use this URL" in problem
    assert "geheim" not in problem
    assert "geheim" not in caplog.text


def test_one_that_fails_does_not_keep_the_others_from_being_told(httpserver: HTTPServer):
    httpserver.expect_request("/alert").respond_with_data("ok")
    urls = f"json://127.0.0.1:{free_port()}/x, json://127.0.0.1:{httpserver.port}/alert"
    result = send(MESSAGE, by_mail(free_port(), notify_urls=urls))
    assert result.sent_to == ("json:// (number 2 of GFE_NOTIFY_URLS)",)
    assert len(result.problems) == 2
    assert not result.ok


TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%.!", min_size=4, max_size=30)


@given(user=TOKEN, password=TOKEN, path=TOKEN)
@hypothesis.settings(deadline=None)
def test_no_part_of_a_url_that_may_be_a_secret_survives_in_a_reason(user: str, password: str, path: str):
    url = f"json://{user}:{password}@h/{path}"
    cleaned = without_secrets(f"<<{url}>> <<{password}>> <<{path}>>", url)
    assert cleaned == "<<json://***>> <<***>> <<***>>"


# -- settings ---------------------------------------------------------------------------------------------------


def test_a_comma_inside_a_url_does_not_cut_it():
    urls = settings(notify_urls="mailto://u:p@h?to=a@b.org,c@d.org, json://host/x ,slack://A/B/C").notify_urls
    assert urls == ("mailto://u:p@h?to=a@b.org,c@d.org", "json://host/x", "slack://A/B/C")


def test_settings_never_show_passwords_and_urls():
    shown = repr(settings(smtp_password="geheim", notify_urls="json://u:geheim@h/"))
    assert "geheim" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("notify_email", "nobody"),
        ("notify_email", "a@b.org, c d@e.org"),
        ("smtp_from", "GFE <gfe@example.org>"),
        ("smtp_tls", "tls"),
        ("smtp_port", "70000"),
        ("smtp_host", ""),
        ("ui_url", "javascript:alert(1)"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str):
    with pytest.raises(SettingsError, match=f"GFE_{name.upper()}"):
        settings(**{name: value})

"""The GitHub source, against a real HTTP server with a simulated repository and faults."""

import json
import logging
import time
from datetime import datetime, timezone

import pytest
from pydantic import SecretStr

from gfe_assets.errors import ReleaseNotFound, ReleaseRefused, SettingsError, SourceError, SourceUnavailable
from gfe_assets.settings import Settings
from gfe_assets.source.cursor import Cursor, Outcome
from gfe_assets.source.fetch import fetch
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.github import GitHubSource
from gfe_assets.source.models import fingerprint, tick_fingerprint
from gfe_assets.source.open import open_source
from gfe_assets.source.patience import Patience
from gfe_assets.source.pinned import check_md5
from gfe_assets.source.tick import tick
from gfe_assets_tests.github_server import GitHubServer
from gfe_assets_tests.releases import flat_file, new_releases, release_files, write_release, zipped

QUICK = Patience(attempts=4, pause=0.001, longest_pause=0.01, max_wait=5, connect_timeout=5, read_timeout=5)
TOKEN = "ghp_secret0123456789"


@pytest.fixture
def server():
    with GitHubServer() as running:
        for release in ("3100", "390"):
            running.commit(release, release_files(release), message=f"Release {release}")
        running.commit("Latest", release_files("3100"))
        yield running


@pytest.fixture
def connect():
    opened = []

    def connect(server, **options):
        options.setdefault("patience", QUICK)
        opened.append(GitHubSource("ANHIG", "IMGTHLA", api_url=server.url, raw_url=server.url, **options))
        return opened[-1]

    yield connect
    for source in opened:
        source.close()


@pytest.fixture
def source(server, connect):
    return connect(server)


# listing


def test_tips_are_the_release_branches_in_numeric_order(source, server):
    tips = source.tips()
    assert [(tip.release, tip.sha) for tip in tips.tips] == [(name, server.branches[name]) for name in ("390", "3100")]
    assert tips.others == ("Latest",)
    assert server.asked()[0].query == {"per_page": "100"}


def test_an_unchanged_listing_costs_one_request_that_is_answered_304(source, server):
    etag = source.tips().etag
    server.forget()
    assert source.tips(etag) is None
    assert [request.status for request in server.asked()] == [304]


def test_a_changed_listing_is_noticed(source, server):
    etag = source.tips().etag
    sha = server.change("390", {"README.md": b"new"})
    assert source.tips(etag).tips[0].sha == sha


def test_an_etag_of_another_kind_of_source_is_ignored(source):
    assert source.tips("8c7a").tips
    assert source.tips("[]").tips
    assert source.tips("{}").tips


def test_a_server_without_etags_is_listed_each_time(connect):
    with GitHubServer(etags=False) as server:
        server.commit("390", release_files("390"))
        source = connect(server)
        assert source.tips(source.tips().etag) == source.tips()


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_all_pages_are_read_and_each_unchanged_page_costs_one_304(connect, count):
    names = [f"3{minor}0" for minor in range(count)]
    with GitHubServer() as server:
        sha = server.commit("300", {"README.md": b""})
        server.branches = dict.fromkeys(names, sha)
        source = connect(server)
        tips = source.tips()
        assert [tip.release for tip in tips.tips] == names
        server.forget()
        again = source.tips(tips.etag)
        if count % 100:
            assert again is None
            assert {request.status for request in server.asked()} == {304}
            assert len(server.asked()) == -(-count // 100)
        else:
            assert again == tips  # a full last page: another one might follow, so the listing is read
        server.branches[f"3{count}0"] = sha
        assert len(source.tips(tips.etag).tips) == count + 1


def test_behind_a_mirror_the_next_page_is_asked_from_the_mirror(connect):
    with GitHubServer(link_host="https://api.github.invalid") as server:
        sha = server.commit("300", {"README.md": b""})
        server.branches = {f"3{minor}0": sha for minor in range(150)}
        assert len(connect(server).tips().tips) == 150


# commits and objects


def test_a_tip_is_a_commit_with_date_message_and_page(source, server):
    sha = server.change(
        "390", {"README.md": b"x"}, message="Corrects\n\nall", date=datetime(2024, 4, 10, 9, tzinfo=timezone.utc)
    )
    commit = source.tip("390")
    assert (commit.sha, commit.message) == (sha, "Corrects\n\nall")
    assert commit.date == datetime(2024, 4, 10, 9, tzinfo=timezone.utc)
    assert commit.url == f"https://github.com/ANHIG/IMGTHLA/commit/{sha}"


def test_an_unknown_release_is_named_with_some_that_there_are(source):
    with pytest.raises(ReleaseNotFound, match=r"release 3200 is not in github://ANHIG/IMGTHLA: it has 2 releases.*390, 3100"):
        source.tip("3200")


def test_the_same_files_have_the_same_ids_on_github_and_in_a_folder(source, tmp_path):
    write_release(tmp_path, "390")
    folder = FolderSource(tmp_path)
    here, there = folder.tip("390").sha, source.tip("390").sha
    assert dict(source.root_objects("390", there)) == dict(folder.root_objects("390", here))
    assert dict(source.objects("390", there)) == dict(folder.objects("390", here))
    assert dict(source.files_below("390", there, "msf")) == dict(folder.files_below("390", here, "msf"))


def test_root_objects_cost_one_request_and_give_the_fingerprint_of_the_tick(source, server):
    sha = server.branches["390"]
    root = source.root_objects("390", sha)
    assert [(request.path.rsplit("/", 1)[1], request.query) for request in server.asked()] == [(sha, {})]
    objects = source.objects("390", sha)
    assert tick_fingerprint(root, "390", align=True) == tick_fingerprint(objects, "390", align=True)
    assert fingerprint(objects, "390")


def test_a_listing_that_github_cuts_short_is_completed_folder_by_folder(source, server, connect):
    sha = server.branches["390"]
    whole = dict(source.files_below("390", sha, "msf"))
    server.truncated = True
    other = connect(server)
    assert dict(other.objects("390", sha)) == dict(source.objects("390", sha))
    assert dict(other.files_below("390", sha, "msf")) == whole


def test_what_is_known_of_a_commit_is_not_asked_again(connect, server, tmp_path):
    sha = server.branches["390"]

    def ask(source):
        return source.commit("390", sha), source.root_objects("390", sha), source.objects("390", sha)

    first = ask(connect(server, memory_folder=tmp_path))
    server.forget()
    assert ask(connect(server, memory_folder=tmp_path)) == first
    assert server.asked() == []


def test_a_commit_that_is_not_there_is_an_error_that_names_it(source):
    with pytest.raises(SourceError, match=r"commit 0{40} of release 390 is not in github://ANHIG/IMGTHLA"):
        source.commit("390", "0" * 40)


def test_a_repository_that_is_not_there_is_an_error_that_names_the_setting(server):
    source = GitHubSource("ANHIG", "OTHER", api_url=server.url, raw_url=server.url, patience=QUICK)
    with pytest.raises(SourceError, match=r"there is no repository github://ANHIG/OTHER.*check GFE_SOURCE_URI"):
        source.tips()
    source.close()


# failures


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502, "body": b"<html>Bad gateway</html>"},
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 403, "headers": {"Retry-After": "0"}},
        {"body": b"<!DOCTYPE html><p>Unicorn!"},
        {"cut_after": 10},
        {"cut_after": 0},
    ],
)
def test_a_failure_that_passes_is_not_noticed(source, server, fault):
    server.fail("/branches", times=2, **fault)
    assert len(source.tips().tips) == 2
    assert len(server.asked("/branches")) == 3


def test_a_failure_that_stays_is_transient_and_says_where(source, server):
    server.fail("/branches", times=99, status=500)
    with pytest.raises(SourceUnavailable, match=r"http://127.0.0.1:\d+/repos/ANHIG/IMGTHLA/branches failed \(HTTP 500\)"):
        source.tips()
    assert len(server.asked()) == QUICK.attempts


def test_a_slow_answer_is_asked_for_again(server, connect):
    source = connect(server, patience=Patience(attempts=2, pause=0.001, read_timeout=0.2))
    server.fail("/branches", delay=3)
    assert source.tips()


def test_a_server_that_is_not_there_is_unavailable(connect):
    with GitHubServer() as server:
        pass
    with pytest.raises(SourceUnavailable, match=r"http://127.0.0.1:\d+ does not answer"):
        connect(server).tips()


def test_a_url_that_is_none_is_an_error_that_names_the_settings():
    with pytest.raises(SourceError, match=r"check the GFE_GITHUB_\* settings"):
        GitHubSource("A", "B", api_url="ftp://x", patience=QUICK).tips()


def test_retry_after_is_waited_for(source, server):
    server.fail("/branches", status=403, headers={"Retry-After": "1"})
    began = time.monotonic()
    source.tips()
    assert time.monotonic() - began >= 1


def test_a_pause_longer_than_the_patience_says_when_to_come_back(source, server):
    server.fail("/branches", status=403, headers={"Retry-After": "3600"})
    with pytest.raises(SourceUnavailable, match=r"try again after \d{4}-\d\d-\d\d .* UTC; a token in GFE_GITHUB_TOKEN"):
        source.tips()
    assert len(server.asked()) == 1


def test_a_used_up_limit_is_waited_for_until_its_reset(source, server):
    server.limit = (0, time.time() + 2)
    reset = int(server.limit[1])
    assert source.tips()
    assert time.time() >= reset
    assert server.asked()[0].status == 403


def test_after_the_last_answer_that_the_limit_allows_nothing_is_asked_before_its_reset(source, server):
    server.limit = (1, time.time() + 2)
    reset = int(server.limit[1])
    etag = source.tips().etag
    assert source.tips(etag) is None
    assert time.time() >= reset
    assert [request.status for request in server.asked()] == [200, 304]


def test_a_limit_that_resets_too_late_is_an_error_that_says_when(source, server):
    server.limit = (1, time.time() + 3000)
    source.tips()
    with pytest.raises(SourceUnavailable, match="rate limit of the GitHub API is used up: try again after"):
        source.tips()
    assert len(server.asked()) == 1


def test_a_refused_token_is_an_error_that_does_not_show_it(server, connect, caplog):
    caplog.set_level(logging.DEBUG)
    source = connect(server, token=SecretStr(TOKEN))
    server.fail("/branches", status=401, body=json.dumps({"message": "Bad credentials"}).encode())
    with pytest.raises(SourceError, match=r"\(HTTP 401, Bad credentials\): GFE_GITHUB_TOKEN is wrong or has expired") as caught:
        source.tips()
    assert not caught.value.transient
    assert server.asked()[0].headers["Authorization"] == f"Bearer {TOKEN}"
    shown = repr(caught.value) + repr(source) + repr(vars(source)) + repr(vars(source._client)) + caplog.text
    assert TOKEN not in shown


def test_a_refusal_without_a_limit_is_final(source, server):
    server.fail("/branches", status=403, body=b'{"message": "Resource not accessible"}')
    with pytest.raises(SourceError, match="HTTP 403, Resource not accessible"):
        source.tips()
    assert len(server.asked()) == 1


def test_the_token_goes_to_the_api_and_to_no_other_host(server, tmp_path):
    with GitHubServer() as files:
        files.files = server.files
        source = GitHubSource("ANHIG", "IMGTHLA", api_url=server.url, raw_url=files.url, token=SecretStr(TOKEN), patience=QUICK)
        fetch(source, "390", tmp_path)
        source.close()
        assert all("Authorization" in request.headers for request in server.asked())
        assert files.asked()
        assert not any("Authorization" in request.headers for request in files.asked())


def test_without_a_token_nothing_is_sent_not_even_from_a_netrc(server, connect, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    connect(server).tips()
    assert "Authorization" not in server.asked()[0].headers


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"sha": 1}', b"null"])
def test_an_answer_that_github_would_not_give_is_an_error(source, server, answer):
    server.fail("/commits/", body=answer)
    with pytest.raises(SourceError, match=r"answered something else than the GitHub API does.*check GFE_GITHUB_API_URL"):
        source.commit("390", server.branches["390"])


# content


BIG = bytes(range(256)) * 4000


def read(source, server, path="big.bin", branch="390"):
    with source.open(branch, server.branches[branch], path) as stream:
        return stream.read()


def test_content_is_read_by_commit_and_path(source, server):
    assert read(source, server, "wmda/hla_nom_g.txt") == release_files("390")["wmda/hla_nom_g.txt"]
    assert server.asked()[0].path.startswith(f"/ANHIG/IMGTHLA/raw/{server.branches['390']}/")


def test_a_name_with_spaces_and_signs_is_asked_for_as_it_is(source, server):
    server.change("390", {"msf/A b#1?.msf": b"odd"})
    assert read(source, server, "msf/A b#1?.msf") == b"odd"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_was_cut_or_begins_anew(connect, ranges):
    with GitHubServer(ranges=ranges) as server:
        server.commit("390", {"big.bin": BIG})
        source = connect(server, patience=Patience(attempts=5, pause=0.001))
        server.fail("/raw/", times=1, cut_after=700_000)
        server.fail("/raw/", times=2, cut_after=100_000)
        server.fail("/raw/", times=1, status=500)
        assert read(source, server) == BIG
        sent = [request.headers.get("Range") for request in server.asked("/raw/")]
        assert sent[0] is None
        assert all(each.startswith("bytes=") for each in sent[1:])
        assert len(sent) == 5


def test_a_download_that_is_cut_without_end_is_given_up(source, server):
    server.change("390", {"big.bin": BIG})
    server.fail("/raw/", times=1, cut_after=1000)
    server.fail("/raw/", times=99, cut_after=0)
    with pytest.raises(SourceUnavailable, match=r"big\.bin was cut after"):
        read(source, server)


def test_a_file_that_is_not_there_is_an_error_that_names_it(source, server):
    with pytest.raises(SourceError, match="none of release 390 is not in github://ANHIG/IMGTHLA at commit"):
        read(source, server, "none")


# fetching a release


@pytest.mark.parametrize("align", [False, True])
def test_a_release_is_pinned_from_github_as_from_a_folder(source, tmp_path, align):
    write_release(tmp_path / "folder", "390")
    here = fetch(FolderSource(tmp_path / "folder"), "390", tmp_path / "a", align=align)
    there = fetch(source, "390", tmp_path / "b", align=align)
    assert there.flat_file.read_bytes() == flat_file("3.9.0")
    assert (there.fingerprint, there.tick_fingerprint, there.content_digest) == (
        here.fingerprint,
        here.tick_fingerprint,
        here.content_digest,
    )


def test_fetching_asks_for_the_commit_and_one_tree_and_each_file_once(source, server, tmp_path):
    fetch(source, "390", tmp_path, align=True)
    sha = server.branches["390"]
    asked = [request.path.removeprefix("/repos").removeprefix("/ANHIG/IMGTHLA/") for request in server.asked()]
    files = ["hla.dat.zip", "wmda/hla_nom_g.txt", "msf/A_gen.msf", "msf/A_prot.msf"]
    assert asked[:2] == ["branches", f"commits/{sha}"]
    assert sorted(asked) == sorted(
        # the listing again at the end, answered 304: does the tip still stand?
        ["branches", "branches", f"commits/{sha}", f"commits/{sha}", f"git/trees/{sha}", f"git/trees/{sha}"]
        + [f"raw/{sha}/{path}" for path in files]
    )


CORRUPT = [
    ({"cut_after": 50, "short_length": True}, "a cut or corrupt file: its 50 bytes"),
    ({"body": b"<html><title>Whoa there!</title>"}, "an HTML page instead of the file"),
    ({"body": b""}, "a cut or corrupt file: its 0 bytes"),
]


@pytest.mark.parametrize(("fault", "message"), CORRUPT)
def test_what_is_not_the_listed_file_is_fetched_again_and_refused_in_the_end(source, server, tmp_path, fault, message):
    server.fail("/raw/.*hla.dat.zip", times=2, **fault)
    assert fetch(source, "390", tmp_path / "passes").records == 3
    server.fail("/raw/.*hla.dat.zip", times=99, **fault)
    with pytest.raises(SourceUnavailable, match=message):
        fetch(source, "390", tmp_path / "stays")
    assert [path.name for path in (tmp_path / "stays" / "raw").glob("*/*")] == [".lock"]


REFUSED = [
    ({"hla.dat.zip": b"version https://git-lfs.github.com/spec/v1\n"}, "hla.dat.zip at commit .* is a Git LFS pointer"),
    ({"hla.dat.zip": b"<html>404</html>"}, "its zip is no zip file"),
    ({"hla.dat.zip": zipped(flat_file("3.21.0"))}, "is of release 3.21.0, not of 3.9.0"),
    ({"hla.dat.zip": zipped(b"x", "../hla.dat")}, "path that leads outside"),
    ({"hla.dat.zip": None}, "neither hla.dat.zip nor hla.dat"),
    ({"wmda/hla_nom_g.txt": None}, "no wmda/hla_nom_g.txt"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_commit_with_files_that_cannot_be_right_is_refused(source, server, tmp_path, change, message):
    server.change("390", change)
    with pytest.raises(ReleaseRefused, match=message):
        fetch(source, "390", tmp_path)


def test_a_commit_that_comes_while_a_release_is_fetched_is_reported_if_it_changes_content(source, server, tmp_path):
    commit = source.tip("390")
    server.change("390", {"README.md": b"new"})
    assert fetch(source, "390", tmp_path, commit=commit).superseded_by is None
    newer = server.change("390", {"hla.dat.zip": zipped(flat_file("3.9.0", 9))})
    raw = fetch(source, "390", tmp_path, commit=commit)
    assert (raw.superseded_by, raw.commit.sha, raw.records) == (newer, commit.sha, 3)


# the tick


def test_the_first_tick_asks_one_listing_and_two_for_each_tip_and_the_second_one_304(source, server):
    first = tick(source, Cursor())
    assert new_releases(first) == ("390", "3100")
    assert first.runs == ()
    assert len(server.asked("/branches")) == 1
    assert len(server.asked("/commits/")) == len(server.asked("/git/trees/")) == 2
    server.forget()
    assert tick(source, first.cursor) is None
    assert [request.status for request in server.asked()] == [304]


CHANGES = [
    ({"hla.dat.zip": zipped(flat_file("3.9.0", 4))}, Outcome.NEW_CONTENT),
    ({"wmda/hla_nom_g.txt": b"other"}, Outcome.NEW_CONTENT),
    ({"README.md": b"other"}, Outcome.NO_TRACKED_CHANGE),
    ({"msf/A_gen.msf": b"other"}, Outcome.NO_TRACKED_CHANGE),
    ({"hla.dat.zip": None}, Outcome.INCOMPLETE),
]


@pytest.mark.parametrize(("change", "outcome"), CHANGES)
def test_a_commit_is_judged_by_what_it_changes_at_the_cost_of_three_requests(source, server, change, outcome):
    cursor = tick(source, Cursor()).cursor
    server.change("390", change)
    server.forget()
    found = tick(source, cursor)
    assert [(d.branch, d.outcome) for d in found.decisions if d.commit] == [("390", outcome)]
    assert len(found.runs) == (outcome is Outcome.NEW_CONTENT)
    assert len(server.asked()) == 3


def test_a_tick_that_fails_in_the_middle_decides_nothing_and_the_next_one_goes_on(connect, server, tmp_path):
    source = connect(server, memory_folder=tmp_path)
    server.fail(f"/git/trees/{server.branches['3100']}", times=99, status=500)
    with pytest.raises(SourceUnavailable):
        tick(source, Cursor())
    server._faults.clear()
    server.forget()
    assert new_releases(tick(source, Cursor())) == ("390", "3100")
    assert not server.asked(server.branches["390"])


@pytest.mark.shared
def test_the_real_repository_gives_59_releases_in_numeric_order(shared, connect):
    with GitHubServer() as server:
        server.load_payloads(shared / "github_api")
        source = connect(server)
        found = tick(source, Cursor())
        assert len(new_releases(found)) == 59
        assert list(new_releases(found)[:11]) == [*(f"3{minor}0" for minor in range(10)), "3100"]
        assert new_releases(found)[-1] == "3580"
        assert [d.branch for d in found.decisions if d.outcome is Outcome.NOT_A_RELEASE] == ["Latest", "testing"]
        assert len(server.asked("/branches")) == 1
        assert len(server.asked("/commits/")) == len(server.asked("/git/trees/")) == 59
        commit = source.tip("3220")
        assert commit.date == datetime(2024, 4, 10, 9, 1, 53, tzinfo=timezone.utc)


@pytest.mark.shared
def test_a_real_release_is_pinned_from_github(shared, connect, tmp_path):
    with GitHubServer() as server:
        server.load_folder(shared / "imgthla")
        source = connect(server)
        raw = fetch(source, "3220", tmp_path, align=True)
        assert (raw.records, raw.commit.sha) == (14010, "1dfe565a453e894152c3fa4887a323dd1e1ca235")
        assert check_md5(raw).ok
        assert len(raw.alignment_files) == 24
        with pytest.raises(ReleaseRefused, match=r"is of release 3\.21\.0, not of 3\.20\.0"):
            fetch(source, "3200", tmp_path)


# settings


def test_the_setting_picks_the_source(tmp_path):
    folder = open_source(Settings(source_uri=tmp_path.as_uri(), _env_file=None))
    assert (type(folder), folder.location) == (FolderSource, tmp_path.as_uri())
    github = open_source(Settings(source_uri="github://ANHIG/IMGTHLA", data_uri=str(tmp_path), _env_file=None))
    assert (type(github), github.location) == (GitHubSource, "github://ANHIG/IMGTHLA")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["github://ANHIG", "github://ANHIG/", "github:///IMGTHLA", "github://a/b/c", "github://a b/c"])
def test_a_uri_without_owner_and_repository_is_an_error_that_names_the_setting(uri):
    with pytest.raises(SettingsError, match=r"GFE_SOURCE_URI: .* does not read github://OWNER/REPO"):
        open_source(Settings(source_uri=uri, _env_file=None))

"""A real Neo4j Community server for tests and benchmarks, on loopback, with a folder that the caller throws away.

In: an installed server (`NEO4J_HOME`), a running one with an empty database (`NEO4J_URI`, `NEO4J_USER`, `NEO4J_PASSWORD`,
`NEO4J_DATABASE`), or, where there is neither, the official Maven artifacts, of the long-term version or of `NEO4J_VERSION`.
Java is that of `JAVA_HOME`, else the one on the path: `NEO4J_VERSION=2026.08.1 JAVA_HOME=…/jdk-25 make test-slow`. Out: what is
tested.

What works without Docker and without an installation, found by trying (Neo4j 5.26.30, Java 17):

- Two artifacts of one version, `org.neo4j:neo4j` and `org.neo4j.app:neo4j-server`, with all they depend on (213 jars,
  123 MB): `mvn dependency:copy-dependencies` on a pom that names just these two; 20 seconds on an empty Maven cache. The
  version must be exact: a range such as [5.26,5.27) makes Maven read the poms of every version, for ten minutes.
- Started by `java -cp 'lib/*' org.neo4j.server.CommunityEntryPoint --home-dir=H --config-dir=H/conf --console-mode`; 5.26 has
  that class in `neo4j`, newer versions `org.neo4j.server.Neo4jCommunity`; `H/conf/neo4j.conf` has `_SETTINGS`.
- It answers Bolt after about 5 seconds. SIGTERM takes it 10 seconds, SIGKILL none; after that it starts on the same data.
- With authentication the first password is `neo4j` and expired: it is changed by `ALTER CURRENT USER SET PASSWORD`.
- A disk that gets full is imitated by a limit on the size of files (`ulimit -f`), which needs no rights and no extra disk.
"""

import ctypes
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import neo4j
from neo4j import exceptions

VERSION = os.environ.get("NEO4J_VERSION") or "5.26.30"
_MAIN_CLASSES = ("org.neo4j.server.Neo4jCommunity", "org.neo4j.server.CommunityEntryPoint")
_OLDEST_JAVA = 17
_START_SECONDS = 120
_STOP_SECONDS = 60
_DOWNLOAD_SECONDS = 900
_FIRST_PASSWORD = "neo4j"
_SETTINGS = {
    "server.http.enabled": "false",
    "server.https.enabled": "false",
    "dbms.usage_report.enabled": "false",
    "server.memory.pagecache.size": "256m",
    "db.tx_log.preallocate": "false",
}
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gfe-assets-tests</groupId><artifactId>neo4j</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>{version}</version></dependency>
  </dependencies>
</project>
"""


class NoServer(Exception):
    """There is no Neo4j server to be had on this machine; the message says why."""


def server_jars() -> Path:
    """The folder with a server's jars: of `NEO4J_HOME`, or from Maven, kept in the user's cache folder.

    Raises:
        NoServer: no Java, no Maven, or no network on first use.
    """
    _require_java()
    home = os.environ.get("NEO4J_HOME")
    if home:
        return Path(home) / "lib"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gfe-assets-tests"
    jars = cache / f"neo4j-{VERSION}"
    if not jars.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side download once
            if not jars.is_dir():
                _download(jars)
    return jars


def _java() -> str:
    """The program `java`."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if not java:
        raise NoServer("needs a Neo4j server, and there is no java to run one; install Java 17 or 21, or set NEO4J_URI")
    return java


def _require_java() -> None:
    java = _java()
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if not version or int(version[1]) < _OLDEST_JAVA:
        raise NoServer(f"needs a Neo4j server, which needs Java {_OLDEST_JAVA} or later; this one is {said.splitlines()[:1]}")


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise NoServer("needs a Neo4j server, and there is no mvn to fetch one; install Maven, or set NEO4J_HOME or NEO4J_URI")
    with tempfile.TemporaryDirectory(dir=jars.parent) as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(_POM.format(version=VERSION))
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS)
        except subprocess.SubprocessError as error:
            said = " ".join((getattr(error, "stdout", "") or str(error)).split())[:300]
            raise NoServer(f"needs a Neo4j server, and mvn cannot fetch Neo4j {VERSION}: {said}") from None
        (folder / "jars").replace(jars)


class Neo4jServer:
    """A server of our own: `with Neo4jServer(folder) as server: …`; data, logs and configuration are in `folder`.

    With a `password` the user `neo4j` needs it; without one anybody may do anything. `settings` are lines of `neo4j.conf`.
    `short_lived` tells Java to compile once and quickly, which halves the time of tests; not for measuring.
    """

    user = "neo4j"
    database = "neo4j"

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        settings: Mapping[str, str] | None = None,
        heap: str = "768m",
        short_lived: bool = True,
    ) -> None:
        """Find the jars; nothing is started yet.

        Raises:
            NoServer: there is no server to be had.
        """
        self.folder = folder
        self.password = password
        self.settings = dict(settings or {})
        self._heap = heap
        self._java_options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC") if short_lived else ()
        self._jars = server_jars()
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"bolt://127.0.0.1:{self._port}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    def start(self, *, largest_file: int = 0) -> None:
        """Start on the data that is there and wait until it answers; files may get `largest_file` bytes long (0: any)."""
        self._configure()
        main = _main_class(self._jars)
        command = [
            _java(),
            *self._java_options,
            f"-Xmx{self._heap}",
            "-cp",
            f"{self._jars}/*",
            main,
            f"--home-dir={self.folder}",
        ]
        command += [f"--config-dir={self.folder / 'conf'}", "--console-mode"]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _prepare(largest_file),  # noqa: PLW1509 - one thread starts servers
            )
        self._wait()

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self, **settings: str) -> None:
        """Kill it and start it on the same data; with settings, dots written as `__`, in place of those given before."""
        self.kill()
        self.settings = {name.replace("__", "."): value for name, value in settings.items()}
        self.start()

    def driver(self) -> neo4j.Driver:
        """A driver for looking into the graph beside the store under test."""
        return neo4j.GraphDatabase.driver(self.uri, auth=(self.user, self.password), notifications_min_severity="OFF")

    def __enter__(self) -> "Neo4jServer":
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def _configure(self) -> None:
        conf = self.folder / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        settings = {
            **_SETTINGS,
            "server.bolt.listen_address": f"127.0.0.1:{self._port}",
            "dbms.security.auth_enabled": "true" if self.password else "false",
            **self.settings,
        }
        (conf / "neo4j.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _wait(self) -> None:
        assert self._process
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "console.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the Neo4j server did not start:\n{said}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with self.driver() as driver, driver.session(database=self.database) as session:
                session.run("RETURN 1").consume()  # asked once: `execute_query` would repeat it, later and later
        except exceptions.AuthError:
            self._set_password()
            return False
        except (exceptions.DriverError, exceptions.Neo4jError):
            return False
        return True

    def _set_password(self) -> None:
        auth = (self.user, _FIRST_PASSWORD)
        with neo4j.GraphDatabase.driver(self.uri, auth=auth, notifications_min_severity="OFF") as driver:
            statement = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
            driver.execute_query(statement, old=_FIRST_PASSWORD, new=self.password, database_="system")

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(_STOP_SECONDS)
            self._process = None


class RunningServer:
    """A server that somebody else has started (`NEO4J_URI`); it cannot be killed, and its database must be empty."""

    def __init__(self) -> None:
        """Look at it.

        Raises:
            NoServer: it does not answer, or holds something: tests delete everything they find.
        """
        self.uri = os.environ["NEO4J_URI"]
        self.user = os.environ.get("NEO4J_USER", "neo4j")
        self.password = os.environ.get("NEO4J_PASSWORD", "")
        self.database = os.environ.get("NEO4J_DATABASE", "neo4j")
        try:
            with self.driver() as driver:
                nodes = driver.execute_query("MATCH (n) RETURN count(n)", database_=self.database).records[0][0]
        except (exceptions.DriverError, exceptions.Neo4jError) as error:
            raise NoServer(f"the server at NEO4J_URI cannot be used: {error}") from None
        if nodes:
            raise NoServer(
                f"the database at NEO4J_URI has {nodes} nodes; tests only use an empty one, for they delete what is in it"
            )

    def driver(self) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(self.uri, auth=(self.user, self.password), notifications_min_severity="OFF")


def empty(server: Neo4jServer | RunningServer, *, schema: bool = False) -> None:
    """Delete all nodes and relationships; constraints and indexes too when `schema` says so (it takes a second)."""
    with server.driver() as driver, driver.session(database=server.database) as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS").consume()
        if not schema:
            return
        for name in session.run("SHOW CONSTRAINTS YIELD name").value():
            session.run(f"DROP CONSTRAINT `{name}`").consume()
        for name in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name").value():
            session.run(f"DROP INDEX `{name}`").consume()


def _main_class(jars: Path) -> str:
    for jar in sorted([*jars.glob("neo4j-[0-9]*.jar"), *jars.glob("neo4j-server-*.jar")]):
        with zipfile.ZipFile(jar) as content:
            for name in _MAIN_CLASSES:
                if f"{name.replace('.', '/')}.class" in content.namelist():
                    return name
    raise NoServer(f"needs a Neo4j server, and the jars in {jars} have none of the classes {', '.join(_MAIN_CLASSES)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _prepare(largest_file: int) -> None:
    """In the server's process before it begins: limit its files, and let it die with the tests, however they die."""
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

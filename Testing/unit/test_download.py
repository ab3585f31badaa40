"""Models come from a real server that fails in every way, and never half or wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.faulty_server import FaultyServer, closed_port, serve
from helpers.model_factory import entry, write_model

from iuinet import weights
from iuinet.errors import Cancelled, IUINetError
from iuinet.files import file_lock
from iuinet.weights import download, transfer
from iuinet.weights import server as server_module
from iuinet.weights import user_folder as weights_folder
from iuinet.weights.download import Download, install, part_file
from iuinet.weights.index import fetch_list

MODULE = Path(download.__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file of a bit more than a megabyte, as the server has it."""
    return write_model(tmp_path / "toy.safetensors", tensor_bytes=1_200_000)


@pytest.fixture
def server(model: Path) -> Iterator[FaultyServer]:
    with serve(model.read_bytes()) as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, model: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch):
    """Puts a list with the model in use, served in the given ways; patience is short."""
    monkeypatch.setenv("IUINET_HOME", str(tmp_path / "home é"))
    monkeypatch.setattr(transfer, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(server_module, "STALL_S", 0.3)
    monkeypatch.setattr(server_module, "SLOW_S", 1.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def use(*behaviours: str, **changes: object) -> str:
        addresses = [way if "://" in way else server.address(way) for way in behaviours]
        path = tmp_path / "list" / "index.json"
        path.parent.mkdir(exist_ok=True)
        document = {"format": 1, "default": "toy", "models": [entry(model, urls=addresses, **changes)]}
        path.write_text(json.dumps(document))
        monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(path))
        return "toy"

    return use


def code_of(identifier: str) -> str:
    """The code of the refusal that an installation ends in; no model has appeared."""
    with pytest.raises(IUINetError) as caught:
        install(identifier)
    assert caught.value.message and caught.value.hint
    assert not list(weights.models_folder().glob("*.safetensors"))
    assert not list(weights.models_folder().glob("*.json"))
    return caught.value.code


def test_a_model_is_downloaded_checked_and_installed(listed, server, model) -> None:
    steps: list[download.DownloadProgress] = []
    installed = install(listed("slow"), steps.append)
    assert installed.path.read_bytes() == model.read_bytes()
    assert weights.resolve("toy").path == installed.path
    assert 0 < steps[0].received < steps[-1].received <= steps[-1].total == len(server.data)
    assert steps[-1].bytes_per_second > 0 and steps[-1].seconds_left is not None
    leftovers = {path.suffix for path in weights.models_folder().iterdir()}
    assert leftovers == {".safetensors", ".json", ".lock"}
    install("toy")
    assert len(server.requests) == 1, "a model that is here is not fetched again"
    weights_folder.remove("toy")
    assert weights.find_entry("toy").path is None


@pytest.mark.parametrize("way", ["cuts", "ignores-range", "redirects", "busy-first"])
def test_a_server_with_faults_still_gives_the_whole_model(listed, server, model, way: str) -> None:
    installed = install(listed(way))
    assert installed.path.read_bytes() == model.read_bytes()


def test_a_cut_download_goes_on_where_it_stopped_and_says_so(listed, server) -> None:
    notes = []
    installed = install(listed("cuts"), lambda progress: notes.append(progress.note))
    third = len(server.data) // 3
    assert [asked for _, asked in server.requests[:3]] == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert installed.path.stat().st_size == len(server.data)


def test_a_stalled_server_gives_way_to_the_next_mirror(listed, server) -> None:
    install(listed("stalls", "good"))
    ways = [way for way, _ in server.requests]
    assert ways == ["stalls", "good"] and server.requests[1][1] == f"bytes={len(server.data) // 3}-"


@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("status/403", "download-status"),
        ("status/404", "download-status"),
        ("status/500", "download-offline"),
        ("says-less", "download-size"),
        ("says-another-total", "weights-hash"),
        ("endless", "download-size"),
        ("wrong-bytes", "weights-hash"),
        ("cuts-at-once", "download-offline"),
        ("redirects-to-a-file", "download-status"),
        ("redirects-to-ftp", "download-status"),
        ("drips", "download-cut"),
        ("gives-a-byte", "download-cut"),
        ("drips-its-head", "download-offline"),
        ("redirects-to-itself", "download-status"),
        ("silent", "download-offline"),
    ],
)
def test_a_server_that_never_gives_the_model_is_named_and_nothing_is_installed(
    listed, way: str, code: str, server
) -> None:
    if way == "says-another-total":  # it shows only in a part
        listed("cuts-at-once")
        part_file(weights.find_entry("toy")).parent.mkdir(parents=True)
        part_file(weights.find_entry("toy")).write_bytes(server.data[:100])
        code = "download-size"
    assert code_of(listed(way)) == code


def test_a_part_from_a_lying_mirror_is_not_held_against_the_good_one(listed, server, model) -> None:
    """The good mirror went on with what the lying one had begun, in this program or in an earlier one."""
    assert install(listed("lies-to-half", "good")).path.read_bytes() == model.read_bytes()
    weights_folder.remove("toy")
    part_file(weights.find_entry("toy")).write_bytes(b"lies" * 1000)
    assert install(listed("good")).path.read_bytes() == model.read_bytes()
    weights_folder.remove("toy")
    server.requests.clear()
    part_file(weights.find_entry("toy")).write_bytes(b"lies" * 1000)
    assert code_of(listed("wrong-bytes")) == "weights-hash"
    assert len(server.requests) == 2, "it starts anew once, not for ever"


def test_nobody_at_the_address_and_no_such_name(listed) -> None:
    assert code_of(listed("ftp://127.0.0.1/x")) == "no-address"
    assert code_of(listed("http://[::1/x")) == "no-address"
    assert code_of(listed(f"http://127.0.0.1:{closed_port()}/x")) == "download-offline"
    assert code_of(listed("http://no-such-host.invalid/x")) == "download-offline"
    assert code_of(listed()) == "no-address"


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_that_is_not_there_is_named_without_its_password(listed, monkeypatch, scheme: str) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}user:secret@localhost:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(IUINetError) as caught:
        install(listed("http://models.example/x"))
    assert "localhost refuses" in caught.value.message and "secret" not in str(caught.value)
    with pytest.raises(IUINetError) as caught:
        install(listed("http://user:secret@models.example:99999/x"))
    assert "models.example" in caught.value.message and "secret" not in str(caught.value)


def test_wrong_bytes_are_set_aside_and_the_next_mirror_is_asked(listed, server, model) -> None:
    assert install(listed("wrong-bytes", "good")).path.read_bytes() == model.read_bytes()
    (aside,) = (weights.models_folder() / "refused").iterdir()
    assert aside.suffix == ".refused" and aside.stat().st_size == len(server.data)


def test_a_file_that_is_another_model_than_listed_is_not_installed(listed) -> None:
    assert code_of(listed("good", version="2.0")) == "weights-id"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that no one has signed, with its key."""
    path, program = tmp_path / "certificate.pem", shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command = [program, *new.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", "-"]
    made = subprocess.run(command, capture_output=True, check=True)
    path.write_bytes(path.read_bytes() + made.stdout)
    return path


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_that_no_one_signed_has_to_be_named(
    listed, model, certificate, monkeypatch, variable
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with serve(model.read_bytes(), certificate) as encrypted:
        listed(encrypted.address("good"))
        assert code_of("toy") == "download-certificate"
        monkeypatch.setenv(variable, str(certificate))
        assert install("toy").path.read_bytes() == model.read_bytes()
        weights_folder.remove("toy")
        with pytest.raises(IUINetError, match="leads from https to http, which is not followed") as caught:
            install(listed(encrypted.address("redirects-to-http")))
        assert caught.value.code == "download-status" and encrypted.requests[-1][0] == "redirects-to-http"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.parent / "absent.pem"))
    with pytest.raises(IUINetError, match=r"absent\.pem") as caught:
        install("toy")
    assert caught.value.code == "download-certificate"


def test_a_cancel_does_not_wait_for_a_silent_server_and_frees_the_file(listed, server, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "STALL_S", 20)
    running = Download(listed("silent"))
    running.start()
    while not server.requests:
        time.sleep(0.01)
    began = time.monotonic()
    running.cancel()
    assert running.poll() and time.monotonic() - began < 1
    install(listed("good"))  # not refused as busy: the cancelled one has let go of the part file


def test_a_cancelled_download_ends_at_once_and_goes_on_later(listed, server, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "STALL_S", 20)
    running = Download(listed("stalls"))
    running.start()
    while running.progress is None or running.progress.received < len(server.data) // 3:
        time.sleep(0.01)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(Cancelled):
        running.result()
    assert time.monotonic() - began < 1
    install(listed("good"))
    assert server.requests[-1] == ("good", f"bytes={len(server.data) // 3}-")


def test_a_second_program_does_not_write_into_the_same_file(listed) -> None:
    part = part_file(weights.find_entry(listed("good")))
    part.parent.mkdir(parents=True)
    with file_lock(part.with_suffix(".lock")):
        assert code_of("toy") == "download-busy"
    install("toy")


def test_a_full_disk_is_noticed_before_the_first_byte(listed, server) -> None:
    assert code_of(listed("good", size=2**60)) == "disk-full"
    assert not server.requests


def test_what_fetches_files_is_imported_only_to_fetch() -> None:
    look = "import sys, iuinet.weights.download, iuinet.weights.index; sys.exit('requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], env={**os.environ, "PYTHONPATH": str(MODULE)}, check=True)


PROGRAM = "import sys; from iuinet.weights.download import install; install('toy')"


def test_a_killed_download_never_leaves_a_wrong_model(listed, server, model) -> None:
    """kill -9 while bytes come, and while the file is checked and named; each next program goes on."""
    part = part_file(weights.find_entry(listed("slow")))
    environment = {**os.environ, "PYTHONPATH": str(MODULE)}
    began = time.monotonic()
    program = "import iuinet.weights.download, requests"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    start = time.monotonic() - began  # how long a program takes here before it can download

    def received() -> int:
        return part.stat().st_size if part.exists() else 0

    kills, most = 0, len(server.data) - 2**16
    for number in range(40):
        before = received()
        program = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment)
        if before < most:
            while program.poll() is None and received() < min(before + 2**19, most):
                time.sleep(0.01)
        else:
            with suppress(subprocess.TimeoutExpired):
                program.wait(start * (0.5 + 0.1 * number))
        program.kill()
        status = program.wait()
        found = weights.find_entry("toy")
        if found.path is not None:
            assert found.path.read_bytes() == model.read_bytes()
            weights.resolve("toy")
        if status == 0:
            break
        kills += 1
    assert status == 0 and kills >= 2
    assert any(asked for _, asked in server.requests), "no download was continued"


def test_the_list_itself_may_lie_on_a_server(listed, model, tmp_path, monkeypatch) -> None:
    with serve(
        json.dumps({"format": 1, "default": "toy", "models": [entry(model, urls=[])]}).encode()
    ) as web_site:
        listed("good")
        monkeypatch.setenv("IUINET_WEIGHTS_INDEX", web_site.address("good", "index.json"))
        with pytest.raises(IUINetError, match="not been fetched"):
            weights.list_models()
        fetch_list()
        assert weights.find_entry("toy").urls == (web_site.address("good", "toy.safetensors"),)
        monkeypatch.setenv("IUINET_WEIGHTS_INDEX", web_site.address("status/404", "index.json"))
        with pytest.raises(IUINetError, match="404"):
            fetch_list()
    with serve(b"<html>Please log in</html>") as portal:
        monkeypatch.setenv("IUINET_WEIGHTS_INDEX", portal.address("good", "index.json"))
        with pytest.raises(IUINetError, match="not a list of models"):
            fetch_list()


def refused_list(monkeypatch: pytest.MonkeyPatch, address: str) -> IUINetError:
    """The refusal that the fetching of a list ends in."""
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", address)
    with pytest.raises(IUINetError) as caught:
        fetch_list()
    assert caught.value.message and caught.value.hint and caught.value.exit_status == 4
    return caught.value


@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("cut-in-a-chunk", "download-offline"),
        ("bad-chunk", "download-offline"),
        ("cuts-at-half", "download-offline"),
        ("drips", "download-offline"),
        ("drips-its-head", "download-offline"),
        ("redirects-to-ftp", "download-status"),
    ],
)
def test_a_list_from_a_server_with_faults_is_refused_in_plain_words(
    listed, monkeypatch, way: str, code: str
) -> None:
    listed()
    with serve(json.dumps({"format": 1, "models": [], "default": "x" * 2000}).encode()) as site:
        assert refused_list(monkeypatch, site.address(way, "index.json")).code == code


def test_a_list_that_is_nested_without_end_or_cannot_be_kept_is_refused(
    listed, tmp_path, monkeypatch
) -> None:
    listed()
    with serve(b"[" * 200_000) as site:
        assert refused_list(monkeypatch, site.address("good")).code == "weights-list"
    (tmp_path / "file").write_text("")
    with serve(b'{"format": 1, "models": [], "default": ""}') as site:
        monkeypatch.setenv("IUINET_HOME", str(tmp_path / "file" / "home"))
        assert refused_list(monkeypatch, site.address("good")).code == "weights-folder"


def test_a_list_over_http_from_another_computer_waits_for_the_users_word(listed, server, monkeypatch) -> None:
    listed()
    address = "http://mirror.hospital.example/good/index.json"
    monkeypatch.setenv("http_proxy", server.address("good"))  # which answers for the hospital
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    refused = refused_list(monkeypatch, address)
    assert refused.code == "weights-list" and "over http" in refused.message
    assert "IUINET_ALLOW_HTTP" in refused.hint and not server.requests
    server.data = b'{"format": 1, "models": [], "default": ""}'
    local = server.address("redirects-to-a-hospital")
    assert refused_list(monkeypatch, local).code == "weights-list", "nor does a redirect lead there"
    monkeypatch.setenv("IUINET_ALLOW_HTTP", "1")
    for allowed in (address, local):
        monkeypatch.setenv("IUINET_WEIGHTS_INDEX", allowed)
        assert fetch_list().is_file()

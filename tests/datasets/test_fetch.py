"""Downloads from a server on this machine, resumed and checked; archives unpacked safely."""

import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.datasets import DatasetError
from harness.datasets.catalogue import CATALOGUE
from harness.datasets.fetch.download import download
from harness.datasets.fetch.fetch import SOURCES, Source, fetch
from harness.datasets.fetch.unpack import Limits, unpack


class Server(ThreadingHTTPServer):
    """Serves `files` by path; `cut` connections end after that many bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.cut: list[int] = []
        self.status = 200
        self.asked: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        content = self.server.files.get(self.path)
        if content is None or self.server.status != 200:
            self.send_error(404 if content is None else self.server.status)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.pop(0)] if self.server.cut else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    served = Server()
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


CONTENT = bytes(range(256)) * 4000


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_file_is_downloaded_once_and_checked(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = CONTENT
    steps: list[tuple[int, int | None]] = []
    for _ in range(2):
        download(
            server.url("/a.bin"),
            tmp_path / "deep" / "a.bin",
            "md5:" + hashlib.md5(CONTENT).hexdigest(),
            lambda done, total: steps.append((done, total)),
        )
    assert (tmp_path / "deep" / "a.bin").read_bytes() == CONTENT
    assert len(server.asked) == 1 and steps[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.bin"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_later_run_goes_on_where_the_first_stopped(
    server: Server, tmp_path: Path, ranges: bool
) -> None:
    server.files["/a.bin"], server.ranges = CONTENT, ranges
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    download(server.url("/a.bin"), tmp_path / "a.bin", sha(CONTENT))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_broken_connections_are_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"], server.cut = CONTENT, [500, 300, 0]
    download(server.url("/a.bin"), tmp_path / "a.bin", sha(CONTENT), wait=0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=500-", "bytes=800-", "bytes=800-"]


def test_a_connection_that_stays_broken_keeps_what_came(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"], server.cut = CONTENT, [500, 0, 0]
    with pytest.raises(DatasetError, match=r"500 bytes are kept in .*run the same command again"):
        download(server.url("/a.bin"), tmp_path / "a.bin", sha(CONTENT), attempts=2, wait=0)
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:500]


def test_a_server_that_never_answers_says_where_a_file_may_be_put(
    server: Server, tmp_path: Path
) -> None:
    server.files["/a.bin"], server.status = CONTENT, 500
    target = tmp_path / "a.bin"
    with pytest.raises(DatasetError, match=r"500.*nothing came: .*put it at .*a\.bin") as error:
        download(server.url("/a.bin"), target, sha(CONTENT), attempts=2, wait=0)
    assert str(target) in str(error.value)
    target.write_bytes(CONTENT)
    download(server.url("/a.bin"), target, sha(CONTENT))
    assert len(server.asked) == 2, "a file put there by hand is taken"


def test_a_complete_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    download(server.url("/a.bin"), tmp_path / "a.bin", sha(CONTENT))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    download(server.url("/a.bin"), tmp_path / "a.bin", sha(CONTENT), wait=0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_the_file_deleted(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = CONTENT
    with pytest.raises(DatasetError, match="sha256 is not the known one"):
        download(server.url("/a.bin"), tmp_path / "a.bin", sha(b"other"))
    assert list(tmp_path.iterdir()) == []


def test_refusals_are_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"/absent: the server answers 404"):
        download(server.url("/absent"), tmp_path / "a", sha(b""))
    server.files["/a.bin"], server.status = CONTENT, 503
    with pytest.raises(DatasetError, match="503"):
        download(server.url("/a.bin"), tmp_path / "a", sha(b""), attempts=2, wait=0)
    assert len(server.asked) == 3
    with pytest.raises(DatasetError, match="expected an address"):
        download("file:///etc/hosts", tmp_path / "a", sha(b""))
    with pytest.raises(DatasetError, match="expected md5"):
        download(server.url("/a.bin"), tmp_path / "a", "crc:1")


def tar(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def unpacked(tmp_path: Path, content: bytes, limits: Limits | None = None) -> Path:
    archive, folder = tmp_path / "archive", tmp_path / "out" / "here"
    archive.write_bytes(content)
    unpack(archive, folder, limits)
    return folder


@pytest.mark.parametrize("make", [tar, zipped])
def test_archives_are_unpacked_and_folders_joined(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "out/here/dtd").mkdir(parents=True)
    (tmp_path / "out/here/dtd/split.json").write_text("mine")
    folder = unpacked(tmp_path, make({"dtd/images/a/1.jpg": b"one", "./dtd/labels.txt": b"two"}))
    assert (folder / "dtd/images/a/1.jpg").read_bytes() == b"one"
    assert (folder / "dtd/labels.txt").read_bytes() == b"two"
    assert (folder / "dtd/split.json").read_text() == "mine"
    assert [p.name for p in folder.iterdir()] == ["dtd"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar({"a": b"1", "../../evil": b"x"}), r'"../../evil" leaves the folder'),
        (tar({"/tmp/evil": b"x"}), "leaves the folder"),
        (tar({"a/../../evil": b"x"}), "leaves the folder"),
        (zipped({"a": b"1", "../../evil": b"x"}), "leaves the folder"),
        (zipped({"C:/evil": b"x"}), "leaves the folder"),
        (tar({"a": link("a", tarfile.SYMTYPE, "/etc")}), '"a" is a link or device'),
        (tar({"a": link("a", tarfile.LNKTYPE, "../evil")}), '"a" is a link or device'),
        (tar({"a": link("a", tarfile.FIFOTYPE, "")}), '"a" is a link or device'),
        (tar({"a": b"1", "./a": b"2"}), '"./a" is in it twice'),
        (tar({str(n): b"" for n in range(9)}), "more than 5 files"),
        (tar({"zeros": bytes(5000)}), "unpacks to more than 4000 bytes"),
        (zipped({"a": bytes(3000), "b": bytes(3000)}), "unpacks to more than 4000 bytes"),
        (tar({"a": bytes(range(256)) * 10})[:-200], "damaged"),
        (zipped({"a": bytes(range(256))})[:-30], "damaged"),
        (b"<html>not found</html>", "damaged, or not a .zip or .tar"),
        (tar({}), "no file in it"),
    ],
)
def test_hostile_and_damaged_archives_leave_nothing(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        unpacked(tmp_path, content, Limits(files=5, byte_count=4000))
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert left == ["archive", "out", "out/here"]


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out/here/d").mkdir(parents=True)
    (tmp_path / "out/here/d/b").write_text("mine")
    with pytest.raises(DatasetError, match=r"d/b: already there"):
        unpacked(tmp_path, tar({"d/a": b"1", "d/b": b"2"}))
    assert [p.name for p in (tmp_path / "out/here/d").iterdir()] == ["b"]
    assert (tmp_path / "out/here/d/b").read_text() == "mine"


def offer(server: Server, name: str, content: bytes, inner: str = "") -> dict[str, Source]:
    file = SOURCES[name].url.rpartition("/")[2]
    server.files[f"/{file}"] = content
    return {name: Source(server.url(f"/{file}"), sha(content), SOURCES[name].into, inner)}


def test_fetch_puts_images_where_the_adapter_looks(server: Server, tmp_path: Path) -> None:
    sources = offer(server, "dtd", tar({"dtd/images/banded/1.jpg": b"x"}))
    done = fetch("dtd", tmp_path, sources=sources)
    assert done.downloaded and (tmp_path / "dtd/images/banded/1.jpg").is_file()
    assert "put split_zhou_DescribableTextures.json into" in done.still_needed
    assert list((tmp_path / ".downloads").iterdir()) == []
    (tmp_path / "dtd/split_zhou_DescribableTextures.json").write_text("{}")
    again = fetch("dtd", tmp_path, sources=sources)
    assert not again.downloaded and again.still_needed == "" and len(server.asked) == 1


def test_fetch_unpacks_an_archive_in_an_archive(server: Server, tmp_path: Path) -> None:
    inner = SOURCES["caltech101"].inner
    nested = zipped({inner: tar({"101_ObjectCategories/ant/1.jpg": b"x"}), "caltech-101/n": b""})
    fetch("caltech101", tmp_path, sources=offer(server, "caltech101", nested, inner))
    assert (tmp_path / "caltech-101/101_ObjectCategories/ant/1.jpg").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".downloads", "caltech-101"]


def test_fetch_of_a_variant_asks_for_class_names(server: Server, tmp_path: Path) -> None:
    sources = offer(server, "imagenet_a", tar({"imagenet-a/n01/1.jpg": b"x"}, "w"))
    assert "put classnames.txt into" in fetch("imagenet_a", tmp_path, sources=sources).still_needed
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet/classnames.txt").write_text("n01 tench")
    assert fetch("imagenet_a", tmp_path, sources=sources).still_needed == ""


def test_fetch_says_when_the_source_has_changed(server: Server, tmp_path: Path) -> None:
    sources = offer(server, "dtd", tar({"textures/1.jpg": b"x"}))
    with pytest.raises(DatasetError, match="the source has changed"):
        fetch("dtd", tmp_path, sources=sources)


def test_what_cannot_be_fetched_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="vision/issues/7545"):
        fetch("stanford_cars", tmp_path)
    with pytest.raises(DatasetError, match="vision/issues/9348"):
        fetch("sun397", tmp_path)
    with pytest.raises(DatasetError, match=r"imagenet: .*image-net.org"):
        fetch("imagenet", tmp_path)
    with pytest.raises(DatasetError, match='did you mean "dtd"'):
        fetch("dttd", tmp_path)
    with pytest.raises(DatasetError, match='"digits" is embedded'):
        fetch("digits", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match=r"file: not a folder; name one to put"):
        fetch("dtd", tmp_path / "file")


def test_an_interrupted_fetch_is_finished_by_the_next(server: Server, tmp_path: Path) -> None:
    archive = tar({"dtd/images/banded/1.jpg": bytes(5000)})
    sources = offer(server, "dtd", archive)
    part = tmp_path / ".downloads" / (SOURCES["dtd"].url.rpartition("/")[2] + ".part")
    part.parent.mkdir()
    part.write_bytes(archive[:40])
    assert fetch("dtd", tmp_path, sources=sources).downloaded
    assert server.asked == ["bytes=40-"] and not part.exists()


def test_every_source_is_of_a_known_set_and_place() -> None:
    for name, source in SOURCES.items():
        folders = CATALOGUE[name].folders
        assert source.into in (".", *folders), name
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", source.checksum)

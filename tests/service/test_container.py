"""The Containerfile and the compose file say what the program understands; their commands run without a container."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml
from click.testing import CliRunner
from dockerfile_parse import DockerfileParser

from tests.service.conftest import listening, settings_in
from vlm_inspect.cli import cli
from vlm_inspect.commands import serve as serve_command
from vlm_inspect.errors import ConfigError
from vlm_inspect.secret_values import FILE, secret_value
from vlm_inspect.service.tokens import ENVIRONMENT
from vlm_inspect.store.location import ENVIRONMENT as STORE
from vlm_inspect.store.location import FILES_ENVIRONMENT, PASSWORD_VARIABLE, find_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def steps(tmp_path: Path) -> list[dict[str, str]]:
    parser = DockerfileParser(str(tmp_path / "Dockerfile"))
    parser.content = (ROOT / "Containerfile").read_text()
    found: list[dict[str, str]] = [one for one in parser.structure if one["instruction"] != "COMMENT"]
    return found


def of(steps: list[dict[str, str]], name: str) -> list[str]:
    return [step["value"] for step in steps if step["instruction"] == name]


def test_the_containerfile_is_sound(steps: list[dict[str, str]]) -> None:
    (base,) = of(steps, "FROM")
    assert re.fullmatch(r"docker\.io/library/python:3\.1[1-9]-slim-\w+", base), "a pinned, small, official image"
    assert of(steps, "USER") == ["inspector"], "not root"
    assert not of(steps, "ADD"), "COPY, which fetches nothing"
    for value in of(steps, "COPY"):
        *sources, _ = shlex.split(value)
        assert all((ROOT / source).exists() for source in sources), value
    for value in of(steps, "RUN"):
        assert "sudo" not in value
        assert "curl" not in value
        assert "apt" not in value, "no package of the system is needed"
    (install,) = [value for value in of(steps, "RUN") if "pip install" in value]
    assert "-c constraints.txt" in install
    extras = re.search(r"\.\[([\w,]+)\]", install)
    assert extras is not None
    project = (ROOT / "pyproject.toml").read_text()
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    order = [step["instruction"] for step in steps]
    assert order.index("USER") > order.index("RUN")
    assert {"HEALTHCHECK", "EXPOSE"} <= set(order)


def test_what_it_copies_is_enough_for_the_package(steps: list[dict[str, str]], tmp_path: Path) -> None:
    for value in of(steps, "COPY"):
        *sources, target = shlex.split(value)
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, tmp_path / target)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {"vlm_inspect/weights/dapo_mini.safetensors", "vlm_inspect/configs/winclip.yaml"} <= names
    assert any(name.startswith("vlm_inspect/prompts/") for name in names)


def test_its_command_is_one_of_the_program(
    steps: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(of(steps, "ENTRYPOINT")[0]) == ["vlm-inspect"]
    settings_in(tmp_path)
    words = json.loads(of(steps, "CMD")[0])
    words[words.index("--rules") + 1] = str(tmp_path / "rules")
    words[words.index("--data") + 1] = str(tmp_path / "data")
    served: list[Any] = []

    def listen(app: Any, options: dict[str, Any]) -> int:
        served.append((app, options))
        return 0

    monkeypatch.setattr(serve_command, "_listen", listen)
    monkeypatch.setenv(STORE, str(tmp_path / "cases.db"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 2, "beyond this machine it takes a token"
    (tmp_path / "token").write_text("a token that is long enough\n")
    monkeypatch.setenv(f"{ENVIRONMENT}{FILE}", str(tmp_path / "token"))
    done = CliRunner().invoke(cli, [*words, "--allow-host", "inspect.example"], catch_exceptions=False)
    assert done.exit_code == 0
    ((app, options),) = served
    assert options["port"] == int(of(steps, "EXPOSE")[0])
    assert app.state.station.books.names() == ["plate"]
    asked = re.search(r"http://(127\.0\.0\.1:8000)(/\w+)", of(steps, "HEALTHCHECK")[0])
    assert asked is not None
    with listening(app) as address:  # the health check has a name of its own, whatever names are allowed
        assert httpx.get(address + asked[2], headers={"Host": asked[1]}).status_code == 200
        assert httpx.get(address + asked[2], headers={"Host": "inspect.example"}).status_code == 200
        assert httpx.get(address + asked[2], headers={"Host": "elsewhere.example"}).status_code == 403


def test_the_compose_file_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(told) == {"services", "secrets", "volumes"}
    service, database = told["services"]["inspect"], told["services"]["database"]
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    secrets = {f"{ENVIRONMENT}{FILE}", f"{PASSWORD_VARIABLE}{FILE}"}
    assert {STORE, FILES_ENVIRONMENT} | secrets == set(service["environment"])
    for one in (service, database):
        assert one["restart"] == "unless-stopped"
        for volume in one["volumes"]:
            name = volume.partition(":")[0]
            assert name.startswith("./") or name in told["volumes"], volume
    assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "a proxy with TLS stands before it"
    assert not database.get("ports")
    assert re.fullmatch(r".*/postgres:\d+-\w+", database["image"])
    assert service["depends_on"]["database"]["condition"] == "service_healthy"
    (tmp_path / "password").write_text("pass/word\n")
    monkeypatch.setenv(f"{PASSWORD_VARIABLE}{FILE}", str(tmp_path / "password"))
    place = find_store(service["environment"][STORE])
    assert (place.url.username, place.url.password, place.url.database) == (
        database["environment"]["POSTGRES_USER"],
        "pass/word",
        database["environment"]["POSTGRES_DB"],
    )
    assert "pass/word" not in str(place)
    assert place.url.host in told["services"]
    for one in (service, database):  # nothing secret is written down: each has files of its own
        given = {f"/run/secrets/{name}" for name in one["secrets"]}
        assert set(one["secrets"]) <= set(told["secrets"])
        for name, value in one["environment"].items():
            if re.search("PASSWORD|TOKEN", name):
                assert name.endswith(FILE)
                assert value in given
    for secret in told["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    for ignored in (".gitignore", ".containerignore"):
        assert any(line.strip("/") == "secrets" for line in (ROOT / ignored).read_text().splitlines()), ignored


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "holds no secret"), (b"\xff", "no text in UTF-8"), (None, "cannot be read")]
)
def test_a_secret_s_file_that_holds_none(
    content: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        secret_value("A_SECRET")
    (tmp_path / "secret").write_text("a secret\r\n")
    assert secret_value("A_SECRET") == "a secret"
    monkeypatch.setenv("A_SECRET", "another")
    with pytest.raises(ConfigError, match="both set"):
        secret_value("A_SECRET")


def test_the_options_it_names_exist(steps: list[dict[str, str]]) -> None:
    words = json.loads(of(steps, "CMD")[-1])
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known

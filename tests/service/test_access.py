"""Who may do what: tokens, roles, sessions, origins, hosts, rates; and the trail of changes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.service.conftest import Starter, part, settings_in
from vlm_inspect.cli import cli
from vlm_inspect.errors import ConfigError
from vlm_inspect.service.audit import AuditTrail
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.rates import Rates
from vlm_inspect.service.settings import Limits
from vlm_inspect.service.tokens import Tokens, entry_line

OPERATOR, ENGINEER = "an operator's token", "an engineer's token"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    path = tmp_path / "tokens.txt"
    lines = [entry_line("line-3", "operator", OPERATOR), entry_line("anna", "engineer", ENGINEER)]
    path.write_text("\n".join(["# who", *lines, ""]))
    return Tokens(path)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_nobody_without_a_token_gets_more_than_health(start: Starter, tokens: Tokens) -> None:
    client = start(tokens=tokens)
    described = client.get("/openapi.json").json()["paths"]
    free = {("/healthz", "get"), ("/readyz", "get"), ("/v1/session", "post")}
    filled = {"{number}": "0", "{layer}": "heat", "{case_id}": "1", "{name}": "plate"}
    asked = [(path, method) for path, methods in described.items() for method in methods if (path, method) not in free]
    for path, method in asked:
        url = path
        for name, value in filled.items():
            url = url.replace(name, value)
        answer = client.request(method, url, json={} if method in ("post", "put") else None)
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/inspections", headers=bearer("wrong")).status_code == 401
    assert client.get("/v1/inspections", headers=bearer(OPERATOR)).status_code == 200


def test_roles(start: Starter, tokens: Tokens) -> None:
    client = start(tokens=tokens)
    case = client.post("/v1/inspections", files=part(250), headers=bearer(OPERATOR)).json()["id"]
    judged = client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "NG"}, headers=bearer(OPERATOR))
    assert (judged.status_code, judged.json()["by"]) == (201, "line-3")
    for method, url, body in (
        ("PUT", "/v1/rules/plate", {"text": "class_name: x"}),
        ("PUT", "/v1/calibrations/plate", {"text": "{}"}),
        ("GET", "/v1/audit", None),
        ("POST", f"/v1/inspections/{case}/corrections/1", {"accepted": True}),
    ):
        assert client.request(method, url, json=body, headers=bearer(OPERATOR)).status_code == 403, url
    entries = client.get("/v1/audit", headers=bearer(ENGINEER)).json()["entries"]
    assert [(one["who"], one["what"]) for one in entries] == [("line-3", "judgement")]


def test_who_is_taken_out_of_the_file_is_out_at_once(start: Starter, tokens: Tokens, tmp_path: Path) -> None:
    client = start(tokens=tokens)
    client.post("/v1/session", json={"token": OPERATOR})
    assert client.get("/v1/session").json()["name"] == "line-3"
    (tmp_path / "tokens.txt").write_text(entry_line("anna", "engineer", ENGINEER) + "\n")
    assert client.get("/v1/session").status_code == 401
    assert client.get("/v1/session", headers=bearer(OPERATOR)).status_code == 401
    assert client.get("/v1/session", headers=bearer(ENGINEER)).status_code == 200


def test_a_session_changes_nothing_without_its_proof(start: Starter, tokens: Tokens) -> None:
    client = start(tokens=tokens)
    assert client.post("/v1/session", json={"token": "wrong"}).status_code == 401
    cookie = client.post("/v1/session", json={"token": ENGINEER}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.post("/v1/inspections", files=part()).status_code == 403
    assert client.post("/v1/inspections", files=part(), headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    proof = {"X-CSRF-Token": client.get("/v1/session").json()["proof"]}
    assert client.post("/v1/inspections", files=part(), headers=proof).status_code == 200
    forged = client.cookies["vlm_inspect_session"].strip('"').replace("anna", "line-3")
    client.cookies.clear()
    assert client.get("/v1/session", headers={"Cookie": f"vlm_inspect_session={forged}"}).status_code == 401


@pytest.mark.parametrize("cookie", ["", "|", "anna|9|x", "anna|99999999999|", "anna|" + "9" * 400 + "|x", "ü|1|1"])
def test_cookies_of_any_kind_are_nobody_s(start: Starter, tokens: Tokens, cookie: str) -> None:
    sent = {"Cookie": f"vlm_inspect_session={cookie}".encode()}
    assert start(tokens=tokens).get("/v1/session", headers=sent).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "elsewhere.example"}, 403),
        ({"Host": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_no_other_site_changes_anything(start: Starter, headers: dict[str, str], status: int) -> None:
    client = start()
    assert client.post("/v1/inspections", files=part(), headers=headers).status_code == status
    own = f"http://{client.base_url.netloc.decode()}"
    assert client.post("/v1/inspections", files=part(), headers={"Origin": own}).status_code == 200


def test_every_answer_has_the_headers_of_security(start: Starter) -> None:
    client = start()
    for url in ("/healthz", "/v1/inspections/1", "/nothing", "/v1/rules"):
        headers = client.get(url).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_a_token_has_a_rate(start: Starter, tokens: Tokens, tmp_path: Path) -> None:
    client = start(tokens=tokens, settings=settings_in(tmp_path, limits=Limits(requests_per_minute=20)))
    answers = [client.get("/v1/rules", headers=bearer(OPERATOR)) for _ in range(7)]
    assert [answer.status_code for answer in answers].count(429) >= 1
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.get("/v1/rules", headers=bearer(ENGINEER)).status_code == 200


def test_wrong_tokens_are_guessed_slowly(start: Starter, tokens: Tokens) -> None:
    client = start(tokens=tokens)
    assert [client.get("/v1/rules", headers=bearer(f"guess {n}")).status_code for n in range(8)][-1] == 429
    assert client.get("/v1/rules", headers=bearer(OPERATOR)).status_code == 200


def test_rates_fill_again() -> None:
    rates = Rates(60_000)
    assert rates.wait_s("a") == 0.0
    assert Rates(1).wait_s("b") == 0.0
    slow = Rates(1)
    assert [slow.wait_s("c") > 0 for _ in range(6)] == [False] * 5 + [True]
    assert 55 < slow.wait_s("c") <= 60


def test_a_service_that_others_reach_takes_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLM_INSPECT_TOKEN", raising=False)
    settings_in(tmp_path)
    for arguments in (["--host", "0.0.0.0"], ["--allow-host", "inspect.example"]):
        command = ["serve", "--rules", str(tmp_path / "rules"), "--data", str(tmp_path / "data"), *arguments]
        told = CliRunner().invoke(cli, command)
        assert told.exit_code == 2
        assert "--tokens" in told.output
    monkeypatch.setenv("VLM_INSPECT_TOKEN", "short")
    assert isinstance(CliRunner().invoke(cli, command).exception, ConfigError)


def test_tokens_are_made_and_only_their_digest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    told = CliRunner().invoke(cli, ["token", "anna", "--role", "engineer", "--tokens", str(path)])
    token = told.output.strip()
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    entry = Tokens(path).who(token)
    assert entry is not None
    assert (entry.person.name, entry.person.role) == ("anna", "engineer")
    assert Tokens(path).who(token + "x") is None


@pytest.mark.parametrize("text", ["", "# nobody\n", "anna engineer secret\n", "anna boss " + "0" * 64])
def test_files_of_tokens_that_say_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        Tokens(path)
    assert "secret" not in str(error.value)


def test_the_chain_of_the_audit_shows_every_edit(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = AuditTrail(path)
    for number in range(4):
        trail.note("anna", "judgement", f"case {number}", before=None, after={"outcome": "NG", "reason": "ü"})
    assert trail.first_break() is None
    assert AuditTrail(path).head == trail.head
    lines = path.read_text(encoding="utf-8").splitlines()
    edits = {
        "a word": ([lines[0], lines[1].replace("NG", "OK"), *lines[2:]], 2),
        "a line out": ([lines[0], *lines[2:]], 2),
        "two swapped": ([lines[0], lines[2], lines[1], lines[3]], 2),
        "no JSON": ([*lines[:3], "{"], 4),
        "a field more": ([json.dumps({**json.loads(lines[0]), "x": 1}), *lines[1:]], 1),
    }
    for what, (edited, line) in edits.items():
        path.write_text("\n".join(edited) + "\n", encoding="utf-8")
        assert AuditTrail(path).first_break() == line, what
    path.write_text("\n".join(lines[:3]) + "\n", encoding="utf-8")
    assert trail.first_break() == 4  # the end is known as long as the service runs


def test_a_torn_last_line_is_cut_off_and_a_failed_change_is_said(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditTrail(path).note("anna", "rules", "plate")
    with path.open("ab") as file:
        file.write(b'{"n": 2, "at": "2026')
    trail = AuditTrail(path)
    with pytest.raises(OSError, match="full"), trail.noted("anna", "rules", "plate", after="x"):
        raise OSError("full")
    assert trail.first_break() is None
    assert [entry["what"] for entry in trail.entries()] == ["rules", "rules", "rules failed"]


def test_messages_name_no_path() -> None:
    free = PathFree([Path("/srv/my rules"), Path("/")])
    assert free.message("/srv/my rules/screw.yaml, line 3: /opt/x/y.png is gone") == "screw.yaml, line 3: y.png is gone"
    assert (
        free.message("1/2 of /v1 and 3/4, km/h, http://a.example/b/c")
        == "1/2 of /v1 and 3/4, km/h, http://a.example/b/c"
    )
    assert free.text("see /opt/x/y") == "see /opt/x/y"

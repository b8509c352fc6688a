"""The page without a browser: languages, login, what is escaped, which files it sends, and its figures."""

import json
import re
from pathlib import Path

import httpx
import pytest
import yaml

from tests.service.conftest import Starter, part, settings_in
from vlm_inspect.page import error_page, router, routes
from vlm_inspect.page.review import disputed_cases, is_sampled, next_after, waiting_for
from vlm_inspect.page.trust import days_of, drift_of, held_up_of
from vlm_inspect.page.wording import languages, wording_for
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.tokens import Tokens, entry_line
from vlm_inspect.store import CaseLine, CaseStore

FOLDER = Path(__file__).parents[2] / "vlm_inspect" / "page"
TOKEN = "an engineer's token"


def with_page(start: Starter, **options: object) -> httpx.Client:
    return start(further=[router], error_page=error_page, **options)


def line(number: int, outcome: str = "OK", *, score: float = 0.1, day: int = 1, judged: str | None = None) -> CaseLine:
    return CaseLine(
        id=f"202603{day:02d}-000000-{number:04x}",
        created_at=f"2026-03-{day:02d}T10:00:00+00:00",
        source="a.png",
        class_name="plate",
        outcome=outcome,
        score=score,
        model="evidence",
        localizer="memory",
        question=None,
        turns=0,
        judged=judged,  # type: ignore[arg-type]  # a literal
    )


def test_every_word_is_there_in_every_language_and_used() -> None:
    words = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (FOLDER / "words").glob("*.yaml")}
    assert set(words) == {"en", "de"}
    assert set(words["en"]) == set(words["de"])
    for key, text in words["en"].items():
        fields = set(re.findall(r"\{(\w+)\}", text))
        assert fields == set(re.findall(r"\{(\w+)\}", words["de"][key])), key
    source = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*") if path.suffix in (".j2", ".py"))
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (FOLDER / "static").glob("*.js"))
    dynamic = {"OK", "NG", "REVIEW", "pass", "fail", "cannot_tell", "not_checked", "critical", "major", "minor"}
    for key in words["en"]:
        end = key.partition("_")[2]
        is_used = f"'{key}'" in source or f'"{key}"' in source or key in dynamic
        of_a_script = key.startswith(("error_", "time_")) and f".{end}" in scripts
        of_a_script |= key.startswith("state_")
        assert is_used or of_a_script or key.startswith(("meaning_", "source_", "phase_", "became_")), (
            f"nobody uses {key}"
        )


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.5", "de"),
        (None, "fr,en;q=0.5,de;q=0.4", "en"),
        ("de", "en", "de"),
        ("xx", "de;q=x, de;q=0.1", "de"),
        (None, ";;;,q=", "en"),
    ],
)
def test_the_language_of_a_reader(chosen: str | None, accepted: str, language: str) -> None:
    assert wording_for(chosen, accepted).language == language


def test_every_page_in_every_language(start: Starter, tmp_path: Path) -> None:
    client = with_page(start)
    case = client.post("/v1/inspections", files=part(250)).json()["id"]
    other = client.post("/v1/inspections", files=part(100)).json()["id"]
    for language in languages():
        assert client.get(f"/language/{language}", params={"to": "/cases"}).headers["location"] == "/cases"
        for url in ("/", "/cases", f"/cases/{case}", f"/compare?a={case}&b={other}", "/review", "/trust", "/login"):
            answer = client.get(url)
            assert answer.status_code == 200, (url, answer.text)
            assert f'<html lang="{language}">' in answer.text
            assert str(tmp_path) not in answer.text
            assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text)
            assert " style=" not in answer.text
            assert not re.search(r"<script(?! type=\"(?:module|application/json)\")", answer.text)
    assert client.get("/cases/20200101").status_code == 404


def test_a_german_page_is_german_where_the_program_speaks(start: Starter, tmp_path: Path) -> None:
    (settings_in(tmp_path).rules / "plate.yaml").write_text(
        "class_name: plate\nrules:\n"
        "  - {id: exposure, text: Not too bright., check: {measure: brightness, max: 90.5}}\n"
        "  - {id: clean, text: Nothing lies on it.}\n"
    )
    client = with_page(start)
    case = client.post("/v1/inspections", files=part(100)).json()
    german = client.get(f"/cases/{case['id']}", headers={"Accept-Language": "de"}).text
    english = client.get(f"/cases/{case['id']}").text
    for before, after in (
        ("No heatmap was made: only what the rules measure was looked at", "Ein Wärmebild wurde nicht gemacht"),
        ("Not read by a model", "Von keinem Modell gelesen"),
        ("image, 64 x 48 px", "Bild, 64 x 48 px"),
        ("&gt; 90.5", "&gt; 90,5"),
        (f"{case['score']:.2f}", f"{case['score']:.2f}".replace(".", ",")),
        ("uncalibrated: thresholds and weights are", "nicht kalibriert: Schwellen und Gewichte sind"),
    ):
        assert (before in english, before in german) == (True, False), before
        assert (after in english, after in german) == (False, True), after
    nowhere = client.get("/cases/20200101-000000-0000", headers={"Accept": "text/html", "Accept-Language": "de"})
    assert nowhere.status_code == 404


def test_what_is_foreign_is_escaped(start: Starter, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    evil = '"><script>alert(1)</script>'
    (tmp_path / "rules" / "plate.yaml").write_text(
        json.dumps({"class_name": evil, "rules": [{"id": "x", "text": evil}], "defects": [evil]})
    )
    client = with_page(start, settings=settings)
    files = {"file": ("<img src=x onerror=alert(1)>.png", part()["file"][1])}
    case = client.post("/v1/inspections", files=files, data={"serial": evil, "question": evil}).json()["id"]
    client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "NG", "reason": evil})
    for url in ("/", "/cases", f"/cases/{case}", f"/cases?text={evil}", "/review", "/trust", f"/login?to=/{evil}"):
        text = client.get(url).text
        assert "<script>alert" not in text, url
        assert "<img src=x" not in text, url


def test_a_page_asks_for_a_token_and_comes_back(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text(entry_line("anna", "engineer", TOKEN) + "\n")
    client = with_page(start, tokens=Tokens(tmp_path / "tokens.txt"))
    assert client.get("/cases?outcome=NG").headers["location"] == "/login?to=%2Fcases%3Foutcome%3DNG"
    assert client.get("/cases.csv").status_code == 401
    assert 'data-to="/cases"' in client.get("/login?to=/cases").text
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        assert 'data-to="/"' in client.get("/login", params={"to": elsewhere}).text
        assert client.get("/language/de", params={"to": elsewhere}).headers["location"] == "/"
    client.post("/v1/session", json={"token": TOKEN})
    assert re.search(r'name="proof" content="[0-9a-f]{64}"', client.get("/cases").text)


def test_only_its_own_files_are_sent(start: Starter) -> None:
    client = with_page(start)
    assert client.get("/static/page.js").headers["content-type"].startswith("text/javascript")
    for path in ("../routes.py", "..%2froutes.py", "vendor", "", "page.js/", "nothing.js", ".hidden.js", "..\\x.js"):
        assert client.get(f"/static/{path}").status_code == 404, path


def test_the_gallery_filters_and_exports(start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_EXPORTED_AT_ONCE", 1)
    client = with_page(start)
    for level, serial in ((100, "good-1"), (250, "bad-1")):
        client.post("/v1/inspections", files=part(level), data={"serial": serial})
    found = client.get("/cases?outcome=NG").text
    assert "bad-1" in found
    assert "good-1" not in found
    table = client.get("/cases.csv?outcome=NG")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.count("\n") == 2
    assert client.get("/cases.csv").text.count("\n") == 3, "every case, however many pages"
    assert str(tmp_path) not in table.text
    assert client.get("/cases?outcome=x").status_code == 422
    assert client.get("/cases?since=2026-03-14&until=&class=&serial=").status_code == 200


def test_review_offers_what_this_person_has_not_judged(start: Starter, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "rules" / "plate.yaml").write_text("class_name: plate\n")  # nothing decides: REVIEW
    client = with_page(start, settings=settings)
    cases = [client.post("/v1/inspections", files=part(seed=seed)).json() for seed in range(2)]
    assert {case["outcome"] for case in cases} == {"REVIEW"}
    page = client.get("/review")
    assert f'data-case="{cases[1]["id"]}"' in page.text
    blind = client.get("/review?blind=true").text
    assert 'class="banner' not in blind
    later = client.get("/review", params={"passed": cases[1]["id"]}).text
    assert f'data-case="{cases[0]["id"]}"' in later
    client.post(f"/v1/inspections/{cases[1]['id']}/judgement", json={"outcome": "OK"})
    with CaseStore(tmp_path / "cases.db") as store:
        assert [one.id for one in waiting_for(store, "local")] == [cases[0]["id"]]
        assert len(waiting_for(store, "another inspector")) == 2


def test_parts_on_which_people_differ_are_listed_for_those_who_judged_them(start: Starter, tmp_path: Path) -> None:
    client = with_page(start)
    cases = [client.post("/v1/inspections", files=part(seed=seed)).json()["id"] for seed in range(2)]
    with CaseStore(tmp_path / "cases.db") as store:
        for case, outcomes in zip(cases, ("OK NG OK", "OK OK OK"), strict=True):
            for name, outcome in zip(("anna", "bob", "anna"), outcomes.split(), strict=True):
                store.judge(case, outcome, by=name, reason="seen")
        (one,) = disputed_cases(store, "bob")
        assert (one.line.id, [(said.by, said.outcome) for said in one.said]) == (
            cases[0],
            [("anna", "OK"), ("bob", "NG")],
        )
        assert disputed_cases(store, "carl") == [], "who has not judged sees nothing of what others said"
        assert disputed_cases(store, None) == [one]
    assert "Judged differently" in client.get("/review").text
    assert "Judged differently" not in client.get("/review?blind=true").text


def test_a_part_that_failed_is_shown_and_tried_again(start: Starter) -> None:
    client = with_page(start)
    answer = client.post("/v1/inspections", files={"file": ("no.png", b"no picture", "image/png")})
    failed = answer.json()["id"]
    page = client.get("/").text
    assert "Parts that could not be inspected" in page
    assert f'data-part="{failed}"' in page
    assert "no.png" in page
    waiting = client.get(f"/cases/{failed}")
    assert f'data-part="{failed}"' in waiting.text
    assert client.post(f"/v1/inspections/{failed}/retry").status_code == 202


def test_an_error_is_a_page_for_people_and_json_for_programs(start: Starter) -> None:
    client = with_page(start)
    people = {"Accept": "text/html,*/*", "Accept-Language": "de"}
    for url, status in (("/cases/20200101-000000-0000", 404), ("/nowhere", 404), ("/cases?page=0", 422)):
        answer = client.get(url, headers=people)
        assert answer.status_code == status, url
        assert answer.headers["content-type"].startswith("text/html")
        assert '<html lang="de">' in answer.text
        assert "error" in client.get(url).json()
    assert "error" in client.get("/v1/inspections/20200101-000000-0000", headers=people).json()


def test_the_page_says_again_what_the_api_says(start: Starter) -> None:
    client = with_page(start)
    refused = client.post("/v1/inspections", data={"rules": "plate"}, files={"file": ("a.png", b"")}).json()["error"]
    assert refused == "file is empty"
    for language, told in (("de", "die Datei ist leer"), ("en", "file is empty")):
        assert client.get("/said", params={"text": refused}, headers={"Accept-Language": language}).json() == {
            "said": told
        }
    assert client.get("/said", params={"text": "x" * 2001}).status_code == 422


def test_callers_get_no_advice_for_a_command_line(start: Starter) -> None:
    client = start(further=[router], error_page=error_page)
    for headers in ({"Accept": "text/html"}, {"Accept": "application/json"}):
        for address in ("/cases/20200101-000000-0000", "/v1/inspections/20200101-000000-0000/messages"):
            answer = client.get(address, headers=headers)
            assert answer.status_code == 404
            assert "no case 20200101-000000-0000" in answer.text
            assert "vlm-inspect " not in answer.text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no case x; vlm-inspect cases lists them", "no case x"),
        ("/srv/a/x.png: cannot be read; check the file, or name its kind with --as", "x.png: cannot be read"),
        ("it was not kept; inspect with --keep-input", "it was not kept"),
        ("run vlm-inspect calibrate again", "run vlm-inspect calibrate again"),
        ("a -- b; c--d", "a -- b; c--d"),
    ],
)
def test_a_message_keeps_what_is_of_use(said: str, told: str) -> None:
    assert PathFree([]).message(said) == told


def test_a_tenth_of_ok_parts_is_sampled_and_always_the_same() -> None:
    chosen = [is_sampled(f"{number:08d}") for number in range(4000)]
    assert 320 < sum(chosen) < 480
    assert chosen == [is_sampled(f"{number:08d}") for number in range(4000)]
    assert next_after([line(1), line(2)], [line(1).id]) == line(2)
    assert next_after([], []) is None


def test_the_p_chart_has_the_limits_of_its_day() -> None:
    lines = [line(n, "REVIEW" if n < 2 else "OK", day=1) for n in range(20)]
    lines += [line(n, "REVIEW" if n < 12 else "NG", day=2) for n in range(20)]
    first, second = days_of(lines)
    mean = 14 / 40
    assert first.count == 20
    assert (second.ng, second.review) == (8, 12)
    assert first.high == pytest.approx(mean + 3 * (mean * (1 - mean) / 20) ** 0.5)
    assert [day.is_out for day in days_of([*lines, *[line(n, "REVIEW", day=3) for n in range(40)]])] == [
        True,
        False,
        True,
    ]
    assert days_of([]) == []


def test_a_calibration_that_holds_up_too_many_normal_parts_is_told() -> None:
    sampled = [n for n in range(4000) if is_sampled(line(n).id)]
    judged = [line(n, score=0.5 if k % 20 == 0 else 0.1, judged="OK") for k, n in enumerate(sampled[:60])]
    told = held_up_of(judged, 0.4, 0.05)
    assert told is not None
    assert (told.count, told.n, told.is_too_many) == (3, 50, False)
    moved = held_up_of([line(n, "REVIEW", score=0.5, judged="OK") for n in sampled[60:72]] + judged, 0.4, 0.05)
    assert moved is not None
    assert moved.is_too_many
    others = [line(n, "REVIEW", score=0.5, judged="OK") for n in range(400) if n not in sampled]
    assert held_up_of(others + judged, 0.4, 0.05) == told, (
        "people see every part that is held up, but a tenth of others"
    )
    assert held_up_of([line(n, score=0.5) for n in sampled], 0.4, 0.05) is None, "nobody said that they are normal"


def test_drift_of_normal_parts_is_told_from_chance() -> None:
    still = [line(n, score=0.1 + 0.001 * (n * 7 % 13)) for n in range(120)]
    told = drift_of(still)
    assert told is not None
    assert not told.is_one
    moved = [line(n, score=0.2 + 0.001 * (n * 7 % 13)) for n in range(50)] + still
    found = drift_of(moved)
    assert found is not None
    assert found.is_one
    assert found.now > found.before
    anomalous = [line(n, "NG", score=0.9) for n in range(50)]
    assert drift_of([*anomalous, *still]) == told
    assert drift_of(still[:30]) is None
    same = drift_of([line(n) for n in range(100)])
    assert same is not None
    assert not same.is_one

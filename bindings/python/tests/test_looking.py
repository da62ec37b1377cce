"""Searching, getting and comparing, and what the program `mynah` sees."""

import json
import subprocess

import pytest

import mynah


@pytest.fixture
def three():
    runs = []
    for number, (loss, experiment) in enumerate([(0.3, "a"), (0.1, "a"), (0.2, "b")]):
        with mynah.runs.start(experiment=experiment, name=f"run {number}", params={"n": number}) as run:
            run.log({"loss": loss}, step=0)
        runs.append(run)
    return runs


def test_search(three):
    def names(*arguments, **options):
        return [record.name for record in mynah.runs.search(*arguments, **options)]

    assert names(order_by="metrics.loss") == ["run 1", "run 2", "run 0"]
    assert names("metrics.loss < 0.25", order_by=["metrics.loss DESC"]) == ["run 2", "run 1"]
    assert names("params.n = '2'") == ["run 2"]
    assert sorted(names(experiment="a")) == ["run 0", "run 1"]
    assert len(names(experiment=["a", "b"])) == 3
    assert names(order_by="metrics.loss", limit=1) == ["run 1"] and names(limit=0) == []
    assert names(view="deleted") == []
    for filter in ("metrics.loss <", "nonsense = 1", "'; DROP TABLE runs", "metrics.loss < 1; DELETE FROM runs"):
        with pytest.raises(ValueError):
            mynah.runs.search(filter)
    for options in ({"experiment": "absent"}, {"view": "odd"}, {"limit": -1}, {"order_by": "loss; DROP"}):
        with pytest.raises((ValueError, LookupError)):
            mynah.runs.search(**options)
    flat = mynah.runs.search("params.n = '2'")[0].to_dict()
    assert flat["metrics.loss"] == 0.2 and flat["params.n"] == "2" and flat["status"] == "FINISHED"


def test_get_by_id_prefix_and_name(three):
    assert mynah.runs.get(three[0].id[:10]).id == three[0].id
    assert mynah.runs.get("run 1").id == three[1].id
    for absent in ("", "no such", "0" * 32, "a'b\"c"):
        with pytest.raises(LookupError):
            mynah.runs.get(absent)
    with mynah.runs.start(name="run 1"):
        with pytest.raises(ValueError, match="more than one"):
            mynah.runs.get("run 1")


def test_compare(three):
    answers = mynah.runs.compare(three, metrics=["loss:min"])
    assert [answer["id"] for answer in answers] == [run.id for run in three]
    [delta] = answers[1]["deltas"]
    assert (delta["verdict"], delta["value"], delta["baseline"]) == ("better", 0.1, 0.3)
    assert answers[1]["params"] == [{"key": "n", "from": "0", "to": "1"}]
    assert [answer["is_on_front"] for answer in answers] == [False, True, False]
    [delta] = mynah.runs.compare([three[0].id], baseline=three[1])[0]["deltas"]
    assert delta["verdict"] == "undirected"
    with pytest.raises(ValueError, match="which way"):
        mynah.runs.compare(three, metrics=["loss"])
    with pytest.raises(LookupError):
        mynah.runs.compare(["absent"])


def test_many_runs_are_all_found():
    for number in range(120):
        mynah.runs.start(experiment="many", name=f"{number}").end()
    assert len(mynah.runs.search(experiment="many")) == 120


def test_the_program_sees_what_python_wrote(mynah_program, tmp_path):
    with mynah.runs.start(experiment="from python", name="seen", params={"rate": 0.1}) as run:
        for step in range(3):
            run.log({"loss": 1 / (step + 1), "odd": float("nan")}, step=step)
        (tmp_path / "note.txt").write_text("kept")
        run.log_artifact(tmp_path / "note.txt")

    def ask(*arguments):
        done = subprocess.run([mynah_program, "runs", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "seen" in ask("list")
    listed = json.loads(ask("list", "--json"))
    assert run.id in json.dumps(listed)
    shown = ask("show", run.id, "--json")
    assert "note.txt" in shown and "from python" in ask("list", "--json") + shown
    assert ask("validate", run.id)
    assert ask("audit", "verify")


def test_looking_works_while_a_run_records(three):
    with mynah.runs.start(name="live") as run:
        run.log({"loss": 0.01}, step=0)
        run.flush()
        assert mynah.runs.search("metrics.loss < 0.05")[0].status == "RUNNING"
    assert mynah.runs.search("metrics.loss < 0.05")[0].status == "FINISHED"

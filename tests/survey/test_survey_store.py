import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.survey.questions import Sheet
from deepobfuscator.survey.store import Store
from deepobfuscator.survey.study import study, to_csv


@pytest.fixture
def sheet(make_sheet: Callable[..., Sheet]) -> Sheet:
    return make_sheet()


@pytest.fixture
def store(sheet: Sheet, tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "s.sqlite", sheet)
    yield store
    store.close()


def join(store: Store) -> str:
    me = store.participant(store.begin())
    assert me
    return me.id


def test_the_first_answer_stays_and_the_last_one_finishes(store: Store) -> None:
    cookie = store.begin()
    me = store.participant(cookie)
    assert me
    store.answer(me.id, 0, 2, 1.5)
    store.answer(me.id, 0, 3, 9.0)
    for q in range(1, 6):
        now = store.participant(cookie)
        assert now
        assert (now.answered, now.finished) == (frozenset(range(q)), False)
        store.answer(me.id, q, 1, 1.0)
    now = store.participant(cookie)
    assert now
    assert now.finished
    assert [(a.choice, a.seconds, a.counts) for a in store.answers()][:2] == [
        (2, 1.5, True), (1, 1.0, True),
    ]  # fmt: skip


def test_nobody_answers_for_nobody(store: Store) -> None:
    assert store.participant("made up") is None
    store.answer("made up", 0, 0, 1.0)
    assert store.answers() == []


def test_the_same_answers_sent_by_many_at_once_are_kept_once(store: Store) -> None:
    people = [join(store) for _ in range(20)]
    jobs = [(p, q, c) for p in people for q in range(6) for c in range(4)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda job: store.answer(*job, 1.0), jobs))
    assert len(store.answers()) == 120
    assert all(answer.counts for answer in store.answers())


def test_a_study_goes_on_after_a_restart(sheet: Sheet, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    first = Store(path, sheet)
    cookie = first.begin()
    before = first.participant(cookie)
    assert before
    first.answer(before.id, 3, 1, 2.0)
    again = Store(path, sheet)  # as after a kill: the first was never closed
    after = again.participant(cookie)
    assert after
    assert after.answered == {3}
    assert again.order(after.id) == first.order(before.id)
    assert again.mark("token") == first.mark("token")
    first.close()
    again.close()


def test_the_cookie_is_not_in_the_file(store: Store, tmp_path: Path) -> None:
    cookie = store.begin()
    store.close()
    held = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert cookie.encode() not in held


def test_a_database_of_another_sheet_or_of_something_else_is_refused(
    store: Store, make_sheet: Callable[..., Sheet], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"s\.sqlite holds the answers to another sheet"):
        Store(tmp_path / "s.sqlite", make_sheet(seed=1))
    (tmp_path / "text").write_bytes(b"no database, just text" * 100)
    (tmp_path / "folder").mkdir()
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE t (a)")
    other.close()
    for name in ("text", "folder", "other", "text/below"):
        with pytest.raises(InputError, match=f"^cannot keep answers in .*{name}: ") as caught:
            Store(tmp_path / name, make_sheet())
        assert "\n" not in str(caught.value)


def test_orders_are_evenly_mixed(store: Store) -> None:
    people = [join(store) for _ in range(600)]
    first = np.bincount([store.order(p)[0] for p in people], minlength=6)
    slot = np.bincount([store.options(p, 2).index(1) for p in people], minlength=4)
    assert ((first > 60) & (first < 140)).all()  # 100 +- 9
    assert ((slot > 110) & (slot < 190)).all()  # 150 +- 11
    assert sorted(store.order(people[0])) == list(range(6))
    assert sorted(store.options(people[0], 0)) == [0, 1, 2, 3]


def test_figures_count_complete_sheets_of_people_and_machines_apart(
    store: Store, sheet: Sheet
) -> None:
    empty = study(sheet, store)
    assert (empty.started, empty.finished, empty.everybody) == (0, 0, None)
    store.put_machine("oracle", [int(a) for a in sheet.answer])
    store.put_machine("oracle", [int(a) for a in sheet.answer])
    store.put_machine("wrong", [int(a + 1) % 4 for a in sheet.answer])
    for right in (6, 3, 3):
        me = join(store)
        for q in range(6):
            store.answer(me, q, int(sheet.answer[q] + (q >= right)) % 4, 2.0 + q)
    half = join(store)
    store.answer(half, 0, int(sheet.answer[0]), 1.0)
    found = study(sheet, store)
    assert (found.started, found.finished) == (4, 3)
    assert found.everybody
    assert (found.everybody.people.right, found.everybody.people.answers) == (12, 18)
    # Questions 0, 2, 4 and 1, 3, 5: the first three are answered rightly by all.
    shares = {name: tally and tally.people.right for name, tally in found.defences.items()}
    assert shares == {"deepobfuscator": 3 + 3 + 1, "undefended": 3 + 1 + 1}
    assert [q.right and q.right.right for q in found.questions] == [3, 3, 3, 1, 1, 1]
    assert [q.seconds for q in found.questions] == [2, 3, 4, 5, 6, 7]
    assert found.questions[4].votes[int(sheet.answer[4])] == 1
    assert {n: [r.share for r in m.values()] for n, m in found.machines.items()} == {
        "oracle": [1, 1], "wrong": [0, 0],
    }  # fmt: skip
    with pytest.raises(ValueError, match="not one option for each"):
        store.put_machine("short", [0, 1])

    header, *lines = to_csv(sheet, store).splitlines()
    assert header == "participant,question,defence,chosen,right,seconds,mode,finished"
    assert len(lines) == 19
    cells = [line.split(",") for line in lines]
    assert sum(int(cell[4]) for cell in cells if cell[7] == "1") == 12
    assert {cell[2] for cell in cells if int(cell[1]) % 2} == {"deepobfuscator"}


def test_who_withdraws_leaves_nothing(store: Store, sheet: Sheet) -> None:
    me, other = join(store), join(store)
    for who in (me, other):
        store.answer(who, 0, 0, 1.0)
    store.forget(me)
    assert store.started() == 1
    store.answer(me, 1, 0, 1.0)
    assert [a.participant for a in store.answers()] == [other]


def test_a_defences_name_is_no_formula_in_the_csv(
    make_sheet: Callable[..., Sheet], tmp_path: Path
) -> None:
    sheet = make_sheet(defence=("=1+1",) * 6)
    store = Store(tmp_path / "s.sqlite", sheet)
    store.answer(join(store), 0, 0, 1.0)
    assert ",'=1+1," in to_csv(sheet, store)
    store.close()

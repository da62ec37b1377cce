"""Tests that pass, fail and are skipped, one of each kind; tests/testing.rs knows how each ends."""

import unittest

import pytest


@pytest.fixture
def number():
    return 41


@pytest.fixture
def closing(number):
    events = [number]
    yield events
    assert events == [41, "used"]


@pytest.fixture(params=["a", "b"])
def letter(request):
    return request.param


def test_passes(number):
    assert number + 1 == 42


def test_values_are_shown(number):
    assert number == 42, "the answer"


def test_lists_differ():
    assert [1, 2, 3] == [1, 5, 3]


def test_teardown(closing):
    closing.append("used")


def test_teardown_fails(closing):
    pass


@pytest.mark.parametrize("a, b, total", [(1, 2, 3), (2, 2, 5), pytest.param(0, 0, 0, id="zeros")])
def test_sum(a, b, total):
    assert a + b == total


def test_letters(letter):
    assert letter in "ab"


def test_raises():
    with pytest.raises(ZeroDivisionError, match="division") as caught:
        1 / 0
    assert caught.type is ZeroDivisionError


def test_did_not_raise():
    with pytest.raises(KeyError):
        pass


@pytest.mark.skip(reason="not today")
def test_skipped():
    assert False


@pytest.mark.xfail(reason="known")
def test_expected():
    assert False


def test_files(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello")
    assert path.read_text() == "hello"


def test_output(capsys):
    print("seen")
    assert capsys.readouterr().out == "seen\n"


def test_patch(monkeypatch):
    import math

    monkeypatch.setattr(math, "pi", 3)
    assert math.pi == 3


def test_near():
    assert 0.1 + 0.2 == pytest.approx(0.3)
    assert [1.0, 2.0] != pytest.approx([1.0, 2.1])


def test_unknown_fixture(nowhere):
    pass


def test_prints_and_fails():
    print("before the end")
    raise ValueError("gone wrong")


def test_endless():
    while True:
        pass


class TestClass:
    def setup_method(self):
        self.items = [1]

    def test_method(self, number):
        self.items.append(number)
        assert self.items == [1, 41]

    def test_fresh(self):
        assert self.items == [1]


class Case(unittest.TestCase):
    def setUp(self):
        self.value = 7

    def test_equal(self):
        self.assertEqual(self.value, 7)

    def test_not_equal(self):
        self.assertEqual(self.value, 8)

    @unittest.skip("later")
    def test_left_out(self):
        pass

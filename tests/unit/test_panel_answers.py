"""Answers of services: fetched once for all viewers, again after an event, and never waited for longer than allowed."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyrotorque.errors import ServiceUnreachable
from pyrotorque_panel import answer_cache
from pyrotorque_panel.answer_cache import AnswerCache
from tests.waiting import bound, eventually


class Service:
    """Counts its answers; `opened` lets it answer."""

    def __init__(self) -> None:
        self.count = 0
        self.opened = threading.Event()
        self.opened.set()

    def __call__(self) -> int:
        self.count += 1
        number = self.count
        self.opened.wait(bound(20))
        return number


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> AnswerCache:
    monkeypatch.setattr(answer_cache, "_FRESH", 1000.0)
    monkeypatch.setattr(answer_cache, "_STALE", 1000.0)
    monkeypatch.setattr(answer_cache, "_SHARE", 0.0)
    return AnswerCache()


def test_many_viewers_share_one_answer(cache: AnswerCache) -> None:
    service = Service()
    service.opened.clear()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get, "queues", service) for _ in range(8)]
        eventually(lambda: service.count == 1)
        service.opened.set()
        assert [future.result(bound(20)) for future in futures] == [1] * 8
    assert cache.get("queues", service) == 1


def test_an_action_makes_the_next_viewer_ask_again_even_while_an_older_question_is_open(cache: AnswerCache) -> None:
    service = Service()
    service.opened.clear()
    assert cache.get_within("queues", service, 0.0) is None
    eventually(lambda: service.count == 1)
    cache.forget()
    service.opened.set()
    assert cache.get("queues", service) == 2
    assert cache.get("queues", service) == 2


def test_an_event_makes_answers_old(cache: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    monkeypatch.setattr(answer_cache, "_FRESH_EVENT", 0.0)
    assert cache.get("queues", service) == 1
    cache.forget_soon()
    eventually(lambda: cache.get("queues", service) > 1)


def test_a_slow_answer_is_shown_when_it_arrives_and_an_old_one_until_then(
    cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, ready = Service(), threading.Event()
    cache.ready = ready.set
    service.opened.clear()
    assert cache.get_within("queues", service, 0.01) is None
    service.opened.set()
    assert ready.wait(bound(20))
    assert cache.get_within("queues", service, 10.0) == 1
    monkeypatch.setattr(answer_cache, "_FRESH", -1.0)
    service.opened.clear()
    assert cache.get_within("queues", service, 0.01) == 1, "what was known"
    service.opened.set()
    eventually(lambda: cache.get_within("queues", service, 10.0) == 2)


def test_expensive_answers_are_fetched_less_often(cache: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "_FRESH", 0.0)
    service = Service()
    assert [cache.get("queues", service, 1e12) for _ in range(5)] == [1] * 5


@pytest.mark.parametrize("error", [ServiceUnreachable("away"), RuntimeError("bug")])
def test_an_error_reaches_each_caller_and_blocks_no_later_one(cache: AnswerCache, error: Exception) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        cache.get("queues", fail)
    cache.forget()
    assert cache.get("queues", Service()) == 1

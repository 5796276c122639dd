"""Tests of the cache of base states: copies, locks and the removal of old states."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from liftlock.errors import SettingsError
from liftlock.shadow.state_cache import StateCache, _locked


def store(cache: StateCache, key: str, source: Path, *, age: int = 0) -> None:
    """Store a state of some age, in seconds."""
    source.mkdir(exist_ok=True)
    (source / "name").write_text(key)
    cache.store(key, source)
    state = cache.folder / key
    used = state.stat().st_mtime - age
    os.utime(state, (used, used))


@pytest.fixture
def cache(tmp_path: Path) -> StateCache:
    """An empty cache."""
    cache = StateCache(tmp_path / "cache")
    cache.prepare()
    return cache


def test_stored_state_is_copied(cache: StateCache, tmp_path: Path) -> None:
    """The copy hasn't the mark of a complete state."""
    store(cache, "a", tmp_path / "source")
    assert cache.copy("a", tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["name"]


def test_missing_and_incomplete_states_are_not_copied(cache: StateCache, tmp_path: Path) -> None:
    """A state is complete when it has its mark."""
    (cache.folder / "half").mkdir()
    assert not cache.copy("half", tmp_path / "copy")
    assert not cache.copy("nothing", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_latest_state_of_a_chain_is_copied(cache: StateCache, tmp_path: Path) -> None:
    """Its number says where the revisions go on."""
    for key in ("empty", "r1"):
        store(cache, key, tmp_path / "source")
    assert cache.copy_latest(["empty", "r1", "r2"], tmp_path / "copy") == 1
    assert (tmp_path / "copy" / "name").read_text() == "r1"
    assert cache.copy_latest(["x", "y"], tmp_path / "other") == -1


def test_states_unused_for_the_longest_time_are_removed(cache: StateCache, tmp_path: Path) -> None:
    """Four are kept, the new one among them."""
    for age, key in enumerate("abcd"):
        store(cache, key, tmp_path / "source", age=age * 100)
    store(cache, "e", tmp_path / "source")
    assert sorted(path.name for path in cache.folder.iterdir()) == ["a", "b", "c", "e"]


def test_state_that_is_being_copied_is_kept(cache: StateCache, tmp_path: Path) -> None:
    """Another process holds a shared lock on it."""
    for age, key in enumerate("abcd"):
        store(cache, key, tmp_path / "source", age=age * 100)
    with _locked(cache.folder / "d", fcntl.LOCK_SH) as locked:
        assert locked
        store(cache, "e", tmp_path / "source")
    assert (cache.folder / "d").exists()


def test_state_that_is_being_removed_is_not_copied(cache: StateCache, tmp_path: Path) -> None:
    """Another process holds an exclusive lock on it."""
    store(cache, "a", tmp_path / "source")
    with _locked(cache.folder / "a", fcntl.LOCK_EX) as locked:
        assert locked
        assert not cache.copy("a", tmp_path / "copy")


def test_state_stored_twice_is_kept_once(cache: StateCache, tmp_path: Path) -> None:
    """As when two processes build it at the same time."""
    store(cache, "a", tmp_path / "source")
    cache.store("a", tmp_path / "source")
    assert [path.name for path in cache.folder.iterdir()] == ["a"]


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The message names a variable for another one."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be made") as raised:
        StateCache(tmp_path / "file" / "cache").prepare()
    assert raised.value.code == "LL-CACHE-NOT-WRITABLE"
    assert "XDG_CACHE_HOME" in raised.value.now

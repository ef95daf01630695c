"""What a manager remembers is bounded in bytes."""

from tuning_service.manager.byte_cache import ByteCache


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    cache: ByteCache[str] = ByteCache(100)
    for name in ("a", "b", "c"):
        cache.put(name, name.upper(), 30)
    assert cache.get("a") == "A"
    cache.put("d", "D", 40)
    assert [cache.get(name) for name in ("a", "b", "c", "d")] == ["A", None, "C", "D"]
    assert cache.nbytes == 100


def test_a_value_put_again_counts_once_and_a_huge_one_not_at_all() -> None:
    cache: ByteCache[str] = ByteCache(100)
    cache.put("a", "A", 60)
    cache.put("a", "B", 70)
    cache.put("b", "huge", 101)
    assert (cache.get("a"), cache.get("b"), cache.nbytes) == ("B", None, 70)
    cache.forget(lambda key: key == "a")
    assert (cache.get("a"), cache.nbytes) == (None, 0)

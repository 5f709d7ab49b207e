"""Laws of operation ids: every id that is made from a position is turned back into it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from aws_durable_execution_sdk_python.identifier import OperationIdNamespace
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from durable_core.ids import (
    BLAKE2B,
    MD5,
    SCHEMES,
    SHA256,
    SHA256_AT_ROOT,
    SHA256_OF_PATH,
    IdScheme,
    Path,
    position_text,
)
from durable_core.positions import MOST_LEVELS, Placed, detect, locate, missing_parents, resolve
from durable_core.sdks import Sdk, sdks_of

every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)


@dataclass
class Node:
    """An operation; a batch has units, which are contexts (NESTED) or virtual (FLAT)."""

    kind: str
    number: int = 0
    children: list["Node"] = field(default_factory=list)


def numbered(children: list[tuple[int, Node]], first: int) -> list[Node]:
    """Give the children numbers that go up from `first`, each leaving its gap before it."""
    number = first - 1
    for gap, child in children:
        number += gap + 1
        child.number = number
    return [child for _, child in children]


GAPS = st.sampled_from([0, 0, 0, 0, 1, 2, 7])


def trees(scheme: IdScheme) -> st.SearchStrategy[list[Node]]:
    leaf = st.builds(lambda: Node("step"))

    def inner(below: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        members = st.lists(st.tuples(GAPS, below), min_size=1, max_size=4)
        context = members.map(lambda some: Node("context", 0, numbered(some, 1)))
        few_gaps = st.lists(st.tuples(st.integers(0, 1), below), min_size=1, max_size=4)
        virtual = few_gaps.map(lambda some: Node("virtual", 0, numbered(some, 1)))
        nested = st.lists(st.tuples(GAPS, context), min_size=1, max_size=3)
        flat = st.lists(st.tuples(GAPS, virtual), min_size=1, max_size=3)
        batch = (nested | flat).map(
            lambda units: Node("batch", 0, numbered(units, scheme.first_unit))
        )
        return context | virtual | batch

    node = st.recursive(leaf, inner, max_leaves=8)
    return st.lists(st.tuples(GAPS, node), min_size=1, max_size=4).map(
        lambda some: numbered(some, 1)
    )


def recorded(
    nodes: list[Node],
    scheme: IdScheme,
    path: Path = (),
    parent: str | None = None,
    virtual: int = 0,
) -> Iterator[tuple[str, Placed, Path]]:
    """Give each operation that is written: its id, its place and the position it was made from."""
    for node in nodes:
        at = (*path, node.number)
        if node.kind == "virtual":
            if virtual == 0 or (virtual == 1 and path[-1] <= 4):  # No SDK nests them deeper.
                yield from recorded(node.children, scheme, at, parent, virtual + 1)
            continue
        key = scheme.id_at(at)
        yield key, Placed(parent, node.kind == "batch"), at
        yield from recorded(node.children, scheme, at, key)


@every_scheme
@settings(max_examples=30)
@given(data=st.data())
def test_every_id_is_turned_back_into_its_position(scheme: IdScheme, data: st.DataObject) -> None:
    written = list(recorded(data.draw(trees(scheme)), scheme))
    placed = {key: place for key, place, _ in written}
    assert resolve(placed, scheme) == {key: path for key, _, path in written}


@every_scheme
@settings(max_examples=30)
@given(data=st.data())
def test_the_order_of_the_operations_tells_nothing(scheme: IdScheme, data: st.DataObject) -> None:
    written = list(recorded(data.draw(trees(scheme)), scheme))
    placed = {key: place for key, place, _ in data.draw(st.permutations(written))}
    assert resolve(placed, scheme) == {key: path for key, _, path in written}


@every_scheme
@settings(max_examples=30)
@given(data=st.data())
def test_a_parent_that_is_only_named_is_placed_and_so_is_what_is_in_it(
    scheme: IdScheme, data: st.DataObject
) -> None:
    written = list(recorded(data.draw(trees(scheme)), scheme))
    named = {place.parent_id for _, place, _ in written}
    depths = {key: len(path) for key, _, path in written}
    losable = [
        key
        for key, place, path in written
        if key in named and len(path) == depths.get(place.parent_id, 0) + 1
    ]
    assume(losable)
    lost = data.draw(st.sampled_from(losable))
    placed = {key: place for key, place, _ in written if key != lost}
    assert resolve(placed, scheme) == {key: path for key, _, path in written}


@every_scheme
@settings(max_examples=30)
@given(data=st.data())
def test_a_history_tells_the_scheme_of_its_ids(scheme: IdScheme, data: st.DataObject) -> None:
    written = list(recorded(data.draw(trees(scheme)), scheme))
    placed = {key: place for key, place, _ in written}
    told = SHA256_AT_ROOT if is_sha256(scheme) and all(len(p) == 1 for *_, p in written) else scheme
    assert detect(placed) is (told if placed else None)


def is_sha256(scheme: IdScheme) -> bool:
    return scheme in (SHA256, SHA256_OF_PATH)


@every_scheme
def test_a_history_without_its_first_page_still_tells_the_scheme(scheme: IdScheme) -> None:
    parent = scheme.id_at((3,))
    placed = {scheme.id_at((3, number)): Placed(parent, False) for number in (1, 2)}
    assert detect(placed) is scheme
    assert resolve(placed, scheme)[scheme.id_at((3, 2))] == (3, 2)


def test_go_has_javascripts_ids_and_rust_hashes_the_whole_path() -> None:
    assert sdks_of(MD5) == (Sdk.JAVASCRIPT, Sdk.GO)
    assert sdks_of(SHA256_AT_ROOT) == (Sdk.DOTNET, Sdk.JAVA, Sdk.RUST)
    # sha256("1-2"), where .NET and Java hash the parent's id and "-2".
    assert SHA256_OF_PATH.id_at((1, 2)).startswith("412a4789b02cad19")
    assert SHA256_OF_PATH.id_at((1,)) == SHA256.id_at((1,))


def test_units_of_rust_are_counted_from_where_they_are_seen_to_be() -> None:
    for first in (0, 1):
        batch = SHA256_OF_PATH.id_at((1,))
        placed = {batch: Placed(None, True)}
        for number in (first, first + 1):
            placed[SHA256_OF_PATH.id_at((1, number))] = Placed(batch, False, is_context=True)
        located = locate(placed)
        assert located.scheme is not None
        assert (sdks_of(located.scheme), located.scheme.first_unit) == ((Sdk.RUST,), first)


@pytest.mark.parametrize(
    ("scheme", "hashed"),
    [(scheme, False) for scheme in SCHEMES] + [(BLAKE2B, True), (SHA256, True), (MD5, True)],
)
def test_nodes_of_a_dag_are_placed_by_their_names(scheme: IdScheme, hashed: bool) -> None:
    dag, prefix = scheme.child(None, 2)
    node, inside = scheme.child(dag if hashed else prefix, "DAG_NODE_T_fetch.all")
    step, _ = scheme.child(inside, 1)
    placed = {
        scheme.id_at((1,)): Placed(None, False, "before"),
        dag: Placed(None, False, "pipeline", True),
        node: Placed(dag, False, "fetch.all", True),
        step: Placed(node, False, "get"),
        "strange": Placed(dag, False, "other"),
    }
    located = locate(placed)
    assert [located.text(key) for key in placed] == ["1", "2", "2.fetch.all", "2.fetch.all.1", None]
    assert node not in resolve(placed, scheme)


def test_a_parent_that_was_not_written_is_told_by_the_id() -> None:
    paths = [(1,), (1, 1), (1, 1, 1), (1, 2), (1, 2, 1), (2,), (3,), (3, 1, 1), (3, 9, 1)]
    batches, contexts = {(1,), (3,)}, {(1,), (1, 1), (1, 2), (3,)}
    placed = {
        SHA256.id_at(path): Placed(None, path in batches, None, path in contexts) for path in paths
    }
    parents = {(1, 1): (1,), (1, 1, 1): (1, 1), (1, 2): (1,), (1, 2, 1): (1, 2)}
    parents |= {(3, 1, 1): (3,), (3, 9, 1): (3,)}
    found = missing_parents(placed)
    assert found == {SHA256.id_at(at): SHA256.id_at(above) for at, above in parents.items()}
    assert resolve(placed, SHA256) == {SHA256.id_at(path): path for path in paths}


def test_strange_ids_at_the_root_have_no_parent() -> None:
    placed = {SHA256.id_at((number,)): Placed(None, False, None, True) for number in (1, 2)}
    placed |= {f"{number:064x}": Placed(None, False) for number in range(5)}
    assert missing_parents(placed) == {}


def test_ids_that_follow_no_scheme_stay_unresolved() -> None:
    strange = {
        name: Placed(None, False)
        for name in ("a", "0" * 64, "f" * 16, "step-1", "é", "\ud800", SHA256.id_at((1,)).upper())
    }
    assert detect(strange) is None
    for scheme in SCHEMES:
        assert resolve(strange, scheme) == {}


@given(
    st.dictionaries(st.text(max_size=5), st.tuples(st.none() | st.text(max_size=5), st.booleans()))
)
def test_arbitrary_ids_never_raise(placed: dict[str, tuple[str | None, bool]]) -> None:
    places = {key: Placed(*place) for key, place in placed.items()}
    assert detect(places) is None
    assert resolve(places, BLAKE2B) == {}


def test_a_strange_id_among_known_ones_is_the_only_one_unresolved() -> None:
    placed = {BLAKE2B.id_at((n,)): Placed(None, False) for n in range(1, 5)}
    placed["strange"] = Placed(None, False)
    placed["inside"] = Placed("strange", False)
    assert sorted(resolve(placed, BLAKE2B).values()) == [(1,), (2,), (3,), (4,)]


def test_units_are_numbered_from_0_in_python_and_from_1_elsewhere() -> None:
    assert [scheme.first_unit for scheme in (BLAKE2B, SHA256, MD5)] == [0, 1, 1]


@given(path=st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_blake2b_ids_are_those_of_the_aws_sdk(path: list[int]) -> None:
    operation_id = None
    for number in path:
        operation_id = OperationIdNamespace(prefix=operation_id).create_id_for_step(number)
    assert BLAKE2B.id_at(path) == operation_id


def test_ids_of_the_other_sdks_are_hashes_of_the_position() -> None:
    # sha256("1"), sha256(sha256("1") + "-2") and the first 16 digits of md5("1-2").
    assert SHA256.id_at((1,)).startswith("6b86b273ff34fce19d6b804eff5a3f57")
    assert SHA256.id_at((1, 2)) != SHA256.id_at((2,))
    assert MD5.id_at((1, 2)) == "98c6f2c2287f4c73"
    assert len(SHA256.id_at((1, 2))) == 64


def counting(scheme: IdScheme, calls: list[int]) -> IdScheme:
    def digest(text: str) -> str:
        calls[0] += 1
        return scheme.digest(text)

    return replace(scheme, digest=digest)


def wide(count: int, scheme: IdScheme) -> dict[str, Placed]:
    return {scheme.id_at((n,)): Placed(None, False) for n in range(1, count + 1)}


def unresolved(count: int, _: IdScheme) -> dict[str, Placed]:
    return {f"{n:064x}": Placed(None, False) for n in range(count)}


def chain(count: int, scheme: IdScheme) -> dict[str, Placed]:
    placed: dict[str, Placed] = {}
    parent = None
    for _ in range(count):
        key, prefix = scheme.child(parent, 1)
        placed[key] = Placed(parent, False)
        parent = prefix
    return placed


def children_of_strangers(count: int, _: IdScheme) -> dict[str, Placed]:
    return {f"{n:064x}": Placed(f"{n:063x}p", False) for n in range(count)}


@pytest.mark.parametrize("shape", [wide, unresolved, chain, children_of_strangers])
def test_work_is_linear_in_the_number_of_ids(shape) -> None:
    hashes = []
    for count in (500, 1_000, 2_000):
        calls = [0]
        placed = shape(count, BLAKE2B)
        resolve(placed, counting(BLAKE2B, calls))
        hashes.append(calls[0])
    assert hashes[2] - hashes[1] <= 2.2 * (hashes[1] - hashes[0]) + 100
    assert hashes[2] <= 2_000 * 100


def test_a_hundred_nested_contexts_have_positions_and_what_is_deeper_does_not() -> None:
    found = resolve(chain(20_000, BLAKE2B), BLAKE2B)
    assert sorted(map(len, found.values())) == list(range(1, MOST_LEVELS + 1))


def test_a_position_is_written_with_dots() -> None:
    assert position_text((2, 1, 3)) == "2.1.3"
    assert position_text(()) == ""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - of our own making

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine import SparseVectors
from splade_engine.errors import InvalidInputError
from splade_engine.vectors import checks

N_TERMS = 12
WEIGHT = st.floats(min_value=2.0**-20, max_value=1e6, width=32)
ROW = st.dictionaries(st.integers(0, N_TERMS - 1), WEIGHT, max_size=N_TERMS)
ROWS = st.lists(ROW, max_size=8)


def make(rows: list[dict[int, float]]) -> SparseVectors:
    return SparseVectors.from_dicts(rows, N_TERMS)


def dense(v: SparseVectors) -> np.ndarray:
    out = np.zeros((len(v), v.n_terms), np.float32)
    for i, (terms, weights) in enumerate(v):
        out[i, terms] = weights
    return out


def test_the_arrays_have_the_promised_types_and_cannot_be_changed() -> None:
    v = SparseVectors([0, 2, 2], [1, 4], [0.5, 2], 5)
    assert (v.indptr.dtype, v.terms.dtype, v.weights.dtype) == (np.int64, np.int32, np.float32)
    assert (len(v), v.nnz, v.row_nnz.tolist()) == (2, 2, [2, 0])
    for array in (v.indptr, v.terms, v.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_callers_arrays_stay_writable() -> None:
    weights = np.ones(1, np.float32)
    SparseVectors([0, 1], [3], weights, 5)
    weights[0] = 7


@pytest.mark.parametrize(
    ("indptr", "terms", "weights", "n_terms", "message"),
    [
        ([0, 2], [1, 1], [1, 1], 5, "row 0, term 1, weight 1: terms of a row are strictly increasing"),
        ([0, 0, 2], [3, 2], [1, 1], 5, "row 1, term 2, weight 1: terms of a row are strictly increasing"),
        ([0, 1, 2], [1, 5], [1, 1], 5, "row 1, term 5, weight 1: the vocabulary ends at 4"),
        ([0, 1], [-1], [1], 5, "row 0, term -1"),
        ([0, 1], [2], [float("nan")], 5, "row 0, term 2, weight nan: weights are finite and not negative"),
        ([0, 1], [2], [float("inf")], 5, "row 0, term 2, weight inf"),
        ([0, 1], [2], [1e300], 5, "row 0, term 2, weight 1e+300"),
        ([0, 1], [2], [-0.5], 5, "row 0, term 2, weight -0.5"),
        ([0, 2, 1], [1, 2], [1, 1], 5, "row 1: indptr falls from 2 to 1"),
        ([1, 2], [1, 2], [1, 1], 5, "indptr must start with 0"),
        ([], [], [], 5, "indptr must be integers"),
        ([0, 1], [1, 2], [1, 1], 5, "indptr ends at 1, but there are 2 terms"),
        ([0, 2], [1, 2], [1], 5, "2 terms but 1 weights"),
        ([0.0, 1.0], [1], [1], 5, "indptr must be integers, got float64"),
        ([0, 1], [1.5], [1], 5, "terms must be integers, got float64"),
        ([0, 1], [1], ["x"], 5, "weights must be real numbers"),
        ([0, 1], [1], [1j], 5, "weights must be real numbers"),
        ([[0, 1]], [1], [1], 5, "one dimension"),
        ([0], [], [], 0, "n_terms must be between 1 and 2147483647, got 0"),
        ([0], [], [], 2.0, "n_terms must be an integer, got 2.0"),
        ([0], [], [], True, "n_terms must be an integer, got True"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(
    indptr: list, terms: list, weights: list, n_terms: int, message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        SparseVectors(indptr, terms, weights, n_terms)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_row_across_two_chunks_is_checked_whole(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(checks, "_CHECK_CHUNK", chunk)
    SparseVectors([0, 4, 4, 6], [1, 2, 3, 4, 0, 1], np.ones(6), 5)
    for broken in range(1, 4):
        terms = [1, 2, 3, 4, 0, 1]
        terms[broken] = terms[broken - 1]
        with pytest.raises(InvalidInputError, match=rf"row 0, term {terms[broken]}, .*strictly increasing"):
            SparseVectors([0, 4, 4, 6], terms, np.ones(6), 5)


def test_zero_weights_are_dropped() -> None:
    v = SparseVectors([0, 2, 3], [1, 2, 4], [0.0, 1.0, 0.0], 5)
    assert v.to_dicts() == [{2: 1.0}, {}]
    assert v.nnz == 1


def test_a_weight_too_small_for_float32_is_a_zero() -> None:
    assert SparseVectors([0, 1], [1], [1e-60], 5).nnz == 0


@settings(deadline=None)  # the first imports scipy
@given(ROWS)
def test_every_conversion_comes_back(rows: list[dict[int, float]]) -> None:
    v = make(rows)
    assert SparseVectors.from_dicts(v.to_dicts(), N_TERMS) == v
    assert SparseVectors.from_scipy(v.to_scipy()) == v
    vocabulary = [f"t{i}" for i in range(N_TERMS)]
    assert SparseVectors.from_token_dicts(v.to_token_dicts(vocabulary), vocabulary) == v
    np.testing.assert_array_equal(v.to_scipy().toarray(), dense(v))


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_torch_conversions_come_back(rows: list[dict[int, float]]) -> None:
    v = make(rows)
    tensor = v.to_torch()
    np.testing.assert_array_equal(tensor.to_dense().numpy(), dense(v))
    assert SparseVectors.from_torch(tensor) == v
    assert SparseVectors.from_torch(tensor.to_dense()) == v


@given(ROWS, st.integers(-10, 10), st.integers(-10, 10), st.sampled_from([-2, -1, 1, 2, None]))
def test_slices_are_those_of_numpy(rows: list, start: int, stop: int, step: int | None) -> None:
    v = make(rows)
    np.testing.assert_array_equal(dense(v[start:stop:step]), dense(v)[start:stop:step])


@given(ROWS.filter(len), st.data())
def test_any_selection_of_rows_is_that_of_numpy(rows: list, data: st.DataObject) -> None:
    v = make(rows)
    chosen = data.draw(st.lists(st.integers(-len(v), len(v) - 1), max_size=10))
    np.testing.assert_array_equal(dense(v[chosen]), dense(v)[np.array(chosen, dtype=int)])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(v), max_size=len(v))))
    np.testing.assert_array_equal(dense(v[mask]), dense(v)[mask])
    assert v[chosen[0]] == v[[chosen[0]]] if chosen else True


def test_rows_outside_the_batch_are_refused() -> None:
    v = make([{1: 1.0}])
    for wrong in (1, -2, [0, 1], [-2], np.array([True, False]), [0.5], [[0]]):
        with pytest.raises(IndexError):
            v[wrong]


@given(ROWS, st.integers(1, 6))
def test_top_k_keeps_the_heaviest_and_prefers_small_terms(rows: list, k: int) -> None:
    v = make(rows)
    for kept, row in zip(v.top_k(k).to_dicts(), v.to_dicts(), strict=True):
        expected = sorted(row.items(), key=lambda item: (-item[1], item[0]))[:k]
        assert kept == dict(expected)


def test_top_k_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="top_k: a whole number of at least 1 is expected, got 0"):
        make([]).top_k(0)


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_concatenation_stacks(parts: list) -> None:
    batches = [make(rows) for rows in parts]
    joined = SparseVectors.concat(batches)
    assert joined == make([row for rows in parts for row in rows])


def test_concatenation_wants_one_vocabulary() -> None:
    with pytest.raises(InvalidInputError, match="batch 1 has 3 terms, batch 0 has 5"):
        SparseVectors.concat([SparseVectors.empty(5), SparseVectors.empty(3)])
    with pytest.raises(InvalidInputError, match="no batch"):
        SparseVectors.concat([])


def test_token_dicts_are_heaviest_first_and_name_unknown_tokens() -> None:
    v = SparseVectors.from_token_dicts([{"b": 1, "a": 3}], ["a", "b"])
    assert list(v.to_token_dicts(["a", "b"])[0]) == ["a", "b"]
    with pytest.raises(InvalidInputError, match="row 1: token 'z' is not in the vocabulary"):
        SparseVectors.from_token_dicts([{}, {"z": 1.0}], ["a"])
    with pytest.raises(InvalidInputError, match="vocabulary of 1 tokens for vectors over 2 terms"):
        v.to_token_dicts(["a"])


@pytest.mark.parametrize("row", [{1.5: 1.0}, {"a": 1.0}, {True: 1.0}])
def test_a_term_that_is_not_an_integer_is_named(row: dict) -> None:
    with pytest.raises(InvalidInputError, match=r"row 1: term .* is not an integer"):
        SparseVectors.from_dicts([{}, row], 5)


def test_a_weight_that_is_not_a_number_is_named() -> None:
    with pytest.raises(InvalidInputError, match="row 1, term 4: weight 'heavy' is not a number"):
        SparseVectors.from_dicts([{0: 1.0}, {2: 1.0, 4: "heavy"}], 5)


def test_scipy_duplicates_are_summed() -> None:
    from scipy.sparse import coo_array

    m = coo_array(([1.0, 2.0], ([0, 0], [3, 3])), shape=(1, 5))
    assert SparseVectors.from_scipy(m).to_dicts() == [{3: 3.0}]
    with pytest.raises(InvalidInputError, match="row 0, term 3, weight -1"):
        SparseVectors.from_scipy(-m.tocsr() / 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_sums_of_small_whole_numbers_do_not_wrap_around(dtype: str) -> None:
    """Three bytes of 100 were the weight 44."""
    import torch
    from scipy.sparse import coo_array

    largest = np.iinfo(dtype).max
    weights, places = np.full(3, largest, dtype), ([0, 0, 0], [3, 3, 3])
    m = coo_array((weights, places), shape=(1, 5))
    assert SparseVectors.from_scipy(m).to_dicts() == [{3: 3.0 * largest}]
    tensor = torch.sparse_coo_tensor(places, torch.from_numpy(weights), (1, 5), check_invariants=True)
    assert SparseVectors.from_torch(tensor).to_dicts() == [{3: 3.0 * largest}]


def test_equality_is_by_value() -> None:
    assert make([{1: 1.0}]) == make([{1: 1.0}]) != make([{1: 2.0}])
    assert make([]) != SparseVectors.empty(N_TERMS + 1)
    assert make([]) != "vectors"
    with pytest.raises(TypeError):
        hash(make([]))


# ---- immutable ------------------------------------------------------------------------------------------


def arrays(dtype=np.float32):
    return np.array([0, 2, 3]), np.array([1, 3, 0], np.int32), np.array([0.5, 1, 2], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_what_the_caller_does_with_its_arrays_afterwards_is_no_matter(dtype):
    given = arrays(dtype)
    vectors = SparseVectors(*given, 5)
    before = vectors.to_dicts()
    given[0][:] = 10**12  # a kernel that followed this would read beyond every array
    given[1][:] = -7
    given[2][:] = np.nan if dtype != np.int64 else -1
    assert vectors.to_dicts() == before
    assert SparseVectors(vectors.indptr, vectors.terms, vectors.weights, 5) == vectors


def test_views_of_a_callers_array_are_copied_too():
    block = np.zeros(10, np.float32)
    block[:3] = 1
    vectors = SparseVectors([0, 3], [0, 1, 2], block[:3], 5)
    block[:] = np.nan
    assert vectors.weights.tolist() == [1, 1, 1]


def test_from_scipy_and_from_torch_keep_nothing_of_theirs():
    import torch
    from scipy.sparse import csr_array

    matrix = csr_array(np.array([[0, 1.5], [2, 0]], np.float32))
    tensor = torch.tensor([[0, 1.5], [2, 0]])
    sparse = tensor.to_sparse().coalesce()
    made = [
        SparseVectors.from_scipy(matrix),
        SparseVectors.from_torch(tensor),
        SparseVectors.from_torch(sparse),
    ]
    matrix.data[:] = np.nan
    tensor[:] = np.nan
    sparse.values()[:] = np.nan
    assert [v.to_dicts() for v in made] == [[{1: 1.5}, {0: 2.0}]] * 3


@pytest.mark.parametrize("name", ["indptr", "terms", "weights"])
def test_arrays_are_read_only_and_stay_so(name):
    made = SparseVectors(*arrays(), 5)
    again = pickle.loads(pickle.dumps(made))
    for vectors in (made, made[0], made[[1, 0]], made.top_k(1), again, copy.deepcopy(again), made[1:]):
        array = getattr(vectors, name)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        with pytest.raises(ValueError, match="WRITEABLE"):
            vectors.row(0)[0].flags.writeable = True


@pytest.mark.parametrize("name", ["indptr", "terms", "weights", "n_terms"])
def test_attributes_cannot_be_set_or_deleted(name):
    vectors = SparseVectors(*arrays(), 5)
    with pytest.raises(AttributeError, match="immutable"):
        setattr(vectors, name, getattr(vectors, name))
    with pytest.raises(AttributeError, match="immutable"):
        delattr(vectors, name)
    with pytest.raises(AttributeError, match="immutable"):
        vectors.__init__(*arrays(), 6)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_come_back_equal_and_checked(protocol):
    vectors = SparseVectors(*arrays(), 5)
    data = pickle.dumps(vectors, protocol)
    assert pickle.loads(data) == vectors
    if protocol >= 3:  # arrays lie in these as they are
        good = np.float32(0.5).tobytes()
        assert data.count(good) == 1
        with pytest.raises(InvalidInputError, match=r"row 0, term 1, weight nan"):
            pickle.loads(data.replace(good, np.float32(np.nan).tobytes()))


def test_buffers_of_a_pickle_are_not_shared():
    buffers = []
    data = pickle.dumps(SparseVectors(*arrays(), 5), protocol=5, buffer_callback=buffers.append)
    writable = [bytearray(buffer.raw()) for buffer in buffers]
    vectors = pickle.loads(data, buffers=writable)
    before = vectors.to_dicts()
    for buffer in writable:
        buffer[:] = b"\xff" * len(buffer)
    assert vectors.to_dicts() == before


def test_a_copy_is_the_same_object():
    vectors = SparseVectors(*arrays(), 5)
    assert copy.copy(vectors) is vectors
    assert copy.deepcopy([vectors])[0] is vectors


def test_adopt_checks_as_the_constructor_does_and_copies_nothing():
    ptr, terms, weights = arrays()
    vectors = SparseVectors.adopt(ptr, terms, weights, 5)
    assert np.shares_memory(vectors.weights, weights)
    assert not weights.flags.writeable
    bad = arrays()
    bad[2][1] = np.nan
    with pytest.raises(InvalidInputError, match="row 0, term 3, weight nan"):
        SparseVectors.adopt(*bad, 5)


def test_what_is_no_matrix_of_real_numbers_is_refused():
    import scipy.sparse
    import torch

    for value in (np.eye(2), [[1.0]], scipy.sparse.coo_array(np.ones(2))):
        with pytest.raises(InvalidInputError, match=r"from_scipy: a scipy\.sparse array of two dimensions"):
            SparseVectors.from_scipy(value)
    with pytest.raises(InvalidInputError, match="from_torch: a tensor is expected, got array"):
        SparseVectors.from_torch(np.eye(2))
    with pytest.raises(InvalidInputError, match=r"weights must be real numbers, got torch\.complex64"):
        SparseVectors.from_torch(torch.tensor([[1 + 1j]]))


def test_what_a_mask_hides_is_no_weight():
    ptr, terms, weights = arrays()
    with pytest.raises(InvalidInputError, match="weights: entry 1 is masked"):
        SparseVectors(ptr, terms, np.ma.array(weights, mask=np.arange(len(weights)) == 1), 5)
    whole = np.ma.array(weights, mask=False)
    assert SparseVectors(ptr, terms, whole, 5) == SparseVectors(ptr, terms, weights, 5)


def test_true_is_no_number_of_a_row():
    vectors = SparseVectors(*arrays(), 5)
    for ask in (vectors.row, vectors.__getitem__):
        with pytest.raises(IndexError):
            ask(True)


def csr_of_scipy():
    import scipy.sparse

    return scipy.sparse.csr_array(np.array([[0, 1.5, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0.25]]))


def broken(form: str, name: str, value: object):
    matrix = csr_of_scipy().asformat(form)
    array = np.array(getattr(matrix, name))
    array[tuple([1] * array.ndim)] = value
    setattr(matrix, name, array)
    return matrix


@pytest.mark.parametrize(
    ("form", "name", "value", "told"),
    [
        ("csr", "indptr", 9, "row 1: indptr falls from 9 to 2"),  # ended the process
        ("csr", "indptr", -5, "row 0: indptr falls from 0 to -5"),  # ended the process
        ("csr", "indices", 7, "row 0, term 7, weight 2"),
        ("csc", "indices", 10**8, "from_scipy: indices must be < 3"),  # ended the process
        ("bsr", "indices", 10**8, "from_scipy: column index values must be < 4"),
    ],
)
def test_a_matrix_of_scipy_whose_arrays_do_not_fit_is_refused(form, name, value, told):
    with pytest.raises(InvalidInputError, match=told):
        SparseVectors.from_scipy(broken(form, name, value))


def test_a_matrix_of_scipy_with_an_array_cut_short_is_refused():
    matrix = csr_of_scipy()
    matrix.data = matrix.data[:2]
    with pytest.raises(InvalidInputError, match="from_scipy: indices and data should have the same size"):
        SparseVectors.from_scipy(matrix)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "bsc"])
def test_every_layout_of_a_tensor_is_read(layout):
    import torch

    tensor = torch.from_numpy(csr_of_scipy().toarray())
    size = (3, 2) if layout.startswith("b") else None
    made = tensor.to_sparse(layout=getattr(torch, f"sparse_{layout}"), blocksize=size)
    assert SparseVectors.from_torch(made) == SparseVectors.from_scipy(csr_of_scipy())


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([[0, 9], [1, 1]], r"row 9, term 1: outside a tensor of shape \(3, 4\)"),  # was a batch of 10 rows
        ([[0, -9], [1, 1]], "row -9, term 1: outside"),
        ([[0, 1], [1, 9]], "row 1, term 9: outside"),  # its weight may have been another entry's
    ],
)
def test_entries_outside_a_tensor_are_refused(places, told):
    import torch

    tensor = torch.sparse_coo_tensor(places, [1.0, 2.0], (3, 4), check_invariants=False)
    with pytest.raises(InvalidInputError, match=told):
        SparseVectors.from_torch(tensor)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ([0, 2, 2, 10**8], "indptr ends at 100000000, but there are 4 terms"),
        ([0, 9, 2, 4], "row 1: indptr falls from 9 to 2"),
        ([0, 2, 2, 4], None),  # terms of a row in whatever order, one of them twice
    ],
)
def test_a_tensor_of_rows_is_checked_before_torch_reads_it(ends, told):
    import torch

    terms, weights = torch.tensor([3, 1, 0, 0]), torch.tensor([2.0, 1.5, 3, 0.25])
    tensor = torch.sparse_csr_tensor(torch.tensor(ends), terms, weights, (3, 4), check_invariants=False)
    if told is None:
        assert SparseVectors.from_torch(tensor).to_dicts() == [{1: 1.5, 3: 2.0}, {}, {0: 3.25}]
        return
    with pytest.raises(InvalidInputError, match=told):
        SparseVectors.from_torch(tensor)


def test_tensors_that_cannot_be_read_are_one_line():
    import torch

    dense_rows = torch.sparse_coo_tensor([[0, 1]], torch.ones(2, 4), (3, 4), check_invariants=True)
    with pytest.raises(InvalidInputError, match="from_torch: the rows of a sparse tensor are sparse"):
        SparseVectors.from_torch(dense_rows)
    with pytest.raises(InvalidInputError, match="from_torch: "):
        SparseVectors.from_torch(torch.ones(3, 4, device="meta"))


def test_weights_of_half_precision_are_added_up_in_single():
    import torch

    weights = torch.tensor([60000.0, 60000.0], dtype=torch.float16)
    tensor = torch.sparse_coo_tensor([[0, 0], [1, 1]], weights, (1, 4), check_invariants=True)
    assert SparseVectors.from_torch(tensor).to_dicts() == [{1: 120000.0}]  # was infinity
    eighth = torch.tensor([[0.0, 1.5]]).to(torch.float8_e4m3fn)  # was a traceback
    assert SparseVectors.from_torch(eighth).to_dicts() == [{1: 1.5}]


@pytest.mark.filterwarnings("error")
def test_half_precision_in_a_mapping_warns_of_nothing():
    assert SparseVectors.from_dicts([{3: np.float16(0.25)}], 4).to_dicts() == [{3: 0.25}]

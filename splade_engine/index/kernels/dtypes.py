"""The types of what kernels take, written as annotations: `first: i8, offsets: i8_r, slots: i8_w`.

`b1 u1 u2 u4 u8 i4 i8 f4 f8` are scalars, `_r` makes a contiguous one-dimensional array that is only read (a
mapped file), `_w` one that is written, `_2d_w` a two-dimensional one. A type checker sees numpy's types, and
the compiled signature is made of the same annotation (`jit.py`). Where several dtypes are admitted, as in
`u2_r | u4_r`, each is a variant of the kernel, compiled when it is first met.

Arrays that belong together form a `group`, a named tuple that checks its arrays when it is made, so that a
call of a kernel need not.
"""

from __future__ import annotations

import functools
import inspect
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels.compiler import types


def _read(item: Any) -> Any:
    return types.Array(item, 1, "C", readonly=True)


def _written(item: Any, ndim: int = 1) -> Any:
    return types.Array(item, ndim, "C")


b1: TypeAlias = Annotated[bool, types.boolean]
u1: TypeAlias = Annotated[np.uint8, types.uint8]
u2: TypeAlias = Annotated[np.uint16, types.uint16]
u4: TypeAlias = Annotated[np.uint32, types.uint32]
u8: TypeAlias = Annotated[np.uint64, types.uint64]
i4: TypeAlias = Annotated[int, types.int32]
i8: TypeAlias = Annotated[int, types.int64]
f4: TypeAlias = Annotated[np.float32, types.float32]
f8: TypeAlias = Annotated[float, types.float64]

u1_r: TypeAlias = Annotated[NDArray[np.uint8], _read(types.uint8)]
u2_r: TypeAlias = Annotated[NDArray[np.uint16], _read(types.uint16)]
u4_r: TypeAlias = Annotated[NDArray[np.uint32], _read(types.uint32)]
u8_r: TypeAlias = Annotated[NDArray[np.uint64], _read(types.uint64)]
i4_r: TypeAlias = Annotated[NDArray[np.int32], _read(types.int32)]
i8_r: TypeAlias = Annotated[NDArray[np.int64], _read(types.int64)]
f4_r: TypeAlias = Annotated[NDArray[np.float32], _read(types.float32)]
f8_r: TypeAlias = Annotated[NDArray[np.float64], _read(types.float64)]

u1_w: TypeAlias = Annotated[NDArray[np.uint8], _written(types.uint8)]
u2_w: TypeAlias = Annotated[NDArray[np.uint16], _written(types.uint16)]
u4_w: TypeAlias = Annotated[NDArray[np.uint32], _written(types.uint32)]
u8_w: TypeAlias = Annotated[NDArray[np.uint64], _written(types.uint64)]
i8_w: TypeAlias = Annotated[NDArray[np.int64], _written(types.int64)]
f4_w: TypeAlias = Annotated[NDArray[np.float32], _written(types.float32)]
f8_w: TypeAlias = Annotated[NDArray[np.float64], _written(types.float64)]
i8_2d_w: TypeAlias = Annotated[NDArray[np.int64], _written(types.int64, 2)]
f4_2d_w: TypeAlias = Annotated[NDArray[np.float32], _written(types.float32, 2)]

any_r: TypeAlias = u1_r | u2_r | u4_r | u8_r | i4_r | i8_r | f4_r | f8_r

Group = TypeVar("Group", bound=tuple[Any, ...])

_HINTS: dict[Any, dict[str, Any]] = {}


def hints(annotated: Any) -> dict[str, Any]:
    """The annotations of a function's parameters, or of a group's fields, by name and in order."""
    if annotated not in _HINTS:
        found = get_type_hints(annotated, include_extras=True)
        found.pop("return", None)
        _HINTS[annotated] = found
    return _HINTS[annotated]


def is_group(hint: Any) -> bool:
    """Whether an annotation names a group."""
    return isinstance(hint, type) and hasattr(hint, "_fields")


def choices(hint: Any) -> tuple[Any, ...]:
    """The numba types that an annotation admits: one, or one for each part of a union."""
    if hasattr(hint, "__metadata__"):
        return (hint.__metadata__[0],)
    return tuple(choice for part in get_args(hint) for choice in choices(part))


class Arrays:
    """The arrays that an annotation admits."""

    def __init__(self, hint: Any) -> None:
        self.choices = choices(hint)
        self._dtypes = [(np.dtype(str(choice.dtype)), choice) for choice in self.choices]
        self._ndim, self._written = self.choices[0].ndim, self.choices[0].mutable

    def chosen(self, name: str, value: Any) -> Any:
        """The numba type of an array; `TypeError` naming it where it is not one of these."""
        if isinstance(value, np.ndarray) and value.ndim == self._ndim:
            flags = value.flags
            if flags.carray if self._written else flags.c_contiguous:  # carray: and aligned, and writable
                dtype = value.dtype
                for admitted, choice in self._dtypes:
                    if dtype is admitted or dtype == admitted:
                        return choice
        found = f"{value.dtype}, {value.ndim}-d" if isinstance(value, np.ndarray) else type(value).__name__
        wanted = " or ".join(str(choice) for choice in self.choices)
        raise TypeError(f"{name}: must be {wanted}, got {found}")


def varied_fields(group: Any) -> list[int]:
    """The places of a group's fields that admit several dtypes: they tell its variants apart."""
    fields = enumerate(hints(group).values())
    return [i for i, hint in fields if not is_group(hint) and len(choices(hint)) > 1]


def admitted(hint: Any) -> Arrays | None:
    """What is checked of an array with this annotation; None for groups, and numbers, which are converted."""
    if is_group(hint):
        return None
    return Arrays(hint) if isinstance(choices(hint)[0], types.Array) else None


def numba_type(value: Any, hint: Any) -> Any:
    """The numba type of an argument that was checked."""
    if is_group(hint):
        fields = [numba_type(part, field) for part, field in zip(value, hints(hint).values(), strict=True)]
        return types.NamedTuple(fields, hint)
    kind = admitted(hint)
    return kind.chosen("", value) if kind else choices(hint)[0]


def fits(given: Any, hint: Any) -> bool:
    """Whether a numba type may be handed to a parameter with this annotation, inside compiled code."""
    if is_group(hint):
        return isinstance(given, types.NamedTuple) and given.instance_class is hint
    for choice in choices(hint):
        if isinstance(choice, types.Array) and isinstance(given, types.Array):
            alike = given.dtype == choice.dtype and given.ndim == choice.ndim
            if alike and (given.mutable or not choice.mutable):
                return True
        elif given == choice or (isinstance(choice, types.Integer) and isinstance(given, types.Integer)):
            return True
    return False


def group(made: type[Group]) -> type[Group]:
    """Decorate a named tuple of arrays and numbers, which then checks what it is made of.

    Its fields are given by name; an array of another type is a `TypeError`.
    """
    plain, name, names = made.__new__, made.__name__, made._fields  # type: ignore[attr-defined]

    @functools.cache
    def checks() -> list[tuple[str, int, Any]]:  # annotations are resolved at the first use
        kinds = [hint if is_group(hint) else admitted(hint) for hint in hints(made).values()]
        return [(f"{name}.{names[i]}", i, kind) for i, kind in enumerate(kinds) if kind]

    def new(cls: type[Group], *values: Any, **named: Any) -> Group:
        if values:
            raise TypeError(f"{name}: fields are given by name")
        self: Group = tuple.__new__(cls, named.values()) if tuple(named) == names else plain(cls, **named)
        for field, i, kind in checks():
            if type(kind) is Arrays:
                kind.chosen(field, self[i])
            elif type(self[i]) is not kind:
                raise TypeError(f"{field}: must be {kind.__name__}, got {type(self[i]).__name__}")
        return self

    new.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
    made.__new__ = new  # type: ignore[method-assign,assignment]
    return made

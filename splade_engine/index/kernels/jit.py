"""Naked loops compiled: kernels, which Python calls, the helpers that they share, and single instructions.

A kernel's compiled signature is made of its annotations (`dtypes.py`). It is compiled, or loaded from the
cache, when it is first called for the dtypes that it is given, so importing this module costs nothing but
numba's own import.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import threading
from collections.abc import Callable
from types import NoneType
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from llvmlite import ir

from splade_engine.index.kernels.cache import compiled
from splade_engine.index.kernels.compiler import numba, types
from splade_engine.index.kernels.dtypes import (
    Arrays,
    admitted,
    any_r,
    choices,
    fits,
    hints,
    i8,
    is_group,
    numba_type,
    varied_fields,
)

extending: Any = importlib.import_module("numba.extending")
cgutils: Any = importlib.import_module("numba.core.cgutils")
templates: Any = importlib.import_module("numba.core.typing.templates")

P = ParamSpec("P")
R = TypeVar("R")
# what an instruction writes: (context, builder, signature, arguments) -> its value
Generate = Callable[[Any, Any, Any, Any], Any]

_COMPILE = threading.RLock()  # LLVM is entered by one thread at a time
if hasattr(os, "register_at_fork"):
    # Never in the middle of compiling: the forked process has only the thread that forked, and would wait
    # for ever for the one that holds the lock.
    os.register_at_fork(
        before=_COMPILE.acquire, after_in_parent=_COMPILE.release, after_in_child=_COMPILE.release
    )


class Kernel(Generic[P]):
    """A function compiled for the dtypes of its arguments when it first meets them.

    Arguments are given by name. Arrays are checked against the annotations, those of a group when it is made.
    """

    def __init__(self, function: Callable[P, None]) -> None:
        functools.update_wrapper(self, function)
        self.python: Callable[..., None] = function
        self._variants: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(hints(self.python))

    # what is asked of the arguments, by their places; a search of a small index takes 40 us, each look 50 ns

    @functools.cached_property
    def _arrays(self) -> list[tuple[str, int, Arrays]]:
        kinds = [(name, i, admitted(hint)) for i, (name, hint) in enumerate(hints(self.python).items())]
        return [(name, i, kind) for name, i, kind in kinds if isinstance(kind, Arrays)]

    @functools.cached_property
    def _groups(self) -> list[tuple[str, int, Any]]:
        return [
            (name, i, hint) for i, (name, hint) in enumerate(hints(self.python).items()) if is_group(hint)
        ]

    @functools.cached_property
    def _varied(self) -> list[tuple[int, int]]:
        return [(i, field) for _, i, hint in self._groups for field in varied_fields(hint)]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run it.

        Raises:
            TypeError: if an array is not of an admitted dtype, or cannot be written and must be.
        """
        values = self._ordered(args, kwargs)
        self._code(values)(*values)

    def _ordered(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        names = self._names
        if not args and tuple(kwargs) == names:
            return tuple(kwargs.values())
        if args or kwargs.keys() != set(names):
            raise TypeError(f"{self.python.__name__}: takes {', '.join(names)}, by name")
        return tuple([kwargs[name] for name in names])

    def _code(self, values: tuple[Any, ...]) -> Callable[..., Any]:
        for name, i, group in self._groups:
            if type(values[i]) is not group:
                raise TypeError(f"{name}: must be {group.__name__}, got {type(values[i]).__name__}")
        found = [kind.chosen(name, values[i]) for name, i, kind in self._arrays]
        key = tuple(found + [values[i][field].dtype.num for i, field in self._varied])
        code = self._variants.get(key)
        return code if code is not None else self._compile(key, values)

    def _compile(self, key: tuple[Any, ...], values: tuple[Any, ...]) -> Callable[..., Any]:
        with _COMPILE:
            code = self._variants.get(key)
            if code is None:
                pairs = zip(values, hints(self.python).values(), strict=True)
                signature = tuple(numba_type(value, hint) for value, hint in pairs)
                code = self.python if numba.config.DISABLE_JIT else compiled(self.python, signature)
                self._variants[key] = code
            return code


def kernel(function: Callable[P, None]) -> Kernel[P]:
    """Decorate a loop that Python calls; every parameter is annotated with a type of `dtypes.py`."""
    return Kernel(function)


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that kernels call: compiled into them, and plain Python when Python calls it.

    Compiling fails where an argument is not of the annotated type.
    """

    def implementation(*args: Any, **kwargs: Any) -> Callable[P, R]:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        for (name, hint), value in zip(hints(function).items(), given.values(), strict=True):
            if not fits(value, hint):
                raise numba.TypingError(f"{function.__name__}({name}): must be {hint}, got {value}")
        return function

    implementation.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    extending.overload(function)(implementation)
    return function


def instruction(generate: Generate) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate the meaning of an instruction in Python; compiled, it is what `generate` writes.

    Arrays keep their types, numbers are converted to the annotated ones.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        result = get_type_hints(function, include_extras=True)["return"]

        def definition(typing_context: Any, *args: Any) -> Any:
            pairs = zip(args, hints(function).values(), strict=True)
            given = [value if isinstance(value, types.Array) else choices(hint)[0] for value, hint in pairs]
            return (types.void if result is NoneType else choices(result)[0])(*given), generate

        parameters = list(inspect.signature(function).parameters.values())
        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        definition.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        template = templates.make_intrinsic_template(function, definition, function.__name__)
        templates.infer(template)
        templates.infer_global(function, types.Function(template))
        return function

    return decorate


def _prefetch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    view = context.make_array(signature.args[0])(context, builder, args[0])
    pointer = builder.bitcast(builder.gep(view.data, [args[1]]), cgutils.voidptr_t)
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[ir.IntType(32)] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(ir.IntType(32), v) for v in (0, 3, 1))])
    return context.get_dummy_value()


@instruction(_prefetch)
def prefetch(array: any_r, index: i8) -> None:
    """Ask for the cache line of `array[index]`; a hint that changes nothing but time."""


def _constant_size(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return ir.Constant(ir.IntType(64), signature.args[0].dtype.bitwidth // 8)


@instruction(_constant_size)
def item_size(array: any_r) -> i8:
    """Bytes of an item: a constant of the compiled variant, so that branches on it cost nothing."""
    return array.itemsize

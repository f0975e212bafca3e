"""Which function a command line names: ``module:function`` or ``path/to/file.py:function``."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tunedeco.errors import ModelFunctionError


def function(name: str) -> Callable[..., Any]:
    """Return the function of a name; its module is imported, and what that raises passes through.

    Args:
        name: ``package.module:function``, found as Python finds modules from the working
            directory, or ``path/to/file.py:function``.

    Raises:
        ModelFunctionError: there is no such module, file or function.
    """
    module_name, colon, function_name = name.rpartition(":")
    if not colon or not module_name or not function_name:
        msg = f"{name!r} names no function; write module:function or path/to/file.py:function"
        raise ModelFunctionError(msg)
    is_file = module_name.endswith(".py")
    module = _from_file(Path(module_name)) if is_file else _from_name(module_name)
    found: Any = module
    for part in function_name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        functions = [n for n, f in vars(module).items() if callable(f) and not n.startswith("_")]
        known = ", ".join(functions) or "no function"
        msg = f"there is no function {function_name!r} in {module_name}; it has {known}"
        raise ModelFunctionError(msg)
    return found  # type: ignore[no-any-return]


def _from_name(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and misses something itself
        msg = f"there is no module {error.name!r}; it is looked for from the working directory"
        raise ModelFunctionError(msg) from None


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"there is no file {path}"
        raise ModelFunctionError(msg)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None  # its name ends in .py
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))  # as `python file.py` does
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    return module

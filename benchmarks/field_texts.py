"""What a model's fields mean: the docstrings below them.

pydantic's `use_attribute_docstrings` would parse each model's source in every run of the suite, and
only the pages of docs/ need them.
"""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import cast

from pydantic import BaseModel


def text(model: type[BaseModel], name: str) -> str:
    """The docstring of the field `name`, of the model itself or of one that it inherits from.

    '' for a field without one.
    """
    written = model.model_fields[name].description
    if written is not None:
        return written
    above = (one for one in model.__mro__ if issubclass(one, BaseModel) and one is not BaseModel)
    return next((said[name] for one in above if name in (said := _texts(one))), "")


@cache
def _texts(model: type[BaseModel]) -> dict[str, str]:
    definition = cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(model))).body[0])
    found: dict[str, str] = {}
    for field, below in pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as said)),
            ):
                found[name] = inspect.cleandoc(said)
    return found

"""Prints the public names of the module `bottle`, one a line: what it defines itself, and the
attributes of its classes. tests/suite/bottle-names.txt has its output."""

import inspect
import io
import types
import warnings

import bottle

warnings.simplefilter("ignore")


def public(names):
    return sorted(name for name in names if not name.startswith("_"))


def is_own(name, value):
    if isinstance(value, types.ModuleType):
        return False
    constant = isinstance(value, (bool, str, dict, list, tuple)) or name == "UTC"
    return constant or getattr(value, "__module__", None) == "bottle"


names = set()
for name in public(vars(bottle)):
    value = vars(bottle)[name]
    if not is_own(name, value):
        continue
    names.add(name)
    # Aliases have the names of what they stand for, and adapters those of `ServerAdapter`.
    if not inspect.isclass(value) or value.__name__ != name:
        continue
    if name == "ServerAdapter" or not issubclass(value, bottle.ServerAdapter):
        names.update(f"{name}.{attribute}" for attribute in public(vars(value)))

app = bottle.Bottle()
for made in [
    app,
    bottle.Route(app, "/", "GET", lambda: ""),
    app.router,
    app.resources,
    bottle.HTTPError(),
    bottle.FileUpload(io.BytesIO(), "a", "b"),
    bottle.ServerAdapter(),
    bottle.SimpleTemplate("x"),
]:
    names.update(f"{type(made).__name__}.{attribute}" for attribute in public(vars(made)))

print("\n".join(sorted(names)))

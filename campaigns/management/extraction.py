"""In: source files, ours and some packages'. Out: every text that a person may see, and its places.

Pure Python, for a bare machine has no GNU gettext. Found are the calls of Django's translation
functions in Python and templates; what the platforms, which know no Django, say in plain English;
and the texts of packages that ship no Chinese.
"""

from __future__ import annotations

import ast
import gettext
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation.template import templatize

#: function → the places of (context, singular, plural) among its arguments
FUNCTIONS: dict[str, tuple[int | None, int, int | None]] = {
    "_": (None, 0, None),
    "N_": (None, 0, None),
    "gettext": (None, 0, None),
    "gettext_lazy": (None, 0, None),
    "gettext_noop": (None, 0, None),
    "ngettext": (None, 0, 1),
    "ngettext_lazy": (None, 0, 1),
    "pgettext": (0, 1, None),
    "pgettext_lazy": (0, 1, None),
    "npgettext": (0, 1, 2),
    "npgettext_lazy": (0, 1, 2),
}
#: keywords and names in campaigns/platforms whose texts are translated when they are shown
SPOKEN = {"advice", "label", "help", "kinds", "KINDS", "problems", "why"}
#: calls in campaigns/platforms → the place of a text among their arguments
SPOKEN_CALLS = {
    "AccountField": 1,
    "ErrorCode": 3,
    "Problem": 0,
    "Odd": 1,
    "Unrecognised": 1,
    "fromkeys": 1,
    "name_problem": 1,
}
OUR_FOLDERS = ("campaigns", "callbacks", "config", "templates")
#: Packages (and folders in them) that our screens show and that speak no Chinese themselves
PACKAGES = (
    ("unfold", ""),
    ("unfold", "contrib/filters"),
    ("unfold", "mixins"),
    ("auditlog", ""),
    ("axes", ""),
)
#: Django's own translations, which ours need not repeat
DJANGO_LOCALES = ("conf", "contrib/admin", "contrib/auth", "contrib/contenttypes")
_LITERAL = r"u?(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
_CALL = re.compile(rf"\b(\w+)\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """One text to translate."""

    singular: str
    plural: str = ""
    context: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.context, self.singular


Found = dict[Message, list[str]]
#: names in capitals → what modules assign to them
Constants = dict[str, list[ast.expr]]


def extract_all(base_dir: Path, *, locale: str) -> Found:
    """{message: places}; places are relative to the tree, a package's begin with its name."""
    found: Found = {}
    for folder in OUR_FOLDERS:
        gather(found, base_dir / folder, place=folder)
    known = read_django_texts(locale)
    theirs: Found = {}
    for package, part in PACKAGES:
        root = find_package(package) / part
        place = f"{package}/{part}".rstrip("/")
        gather(theirs, root / "templates", place=place)
        for path in sorted(root.glob("*.py")):
            note(theirs, extract_python(path.read_text()), place=f"{place}/{path.name}")
    for message, places in theirs.items():
        if message.singular not in known:
            found.setdefault(message, []).extend(places)
    return found


def gather(found: Found, folder: Path, *, place: str) -> None:
    constants: Constants = {}
    for path in sorted(folder.rglob("*.py")):
        if "platforms" in path.parts:
            gather_constants(constants, path.read_text())
    for path in sorted(folder.rglob("*")):
        told = f"{place}/{path.relative_to(folder)}"
        if path.suffix == ".py" and "migrations" not in path.parts:
            text = path.read_text()
            note(found, extract_python(text), place=told)
            if "platforms" in path.parts:
                note(found, extract_spoken(text, constants=constants), place=told)
        elif path.suffix in (".html", ".txt"):
            note(found, extract_template(path.read_text()), place=told)


def gather_constants(constants: Constants, text: str) -> None:
    """The module-level names in capitals. A sentence may be said in another module than the one
    that words it, and two modules may give one name to two sentences: each is found."""
    for node in ast.parse(text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if name.isupper():
            constants.setdefault(name, []).append(value)


def note(found: Found, messages: Iterable[Message], *, place: str) -> None:
    for message in messages:
        places = found.setdefault(message, [])
        if place not in places:
            places.append(place)


def extract_python(text: str) -> Iterator[Message]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            message = make_message(read_name(node), [read_constant(arg) for arg in node.args])
            if message is not None:
                yield message


def extract_template(text: str) -> Iterator[Message]:
    for name, literals in _CALL.findall(templatize(text)):
        message = make_message(name, list(ast.literal_eval(f"({literals},)")))
        if message is not None:
            yield message


def extract_spoken(text: str, *, constants: Constants | None = None) -> Iterator[Message]:
    """The plain texts of ``advice = …``, ``label=…`` …, of tables of kinds and of problems, the
    names of ``constants`` (else of those in the text) among them."""
    known: Constants = constants if constants is not None else {}
    if constants is None:
        gather_constants(known, text)
    for node in ast.walk(ast.parse(text)):
        for value in list_spoken(node):
            values = value.values if isinstance(value, ast.Dict) else [value]
            for told in read_texts(values, known):
                if " " in told.replace("{}", ""):
                    yield Message(told)
        if isinstance(node, ast.Call):
            place = SPOKEN_CALLS.get(read_name(node), len(node.args))
            yield from map(Message, read_texts(node.args[place : place + 1], known))
        yield from map(Message, read_table(node))


def list_spoken(node: ast.AST) -> Iterator[ast.expr]:
    """What is assigned to, or given as, one of the spoken names."""
    match node:
        case ast.keyword(arg=name, value=value) if name in SPOKEN:
            yield value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            for target, value in zip(names, values, strict=False):
                if read_target(target) in SPOKEN:
                    yield value
        case ast.Assign(targets=targets, value=value):
            if any(read_target(target) in SPOKEN for target in targets):
                yield value
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            if read_target(target) in SPOKEN:
                yield value
        case ast.arguments():
            plain = [*node.posonlyargs, *node.args]
            pairs: list[tuple[ast.arg, ast.expr | None]] = [
                *zip(plain[::-1], node.defaults[::-1], strict=False),
                *zip(node.kwonlyargs, node.kw_defaults, strict=True),
            ]
            yield from (value for name, value in pairs if value and name.arg in SPOKEN)


def read_target(node: ast.expr) -> str:
    """The name assigned to; of ``problems[…]`` and ``self.problems[…]`` too."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return str(getattr(node, "id", "") or getattr(node, "attr", ""))


def read_table(node: ast.AST) -> Iterator[str]:
    """The advice in ``{code: ErrorCode(code, …, advice) for code, …, advice in (rows)}``."""
    match node:
        case ast.DictComp(
            value=ast.Call(func=ast.Name(id="ErrorCode"), args=[_, _, _, ast.Name(id=name), *_]),
            generators=[ast.comprehension(target=ast.Tuple(elts=names), iter=ast.Tuple(elts=rows))],
        ):
            place = [getattr(one, "id", "") for one in names].index(name)
            for row in rows:
                cells = row.elts if isinstance(row, ast.Tuple) else []
                told = read_constant(cells[place]) if place < len(cells) else None
                if told:
                    yield told


def read_texts(nodes: Iterable[ast.expr], constants: Constants, *, depth: int = 0) -> Iterator[str]:
    """The texts an expression may be; ``{}`` for what an f-string fills in."""
    for node in nodes:
        inner: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            inner = [node.body, node.orelse]
        elif isinstance(node, ast.BoolOp):
            inner = node.values
        elif isinstance(node, ast.Name | ast.Attribute) and depth < 5:
            inner = constants.get(getattr(node, "id", "") or getattr(node, "attr", ""), [])
        elif isinstance(node, ast.JoinedStr):
            yield "".join(read_constant(part) or "{}" for part in node.values)
        elif told := read_constant(node):
            yield told
        yield from read_texts(inner, constants, depth=depth + 1)


def read_name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", "") or getattr(call.func, "attr", ""))


def read_constant(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def make_message(name: str, arguments: list[str | None]) -> Message | None:
    places = FUNCTIONS.get(name)
    if places is None:
        return None
    texts = [
        "" if place is None else (arguments[place] if place < len(arguments) else None)
        for place in places
    ]
    context, singular, plural = texts
    if not singular or context is None or plural is None:
        return None
    return Message(singular, plural, context)


def read_django_texts(locale: str) -> set[str]:
    texts: set[str] = set()
    for part in DJANGO_LOCALES:
        path = find_package("django") / part / "locale" / locale / "LC_MESSAGES" / "django.mo"
        if path.is_file():
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
            texts |= {key if isinstance(key, str) else key[0] for key in catalogue}
    return texts


def find_package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent

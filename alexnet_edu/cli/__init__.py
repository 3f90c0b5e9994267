"""The command `alexnet-edu`: one tree of registered commands.

A command is a function; its options are the fields of dataclasses, with what their docstrings say as help.
Only the standard library is imported at the top: `--help` is there at once, and the doctor can speak
where torch is broken.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  alexnet-edu doctor                        what works on this machine, and what to do
  alexnet-edu data cifar10                  download CIFAR-10 (170 MB)
  alexnet-edu data import images.zip        use images that you have
  alexnet-edu data imagenet --from PATH --to PATH   prepare ImageNet, once
  alexnet-edu claims --section 3.1          what the paper claims, and what we measured
  alexnet-edu experiment figure1 --condition modern --jobs 2
"""
GROUPS = {
    "data": "get or import images, or see what is there",
    "experiment": "run and record an experiment; --all: those that are missing",
    "two-gpus": "the network in two columns, on this machine",
    "weights": "the small trained networks that are shipped, and their training",
}
INTERRUPTED = 130  # what shells report for Ctrl-C


# --- registered commands ----------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """run: gets an object of each class in `options`, in their order, and gives an exit status or None (0).

    options: dataclasses, or "module:Class" where the import takes seconds. names: of their fields that are
    options, all where empty. kept: what to say after Ctrl-C. more: shown by --help below the options.
    """

    about: str
    run: Callable[..., int | None]
    options: tuple[type | str, ...]
    names: Collection[str]
    kept: str
    more: str

    def classes(self) -> list[Any]:
        """The dataclasses of the options, imported."""
        return [_imported(each) if isinstance(each, str) else each for each in self.options]


COMMANDS: dict[str, Command] = {}  # "data import" -> …


def command(
    name: str,
    about: str,
    *options: type | str,
    names: Collection[str] = (),
    kept: str = "Nothing was changed.",
    more: str = "",
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Registers a function as a command; the arguments are those of `Command`."""

    def register(run: Callable[..., int | None]) -> Callable[..., int | None]:
        COMMANDS[name] = Command(about, run, options, names, kept, more)
        return run

    return register


def _imported(name: str) -> type:
    module, _, member = name.partition(":")
    return typing.cast(type, getattr(importlib.import_module(module), member))


# --- running one ------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all went well; 1: what was looked at is not well; 2: bad input.

    Bad input and damaged files end in one line on stderr; `--debug` shows the traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that has no × shows a question mark
    arguments = tuple(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    chosen = parser.parse_args(_one_word(arguments), argparse.Namespace(arguments=arguments))
    asked: Command = chosen.command
    try:
        options = [made(kind, chosen) for kind in asked.classes()]
        return int(asked.run(*options) or 0)
    except KeyboardInterrupt:
        print(f"\nInterrupted. {asked.kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `alexnet-edu claims | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if chosen.debug or not _is_bad_input(error):
            raise
        print(f"alexnet-edu: {error}", file=sys.stderr)
        return 2


def _one_word(arguments: Sequence[str]) -> list[str]:
    """The first two words as one where the first alone is a command, too: "claims add"."""
    lead = 1 if arguments[:1] == ("--debug",) else 0
    two = " ".join(arguments[lead : lead + 2])
    return [*arguments[:lead], two, *arguments[lead + 2 :]] if _stands_alone(two) else list(arguments)


def _stands_alone(name: str) -> bool:
    """Whether a name of two words is no command of a group, for its first word is one by itself."""
    group, _, word = name.partition(" ")
    return bool(word) and name in COMMANDS and (group in COMMANDS or word.startswith("-"))


def _is_bad_input(error: Exception) -> bool:
    """Whether the message was written for the person who typed the command."""
    return isinstance(error, ValueError | PermissionError) or type(error).__module__.startswith(
        "alexnet_edu."
    )


class _Parser(argparse.ArgumentParser):
    """A parser that adds the options of its command when it is asked: `--help` need not import them all."""

    def __init__(self, command: Command | None = None, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)
        self.command = command

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.command is not None:
            for kind in self.command.classes():
                add_options(self, kind, self.command.names)
            self.set_defaults(command=self.command)
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    from alexnet_edu.cli import commands, experiments, ledger

    del commands, experiments, ledger  # importing them has registered theirs
    parser = _Parser(
        prog="alexnet-edu",
        description="The AlexNet paper, rebuilt claim by claim. Most of it lives in notebooks: `make lab`.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    top = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, Any] = {}
    for name, each in COMMANDS.items():
        group, _, word = ("", "", name) if _stands_alone(name) else name.rpartition(" ")
        if group and group not in groups:
            below = top.add_parser(group, help=GROUPS[group])
            groups[group] = below.add_subparsers(title="commands", metavar="COMMAND", required=True)
        (groups[group] if group else top).add_parser(
            word,
            command=each,
            help=each.about.replace("%", "%%"),
            description=f"{each.about[0].upper()}{each.about[1:]}.",
            epilog=each.more,
        )
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)


# --- options from dataclasses -----------------------------------------------------------------


def option(default: Any = MISSING, **metadata: Any) -> Any:
    """A field of options with metadata.

    flag: in place of "--" and the name. place: True for a word without a flag; metavar: what it stands for.
    bare: the value of the flag alone. choices: what is allowed. hidden: True for what nobody types.
    """
    return field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, kind: Any, chosen: Collection[str] = ()) -> None:
    """Adds an option for each field of a dataclass; its type, default and docstring say how."""
    types, helps = typing.get_type_hints(kind), help_of(kind)
    for each in fields(kind):
        if not each.metadata.get("hidden") and (each.name in chosen or not chosen):
            names, how = _argument(each, types[each.name])
            parser.add_argument(*names, help=helps.get(each.name, "").replace("%", "%%"), **how)


def _argument(each: Field[Any], hint: Any) -> tuple[list[str], dict[str, Any]]:
    """What argparse wants to know of a field."""
    about, required = each.metadata, each.default is MISSING
    parts = [part for part in typing.get_args(hint) if part not in (type(None), ...)] or [hint]
    many, kind = typing.get_origin(hint) is tuple, parts[0]
    how: dict[str, Any] = {"default": argparse.SUPPRESS} if not required else {}
    how |= {key: about[key] for key in ("choices", "metavar") if key in about}
    if about.get("place"):
        how["type"] = kind
        how |= {"nargs": "+"} if many else {} if required else {"nargs": "?"}
        return [each.name], how
    names = [about.get("flag", f"--{each.name.replace('_', '-')}")]
    how["dest"] = each.name
    if kind is bool:
        return names, how | {"action": "store_true"}
    how |= {"type": kind, "required": required}
    if "choices" not in about:
        how.setdefault("metavar", {Path: "PATH", str: "WORD"}.get(kind, "N"))
    if many:
        how["action"] = "append"
    if "bare" in about:
        how |= {"nargs": "?", "const": about["bare"]}
    return names, how


def made(kind: Any, chosen: argparse.Namespace) -> Any:
    """The dataclass with what was typed for its fields."""
    typed = {each.name: getattr(chosen, each.name) for each in fields(kind) if hasattr(chosen, each.name)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()})


def help_of(kind: Any) -> dict[str, str]:
    """What the docstring of a dataclass says of each field: "rate: ε at the start. seed: of all."."""
    names = "|".join(each.name for each in fields(kind))
    text = " ".join((inspect.getdoc(kind) or "").split())
    parts = re.split(rf"\b((?:{names})(?:, (?:{names}))*): ", text)[1:]
    found: dict[str, str] = {}
    for listed, words in zip(parts[::2], parts[1::2], strict=True):
        found |= dict.fromkeys(listed.split(", "), words.strip().rstrip("."))
    for each in fields(kind):
        if each.default not in (MISSING, None, False, "", ()):
            found[each.name] = f"{found.get(each.name, '')} (default: {each.default})".strip()
    return found

"""What the launchers share: flags and errors a user can act on; no JAX."""

import difflib
import json
import logging as std_logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import config_flags

from engine import stop

# What bad input raises (loop.DivergedError is arithmetic). Anything else is a
# bug and keeps its traceback.
USER_ERRORS = (ValueError, OSError, ModuleNotFoundError, ArithmeticError)


def fail(error) -> None:
  """One line on stderr, exit code 2."""
  text = ' '.join(str(error).split())
  print(f'error: {text}', file=sys.stderr)
  sys.exit(2)


def define_config():
  """The --config flag: a config or config:argument, --config.key=value."""
  return config_flags.DEFINE_config_file(
    'config',
    None,
    'path.py or area/name, such as lacy/wiki; :argument behind it',
    lock_config=True,
  )


def config_path(text: str) -> str:
  """The file that --config names, wherever the packages are installed.

  Args:
    text: a path, or <area>/<name> of a config that is shipped; `:argument`
      may follow.

  Raises:
    ValueError: there is none; names one that is near.
  """
  name, colon, argument = text.partition(':')
  root = pathlib.Path(__file__).resolve().parents[1]
  near = pathlib.Path(name)
  for place in (near, root / near, root / 'configs' / f'{name}.py'):
    if place.is_file():
      return f'{place}{colon}{argument}'
  shipped = sorted(
    str(path.relative_to(root / 'configs').with_suffix(''))
    for path in (root / 'configs').glob('*/*.py')
    if path.name not in ('__init__.py', 'common.py')
  )
  wanted = name.removeprefix('configs/').removesuffix('.py')
  close = difflib.get_close_matches(wanted, shipped, n=1)
  hint = f'did you mean {close[0]}?' if close else ', '.join(shipped)
  raise ValueError(
    f'--config={name} must be a file or a shipped config, and is neither; '
    f'{hint}'
  )


def _with_config_path(argv: Sequence[str]) -> list[str]:
  out = list(argv)
  for i, word in enumerate(out):
    flag, equals, value = word.partition('=')
    if flag not in ('--config', '-config'):
      continue
    if equals:
      out[i] = f'--config={config_path(value)}'
    elif i + 1 < len(out):
      out[i + 1] = config_path(out[i + 1])
  return out


def _flag_error(error: Exception) -> str:
  """What of a flag error its reader can act on."""
  text = str(error.args[0] if error.args else error)
  if isinstance(error, KeyError | AttributeError):
    flat = ' '.join(text.replace('\\n', ' ').split()).strip('\'"')
    return f'--config has no such key: {flat}'
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  return lines[-1] if 'Traceback' in text else ' '.join(lines)


def _quiet_libraries() -> None:
  """Leaves the information lines to this project; warnings stay."""
  root = str(pathlib.Path(__file__).resolve().parents[1])

  def ours(record):
    return record.levelno > std_logging.INFO or (
      record.pathname.startswith(root)
      and 'site-packages' not in record.pathname
    )

  logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().addFilter(ours)


# One heap that only grows, in huge pages: what a step frees, the next reuses.
_MALLOC = {
  'hugetlb': 1,
  'mmap_max': 0,
  'arena_max': 1,
  'top_pad': 2**28,
  'trim_threshold': 2**43,
}


def _keep_memory() -> None:
  """Starts this program again with a malloc that keeps what it has.

  XLA's CPU runtime takes its temporaries from malloc anew at every step;
  glibc would give the large ones back and have the kernel zero them again,
  page by page: 7% of a small model's step, beside huge pages alone. It reads
  its tunables only at the start of a process. Tunables that the user set are
  left alone.

  And with one thread in OpenBLAS, which factors XLA's matrices on a CPU: its
  threads wait for one another by spinning, and where another program has one
  of the cores that took ridge probes from 3 seconds to 100.
  """
  os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
  tunables = os.environ.get('GLIBC_TUNABLES', '')
  if 'glibc.malloc.' in tunables:
    return
  ours = [f'glibc.malloc.{name}={value}' for name, value in _MALLOC.items()]
  os.environ['GLIBC_TUNABLES'] = ':'.join(filter(None, [tunables, *ours]))
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main(function: Callable[[], None], *, keep_memory: bool = True) -> None:
  """Runs a launcher: parses flags, turns user errors into one line.

  Args:
    function: the launcher.
    keep_memory: see `_keep_memory`. Not for what runs many programs over a
      large model: one such process held 17 GB, and 5.4 without.
  """

  def parse(argv):
    try:
      rest = flags.FLAGS(_with_config_path(argv))
      if rest[1:]:
        raise ValueError(f'flags begin with --, got {rest[1]!r}')
    except (flags.Error, KeyError, AttributeError, *USER_ERRORS) as error:
      fail(_flag_error(error))
    return rest

  def guarded(argv):
    del argv
    _quiet_libraries()
    try:
      with stop.immediate():
        function()
    except stop.Interrupted as error:
      print(json.dumps({'interrupted': error.step}))
      print(error, file=sys.stderr)
      stop.leave()
      raise
    except USER_ERRORS as error:
      logging.debug('traceback', exc_info=True)
      fail(error)

  if keep_memory:
    _keep_memory()
  app.run(guarded, flags_parser=parse)

"""Runs a launcher: as a process of its own, or here, which imports nothing."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from unittest import mock

from absl import app, flags

from launch import cli
from tests import files


def child(module: str, *arguments: str) -> subprocess.CompletedProcess:
  """`python -m launch.<module>`, as a user calls it."""
  return subprocess.run(
    [sys.executable, '-m', f'launch.{module}', *arguments],
    cwd=files.ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    timeout=300,
  )


def here(module: str, *arguments: str) -> subprocess.CompletedProcess:
  """The same in this process, with flags of its own.

  Left out is what a process does once: absl's start, the choice of malloc, the
  filter of log lines.
  """
  out, err, status = io.StringIO(), io.StringIO(), 0
  with (
    _flags_of_its_own(),
    mock.patch.object(sys, 'argv', [f'launch.{module}', *arguments]),
    mock.patch.object(app, 'run', _run),
    mock.patch.object(cli, '_keep_memory'),
    mock.patch.object(cli, '_quiet_libraries'),
    contextlib.redirect_stdout(out),
    contextlib.redirect_stderr(err),
  ):
    try:
      runpy.run_module(f'launch.{module}', run_name='__main__')
    except SystemExit as end:
      status = end.code or 0
  return subprocess.CompletedProcess(
    (module, *arguments), status, out.getvalue(), err.getvalue()
  )


def _run(main, flags_parser):
  main(flags_parser(sys.argv))


@contextlib.contextmanager
def _flags_of_its_own():
  """Takes away the flags of launchers, and afterwards those defined within."""
  parsed = flags.FLAGS.is_parsed()
  others = {
    flag.name: flag
    for module, defined in flags.FLAGS.flags_by_module_dict().items()
    if module.startswith('launch.')
    for flag in defined
  }
  for name in others:
    delattr(flags.FLAGS, name)
  before = set(flags.FLAGS)
  try:
    yield
  finally:
    for name in set(flags.FLAGS) - before:
      delattr(flags.FLAGS, name)
    for name, flag in others.items():
      flags.FLAGS[name] = flag
    if not parsed:
      flags.FLAGS.unparse_flags()

"""The count of programs: by file, over all workers, with the slowest tests."""

import types

import jax
import numpy as np

from tests import compilations

FILE = 'tests/compilations_test.py'


def test_counts_a_program_for_each_shape_of_a_function(pytestconfig):
  counter = pytestconfig.pluginmanager.get_plugin('compilations')
  function = jax.jit(lambda x: x * 3 + 1)
  before = counter.programs[FILE]
  for length in (5, 7, 5, 5, 7):
    function(np.ones(length))
  assert counter.programs[FILE] - before == 2


def test_reports_the_sum_over_workers():
  counter = compilations.Counter()
  for output in (
    {'programs': {'a_test.py': 1200, 'b_test.py': 30}, 'read': 100},
    {'programs': {'b_test.py': 5}, 'read': 3},
  ):
    counter.pytest_testnodedown(types.SimpleNamespace(workeroutput=output))
  counter.pytest_testnodedown(types.SimpleNamespace())  # one that crashed
  for name, seconds in (('a::slow', 2.0), ('b::quick', 0.5), ('a::slow', 0.25)):
    report = types.SimpleNamespace(nodeid=name, duration=seconds)
    counter.pytest_runtest_logreport(report)
  assert counter.lines() == [
    '1,235 programs: 1,132 compiled, 103 read from the cache',
    '',
    'programs  file',
    '   1,200  a_test.py',
    '      35  b_test.py',
    '',
    ' seconds  test',
    '     2.2  a::slow',
    '     0.5  b::quick',
  ]


def test_ten_of_each_at_most():
  counter = compilations.Counter()
  counter.programs.update({f'{i:02}_test.py': i for i in range(1, 12)})
  counter.seconds.update({f'{i:02}': i for i in range(1, 12)})
  lines = counter.lines()
  assert '      11  11_test.py' in lines
  assert '       1  01_test.py' not in lines
  assert len(lines) == 1 + 12 + 12

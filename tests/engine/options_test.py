"""Texts of configs: what is read, and what is said of what cannot be."""

import dataclasses

from absl.testing import absltest, parameterized

from engine import options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Walk:
  steps: int
  pace: float = 1.5
  way: str = 'left'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rest:
  pass


KINDS = {'walk': Walk, 'rest': Rest}


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ('rest', Rest()),
    (' rest( ) ', Rest()),
    ('walk(steps=3)', Walk(steps=3)),
    ('walk( steps = 3, way=up,pace=2)', Walk(steps=3, pace=2.0, way='up')),
  )
  def test_reads(self, text, want):
    self.assertEqual(options.parse(text, KINDS, 'data.go'), want)

  @parameterized.parameters(
    ('run', "must be one of walk, rest, .* got 'run'"),
    ('', "got ''"),
    ('walk(steps=3', 'must be one of'),
    ('rest(steps=3)', "rest has no keys, got 'steps'"),
    ('walk(speed=3)', "walk has steps, pace, way, got 'speed'"),
    ('walk(3)', "walk has steps, pace, way, got '3'"),
    ('walk(steps=x)', "steps of walk must be int, got 'x'"),
    ('walk(steps)', "steps of walk must be int, got ''"),
    ('walk', "walk needs steps, got 'walk'"),
  )
  def test_refuses(self, text, message):
    with self.assertRaisesRegex(ValueError, f'data.go.*{message}'):
      options.parse(text, KINDS, 'data.go')


if __name__ == '__main__':
  absltest.main()

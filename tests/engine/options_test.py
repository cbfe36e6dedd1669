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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trip:
  """A dataclass of every type that is checked."""

  name: str
  days: int = 1
  pace: float = 1.5
  night: bool = False
  stops: tuple[int, ...] = ()
  guide: str | None = None
  walk: Walk | None = None


class SectionTest(parameterized.TestCase):
  def test_lists_are_tuples_and_ints_floats(self):
    got = options.section(
      {'name': 'x', 'pace': 2, 'stops': [1, 2], 'guide': None}, 'trip', Trip
    )
    self.assertEqual(got, Trip(name='x', pace=2.0, stops=(1, 2)))
    self.assertIsInstance(got.pace, float)

  @parameterized.parameters(
    ({'days': 3}, 'trip needs name; set --config.trip.name'),
    ({'name': 'x', 'dayz': 3}, 'trip.dayz is not a key; did you mean days'),
    ({'name': 'x', 'zzz': 3}, 'trip.zzz is not a key; known are name, days'),
    ({'name': 3}, 'trip.name must be str, got 3; change --config.trip.name'),
    ({'name': 'x', 'days': 1.5}, 'trip.days must be int, got 1.5'),
    ({'name': 'x', 'days': True}, 'trip.days must be int, got True'),
    ({'name': 'x', 'night': 1}, 'trip.night must be bool, got 1'),
    ({'name': 'x', 'night': 'no'}, "trip.night must be bool, got 'no'"),
    ({'name': 'x', 'pace': 'q'}, "trip.pace must be float, got 'q'"),
    ({'name': 'x', 'stops': 'ab'}, "trip.stops must be tuple, got 'ab'"),
    ({'name': 'x', 'guide': 3}, 'trip.guide must be str or nothing, got 3'),
  )
  def test_refuses(self, values, message):
    with self.assertRaisesRegex(ValueError, message):
      options.section(values, 'trip', Trip)

  def test_no_section(self):
    with self.assertRaisesRegex(ValueError, 'trip must be a section of keys'):
      options.section(3, 'trip', Trip)

  def test_given_fields_are_no_keys(self):
    got = options.section({}, 'trip', Trip, given={'name': 'y'})
    self.assertEqual(got, Trip(name='y'))
    with self.assertRaisesRegex(ValueError, 'trip.name is not a key'):
      options.section({'name': 'x'}, 'trip', Trip, given={'name': 'y'})

  def test_one_section_of_two_dataclasses(self):
    walk, trip = options.sections(
      {'steps': 1, 'name': 'x', 'pace': 2.0}, 'go', (Walk, Trip)
    )
    self.assertEqual(walk, {'steps': 1, 'pace': 2.0})
    self.assertEqual(trip, {'name': 'x', 'pace': 2.0})
    with self.assertRaisesRegex(ValueError, 'go.step is not a key; did you me'):
      options.sections({'step': 1}, 'go', (Walk, Trip))


class ConfigTest(absltest.TestCase):
  def config(self):
    return options.Config(
      {'a': {'x': 1, 'deep': {'y': [2, 3]}}, 'steps': 4, 'sweep': {}}
    )

  def test_reads_as_it_was_given(self):
    config = self.config()
    self.assertEqual(config['a']['deep']['y'], (2, 3))
    self.assertEqual(config.get('none', 7), 7)
    self.assertEqual(
      config.plain(),
      {'a': {'x': 1, 'deep': {'y': (2, 3)}}, 'steps': 4, 'sweep': {}},
    )
    self.assertEmpty(config.unread())

  def test_what_nobody_read_is_named_with_what_is_near(self):
    config = self.config()
    _ = config['a']['x']
    self.assertEqual(config.unread(), ['a.deep', 'steps', 'sweep'])
    with self.assertRaisesRegex(
      ValueError, r'walk never reads a.deep \(nor steps\).*remove it'
    ):
      config.check_all_read('walk', but=('sweep',))
    dict(config['a']['deep'])
    _ = config['steps']
    config.check_all_read('walk', but=('sweep',))

  def test_asking_whether_a_key_is_there_does_not_read_it(self):
    config = self.config()
    self.assertIn('steps', config)
    self.assertIn('steps', config.unread())

  def test_what_is_missing_is_named_with_its_section(self):
    with self.assertRaisesRegex(ValueError, 'needs a.z, and has not; .* x, de'):
      _ = self.config()['a']['z']


if __name__ == '__main__':
  absltest.main()

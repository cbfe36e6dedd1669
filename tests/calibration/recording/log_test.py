"""What was recorded comes back; what was not whole, or another's, does not."""

import json
import pathlib
import tempfile
from unittest import mock

import ml_dtypes
import numpy as np
from absl.testing import absltest

from calibration.recording import log
from engine.runs import manifest as manifest_lib
from tests.calibration import support


def drawn():
  """A record in which every field holds something to lose."""
  rng = np.random.default_rng(0)
  asked = support.question(
    4,
    choices=('4', '5 €'),
    context='Ein "Satz"\nmit Zeilen',
    answers=('5', 'fünf'),
  )
  return support.said(
    asked,
    ['5', '', 'fünf ½ \U0001f44d\n?'],
    logprobs=-rng.random(19).astype(np.float32) * np.float32(1e-3),
    ended=np.array([True, False, True]),
    greedy_logprobs=np.array([-np.inf, -1e-45], np.float32),
    greedy_ended=False,
    prompt_hidden=rng.normal(size=7).astype(np.float32) * 1e4,
    answer_hidden=np.array([1.0, -0.0, np.inf, 1 / 3], np.float32),
    candidates=('Côte', 'b'),
    candidate_logprobs=np.array([-1.5, -np.inf], np.float32),
  )


class Case(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def assertSame(self, one, other, hidden=lambda x: x):
    for name, value in one._asdict().items():
      found = getattr(other, name)
      if isinstance(value, np.ndarray):
        value = hidden(value) if name.endswith('hidden') else value
        self.assertEqual(found.dtype, value.dtype, name)
        # Bytes: the sign of a zero is kept, too.
        self.assertEqual(found.tobytes(), value.tobytes(), name)
      else:
        self.assertEqual(found, value, name)
        self.assertIs(type(found), type(value), name)


class PackTest(Case):
  def test_round_trip_is_bit_for_bit_but_for_hidden_states(self):
    one = drawn()
    self.assertEqual(one.tokens.size, 19)

    def rounded(x):
      return x.astype(ml_dtypes.bfloat16).astype(np.float32)

    found = log.unpack(log.pack(one))
    self.assertSame(one, found, rounded)
    # To eight bits of mantissa, to the nearest.
    np.testing.assert_allclose(
      found.prompt_hidden, one.prompt_hidden, rtol=2**-8
    )
    self.assertNotEqual(
      found.prompt_hidden.tolist(), one.prompt_hidden.tolist()
    )
    # A second time there is nothing left to round.
    self.assertSame(found, log.unpack(log.pack(found)))

  def test_parts_of_samples(self):
    one = drawn()
    parts = log.split(one.tokens, one.lengths)
    self.assertEqual(
      [bytes(part[:-1].tolist()).decode() for part in parts], [*one.samples]
    )
    self.assertEqual(log.split(np.zeros(0), np.zeros(0, np.int32)), [])


class FilesTest(Case):
  def test_questions_come_in_the_order_they_were_asked_in(self):
    for number in (11, 2, 0):
      some = [
        support.said(support.question(10 * number + i), ['x']) for i in range(3)
      ]
      log.write(log.shard(self.folder, 'set-concise', number), some)
    ids = [one.question.id for one in log.read(self.folder, 'set-concise')]
    wanted = [10 * number + i for number in (0, 2, 11) for i in range(3)]
    self.assertEqual(ids, [f'addition_1-1+{n}-0' for n in wanted])

  def test_a_file_that_fails_half_way_is_none(self):
    path = log.shard(self.folder, 'cell', 0)
    log.write(path, [drawn()])
    before = path.read_bytes()
    good, bad = drawn(), drawn()._replace(greedy=np.float32)
    for number in (0, 1):
      with self.assertRaises(TypeError):
        log.write(log.shard(self.folder, 'cell', number), [good, bad])
    self.assertEqual(path.read_bytes(), before)
    self.assertEqual(list(path.parent.iterdir()), [path])

  def test_what_a_killed_writer_left_is_not_read(self):
    path = log.shard(self.folder, 'cell', 0)
    # Killed before the rename: nothing is cleaned up.
    with (
      mock.patch('os.replace', side_effect=KeyboardInterrupt),
      mock.patch.object(pathlib.Path, 'unlink'),
      self.assertRaises(KeyboardInterrupt),
    ):
      log.write(path, [drawn()])
    self.assertLen(list(path.parent.iterdir()), 1)
    self.assertFalse(path.exists())
    with self.assertRaisesRegex(FileNotFoundError, 'recording of cell, but'):
      list(log.read(self.folder, 'cell'))
    log.write(path, [drawn()])
    self.assertLen(list(log.read(self.folder, 'cell')), 1)


MANIFEST = dict(model='m', weights='a1', seed=0, sets=('x', 'y'))


class ManifestTest(Case):
  def test_the_same_recording_goes_on(self):
    manifest_lib.begin(self.folder / 'new', MANIFEST)
    manifest_lib.begin(self.folder / 'new', MANIFEST)
    held = json.loads((self.folder / 'new' / 'manifest.json').read_text())
    self.assertEqual(held, MANIFEST | {'sets': ['x', 'y']})

  def test_another_is_refused_by_the_fields_that_differ(self):
    manifest_lib.begin(self.folder, MANIFEST)
    for change, what in (
      ({'weights': 'b2'}, r'\(weights: a1 there, b2 asked\)'),
      ({'seed': 1, 'model': 'n'}, 'model: m there, n asked; seed: 0 there, 1'),
      ({'new': 3}, r'\(new: None there, 3 asked\)'),
    ):
      for door in (manifest_lib.check, manifest_lib.begin):
        with self.assertRaisesRegex(ValueError, what):
          door(self.folder, MANIFEST | change)
    held = json.loads((self.folder / 'manifest.json').read_text())
    self.assertEqual(held['weights'], 'a1')

  def test_nothing_there_is_no_other(self):
    manifest_lib.check(self.folder / 'none', MANIFEST)
    self.assertFalse((self.folder / 'none').exists())


if __name__ == '__main__':
  absltest.main()

"""A tiny model is asked; what is written down is what it says by itself."""

import atexit
import dataclasses
import functools
import itertools
import pathlib
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.recording import (
  candidates,
  cell,
  log,
  prompts,
  question_mix,
  record,
)
from engine import options
from engine.runs import manifest as manifest_lib
from lm import transformer
from lm.checkpoints import pretrained_tokenizer
from lm.decoding import generate
from tests import files
from tests.calibration import support


@functools.partial(jax.jit, static_argnums=0)
def plain(config, params, tokens):
  """States of both layers [T, D] and log-probabilities [T, V] of one text."""
  out = transformer.Transformer(config).apply(
    {'params': params}, tokens, capture=(1, 2)
  )
  logits = generate.logits_of(out.hidden[0], transformer.unembedding(params))
  return [a[0] for a in out.captured], jax.nn.log_softmax(logits)


def read(model, ids, size=512):
  """`plain`, for any length; what follows a token does not change it."""
  tokens = jnp.array([[*ids] + [0] * (size - len(ids))])
  states, logp = plain(model.config, model.params, tokens)
  return [np.asarray(a)[: len(ids)] for a in (*states, logp)]


def same(test, one, other):
  """Two records agree, floats to rounding."""
  for name, value in one._asdict().items():
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
      # Hidden states are kept in bfloat16.
      rtol = 2**-7 if name.endswith('hidden') else 1e-3
      np.testing.assert_allclose(
        value, getattr(other, name), rtol=rtol, atol=1e-4, err_msg=name
      )
    elif isinstance(value, np.ndarray):
      np.testing.assert_array_equal(value, getattr(other, name), name)
    else:
      test.assertEqual(value, getattr(other, name), name)


# So many ids end an answer that some do.
ENDS = tuple(range(0, support.CONFIG.vocab_size, 5))


@functools.cache
def recorded():
  """(folder, recording, model), once for the file: nearly all is compiling."""
  folder = tempfile.TemporaryDirectory()
  atexit.register(folder.cleanup)
  at = pathlib.Path(folder.name)
  recording = record.Recording(
    model=str(support.export(at / 'tiny')),
    sets=('addition_1',),
    styles=('concise',),
    questions=5,
    samples=6,
    concise_tokens=4,
    file=2,
    fewest_rows=64,
    folder=str(at / 'said'),
  )
  model = record.open_model(recording)
  with mock.patch.object(record, '_ends', lambda tokenizer: ENDS):
    record.record(recording, model, enabled=False)
  return at, recording, model


class Case(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder, cls.recording, cls.model = recorded()
    cls.enterClassContext(
      mock.patch.object(record, '_ends', lambda tokenizer: ENDS)
    )

  def said(self, recording=None):
    folder = (recording or self.recording).at()
    return list(log.read(folder, 'addition_1-concise'))

  def other(self, name, **changes):
    changes['folder'] = str(self.folder / name)
    return dataclasses.replace(self.recording, **changes)


class RecordTest(Case):
  def test_questions_are_those_of_the_set_as_they_are_put(self):
    want = question_mix.load('addition_1', count=5, seed=0)
    found = self.said()
    self.assertEqual([one.question for one in found], want)
    for one in found:
      self.assertEqual(one.prompt, prompts.text(one.question, 'concise'))
      self.assertEqual(one.group, one.question.id.split('-')[1])

  def test_texts_and_probabilities_are_the_models_own(self):
    tokenizer = self.model.tokenizer
    ends = {*ENDS}
    kinds = set()
    for one in self.said():
      prompt = tokenizer.encode(one.prompt)
      tokens = log.split(one.tokens, one.lengths)
      self.assertEqual(one.lengths.sum(), one.logprobs.size)
      for text, ids, logprobs, ended in zip(
        one.samples, tokens, cell.parts(one), one.ended, strict=True
      ):
        *_, logp = read(self.model, [*prompt, *ids])
        at = np.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
        np.testing.assert_allclose(logp[at, ids], logprobs, atol=1e-4)
        self.assertEqual(bool(ended), int(ids[-1]) in ends)
        # Nothing after an end, and it is no part of the text.
        self.assertEmpty({*ids[:-1].tolist()} & ends)
        self.assertTrue(ended or len(ids) == 4)
        shown = ids[:-1] if ended else ids
        self.assertEqual(text, tokenizer.decode(shown).strip())
        kinds.add(bool(ended))
    self.assertEqual(kinds, {True, False})

  def test_the_greedy_answer_is_the_likeliest_step_by_step(self):
    tokenizer = self.model.tokenizer
    for one in self.said():
      ids = tokenizer.encode(one.prompt)
      start = len(ids)
      *_, logp = read(self.model, [*ids, *one.greedy_tokens])
      rows = logp[start - 1 : start - 1 + len(one.greedy_tokens)]
      self.assertEqual(rows.argmax(-1).tolist(), one.greedy_tokens.tolist())
      np.testing.assert_allclose(rows.max(-1), one.greedy_logprobs, atol=1e-4)
      entropy = -np.sum(np.exp(rows) * rows, -1)
      np.testing.assert_allclose(entropy, one.greedy_entropies, atol=1e-4)
      size = len(one.greedy_tokens) - one.greedy_ended
      self.assertEqual(
        one.greedy, tokenizer.decode(one.greedy_tokens[:size]).strip()
      )
      first, last, _ = read(self.model, [*ids, *one.greedy_tokens[:size]])
      # Kept in bfloat16.
      np.testing.assert_allclose(
        one.prompt_hidden, last[start - 1], rtol=2**-8, atol=1e-4
      )
      np.testing.assert_allclose(
        one.answer_hidden, first[-1], rtol=2**-8, atol=1e-4
      )

  def test_likelihoods_of_candidates_by_reading_each(self):
    tokenizer = self.model.tokenizer
    one = self.said()[0]
    self.assertEqual(one.candidates, tuple(map(str, range(200))))
    mass = np.exp(one.candidate_logprobs.astype(np.float64))
    self.assertLess(mass.sum(), 1.0)
    prompt = tokenizer.encode(one.prompt)

    def begins(number):
      ids = tokenizer.encode(f' {number}', add_bos=False)
      *_, logp = read(self.model, [*prompt, *ids])
      at = np.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
      return np.exp(logp[at, ids].astype(np.float64).sum())

    # A digit a token: of '7' what goes on to '70'..'79' is theirs, and of
    # '13' what goes on to '130'..'139'.
    for name, longer in (('7', range(70, 80)), ('13', range(130, 140))):
      want = begins(name) - sum(map(begins, longer))
      self.assertAlmostEqual(mass[int(name)] / want, 1, delta=1e-3)
    self.assertAlmostEqual(mass[71] / begins(71), 1, delta=1e-3)
    masses = cell.exact_masses(one, 'concise')
    self.assertLen(masses, 200)
    self.assertAlmostEqual(masses['71'], mass[71])


class EndsTest(absltest.TestCase):
  def test_the_models_own_and_every_token_with_the_end_of_a_line(self):
    tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(files.TOKENS)
    got = record._ends(tokenizer)
    self.assertContainsSubset(tokenizer.stop_ids, got)
    lines = {*tokenizer.encode('\n', add_bos=False), *tokenizer.encode('\n\n')}
    self.assertContainsSubset(lines, got)
    text = 'There are 12 cats.'
    self.assertEmpty({*tokenizer.encode(text, add_bos=False)} & {*got})


class AloneTest(absltest.TestCase):
  def test_masses_are_those_of_all_sequences(self):
    # All of three tokens out of four, with random probabilities.
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(64)).reshape(4, 4, 4)
    options = [(1,), (1, 2), (1, 2, 3), (2, 0), (1, 2), (3,), (3, 3, 1)]
    begins = [p[option].sum() for option in options]
    mass = np.exp(candidates.alone(options, np.log(begins)).astype(np.float64))
    want = dict.fromkeys(options, 0.0)
    for sequence in itertools.product(range(4), repeat=3):
      # Of what it begins with the longest is what it means.
      fits = [o for o in options if sequence[: len(o)] == o]
      if fits:
        want[max(fits, key=len)] += p[sequence]
    # Two spellings of the same ids are one.
    self.assertEqual(mass[1], 0.0)
    got = {o: m for o, m in zip(options, mass, strict=True) if m}
    self.assertEqual(got.keys(), want.keys())
    for option, value in want.items():
      self.assertAlmostEqual(got[option], value, places=6)
    self.assertLess(mass.sum(), 1.0)

  def test_a_candidate_that_always_goes_on_has_none_of_its_own(self):
    # In float32 what is taken may be a little more than there was.
    got = candidates.alone([(1,), (1, 2)], np.log([0.5, 0.5000001]))
    self.assertEqual(got[0], -np.inf)


class ResumeTest(Case):
  def test_only_what_is_missing_is_asked_and_it_is_the_same(self):
    folder = self.recording.at()
    self.assertEqual(self.recording.missing(), [])
    name = 'addition_1-concise'
    paths = [log.shard(folder, name, number) for number in range(3)]
    before = [(p.read_bytes(), p.stat().st_mtime_ns) for p in paths]
    said = self.said()
    paths[1].unlink()
    self.assertEqual(self.recording.missing(), [(name, 1)])
    record.record(self.recording, self.model, enabled=False)
    for number in (0, 2):
      self.assertEqual(paths[number].stat().st_mtime_ns, before[number][1])
    # The very same programs: bit for bit.
    for one, other in zip(said, self.said(), strict=True):
      self.assertEqual(log.pack(one), log.pack(other))

  def test_samples_know_nothing_of_batches_files_and_other_questions(self):
    other = self.other(
      'otherwise',
      questions=3,
      file=3,
      batch=3,
      fewest_rows=8,
      candidates=False,
    )
    record.record(other, self.model, enabled=False)
    found = self.said(other)
    self.assertLen(found, 3)
    for one, again in zip(self.said(), found, strict=False):
      self.assertEqual(again.candidates, ())
      same(
        self,
        one._replace(candidates=(), candidate_logprobs=np.zeros(0, np.float32)),
        again,
      )

  def test_processes_share_the_cells(self):
    shared = self.other('shared', styles=('concise', 'sentence', 'cot'))

    def ask(recording, model, asked, *rest):
      return [support.said(one, ['1', '2']) for one in asked]

    with mock.patch.object(record, '_ask', ask):
      for process, left in ((1, {'concise', 'cot'}), (0, set())):
        record.record(
          shared, self.model, process=process, processes=2, enabled=False
        )
        styles = {name.split('-')[1] for name, _ in shared.missing()}
        self.assertEqual(styles, left)
    self.assertLen(self.said(shared), 5)


class OldTest(absltest.TestCase):
  """A recording of the tree before this one, see tests/fixtures/old."""

  def test_is_complete_and_goes_on_with_what_was_written_then(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    old = files.old_recording('calibration', folder)
    _, recording, _ = recorded()
    recording = dataclasses.replace(
      recording, model=str(folder / 'tiny'), folder=str(old)
    )
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      record.gather(recording)
    name = 'addition_1-concise'
    before = list(log.read(old, name))
    prompts_then = [one.question.prompt for one in before]
    self.assertEqual(
      prompts_then[:2], ['What is the sum of 7 and 3?', 'What is 7 + 1?']
    )
    self.assertLen({bool(end) for one in before for end in one.ended}, 2)
    log.shard(old, name, 1).unlink()
    self.assertEqual(recording.missing(), [(name, 1)])
    with mock.patch.object(record, '_ends', lambda tokenizer: ENDS):
      record.record(recording, record.open_model(recording), enabled=False)
    for one, other in zip(before, log.read(old, name), strict=True):
      same(self, one, other)
    # In the cache, its folder has the name that it had then.
    cached = dataclasses.replace(recording, folder='')
    self.assertEqual(cached.at().name, 'e3fabb26a8340d4e')


class RefusalTest(Case):
  def test_another_recording_is_refused_by_the_field(self):
    path = support.export(self.folder / 'copy' / 'tiny', seed=1)
    for changes, what in (
      (dict(samples=7), 'samples: 6 there, 7 asked'),
      (dict(seed=1), 'seed: 0 there, 1 asked'),
      (dict(form='chat'), 'form: text there, chat asked'),
      (dict(model=str(path)), 'weights: [0-9a-f]{64} there'),
    ):
      other = self.other('said', **changes)
      with self.assertRaisesRegex(ValueError, what):
        record.record(other, self.model, enabled=False)
      with self.assertRaisesRegex(ValueError, what):
        record.gather(other)
    self.assertEqual(self.recording.missing(), [])

  def test_not_every_set_must_be_asked_in_every_style(self):
    one = dataclasses.replace(
      self.recording,
      sets=('addition_1', 'plurals'),
      styles=('concise', 'cot'),
      only='plurals-concise,addition_1-cot',
    )
    self.assertEqual(
      one.cells(), [('addition_1', 'cot'), ('plurals', 'concise')]
    )
    self.assertEqual(one.manifest(), self.recording.manifest())

  def test_sets_and_styles_are_added_and_speed_is_no_other_recording(self):
    more = self.other('said', styles=('concise', 'cot'), batch=4, fewest_rows=9)
    self.assertEqual(more.missing(), [('addition_1-cot', n) for n in range(3)])
    manifest_lib.check(more.at(), more.manifest())

  def test_without_a_folder_the_name_is_made_of_what_is_asked(self):
    names = {
      dataclasses.replace(self.recording, folder='', **changes).at()
      for changes in (
        {},
        {'batch': 7},
        {'styles': ('cot',)},
        {'seed': 3},
        {'samples': 2},
      )
    }
    self.assertLen(names, 3)

  def test_nothing_is_opened_where_nothing_is_missing(self):
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      record.gather(self.recording)

  def test_more_questions_than_there_are_leave_no_folder(self):
    many = self.other('many', questions=5000)
    with self.assertRaisesRegex(ValueError, 'got 5012'):
      record.record(many, self.model, enabled=False)
    self.assertFalse(many.at().exists())

  @parameterized.parameters(
    (dict(samples=0), 'record.samples must be positive, got 0'),
    (dict(temperature=-1.0), 'record.temperature must not be negative'),
    (dict(sets=('words',)), 'record.sets must be of world.*got words'),
    (dict(sets=()), 'record.sets must be of .*got none'),
    (dict(styles=('long',)), 'record.styles must be of concise'),
    (dict(only='world-cot'), 'record.only must name cells of addition_1'),
    (dict(form='html'), "record.form must be text or chat, got 'html'"),
    (dict(compute='float16'), 'record.compute must be float32 or bfloat16'),
  )
  def test_what_does_not_fit_is_said_first(self, changes, what):
    with self.assertRaisesRegex(ValueError, what):
      dataclasses.replace(self.recording, **changes)

  def test_a_field_that_is_not_known(self):
    with self.assertRaisesRegex(ValueError, 'record.sample is not a key; did'):
      options.section({'sample': 3}, 'record', record.Recording)


if __name__ == '__main__':
  absltest.main()

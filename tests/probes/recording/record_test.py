"""A tiny model answers a few questions, is graded, and is read where asked."""

import atexit
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
import zlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from corpora.questions import grading, multiple_choice, sets, tasks
from lm import transformer
from lm.decoding import generate
from probes.recording import record, store
from tests import files

LONGEST = 256
QUESTION = 'Which of these is number {}?'


@functools.partial(jax.jit, static_argnums=0)
def plain(config, params, tokens):
  out = transformer.Transformer(config).apply(
    {'params': params}, tokens, capture=(1,)
  )
  logits = generate.logits_of(out.hidden[0], transformer.unembedding(params))
  return out.captured[0][0], jax.nn.log_softmax(logits)


def odd(answer, answers):
  """A grader that no answer of a random model fails for good."""
  return zlib.crc32(f'{answer}/{answers}'.encode()) % 2 == 1


@functools.cache
def recorded():
  """(recording, model), once for the file: nearly all is compiling."""
  temporary = tempfile.TemporaryDirectory()
  atexit.register(temporary.cleanup)
  folder = pathlib.Path(temporary.name)
  files.old_recording('probes', folder)
  rows = [
    {
      'question': QUESTION.format(i),
      'options': [f'{word} {i}' for word in ('one', 'eleven', 'a thousand')],
      'answer': f'{("one", "eleven")[i % 2]} {i}',
    }
    for i in range(6)
  ]
  mine = folder / 'mine.jsonl'
  mine.write_text('\n'.join(map(json.dumps, rows)))
  wanted = record.Recording(
    model=str(folder / 'tiny'),
    tasks=('addition_1', f'jsonl:{mine}'),
    questions=5,
    layers=(0,),
    dtype='float32',
    max_new_tokens=4,
    file=2,
    batch=4,
    folder=str(folder / 'new'),
  )
  model = record.open_model(wanted)
  with mock.patch.dict(grading.GRADERS, {'numeric': odd}):
    record.record(wanted, model, enabled=False)
  return wanted, model


class RecordTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.wanted, self.model = recorded()
    self.folder = self.wanted.at()
    self.mine = self.wanted.tasks[1]

  def read(self, ids):
    """State of layer 0 [T, D] and log-probabilities [T, V] of one text."""
    # What follows a token does not change it.
    tokens = jnp.array([ids + [0] * (LONGEST - len(ids))])
    found = plain(self.model.config, self.model.params, tokens)
    return [np.asarray(a)[: len(ids)] for a in found]

  def sites(self, group):
    return {
      token: store.activations(self.folder, group, f'L0.resid_post.{token}')
      for token in ('last_prompt', 'last_answer')
    }

  def test_text_is_generated_graded_and_read(self):
    said = store.answers(self.folder, 'addition_1')
    task = tasks.load('addition_1', count=5, seed=0)
    tokenizer = self.model.tokenizer
    read = self.sites('addition_1')
    self.assertEqual(list(said.ids), [q.id for q in task.questions])
    self.assertLen({*said.labels.tolist()}, 2)
    for n, question in enumerate(task.questions):
      prompt = tokenizer.encode(tasks.prompt(task, question))
      ids = [*prompt]
      for _ in range(4):
        _, logp = self.read(ids)
        ids.append(int(logp[-1].argmax()))
      text = tokenizer.decode(ids[len(prompt) :])
      self.assertEqual(said.answers[n], text.partition('\n')[0].strip())
      self.assertEqual(
        bool(said.labels[n]), odd(said.answers[n], question.answers)
      )
      answer = ids[len(prompt) :][: int(said.tokens[n])]
      self.assertNotIn('\n', tokenizer.decode(answer))
      state, _ = self.read(prompt + answer)
      for token, at in (
        ('last_prompt', len(prompt) - 1),
        ('last_answer', len(prompt) + len(answer) - 1),
      ):
        np.testing.assert_allclose(read[token][n], state[at], atol=1e-4)

  def test_an_option_of_a_users_file_is_the_likeliest_by_byte(self):
    group = sets.key(self.mine)
    said = store.answers(self.folder, group)
    task = tasks.load(self.mine, count=5, seed=0)
    self.assertEqual({*said.grader}, {'likeliest_option'})
    encode = self.model.tokenizer.encode
    read = self.sites(group)
    for n, question in enumerate(task.questions):
      prompt = encode(multiple_choice.prompt_of(question))
      totals, ends = [], []
      for option in question.choices:
        ids = encode(f' {option}', add_bos=False)
        state, logp = self.read(prompt + ids)
        at = np.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
        total = logp[at, ids].astype(np.float64).sum()
        totals.append(total / len(option.encode()))
        ends.append(state[-1])
      best = int(np.argmax(totals))
      self.assertEqual(said.answers[n], question.choices[best])
      # By hand: even numbers are one, odd ones eleven.
      number = int(question.prompt.split()[-1].strip('?'))
      right = f'{("one", "eleven")[number % 2]} {number}'
      self.assertEqual(bool(said.labels[n]), said.answers[n] == right)
      np.testing.assert_allclose(read['last_answer'][n], ends[best], atol=1e-4)

  def test_goes_on_where_it_stopped(self):
    self.assertEqual(self.wanted.missing(), [])
    path = store.shard(self.folder, 'addition_1', 1)
    other = store.shard(self.folder, 'addition_1', 0)
    before = other.stat().st_mtime_ns
    with np.load(path) as file:
      arrays = dict(file)
    path.unlink()
    self.assertEqual(self.wanted.missing(), [('addition_1', 1)])
    with mock.patch.dict(grading.GRADERS, {'numeric': odd}):
      record.record(self.wanted, self.model, enabled=False)
    self.assertEqual(other.stat().st_mtime_ns, before)
    with np.load(path) as file:
      self.assertEqual({*file}, {*arrays})
      for name, value in arrays.items():
        np.testing.assert_array_equal(file[name], value, name)

  def test_a_file_that_changed_is_another_group(self):
    groups = self.wanted.groups()
    path = pathlib.Path(self.mine.partition(':')[2])
    text = path.read_text()
    self.addCleanup(path.write_text, text)
    path.write_text(text + '\n' + text.splitlines()[0].replace('0', '7'))
    self.assertEqual(self.wanted.groups()[0], groups[0])
    self.assertNotEqual(self.wanted.groups()[1], groups[1])
    self.assertEqual(
      self.wanted.missing(), [(self.wanted.groups()[1], n) for n in range(3)]
    )
    self.assertEqual({*self.wanted.named()}, {'addition_1', 'mine'})

  def test_what_does_not_fit_is_said_first(self):
    fields = dict(model='m', questions=5)
    with self.assertRaisesRegex(ValueError, 'record.tasks must be of'):
      record.Recording(tasks=('arithmetics',), **fields)
    with self.assertRaisesRegex(ValueError, 'record.dtype'):
      record.Recording(tasks=('plurals',), dtype='float16', **fields)
    with self.assertRaisesRegex(ValueError, 'record.max_new_tokens must be'):
      record.Recording(tasks=('plurals',), max_new_tokens=0, **fields)
    lost = record.Recording(tasks=('jsonl:no/such.jsonl',), **fields)
    with self.assertRaisesRegex(FileNotFoundError, 'at no/such.jsonl'):
      lost.missing()


class OldTest(absltest.TestCase):
  """A recording of the tree before this one, see tests/fixtures/old."""

  def test_is_complete_and_goes_on_with_what_was_written_then(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    old = files.old_recording('probes', folder)
    # What was asked for by name is known by name.
    before = os.getcwd()
    self.addCleanup(os.chdir, before)
    os.chdir(folder)
    wanted, model = recorded()
    wanted = dataclasses.replace(
      wanted,
      model='tiny',
      tasks=('addition_1',),
      layers=(),
      dtype='bfloat16',
      folder=str(old),
    )
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      record.gather(wanted)
    said = store.answers(old, 'addition_1')
    self.assertEqual(said.prompts[4], 'How much is 8 and 3 together?')
    site = 'L1.resid_post.last_answer'
    self.assertEqual(
      store.sites(old, 'addition_1'),
      [
        f'L{layer}.resid_post.{token}'
        for layer in (0, 1)
        for token in ('last_prompt', 'last_answer')
      ],
    )
    x = store.activations(old, 'addition_1', site)
    store.shard(old, 'addition_1', 1).unlink()
    self.assertEqual(wanted.missing(), [('addition_1', 1)])
    record.record(wanted, model, enabled=False)
    again = store.answers(old, 'addition_1')
    for name, value in said._asdict().items():
      np.testing.assert_array_equal(getattr(again, name), value, name)
    np.testing.assert_allclose(
      store.activations(old, 'addition_1', site), x, rtol=2**-7, atol=1e-4
    )
    # In the cache, its folder has the name that it had then.
    cached = dataclasses.replace(wanted, folder='')
    self.assertEqual(cached.at().name, '36bad51ea6dcf8c9')


class LineTest(absltest.TestCase):
  def test_ends_before_the_line_does(self):
    class Letters:
      stop_ids = (99,)

      def decode(self, ids):
        return ''.join({1: 'a', 2: 'b.\n', 3: '\n'}[i] for i in ids)

    self.assertEqual(record.line_of([1, 1, 3, 1], Letters()), [1, 1])
    self.assertEqual(record.line_of([1, 2], Letters()), [1])
    self.assertEqual(record.line_of([99, 1], Letters()), [])
    self.assertEqual(record.line_of([1, 1], Letters()), [1, 1])


if __name__ == '__main__':
  absltest.main()

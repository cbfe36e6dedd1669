"""SmolLM2 answers a few questions, is graded, and is read where asked."""

import functools
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from corpora.questions import multiple_choice, tasks
from lm import transformer
from lm.decoding import generate as decode
from probes.recording import record, store

LONGEST = 128
TASKS = ('addition_1', 'open_book_qa')


@functools.partial(jax.jit, static_argnums=0)
def plain(config, params, tokens):
  out = transformer.Transformer(config).apply(
    {'params': params}, tokens, capture=(4,)
  )
  logits = decode.logits_of(out.hidden[0], transformer.unembedding(params))
  return out.captured[0][0], jax.nn.log_softmax(logits)


class RecordTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.wanted = record.Recording(
      model='smollm2_135m_instruct',
      tasks=TASKS,
      questions=3,
      layers=(3,),
      dtype='float32',
      file=2,
      batch=4,
      folder=folder.name,
    )
    cls.model = record.open_model(cls.wanted)
    record.record(cls.wanted, cls.model, enabled=False)

  def read(self, ids):
    """State of layer 3 [T, D] and log-probabilities [T, V] of one text."""
    # What follows a token does not change it.
    tokens = jnp.array([ids + [0] * (LONGEST - len(ids))])
    found = plain(self.model.config, self.model.params, tokens)
    return [np.asarray(a[: len(ids)]) for a in found]

  def test_text_is_generated_graded_and_read(self):
    said = store.answers(self.wanted.at(), 'addition_1')
    task = tasks.load('addition_1', count=3, seed=0)
    tokenizer = self.model.tokenizer
    read = {
      token: store.activations(
        self.wanted.at(), 'addition_1', f'L3.resid_post.{token}'
      )
      for token in ('last_prompt', 'last_answer')
    }
    for n, question in enumerate(task.questions):
      prompt = tokenizer.encode(tasks.prompt(task, question))
      out = decode.greedy(
        self.model.config,
        self.model.params,
        [prompt],
        max_new_tokens=8,
        stop=(),
      )
      text = tokenizer.decode(out.tokens[0, 0].tolist())
      self.assertEqual(said.answers[n], text.partition('\n')[0].strip())
      # A sum of two digits, by Python's own arithmetic.
      digits = [int(c) for c in question.prompt if c.isdigit()]
      first = said.answers[n].split()[0] if said.answers[n] else ''
      self.assertEqual(bool(said.labels[n]), first == str(sum(digits)))
      answer = out.tokens[0, 0].tolist()[: int(said.tokens[n])]
      self.assertNotIn('\n', tokenizer.decode(answer))
      state, _ = self.read(prompt + answer)
      for token, at in (
        ('last_prompt', len(prompt) - 1),
        ('last_answer', len(prompt) + len(answer) - 1),
      ):
        np.testing.assert_allclose(read[token][n], state[at], atol=2e-3)

  def test_an_option_is_the_likeliest_by_byte(self):
    said = store.answers(self.wanted.at(), 'open_book_qa')
    task = tasks.load('open_book_qa', count=3, seed=0)
    encode = self.model.tokenizer.encode
    for n, question in enumerate(task.questions):
      prompt = encode(multiple_choice.prompt_of(question))
      totals = []
      for option in question.choices:
        ids = encode(f' {option}')
        _, logp = self.read(prompt + ids)
        at = np.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
        total = logp[at, ids].astype(np.float64).sum()
        totals.append(total / len(option.encode()))
      best = question.choices[int(np.argmax(totals))]
      self.assertEqual(said.answers[n], best)
      self.assertEqual(bool(said.labels[n]), best in question.answers)

  def test_goes_on_where_it_stopped(self):
    self.assertEqual(record.missing(self.wanted), [])
    path = store.shard(self.wanted.at(), 'addition_1', 1)
    other = store.shard(self.wanted.at(), 'addition_1', 0)
    before = path.read_bytes(), other.stat().st_mtime_ns
    with np.load(path) as file:
      labels, ids = file['labels'], file['ids']
    path.unlink()
    self.assertEqual(record.missing(self.wanted), [('addition_1', 1)])
    record.record(self.wanted, self.model, enabled=False)
    self.assertEqual(other.stat().st_mtime_ns, before[1])
    with np.load(path) as file:
      np.testing.assert_array_equal(file['labels'], labels)
      np.testing.assert_array_equal(file['ids'], ids)

  def test_what_does_not_fit_is_said_first(self):
    with self.assertRaisesRegex(ValueError, 'record.tasks must be of'):
      record.Recording(model='m', tasks=('arithmetics',), questions=5)
    with self.assertRaisesRegex(ValueError, 'record.dtype'):
      record.Recording(model='m', tasks=TASKS, questions=5, dtype='float16')


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

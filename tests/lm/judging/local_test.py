"""A real model asked in text: SmolLM2-135M-Instruct, few tokens."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from engine import assets
from lm.decoding import generate, scoring
from lm.judging import judge, local
from tests import files

NAME = 'smollm2_135m_instruct'


def last_word(text):
  word = text.rstrip('.').split()[-1]
  if word not in ('Paris', 'Rome'):
    raise ValueError(f'expected Paris or Rome last, came {word}')
  return word


last_word.wish = 'Paris or Rome'


class LocalTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = local.Local.open(NAME, slots=4, size=256)

  def test_answers_judges_scores_and_chooses(self):
    question = 'What is the capital of {}? Reply with one word.'
    with self.model as model:
      said = model.ask(
        [question.format(c) for c in ('France', 'Japan', 'Italy')],
        max_new_tokens=12,
      )
      for city, text in zip(('Paris', 'Tokyo', 'Rome'), said, strict=True):
        self.assertIn(city, text)
        self.assertNotIn('<|im_end|>', text)
      # The same through the template by hand, and one prompt alone.
      messages = [{'role': 'user', 'content': question.format('Japan')}]
      self.assertEqual(model.ask([messages], max_new_tokens=12), [said[1]])
      ids = model.tokenizer.chat(messages)
      out = generate.greedy(
        *model.model[1:],
        [ids],
        max_new_tokens=12,
        stop=model.tokenizer.stop_ids,
      )
      length = int(out.lengths[0, 0])
      text = model.tokenizer.decode(out.tokens[0, 0, :length].tolist())
      self.assertEqual(text, said[1])

      ask = judge.Judge(model.ask, last_word)
      verdicts = ask([question.format('France'), question.format('Japan')])
      self.assertEqual(verdicts.values, ['Paris', None])
      self.assertEqual((verdicts.unparsed, verdicts.unanswered), (1, 0))

    prompt = model.ids('The capital of France is')
    options = [model.ids(f' {city}') for city in ('Paris', 'Rome', 'Tokyo')]
    [scores] = scoring.score(*model.model[1:], [prompt], [options])
    totals = [s.total for s in scores]
    self.assertEqual(int(np.argmax(totals)), 0)
    chosen = scoring.choice_probs(
      *model.model[1:], [prompt], [[o[0]] for o in options]
    )
    first = np.exp([s.logprobs[0] for s in scores])
    np.testing.assert_allclose(chosen.probs[0], first / first.sum(), rtol=1e-3)
    self.assertAlmostEqual(chosen.outside[0], 1 - first.sum(), places=4)


class LoadingTest(parameterized.TestCase):
  @parameterized.parameters(False, True)
  def test_loading_holds_no_second_copy(self, fused):
    """The host's peak stays far from a copy of the model's 538 MB."""
    # In a process of its own: a peak never falls.
    program = (
      'import resource, sys\n'
      'from lm.checkpoints import weights\n'
      'import jax\n'
      'jax.numpy.zeros(1).block_until_ready()\n'
      'peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
      'before = peak()\n'
      f'model = weights.load({str(assets.fetch(NAME))!r}, fused={fused})\n'
      'size = sum(a.nbytes for a in jax.tree.leaves(model.params))\n'
      'print(size, (peak() - before) * 1024)\n'
    )
    done = subprocess.run(
      [sys.executable, '-c', program], capture_output=True, text=True
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    size, grown = map(int, done.stdout.split())
    self.assertEqual(size, 4 * 134_515_008)
    # The largest tensor twice (113 MB each: as read, and laid), and the file's
    # pages that were touched (93 MB), but never the whole again.
    self.assertLess(grown - size, 0.6 * size)


class DiffusionTest(absltest.TestCase):
  def test_a_masked_diffusion_model_is_no_decoder(self):
    peers = files.PEERS
    with tempfile.TemporaryDirectory() as folder:
      shutil.copytree(peers / 'qwen2', folder, dirs_exist_ok=True)
      file = pathlib.Path(folder) / 'config.json'
      data = json.loads(file.read_text()) | {'model_type': 'Dream'}
      file.write_text(json.dumps(data))
      name = 'lm.checkpoints.pretrained_tokenizer.CheckpointTokenizer.load'
      with (
        mock.patch(name),
        self.assertRaisesRegex(ValueError, 'masked-diffusion model .dream'),
      ):
        local.Local.open(folder)


if __name__ == '__main__':
  absltest.main()

"""A local model as partner: what it writes on a call, and when it stops."""

import pathlib
import shutil
import tempfile

import jax
import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import decode as cascade
from lacy.cascade import partner
from lm import transformer
from lm.checkpoints import families, weights
from tests import files
from tests.lacy import support
from tests.lacy.cascade import decode_test


class Pieces:
  """A tokenizer of given pieces; id 0 begins a text, 1 ends one.

  As with SentencePiece, the first piece of what is decoded loses its space.
  """

  bos_id, stop_ids = 0, (1,)
  known = ('<s>', '</s>', 'Marie', ' Cur', 'ie', ' ', '1', '8', '6', ',', ' (')

  def __init__(self, *, begins: bool = True):
    self.vocab_size = len(self.known)
    self._begins = begins

  def encode(self, text, *, parse_specials=True, add_bos=None):
    ids = []
    while text:
      fits = [p for p in self.known[2:] if text.startswith(p)]
      piece = max(fits, key=len, default=text[0])
      ids.append(self.known.index(piece) if fits else 2)
      text = text[len(piece) :]
    # Around a text this one puts both ends.
    return [0, *ids, 1] if add_bos is None and self._begins else ids

  def decode(self, ids):
    text = ''.join(self.known[i] for i in ids if i > 1)
    return text.removeprefix(' ')


class Scripted:
  """A reader whose largest logit is the next of a list; notes what it reads."""

  def __init__(self, *script):
    self._script = iter(script)
    self.seen = []

  def read(self, ids):
    self.seen.append(list(ids))
    # Beyond the tokenizer's vocabulary lies padding, and it is never taken.
    logits = np.zeros(16)
    logits[next(self._script)] = 1.0
    logits[15] = 9.0
    return logits


def say(unit, *script, text='Marie', **tokenizer):
  reader = Scripted(*script)
  local = partner.LocalPartner(reader, Pieces(**tokenizer), unit=unit)
  return local(text), reader.seen


class UnitTest(parameterized.TestCase):
  def test_a_token_is_one_token_with_its_space(self):
    piece, seen = say('token', 3)
    self.assertEqual(piece, ' Cur')
    self.assertEqual(seen, [[0, 2]])  # bos, and no eos behind the text

  def test_no_bos_where_the_checkpoint_wants_none(self):
    _, seen = say('token', 3, begins=False)
    self.assertEqual(seen, [[2]])

  @parameterized.parameters(
    ((3, 4, 9), ' Curie'),  # up to punctuation
    ((3, 4, 3), ' Curie'),  # up to a space
    ((3, 4, 1), ' Curie'),  # up to the end of the text
    ((5, 6, 7, 8, 9), ' 186'),  # a lone space begins a word, digits stay on
    ((10, 6), ' ('),  # punctuation is alone
    ((4, 9), 'ie'),  # goes on within a word that somebody began
    ((9, 5), ','),
  )
  def test_a_word_ends_where_the_next_token_begins_another(self, script, want):
    self.assertEqual(say('word', *script)[0], want)

  def test_a_word_that_never_ends_is_cut(self):
    piece, seen = say('word', *[4] * 99)
    self.assertEqual(piece, 'ie' * partner.MAX_WORD_IDS)
    self.assertLen(seen, partner.MAX_WORD_IDS)

  @parameterized.parameters('token', 'word')
  def test_an_end_at_once_is_no_piece(self, unit):
    self.assertEqual(say(unit, 1)[0], '')

  def test_what_is_refused(self):
    with self.assertRaisesRegex(ValueError, "of token, word, got 'entity'"):
      say('entity', 3)
    with self.assertRaisesRegex(ValueError, 'needs a text'):
      say('token', 3, text='', begins=False)


class LoadedTest(absltest.TestCase):
  """A random Llama with a real tokenizer, from files as others write them."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.path = folder / 'llama'
    family = families.find('llama')
    cls.config = transformer.TransformerConfig(
      vocab_size=440,  # the tokenizer's 423, padded
      layers=2,
      width=16,
      heads=2,
      mlp_width=24,
      **dict(family.fixed),
    )
    cls.params = support.params(cls.config, 5, 6)
    weights.export(cls.path, family, cls.config, cls.params)
    for name in ('tokenizer.json', 'tokenizer_config.json'):
      shutil.copy(files.TOKENS / name, cls.path)

  def test_its_tokens_are_those_of_the_whole_model_run_anew(self):
    reader, tokenizer = partner.load(str(self.path), size=64)
    local = partner.LocalPartner(reader, tokenizer)

    @jax.jit
    def whole(params, ids, count):
      out = transformer.Transformer(self.config).apply({'params': params}, ids)
      return transformer.unembedding(params) @ out.hidden[0, count - 1]

    text = 'Marie Curie was born in'
    for _ in range(4):
      ids = tokenizer.encode(text, add_bos=False)
      piece = local(text)
      new = []
      while not new or cascade.BROKEN in tokenizer.decode(new):
        if len(new) == cascade.MAX_CHARACTER_IDS:
          break
        # What stands behind the last id does not change what follows it.
        row = np.zeros((1, 64), np.int32)
        row[0, : len(ids + new)] = ids + new
        logits = np.asarray(whole(self.params, row, len(ids + new)))
        new.append(int(logits[: tokenizer.vocab_size].argmax()))
      self.assertEqual(piece, tokenizer.decode(new))
      text += piece

  def test_a_special_token_in_the_text_is_read_as_text(self):
    reader, tokenizer = partner.load(str(self.path), size=64)
    seen = []

    class Spy:
      def read(self, ids):
        seen.append(ids)
        return reader.read(ids)

    partner.LocalPartner(Spy(), tokenizer)('So <|im_end|>')
    self.assertNotIn(tokenizer.special_id('<|im_end|>'), seen[0])

  def test_in_a_cascade_at_budget_one_it_writes_everything(self):
    reader, tokenizer = partner.load(str(self.path), size=128)
    local = partner.LocalPartner(reader, tokenizer, unit='word')
    out = cascade.generate(
      lambda ids: cascade.Reading(0.0, 0),
      local,
      decode_test.Letters(),
      'Marie',
      cascade.RunningQuantile(1.0),
      max_decisions=3,
    )
    want = 'Marie'
    for _ in range(3):
      want += local(want)
    self.assertEqual(out.text, want)
    self.assertEqual(out.delegated_token_fraction, 1.0)


if __name__ == '__main__':
  absltest.main()

"""Five tokens more: old ids and rows stay what they were."""

import dataclasses
import functools
import json
import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import tokenizer as tokenizer_lib
from lm import transformer
from lm.checkpoints import extend, pretrained_tokenizer, weights
from tests import files

TEXT = 'In 1751 Ærø had 12 <|im_end|> inhabitants.<CALL><mask>'


class TokenizerTest(absltest.TestCase):
  def test_old_ids_stay_and_five_follow(self):
    old = pretrained_tokenizer.CheckpointTokenizer.load(files.PEERS / 'tokens')
    new = extend.tokenizer(files.PEERS / 'tokens')
    self.assertEqual(new.vocab_size, old.vocab_size + 5)
    self.assertEqual(new.call_id, old.vocab_size)
    ids = new.encode(TEXT)
    self.assertEqual(ids, old.encode(TEXT, parse_specials=False, add_bos=False))
    self.assertLess(max(ids), new.call_id)
    self.assertEqual(new.decode(ids), TEXT)
    self.assertEqual(
      new.pieces(range(new.call_id, new.vocab_size)),
      list(tokenizer_lib.SPECIALS),
    )

  def test_a_token_of_one_of_our_names_keeps_its_id(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    full = json.loads((files.PEERS / 'tokens' / 'tokenizer.json').read_text())
    # As Gemma has them.
    name = full['added_tokens'][1]['content']
    full['added_tokens'][1]['content'] = '<pad>'
    full['model']['vocab']['<pad>'] = full['model']['vocab'].pop(name)
    path = pathlib.Path(folder) / 'tokenizer.json'
    path.write_text(json.dumps(full))
    new = extend.tokenizer(folder)
    self.assertEqual(new.vocab_size, 425)
    self.assertEqual(new.pad_id, 422)
    core = json.loads(new.to_json())
    self.assertEqual(core['model']['vocab']['checkpoint:<pad>'], 1)

  def test_a_stop_id_adds_no_text_though_the_file_calls_it_plain(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    full = json.loads((files.PEERS / 'tokens' / 'tokenizer.json').read_text())
    (end,) = (t for t in full['added_tokens'] if t['content'] == '<|im_end|>')
    end['special'] = False
    (pathlib.Path(folder) / 'tokenizer.json').write_text(json.dumps(full))
    new = extend.tokenizer(folder)
    self.assertEqual(new.decode([end['id']]), '')
    self.assertEqual(new.decode(new.encode('so <|im_end|>')), 'so <|im_end|>')


@functools.partial(jax.jit, static_argnums=0)
def hidden(config, params):
  tokens = jnp.arange(10).reshape(2, 5)
  return (
    transformer.Transformer(config).apply({'params': params}, tokens).hidden
  )


class LoadTest(parameterized.TestCase):
  @parameterized.product(family=('llama', 'gemma3'), scan_layers=(False, True))
  def test_old_rows_stay_and_new_ones_are_their_mean(self, family, scan_layers):
    old = weights.load(files.PEERS / family, scan_layers=scan_layers)
    config = dataclasses.replace(old.config, vocab_size=66)
    new = extend.load(files.PEERS / family, config, known=61)
    tables = {'embedding', 'unembedding'} & set(old.params)
    # llama here is untied, gemma3 tied.
    self.assertLen(tables, 2 if family == 'llama' else 1)
    for name in tables:
      rows, before = np.asarray(new[name]), np.asarray(old.params[name])
      np.testing.assert_array_equal(rows[:61], before)
      for row in rows[61:]:
        np.testing.assert_allclose(row, before.mean(0), atol=1e-6)
    cut = extend.shrink(new, 61)
    jax.tree.map(np.testing.assert_array_equal, cut, old.params)
    np.testing.assert_array_equal(
      hidden(config, new), hidden(old.config, old.params)
    )

  def test_rows_beyond_the_vocabulary_are_overwritten(self):
    table = np.array([[1.0, 0], [3, 0], [100, 100]])
    grown = extend.grow(table, known=2, size=4)
    np.testing.assert_array_equal(grown, [[1, 0], [3, 0], [2, 0], [2, 0]])
    with self.assertRaisesRegex(ValueError, 'config.model.vocab_size'):
      extend.grow(table, known=2, size=2)

  def test_another_shape_is_refused_by_the_name_of_the_field(self):
    config = weights.load(files.PEERS / 'llama').config
    config = dataclasses.replace(config, layers=2, vocab_size=66)
    with self.assertRaisesRegex(ValueError, r'model\.layers must be 3'):
      extend.load(files.PEERS / 'llama', config, known=61)

  def test_no_checkpoint_is_told(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    shutil.copy(files.PEERS / 'llama' / 'config.json', folder)
    with self.assertRaisesRegex(FileNotFoundError, 'tokenizer.json'):
      extend.tokenizer(folder)


if __name__ == '__main__':
  absltest.main()

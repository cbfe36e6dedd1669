"""Texts to vectors: all-MiniLM-L6-v2 against transformers, and batches."""

import json
import pathlib
import shutil
import tempfile

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm.checkpoints import encoder
from tests import files

# Words of the tiny vocabulary, of lengths that fall into two buckets.
TEXTS = ['the city', 'a day of Paris', '', 'long ' * 15, 'Rome', 'is the day']


class PoolTest(absltest.TestCase):
  def test_by_hand(self):
    hidden = jnp.array([[[3.0, 0.0], [3.0, 8.0], [9.0, 9.0]]])
    mask = jnp.array([[True, True, False]])
    # The mean is (3, 4), of length 5.
    np.testing.assert_allclose(encoder.pool(hidden, mask), [[0.6, 0.8]])

  def test_an_empty_mask_gives_zero(self):
    got = encoder.pool(jnp.ones((2, 3, 4)), jnp.zeros((2, 3), bool))
    np.testing.assert_array_equal(got, np.zeros((2, 4)))


class MiniLMTest(absltest.TestCase):
  """The asset, against peers/minilm (make_encoder_peers.py)."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.encoder = encoder.Encoder.load('minilm_l6')
    cls.peer = json.loads((files.PEERS / 'minilm' / 'peer.json').read_text())
    with np.load(files.PEERS / 'minilm' / 'peer.npz') as data:
      cls.want = {key: data[key] for key in data.files}

  def test_ids_equal_transformers_and_are_cut_at_256(self):
    ids = self.encoder.ids(self.peer['texts'])
    self.assertEqual(ids, self.peer['ids'])
    self.assertEqual(max(map(len, ids)), 256)

  def test_hidden_states_equal_transformers(self):
    hidden, mask = self.encoder.tokens(self.peer['texts'][:3])
    for row in range(3):
      want = self.want[f'hidden_{row}']
      got = hidden[row][mask[row]]
      np.testing.assert_allclose(got, want, atol=1e-4)

  def test_sentence_vectors_equal_transformers(self):
    got = self.encoder.sentences(self.peer['texts'])
    np.testing.assert_allclose(got, self.want['sentences'], atol=1e-4)

  def test_what_means_the_same_is_nearer(self):
    same, one, other = self.encoder.sentences(
      ['A man is eating food.', 'Someone eats a meal.', 'The sky was clear.']
    )
    self.assertGreater(same @ one, same @ other + 0.2)


class EncoderTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    temporary = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(temporary) / 'model'
    shutil.copytree(files.PEERS / 'bert', self.folder)

  def cut(self, length):
    (self.folder / 'sentence_bert_config.json').write_text(
      json.dumps({'max_seq_length': length})
    )

  @parameterized.parameters(1, 2, 5, 32)
  def test_a_text_gets_what_it_gets_alone(self, batch):
    model = encoder.Encoder.load(self.folder, batch=batch)
    hidden, mask = model.tokens(TEXTS)
    sentences = model.sentences(TEXTS)
    for row, text in enumerate(TEXTS):
      alone, all_true = model.tokens([text])
      self.assertTrue(all_true.all())
      count = alone.shape[1]
      np.testing.assert_array_equal(mask[row], np.arange(mask.shape[1]) < count)
      np.testing.assert_allclose(hidden[row, :count], alone[0], atol=2e-6)
      np.testing.assert_array_equal(hidden[row, count:], 0)
      np.testing.assert_allclose(
        sentences[row], model.sentences([text])[0], atol=2e-6
      )

  def test_a_sentence_vector_is_the_mean_direction_of_its_tokens(self):
    model = encoder.Encoder.load(self.folder)
    hidden, mask = model.tokens(TEXTS)
    for row, got in enumerate(model.sentences(TEXTS)):
      mean = hidden[row][mask[row]].astype(np.float64).mean(0)
      np.testing.assert_allclose(got, mean / np.linalg.norm(mean), atol=2e-6)

  def test_texts_of_many_lengths_and_numbers_share_few_programs(self):
    model = encoder.Encoder.load(self.folder, batch=4)
    encoder._sentences.clear_cache()
    for words in range(20):
      for count in (1, 2, 3, 7):
        model.sentences(['day ' * words] * count)
    # Lengths of 16 and 24, and batches of 1, 2 and 4.
    self.assertEqual(encoder._sentences._cache_size(), 2 * 3)

  def test_texts_are_cut_where_the_model_says(self):
    model = encoder.Encoder.load(self.folder)
    self.assertLen(model.ids(['day ' * 50])[0], 24)
    self.cut(7)
    model = encoder.Encoder.load(self.folder)
    cut, whole = model.ids(['day ' * 50, 'day'])
    self.assertLen(cut, 7)
    self.assertEqual((cut[0], cut[-1]), (whole[0], whole[-1]))

  @parameterized.parameters(2, 25, 'many')
  def test_a_length_beyond_the_positions_is_refused(self, length):
    self.cut(length)
    with self.assertRaisesRegex(ValueError, rf'3\.\.24.*got {length!r}'):
      encoder.Encoder.load(self.folder)

  @parameterized.parameters(
    {'pooling_mode_cls_token': True, 'pooling_mode_mean_tokens': False},
    {'pooling_mode_max_tokens': True, 'pooling_mode_mean_tokens': True},
    {},
  )
  def test_a_model_pooled_otherwise_is_refused(self, **modes):
    (self.folder / '1_Pooling').mkdir()
    file = self.folder / '1_Pooling' / 'config.json'
    file.write_text(json.dumps({'word_embedding_dimension': 12} | modes))
    with self.assertRaisesRegex(ValueError, 'pooling_mode_mean_tokens alone'):
      encoder.Encoder.load(self.folder)

  def test_no_texts(self):
    model = encoder.Encoder.load(self.folder)
    hidden, mask = model.tokens([])
    self.assertEqual(hidden.shape, (0, 0, 12))
    self.assertEqual(mask.shape, (0, 0))
    self.assertEqual(model.sentences([]).shape, (0, 12))

  def test_what_is_no_list_of_texts_is_refused(self):
    model = encoder.Encoder.load(self.folder)
    with self.assertRaisesRegex(ValueError, "a list of texts, came one: 'day'"):
      model.sentences('day')
    with self.assertRaisesRegex(ValueError, 'lone surrogate'):
      model.tokens(['day \ud800'])

  def test_a_broken_tokenizer_is_named(self):
    file = self.folder / 'tokenizer.json'
    file.write_text('{}')
    with self.assertRaisesRegex(ValueError, 'tokenizer.json: expected a tok'):
      encoder.Encoder.load(self.folder)
    file.unlink()
    with self.assertRaisesRegex(FileNotFoundError, 'a tokenizer.json in'):
      encoder.Encoder.load(self.folder)

  def test_a_tokenizer_of_a_larger_vocabulary_is_refused(self):
    file = self.folder / 'tokenizer.json'
    data = json.loads(file.read_text())
    vocab = data['model']['vocab']
    vocab |= {f'more{i}': len(vocab) + i for i in range(50)}
    file.write_text(json.dumps(data))
    with self.assertRaisesRegex(ValueError, 'at most 90 tokens'):
      encoder.Encoder.load(self.folder)

  def test_a_batch_of_none_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'encoder.batch .* got 0'):
      encoder.Encoder.load(self.folder, batch=0)


if __name__ == '__main__':
  absltest.main()

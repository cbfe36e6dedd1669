"""SentencePiece's scores against a search by brute force."""

import itertools

import numpy as np
from absl.testing import absltest, parameterized

from tests.lm.checkpoints import tokenizer_support as support


class SentencePieceTest(support.Case):
  def brute(self, text, tokens, scores):
    """The best pair of neighbours first, the left one of equals."""
    ids = {token: i for i, token in enumerate(tokens)}
    parts = list(text.replace(' ', '▁'))
    while True:
      pairs = [
        (-scores[ids[a + b]], i)
        for i, (a, b) in enumerate(itertools.pairwise(parts))
        if a + b in ids and ids[a + b] >= 259
      ]
      if not pairs:
        break
      _, i = min(pairs)
      parts[i : i + 2] = [parts[i] + parts[i + 1]]
    out = []
    for part in parts:
      if part in ids:
        out.append(ids[part])
      else:
        out += [3 + byte for byte in part.encode()]
    return out

  @parameterized.parameters(True, False)
  def test_greedy_by_score(self, prefix):
    # Scores in another order than ids, so that neither passes for the other.
    rng = np.random.default_rng(0)
    pieces = support.SCORES['tokens'][259:]
    order = rng.permutation(len(pieces))
    scores = [0.0] * 259 + [-float(i) for i in order]
    fields = support.score_fields(scores=scores, add_space_prefix=prefix)
    t = support.load(self.gguf(fields))
    words = [w for text in support.TEXTS[:-2] for w in text.split(' ')]
    for _ in range(200):
      text = ' '.join(rng.choice(words, 5))
      before = '▁' if prefix else ''
      want = self.brute(before + text, support.SCORES['tokens'], scores)
      self.assertEqual(t.encode(text, add_bos=False), want)
      self.assertEqual(t.decode(want), text)

  def test_bytes_and_roles(self):
    t = support.load(self.gguf(support.score_fields()))
    self.assertEqual((t.bos_id, t.eos_id, t.pad_id), (1, 2, None))
    self.assertEqual(t.stop_ids, (2,))
    got = t.encode('𝄞', add_bos=False)[-4:]
    self.assertEqual(got, [3 + b for b in '𝄞'.encode()])
    self.assertEqual(t.decode(got), '𝄞')
    # A byte token spelt out is text.
    self.assertNotIn(3 + 10, t.encode('<0x0A>'))
    self.assertEqual(t.decode(t.encode('<0x0A>')), '<0x0A>')

  def test_specials_in_text(self):
    t = support.load(self.gguf(support.score_fields()))
    self.assertIn(2, t.encode('a</s>b', add_bos=False))
    ids = t.encode('a</s>b', parse_specials=False, add_bos=False)
    self.assertNotIn(2, ids)
    self.assertEqual(t.decode(ids), 'a</s>b')
    # The checkpoint's own bos still comes first.
    self.assertEqual(t.encode('a</s>b', parse_specials=False), [1, *ids])

  def test_no_piece_joins_to_a_special(self):
    fields = support.score_fields()
    fields['tokens'] = [*fields['tokens'], '<s']
    fields['scores'] = [*fields['scores'], 0.0]
    fields['token_type'] = [*fields['token_type'], 1]
    t = support.load(self.gguf(fields))
    ids = t.encode('<s>', parse_specials=False, add_bos=False)
    self.assertEqual(t.pieces(ids)[-2:], ['<s', '>'])

  def test_unknown_characters_without_bytes(self):
    fields = support.score_fields()
    # Kept in their places under names that are no bytes.
    fields['tokens'] = [t.replace('<0x', '<y') for t in fields['tokens']]
    t = support.load(self.gguf(fields))
    self.assertEqual(t.encode('𝄞', parse_specials=False)[-1], 0)

  def test_user_defined_is_one_token_even_in_plain_text(self):
    tokens = [*support.SCORES['tokens'], '   ']
    t = support.load(
      self.gguf(
        support.score_fields(
          tokens=tokens,
          scores=[*support.SCORES['scores'], -1000.0],
          token_type=[*support.SCORES['token_type'], support.USER_DEFINED],
        )
      )
    )
    for parse in (True, False):
      ids = t.encode('the   cat', parse_specials=parse)
      self.assertIn(len(tokens) - 1, ids)
      self.assertNotIn(len(tokens) - 1, t.encode('the  cat'))


if __name__ == '__main__':
  absltest.main()

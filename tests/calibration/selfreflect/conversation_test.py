"""Where a word's tokens are, in tokenizers that split as they like."""

from absl.testing import absltest

from calibration.selfreflect import conversation, masking


class Tokenizer:
  """Splits each text as it was told; a token is its text."""

  has_template = True
  bos_id = None

  def __init__(self, *splits):
    self._splits = splits

  def encode_ends(self, texts):
    out = []
    for text, split in zip(texts, self._splits, strict=True):
      assert ''.join(split) == text, (split, text)
      ends, place = [], 0
      for token in split:
        place += len(token)
        ends.append(place)
      out.append((list(split), ends))
    return out


class FillTest(absltest.TestCase):
  def fill(self, *splits, text='say:\n', word='Lima'):
    tokenizer = Tokenizer(splits)
    (found,) = conversation.fill(tokenizer, [text], [word])
    return found

  def test_tokens_behind_the_text(self):
    found = self.fill('say', ':\n', 'Li', 'ma')
    self.assertEqual((found.start, found.word), (2, ['Li', 'ma']))

  def test_a_first_token_that_merges_with_the_template_counts(self):
    found = self.fill('say', ':', '\nLi', 'ma')
    self.assertEqual((found.start, found.word), (2, ['\nLi', 'ma']))
    # All of it in one: lengths subtracted would give none.
    found = self.fill('say', ':\nLima')
    self.assertEqual(found.word, [':\nLima'])

  def test_a_word_that_is_left_out_has_no_token(self):
    found = self.fill('say', ':\n', word='')
    self.assertEqual(found.word, [])


class MessagesTest(absltest.TestCase):
  def test_two_places_differ(self):
    task = masking.Masked('It is _.', 'Lima')
    one, many = (
      conversation.messages('Which?', context, task)
      for context in (
        conversation.Context('Lima'),
        conversation.reference(['Lima', 'Lima']),
      )
    )
    self.assertEqual(one[1]['content'], 'Which?')
    self.assertIn('Sample 2 answers', many[1]['content'])
    self.assertEqual(many[2]['content'], "x_1 = 'Lima'\nx_2 = 'Lima'")
    self.assertIn('distribution of answers', many[3]['content'])
    self.assertNotIn('distribution', one[3]['content'])
    # The answer comes last, so that all before it is shared.
    for said in (one, many):
      self.assertTrue(said[3]['content'].endswith(task.text))


if __name__ == '__main__':
  absltest.main()

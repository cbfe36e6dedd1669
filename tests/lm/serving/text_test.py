"""Text from tokens: whole characters, and never a part of a stop string."""

from absl.testing import absltest, parameterized

from lm.decoding import drawn
from lm.serving import text as text_lib
from tests.lm.serving import support


class AssemblerTest(parameterized.TestCase):
  """Over every way to cut the bytes into tokens that a vocabulary may have."""

  @parameterized.parameters(
    ('a stop b', ('stop',), 'a '),
    ('ststop', ('stop',), 'st'),
    ('sto', ('stop',), 'sto'),
    ('aab', ('aab',), ''),
    ('aaab', ('aab',), 'a'),
    ('abc', ('abc', 'b'), 'a'),
    ('xabc', ('abc', 'bc'), 'x'),
    ('né à', ('à',), 'né '),
    ('日本語', (), '日本語'),
    ('a😀b', ('b',), 'a😀'),
    ('a😀', ('b',), 'a😀'),
  )
  def test_text_stops_and_characters(self, text, stop, expected):
    data = text.encode()
    for sizes in ([1] * len(data), [2] * len(data), [3, 1, 2] * len(data)):
      pieces, vocabulary, place = [], [], 0
      for size in sizes:
        if place < len(data):
          vocabulary.append(data[place : place + size])
          place += size

      class Tokenizer:
        stop_ids = ()

        def decode(self, ids, vocabulary=tuple(vocabulary)):
          data = b''.join(b'@' if i < 0 else vocabulary[i] for i in ids)
          return data.decode(errors='replace')

      assembler = text_lib.Assembler(Tokenizer(), [-1, -1], stop)
      for i in range(len(vocabulary)):
        pieces.append(assembler.push(drawn.Token(i, 0.0)))
        self.assertNotIn('\ufffd', pieces[-1].text)
        sent = ''.join(piece.text for piece in pieces)
        self.assertTrue(expected.startswith(sent), sent)
      pieces.append(assembler.finish())
      self.assertEqual(''.join(piece.text for piece in pieces), expected)
      offsets = [offset for piece in pieces for _, offset in piece.tokens]
      self.assertEqual(offsets, sorted(offsets))
      if not stop:
        self.assertLen(offsets, len(vocabulary))

  def test_spaces_that_a_tokenizer_writes_only_within_a_text(self):
    class Words:
      stop_ids = ()

      def decode(self, ids):
        return ' '.join(('the', 'cat', 'sat')[i] for i in ids)

    assembler = text_lib.Assembler(Words(), [0])
    pieces = [assembler.push(drawn.Token(i, 0.0)) for i in (1, 2, 1)]
    self.assertEqual([p.text for p in pieces], [' cat', ' sat', ' cat'])

  def test_garbage_is_sent_in_the_end(self):
    tokenizer = support.ByteTokenizer()
    assembler = text_lib.Assembler(tokenizer, [65], ())
    text = ''
    for i in [0xE6, 0x97]:
      text += assembler.push(drawn.Token(i, 0.0)).text
    self.assertEqual(text, '')
    self.assertEqual(assembler.finish().text, '\ufffd')

  def test_endless_garbage_is_not_held_back_for_ever(self):
    assembler = text_lib.Assembler(support.ByteTokenizer(), [65], ())
    pieces = [assembler.push(drawn.Token(0xFF, 0.0)) for _ in range(64)]
    pieces.append(assembler.finish())
    self.assertEqual(''.join(p.text for p in pieces), '\ufffd' * 64)
    self.assertTrue(pieces[7].text)


if __name__ == '__main__':
  absltest.main()

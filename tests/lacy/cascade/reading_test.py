"""Partners that read along: pieces of hand-made documents, whole units."""

import re
from types import SimpleNamespace

import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import decode, reading, turns, words
from lacy.cascade import support as entities

DOCUMENT = 'In 1867 Marie Curie met Anna Lee in Rome.'


class Letters:
  """A tokenizer of letters, each with the space before it; id 1 is the end."""

  bos_id, stop_ids, vocab_size = None, (1,), 256

  def encode(self, text, *, parse_specials=True, add_bos=None):
    letters = re.findall(' ?[^ ]| ', text)
    return [ord(c[-1]) + 128 * (len(c) > 1) for c in letters]

  def decode(self, ids):
    return ''.join(' ' * (i > 127) + chr(i % 128) for i in ids if i > 1)


class Wishes:
  """Rows whose model wants to write a text; it does not know what is allowed.

  The likeliest token is the next of the wish, then those late in the alphabet,
  first without a space.
  """

  def __init__(self, *wishes):
    self._wishes = wishes
    self.read_rows = []

  def read(self, rows):
    self.read_rows.append(rows)
    order = np.arange(300) % 128 - 200.0 * (np.arange(300) > 127)
    logits = np.tile(order, (len(rows), 1))
    logits[:, 299] = 999.0  # a row that no token has
    for row, ids in enumerate(rows):
      if ids is None:
        continue
      rest = self._wishes[row][len(Letters().decode(ids)) :]
      logits[row, Letters().encode(rest)[0] if rest else 1] = 500.0
    return logits


def database(document, wish, unit, *, find=entities.capitalised):
  rows = Wishes(wish)
  before = SimpleNamespace(
    tokenizer=Letters(),
    rows=rows,
    words=[words.Words(document, find(document))],
    open=lambda documents: None,
  )
  return reading.DatabasePartner(before, unit=unit)


def turn(partner, text, document=DOCUMENT):
  """What is written on one turn."""
  wrote = ''
  for _ in range(99):
    (piece,) = partner([turns.Turn(text + wrote, document, wrote)])
    if not piece:
      return wrote
    wrote += piece
  raise AssertionError(f'no end: {wrote}')


class DatabasePartnerTest(parameterized.TestCase):
  @parameterized.parameters(
    ('token', 'She', ' Ma', ' M'),
    ('word', 'She', ' Marie', ' Marie'),
    ('word', 'She', ' Mary', ' Marie'),  # no Mary stands there
    ('word', 'She Mar', '???', 'ie'),
    ('word', 'in 1', '', '867'),
    ('word', 'in ', 'zoo', 'met'),  # the next best that is allowed
    ('span', 'She', ' Marie', ' Marie Curie'),
    ('span', 'Marie', ' Curie', ' Curie'),
    ('span', 'She met A', '', 'nna Lee'),
    ('span', 'They', ' met', ' met'),
    ('span', 'in', ' 1867', ' 1867'),
    ('word', 'in Rome', '. It', '.'),
  )
  def test_pieces_of_a_document(self, unit, text, wish, want):
    wish = 'x' * len(text) + wish
    self.assertEqual(turn(database(DOCUMENT, wish, unit), text), want)

  def test_every_unit_is_of_the_document(self):
    """Whatever the reader wants: words that stand there, and nothing else."""
    for unit in ('word', 'span'):
      text = 'She'
      for n in range(6):
        wish = 'x' * len(text) + 'Zq 9,('[n:]
        text += turn(database(DOCUMENT, wish, unit), text)
      for part in re.findall(r'\w+', text[3:]):
        self.assertIn(part, DOCUMENT)

  def test_a_longer_name_is_the_readers_choice(self):
    document = 'Anna met Anna Lee.'
    find = lambda text: [(0, 4), (9, 17)]  # noqa: E731
    for wish, want in ((' Anna Lee', ' Anna Lee'), (' Anna met', ' Anna')):
      partner = database(document, 'xx' + wish, 'span', find=find)
      self.assertEqual(turn(partner, 'It'), want)

  @parameterized.parameters('', '...', ' \u2014 ')
  def test_a_document_without_a_word_has_nothing_to_say(self, document):
    partner = database(document, 'x', 'span')
    self.assertEqual(partner([turns.Turn('It', document, '')]), [''])

  def test_who_is_not_asked_only_reads_along(self):
    rows = Wishes('xxx Rome', 'xxx Rome')
    before = SimpleNamespace(
      tokenizer=Letters(),
      rows=rows,
      words=[words.Words(DOCUMENT)] * 2,
      open=lambda documents: None,
    )
    partner = reading.DatabasePartner(before, unit='word')
    asked = [turns.Turn('abc', DOCUMENT, None), turns.Turn('abc', DOCUMENT, '')]
    self.assertEqual(partner(asked), ['', ' R'])
    self.assertEqual(len(rows.read_rows), 1)
    self.assertEqual(rows.read_rows[0][0], [97, 98, 99])
    # Nobody is asked: nobody reads.
    self.assertEqual(partner(asked[:1] * 2), ['', ''])
    self.assertEqual(len(rows.read_rows), 1)

  def test_unknown_unit(self):
    with self.assertRaisesRegex(ValueError, 'token, word, span'):
      database(DOCUMENT, '', 'sentence')


class Large(reading.LargePartner):
  def __init__(self, wish, unit):
    model = SimpleNamespace(tokenizer=Letters())
    super().__init__(model, unit=unit)
    self._rows, self._count = Wishes(wish), 1


class LargePartnerTest(parameterized.TestCase):
  @parameterized.parameters(
    ('token', ' Marie Curie met', ' M'),
    ('word', ' Marie Curie met', ' Marie'),
    ('word', ' 1867, and', ' 1867'),
    ('span', ' Marie Curie met', ' Marie Curie'),
    ('span', ' met Marie', ' met'),
    ('span', ' 1867, and', ' 1867'),
    ('span', ' Rome. Then', ' Rome'),
    ('span', ' Rome', ' Rome'),  # the text ends: so does the turn
  )
  def test_units(self, unit, wish, want):
    self.assertEqual(turn(Large('She' + wish, unit), 'She'), want)

  def test_the_end_of_the_text(self):
    partner = Large('She', 'word')
    self.assertEqual(partner([turns.Turn('She', '', '')]), [None])

  def test_one_that_goes_on_for_ever_is_the_cascades_to_cut(self):
    partner, wrote = Large('x' * 200, 'word'), ''
    for _ in range(turns.MOST):
      (piece,) = partner([turns.Turn('x' + wrote, '', wrote)])
      self.assertEqual(piece, 'x')
      wrote += piece


class SmallRowsTest(parameterized.TestCase):
  @parameterized.parameters(True, False)
  def test_are_the_readings_of_one_row(self, calls):
    """Against decode.call_reader and uncertainty_reader."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 9)).astype(np.float32)
    rows = SimpleNamespace(read=lambda ids: logits)
    scores, tokens = reading.small_rows(rows, 6, 8, calls)([[1]] * 4)
    make = decode.call_reader if calls else decode.uncertainty_reader
    for row in range(4):
      want = make(lambda ids, row=row: logits[row], 6, 8)([1])
      self.assertAlmostEqual(float(scores[row]), want.score, places=5)
      self.assertEqual(int(tokens[row]), want.token)


if __name__ == '__main__':
  absltest.main()

"""Texts in lockstep, by scripted models: who writes what, and when it ends."""

import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import budget, decode, lockstep, turns, writing
from tests.lacy.cascade import decode_test

LETTERS = decode_test.Letters()
ARTICLES = [
  writing.Article('a', 'He is', 'He is in Rome.'),
  writing.Article('b', 'It was', 'It was 1867.'),
]


def small(letters, scores=None):
  """Writes the next of its letters in each text; scores by the last letter.

  eos where the letters are over.
  """

  def read(rows):
    out, tokens = np.zeros(len(rows)), np.zeros(len(rows), int)
    for n, ids in enumerate(rows):
      if ids is None:
        continue
      text = LETTERS.decode(ids)
      count = len(text) - len(ARTICLES[n].opening)
      rest = letters[count : count + 1]
      tokens[n] = ord(rest) if rest else LETTERS.eos_id
      out[n] = scores(text) if scores else 0.0
    return out, tokens

  return read


class Calls:
  """Calls where the score is 1; notes what it is told."""

  def __init__(self):
    self.told = []

  def decide(self, scores):
    return [score == 1 for score in scores]

  def wrote(self, tokens, *, written=0, calls=0, at_work=0):
    self.told.append((tokens, written, calls, at_work))


def write(read, partner, threshold=None, *, characters=99, most=12):
  made = lockstep.write(
    read,
    partner,
    LETTERS,
    ARTICLES,
    threshold or Calls(),
    characters=characters,
    most=most,
  )
  return made.made


class Scripted:
  """Writes a piece of the document's last word, two letters at once."""

  def __init__(self):
    self.asked = []

  def __call__(self, asked):
    self.asked.append([turn.wrote for turn in asked])
    out = []
    for turn in asked:
      word = turn.document.split()[-1].strip('.')
      done = len(turn.wrote or '')
      out.append('' if turn.wrote is None else word[done : done + 2])
    return out


class LockstepTest(parameterized.TestCase):
  def test_alone_each_writes_its_own(self):
    made = write(small(' abc'), turns.nobody)
    self.assertEqual([m.text for m in made], ['He is abc', 'It was abc'])
    self.assertEqual([m.counts().calls for m in made], [0, 0])
    self.assertEqual([m.counts().tokens for m in made], [4, 4])

  def test_is_what_one_text_after_the_other_is(self):
    """Against decode.generate, with a partner that writes a piece a call."""

    def score(text):
      return float(text[-1] in ' s')

    def partner(text):
      return {' ': 'X', 's': ' '}[text[-1]]

    got = write(small('ab c d', score), turns.one_by_one(partner), most=8)
    for n, article in enumerate(ARTICLES):

      def read(ids, n=n):
        rows = [None] * len(ARTICLES)
        rows[n] = ids
        scores, tokens = small('ab c d', score)(rows)
        return decode.Reading(scores[n], int(tokens[n]))

      class Rule(decode.RunningQuantile):
        def observe(self, score):
          return score == 1

      want = decode.generate(
        read,
        partner,
        LETTERS,
        article.opening,
        Rule(0.0),
        max_decisions=8,
      )
      self.assertEqual(got[n].text, want.text)
      self.assertEqual(got[n].spans, want.spans)
      self.assertEqual(got[n].tokens, want.tokens)
      self.assertEqual(got[n].decisions, want.decisions)

  def test_a_turn_lasts_until_the_partner_has_no_more(self):
    partner, rule = Scripted(), Calls()
    made = write(
      small('__ ----------', lambda text: float(text.endswith('_ '))),
      partner,
      rule,
      characters=8,
    )
    self.assertEqual(made[0].text, 'He is__ Rome-')
    self.assertEqual(made[1].text, 'It was__ 1867-')
    self.assertEqual(made[0].spans, [(8, 10), (10, 12)])
    # Two decisions, the call, and one behind the turn.
    self.assertEqual(made[0].counts().calls, 1)
    self.assertEqual(made[0].counts().decisions, 5)
    self.assertEqual(made[0].counts().delegated, 4)
    self.assertEqual(partner.asked, [['', ''], ['Ro', '18'], ['Rome', '1867']])
    self.assertEqual(
      rule.told,
      [(2, 0, 0, 0)] * 3 + [(4, 4, 2, 2), (4, 4, 0, 2), (2, 0, 0, 0)],
    )

  def test_a_partner_with_nothing_to_say_leaves_it_to_the_small_model(self):
    made = write(small(' abc', lambda text: 1.0), turns.nobody)
    self.assertEqual(made[0].text, 'He is abc')
    self.assertEqual(made[0].counts().calls, 0)

  def test_a_partner_that_ends_the_text_ends_it(self):
    made = write(
      small(' abc', lambda text: float(text.endswith('a'))),
      lambda asked: [None] * len(asked),
    )
    self.assertEqual(made[0].text, 'He is a')

  def test_a_partner_that_goes_on_for_ever_is_cut(self):
    partner = lambda asked: ['x'] * len(asked)  # noqa: E731
    made = write(small('', lambda text: 1.0), partner, characters=5, most=999)
    self.assertEqual(made[0].text, 'He isxxxxx')
    # Its turns are, too: then the small model decides, and ends the text.
    made = write(
      small('', lambda text: float(text.endswith('s'))),
      partner,
      characters=999,
      most=999,
    )
    self.assertEqual(made[0].text, 'He is' + 'x' * turns.MOST)

  def test_steps_are_bounded(self):
    made = write(small('a' * 99), turns.nobody, most=3)
    self.assertEqual(made[1].text, 'It wasaaa')

  def test_the_partner_alone_ends_where_it_has_nothing(self):
    partner = Scripted()
    made = write(
      lockstep.ends_everything(LETTERS), partner, lockstep.Always(), most=3
    )
    self.assertEqual(made[0].text, 'He isRome' + 'Ro')
    made = write(
      lockstep.ends_everything(LETTERS), turns.nobody, lockstep.Always()
    )
    self.assertEqual(made[0].text, 'He is')

  def test_a_character_of_several_ids_is_not_broken(self):
    tokenizer = decode_test.Bytes()
    ids = list('\u6771'.encode())

    def read(rows):
      # The three bytes of the character, then the end; always wants to call.
      count = len(rows[0]) - 1 - len(ARTICLES[0].opening.encode())
      token = ids[count] if count < 3 else tokenizer.eos_id
      return np.array([float(count > 0)]), np.array([token])

    made = lockstep.write(
      read,
      turns.nobody,
      tokenizer,
      ARTICLES[:1],
      Calls(),
      characters=9,
      most=9,
    )
    self.assertEqual(made.made[0].text, 'He is\u6771')

  @parameterized.parameters(0.1, 0.22, 0.4)
  def test_feedback_holds_the_share_of_a_scripted_reader(self, beta):
    """Of what is counted: words that are cut off at the end are not."""
    rng = np.random.default_rng(0)
    many = [writing.Article(f'{n}', 'It is', 'x') for n in range(100)]

    def read(rows):
      count = len(rows)
      letters = np.where(rng.random(count) < 0.3, ord(' '), ord('a'))
      return rng.normal(size=count), letters

    def partner(asked):
      # Names of one to four letters.
      return [
        '' if t.wrote is None or len(t.wrote) > len(t.text) % 4 else 'x'
        for t in asked
      ]

    made = lockstep.write(
      read,
      partner,
      LETTERS,
      many,
      budget.Feedback(beta),
      characters=60,
      most=99,
    )
    share = made.accounts()['delegated']
    self.assertAlmostEqual(share / beta, 1.0, delta=0.05)

  def test_the_threshold_is_told_what_is_counted(self):
    """A word that is cut off at the end was written, and does not count."""
    rule = Calls()
    made = lockstep.write(
      small(' ab ', lambda text: float(text.endswith('b '))),
      turns.one_by_one(lambda text: 'cdefgh'),
      LETTERS,
      ARTICLES,
      rule,
      characters=6,
      most=12,
    )
    self.assertEqual(made.texts(), [' ab', ' ab'])
    # Four letters of each, then the partner's word: three are left.
    self.assertEqual(rule.told, [(2, 0, 0, 0)] * 4 + [(-2, 0, 2, 0)])


if __name__ == '__main__':
  absltest.main()

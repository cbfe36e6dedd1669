"""Templates that take a system message, that refuse it, and none at all."""

from absl.testing import absltest

from lm.judging import turns

SAID = [
  {'role': 'system', 'content': 'Be brief.'},
  {'role': 'user', 'content': 'Who?'},
  {'role': 'assistant', 'content': 'Ann'},
  {'role': 'user', 'content': 'Why?'},
]


class Tokenizer:
  """Ids are characters; 1 is bos and 2 eos."""

  bos_id = 1

  def __init__(self, *, template=True, system=True, around=(1,)):
    self.has_template = template
    self._system, self._around = system, around

  def render(self, messages):
    if not self._system and messages[0]['role'] == 'system':
      raise ValueError('no system messages here')
    return '|'.join(f'{m["role"][0]}:{m["content"]}' for m in messages) + '|'

  def encode(self, text, add_bos=None):
    ids = [*map(ord, text)]
    return ids if add_bos is False else [*self._around, *ids]


class RenderTest(absltest.TestCase):
  def test_as_the_template_writes_it(self):
    found = turns.render(Tokenizer(), SAID)
    self.assertEqual(found, 's:Be brief.|u:Who?|a:Ann|u:Why?|')

  def test_a_system_message_goes_into_the_first_turn(self):
    found = turns.render(Tokenizer(system=False), SAID)
    self.assertEqual(found, 'u:Be brief.\n\nWho?|a:Ann|u:Why?|')
    # What else is refused stays so.
    with self.assertRaisesRegex(ValueError, 'no more'):
      refusing = Tokenizer()
      refusing.render = lambda messages: (_ for _ in ()).throw(
        ValueError('no more')
      )
      turns.render(refusing, SAID[1:])

  def test_lines_without_a_template(self):
    found = turns.render(Tokenizer(template=False), SAID)
    self.assertEqual(found, 'Be brief.\nWho?\nAnn\nWhy?\n')


class IdsTest(absltest.TestCase):
  def test_bos_is_the_template_s_or_the_tokenizer_s(self):
    (plain,) = ([ord(c) for c in 'Hi\n'],)
    said = [{'role': 'user', 'content': 'Hi'}]
    for around, want in (((1,), [1, *plain]), ((), plain), ((2,), plain)):
      found = turns.ids(Tokenizer(template=False, around=around), said)
      self.assertEqual(found, want)
    self.assertEqual(turns.ids(Tokenizer(), said), [ord(c) for c in 'u:Hi|'])


if __name__ == '__main__':
  absltest.main()

"""Prompts read as they should, and what they show is never asked."""

from absl.testing import absltest, parameterized

from calibration.correctness import collapse
from calibration.recording import prompts, question_mix
from corpora.questions import generated, tasks, world_facts
from corpora.questions.question import Question
from tests.calibration import support

WORLD = Question(
  id='capital-FR-0',
  prompt='What is the capital of France?',
  answers=('Paris',),
  source='world_facts/capital',
)
OPEN = Question(
  id='n-1',
  prompt='who wrote hamlet',
  answers=('Shakespeare',),
  context='A passage.',
  source='nq_open/validation',
)
ASKED = (support.question(), WORLD, OPEN)


class PromptsTest(parameterized.TestCase):
  def test_a_text_told_by_hand(self):
    want = """Q: What is the capital of Peru?
A: Lima

Q: Name the continent of Kenya.
A: Africa

Q: Which money is used in Japan?
A: yen

Q: Vienna is the capital of which country?
A: Austria

Q: What is the capital of France?
A:"""
    self.assertEqual(prompts.text(WORLD, 'concise'), want)

  def test_passage_before_and_lettered_options_after_the_question(self):
    asked = OPEN._replace(choices=('Bacon', 'Shakespeare'))
    end = 'Q: A passage.\nwho wrote hamlet\nA. Bacon\nB. Shakespeare\nA:'
    self.assertTrue(prompts.text(asked, 'cot').endswith(f'\n\n{end}'))
    last = prompts.messages(asked, 'concise')[-1]['content']
    self.assertTrue(last.startswith(f'{end[3:-3]}\nAnswer with as few'))

  @parameterized.product(style=prompts.STYLES, asked=ASKED)
  def test_turns_take_turns_and_answers_are_one_line(self, style, asked):
    turns = prompts.messages(asked, style)
    roles = [turn['role'] for turn in turns]
    self.assertEqual(roles, ['user', 'assistant'] * 4 + ['user'])
    for turn in turns[1::2]:
      self.assertNotIn('\n', turn['content'])
    wishes = {turn['content'].splitlines()[-1] for turn in turns[::2]}
    self.assertLen(wishes, 1)
    # Text says the same without the wish, which a base model would repeat.
    text = prompts.text(asked, style)
    self.assertNotIn(wishes.pop(), text)
    self.assertEqual(text.count('\nA: '), 4)
    for turn in turns[1::2]:
      self.assertIn(f'\nA: {turn["content"]}\n\n', text)

  @parameterized.product(style=prompts.STYLES, asked=ASKED)
  def test_examples_say_what_their_style_asks_for(self, style, asked):
    # In each style the four examples mean the same, as collapse.py reads it.
    for number in (1, 3, 5, 7):
      said = {
        one: prompts.messages(asked, one)[number]['content']
        for one in ('concise', style)
      }
      example = asked._replace(
        prompt=prompts.messages(asked, 'concise')[number - 1][
          'content'
        ].partition('\n')[0],
        answers=(said['concise'],),
        source='world_facts/' + _relation(number)
        if asked is WORLD
        else asked.source,
      )
      label = collapse.label(example, said[style], style)
      self.assertTrue(collapse.is_right(example, style, label), said[style])

  def test_another_style_is_refused(self):
    for door in (prompts.messages, prompts.text):
      with self.assertRaisesRegex(ValueError, "sentence, cot, got 'long'"):
        door(WORLD, 'long')

  @parameterized.parameters(
    ('world_facts/capital', 'world'),
    ('graded/addition_2', 'numbers'),
    ('graded/maximum', 'numbers'),
    ('asdiv/test', 'numbers'),
    ('gsm8k/test', 'numbers'),
    ('graded/opposites', 'open'),
    ('nq_open/validation', 'open'),
    ('', 'open'),
  )
  def test_whose_examples_are_shown(self, source, want):
    self.assertEqual(prompts.kind(WORLD._replace(source=source)), want)


def _relation(number):
  return {1: 'capital', 3: 'continent', 5: 'currency', 7: 'country'}[number]


class QuestionMixTest(parameterized.TestCase):
  def test_parts_take_turns_and_nothing_is_asked_twice(self):
    found = question_mix.load('arithmetic', count=42, seed=1)
    self.assertLen({q.id for q in found}, 42)
    want = ['addition_1', 'subtraction_1', 'multiplication_1', 'addition_2']
    self.assertEqual(
      [q.source for q in found], [f'graded/{want[i % 4]}' for i in range(42)]
    )
    # The same again, other ones with another seed.
    self.assertEqual(question_mix.load('arithmetic', count=42, seed=1), found)
    other = question_mix.load('arithmetic', count=42, seed=2)
    self.assertLess(len({q.id for q in found} & {q.id for q in other}), 30)

  @parameterized.parameters('arithmetic', 'addition_1', 'world')
  def test_what_examples_are_about_is_never_asked(self, name):
    # So many that, had they not been taken out, some would be there.
    found = question_mix.load(name, count=400, seed=0)
    self.assertLen(found, 400)
    texts = '\n'.join(q.prompt for q in found)
    self.assertEmpty([q for q in found if prompts.shown(tasks.group(q))])
    for about in ('Peru', 'Kenya', 'Japan', 'Vienna', 'Austria', ' 38 and 25'):
      self.assertNotIn(about, texts)

  def test_examples_are_named_as_tasks_name_their_groups(self):
    # Named in another way, `shown` would never find them.
    numbers, places = {'3+5', '7+9', '4+6'}, {'PE', 'KE', 'JP', 'AT'}
    for pool, want in (
      (generated.pool('addition_1'), numbers),
      (generated.pool('subtraction_1'), numbers),
      (world_facts.questions('capital'), places),
    ):
      there = {tasks.group(q) for q in pool}
      self.assertEqual(set(filter(prompts.shown, there)), want)

  def test_what_there_is_not_is_refused(self):
    with self.assertRaisesRegex(ValueError, "got 'words'"):
      question_mix.load('words', count=3, seed=0)
    with self.assertRaisesRegex(ValueError, 'the questions of addition_1'):
      question_mix.load('addition_1', count=5000, seed=0)
    self.assertLen(set(question_mix.NAMES), len(question_mix.NAMES))


if __name__ == '__main__':
  absltest.main()

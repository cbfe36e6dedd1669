"""Questions in words: where they come from, prompts, and rewards by hand."""

import functools
import json
import os
import pathlib
import tempfile
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from corpora import splits
from diffusion_sampler.evaluation import text
from diffusion_sampler.sampling import canvas, decode, denoiser, rules
from engine import mesh as mesh_lib
from lm import tokenizer, transformer
from tests import files

# Of the tokenizer of bytes.
CALL, MASK, PAD, BOS, EOS = range(256, 261)
LETTERS = tokenizer.Tokenizer.train([], vocab_size=261)
SUM = text.Question('What is 3 + 4?', '7', 'gsm8k')


def config(**changes) -> text.DataConfig:
  fields = dict(questions='sums:6', template='plain', mask_id=MASK, eos_id=EOS)
  return text.DataConfig(**(fields | changes))


def answer(written: str, *, length=24, fill=EOS) -> list[int]:
  """Tokens of a text in which | is an end and _ a mask, and then `fill`."""
  specials = {'|': [EOS], '_': [MASK]}
  ids = [i for x in written for i in specials.get(x) or LETTERS.encode(x)]
  return ids + [fill] * (length - len(ids))


class Case(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def jsonl(self, records, name='questions.jsonl') -> str:
    path = self.folder / name
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text('\n'.join(lines))
    return f'jsonl:{path}'


class ReadTest(Case):
  def test_sums_are_right_and_never_met_in_the_other_split(self):
    c = config(questions='sums:300')
    splits = {name: text.read(c, name) for name in ('train', 'test')}
    self.assertLen(splits['train'], 300)
    self.assertLen(splits['test'], 150)
    asked = [q.question for part in splits.values() for q in part]
    self.assertLen(set(asked), 450)
    for q in splits['train'] + splits['test']:
      a, b = q.question.removeprefix('What is ').removesuffix('?').split(' + ')
      self.assertEqual(int(q.answer), int(a) + int(b))

  def test_a_file_is_cut_by_a_hash_of_the_question(self):
    records = [{'question': f'Q{i}', 'answer': f'#### {i}'} for i in range(99)]
    c = config(questions=self.jsonl([*records, '']))
    train, test = (text.read(c, name) for name in ('train', 'test'))
    self.assertCountEqual(
      train + test, [text.Question(**r, grader='gsm8k') for r in records]
    )
    self.assertNotEmpty(test)
    for q in test:
      self.assertEqual(splits.split_of(q.question), 'test')

  def test_a_file_of_tests_leaves_the_other_whole(self):
    records = [{'question': f'Q{i}', 'answer': f'{i}'} for i in range(99)]
    c = config(
      questions=self.jsonl(records),
      test_questions=self.jsonl(records[:7], 'test.jsonl'),
      test_records=5,
    )
    self.assertLen(text.read(c, 'train'), 99)
    self.assertEqual([q.question for q in text.read(c, 'test')][-1], 'Q4')
    self.assertLen(text.read(c, 'test'), 5)

  def test_sources_and_graders_may_be_mixed(self):
    record = {'question': 'Q', 'answer': r'\boxed{x}', 'grader': 'math'}
    spec = self.jsonl([record])
    c = config(questions=f'sums:2;{spec}', test_questions='sums:1')
    graders = [q.grader for q in text.read(c, 'train')]
    self.assertEqual(graders, ['gsm8k', 'gsm8k', 'math'])

  @parameterized.parameters(
    ('{"question": "Q"', 'expected JSON'),
    ('[1]', 'expected an object'),
    ({'question': 'Q'}, "expected text in 'answer', came none"),
    ({'question': 'Q', 'answer': 7}, "expected text in 'answer', came int"),
    ({'question': ' ', 'answer': '7'}, "expected text in 'question'"),
    ({'question': 'Q', 'answer': 'seven'}, 'a number in the target'),
    ({'question': 'Q', 'answer': '7', 'grader': 'x'}, "'grader' must be one"),
  )
  def test_a_bad_line_is_told_with_its_place(self, record, message):
    good = {'question': 'Q', 'answer': '7'}
    c = config(questions=self.jsonl([good, record]), test_questions='sums:1')
    with self.assertRaisesRegex(ValueError, f'questions.jsonl:2: .*{message}'):
      text.read(c, 'train')

  @parameterized.parameters(
    ('', 'train', ValueError, 'data.questions'),
    ('gsm8k', 'train', ValueError, 'data.questions must be tfds:name'),
    ('sums:0', 'train', ValueError, 'a count from 1 to'),
    ('jsonl:/nowhere.jsonl', 'train', FileNotFoundError, 'found none at /now'),
    ('tfds:gsm8k', 'train', FileNotFoundError, 'data.questions=.*tfds build'),
  )
  def test_no_questions_name_the_key(self, spec, split, error, message):
    settings = {'TFDS_DATA_DIR': str(self.folder)}
    with (
      mock.patch.dict(os.environ, settings),
      self.assertRaisesRegex(error, message),
    ):
      text.read(config(questions=spec), split)

  def test_no_question_for_the_test_names_its_key(self):
    spec = self.jsonl([{'question': 'a', 'answer': '1'}])
    with self.assertRaisesRegex(ValueError, 'config.data.test_questions'):
      text.read(config(questions=spec), 'test')

  def test_a_prepared_data_set(self):
    def source(split):
      return [{'question': f'{split}?'.encode(), 'answer': b'1+1\n#### 2'}]

    builder = types.SimpleNamespace(
      info=types.SimpleNamespace(splits=['train', 'test']),
      as_data_source=source,
    )
    with mock.patch('tensorflow_datasets.builder', return_value=builder):
      found = text.read(config(questions='tfds:gsm8k'), 'test')
    self.assertEqual(found, [text.Question('test?', '1+1\n#### 2', 'gsm8k')])

  @parameterized.parameters(
    (dict(grader='code'), 'data.grader must be one of gsm8k, math'),
    (dict(template='xml'), 'data.template must be one of'),
    (dict(prompt=0), 'data.prompt must be at least 1'),
  )
  def test_config_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      config(**fields)


class PromptsTest(Case):
  def test_short_ones_stand_on_the_right_and_long_ones_lose_their_begin(self):
    c = config(prompt=33)
    codec = text.codec(c)
    longer = SUM._replace(question='What is 33 + 44?')
    got = text.prompts(c, codec, [SUM, longer])
    # 'Question: What is 3 + 4?\nAnswer:' has 32 bytes.
    np.testing.assert_array_equal(got['present'].sum(1), [32, 33])
    self.assertFalse(got['present'][0, 0])
    self.assertEqual(codec.decode(got['prompt'][0, 1:]), text.plain(SUM))
    self.assertEqual(codec.decode(got['prompt'][1]), text.plain(longer)[1:])
    np.testing.assert_array_equal(got['answer'], [0, 1])
    self.assertEqual(
      {k: v.dtype for k, v in got.items()},
      {'prompt': np.int32, 'present': bool, 'answer': np.int32},
    )

  def test_a_chat_template_holds_instruction_and_question(self):
    c = config(tokenizer=str(files.TOKENS), template='chat', mask_id=421)
    codec = text.codec(c)
    # Specials are left out by `decode`.
    got = codec.decode(codec.encode(SUM))
    self.assertStartsWith(got, 'user\nSolve the problem')
    self.assertIn('<answer>', got)
    self.assertIn(SUM.question, got)
    self.assertEndsWith(got, 'assistant\n')
    boxed = codec.decode(codec.encode(SUM._replace(grader='math')))
    self.assertIn(r'\boxed', boxed)

  def test_a_mask_in_a_prompt_is_refused(self):
    codec = text.codec(config())
    space = codec.encode(SUM)[9]
    with self.assertRaisesRegex(ValueError, 'data.mask_id'):
      text.prompts(config(mask_id=space), codec, [SUM])

  def test_bytes_know_no_chat(self):
    with self.assertRaisesRegex(ValueError, 'data.template=plain'):
      text.codec(config(template='chat'))

  def test_padding_on_the_left_changes_no_answer(self):
    c = config(prompt=9, answer=6)
    shape = transformer.TransformerConfig(
      vocab_size=261, layers=2, width=16, heads=2, mlp_width=24, tied=False
    )
    params = mesh_lib.unbox(
      transformer.Transformer(shape).init(
        jax.random.key(3), jnp.zeros((1, 2), jnp.int32)
      )['params']
    )
    rng = np.random.default_rng(0)
    short = rng.integers(0, 256, (3, 4), np.int32)
    padded = np.full((3, 9), EOS, np.int32)
    padded[:, 5:] = short
    present = np.broadcast_to(np.arange(9) >= 5, (3, 9))

    @functools.partial(jax.jit, static_argnums=0)
    def answers(layout, prompts, present):
      return decode.sample(
        denoiser.of_transformer(shape, params),
        rules.Threshold(threshold=0.02),
        layout,
        prompts,
        jax.random.split(jax.random.key(0), 3),
        prompt_present=present,
      )

    want = answers(config(prompt=4, answer=6).layout(3), short, short >= 0)
    got = answers(c.layout(3), padded, present)
    np.testing.assert_array_equal(got.answer, want.answer)
    np.testing.assert_array_equal(got.order, want.order)
    blind = answers(c.layout(3), padded, padded >= 0)
    self.assertTrue((blind.answer != want.answer).any())

  def test_a_row_ends_early_only_where_that_is_asked_for(self):
    self.assertIsNone(config().layout().eos_id)
    self.assertEqual(
      config(early_end=True, prompt=5, answer=7).layout(),
      canvas.Layout(prompt=5, answer=7, block=7, mask_id=MASK, eos_id=EOS),
    )


class GraderTest(Case):
  QUESTIONS = (
    SUM,
    text.Question('Q', 'so 3 + 4 = 7\n#### 1,007', 'gsm8k'),
    text.Question('Q', r'hence \boxed{\frac{1}{2}}', 'math'),
  )
  # What was written, to which question, whether it is right.
  ROWS = (
    ('it is 7', 0, True),
    ('it is 8', 0, False),
    ('it is 7|8', 0, True),
    ('it is |7', 0, False),
    ('it _is 7_', 0, True),
    ('1_2', 0, False),
    ('8_<answer>7</answer>', 0, True),
    ('#### 1007', 1, True),
    ('#### 1,007.0', 1, True),
    ('7', 1, False),
    (r'\boxed{1/2}', 2, True),
    (r'\boxed{0.5}', 2, True),
    ('1/2', 2, False),
    ('', 2, False),
  )

  def grader(self):
    codec = text.codec(config())
    return text.Grader(codec=codec, mask_id=MASK, questions=self.QUESTIONS)

  def rows(self, grader):
    answers = [answer(row[0]) for row in self.ROWS]
    return np.array(answers, np.int32), np.array(
      [row[1] for row in self.ROWS], np.int32
    )

  def test_by_hand(self):
    grader = self.grader()
    want = [row[2] for row in self.ROWS]
    np.testing.assert_array_equal(grader(*self.rows(grader)), want)

  def test_text_ends_and_leaves_masks_out(self):
    grader = self.grader()
    tokens = answer('1_2|3', fill=BOS)
    self.assertEqual(grader.text(tokens), '12')
    self.assertEqual(grader.text(answer('5', fill=BOS)), '5')

  def test_any_end_of_a_turn_ends_a_text(self):
    c = config(tokenizer=str(files.TOKENS), mask_id=421, eos_id=419)
    codec = text.codec(c)
    grader = text.Grader(codec=codec, mask_id=421, questions=[SUM])
    ids = codec.encode(SUM)
    whole = grader.text(ids)
    for end in (419, 2, 0):  # the config's own, <|im_end|>, <|endoftext|>
      self.assertEqual(grader.text([*ids, end, *ids]), whole)

  @parameterized.parameters((None,), (dict(data=4),), (dict(data=2, fsdp=2),))
  def test_on_a_mesh_as_on_the_host(self, mesh):
    grader = self.grader()
    answers, rows = self.rows(grader)
    answers, rows = (np.concatenate([x, x[:2]]) for x in (answers, rows))
    right = jax.jit(text.rewards(grader))
    if mesh is None:
      got = right(answers, answers, rows)
    else:
      devices = mesh_lib.make(mesh_lib.MeshConfig(**mesh))
      with mesh_lib.use(devices):
        placed = mesh_lib.device_batch({'a': answers, 'r': rows}, devices)
        got = right(placed['a'], placed['a'], placed['r'])
      self.assertLen({s.device for s in got.addressable_shards}, 4)
      self.assertLen(got.addressable_shards[0].data, 4)
    np.testing.assert_array_equal(got, grader(answers, rows))


if __name__ == '__main__':
  absltest.main()

"""The transition, by hand: who is written, and where a row goes next."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import canvas
from tests.diffusion_sampler import support

M = 9  # the mask
END = 8

blank = jax.jit(canvas.blank, static_argnames='layout')
move = jax.jit(canvas.advance, static_argnames='layout')


def start(given, *, prompt=1, **kwargs):
  """A canvas of `given` answers, after prompts of sevens, and its layout.

  Rows are repeated to four, so that tests share what is compiled.
  """
  given = np.atleast_2d(given)
  given = given[np.minimum(np.arange(4), len(given) - 1)]
  kwargs = dict(block=3, mask_id=M) | kwargs
  lay = support.layout(given.shape[1], prompt=prompt, **kwargs)
  return blank(np.full((4, prompt), 7), lay, given), lay


def advance(state, lay, action, token=5, confidence=0.5):
  """One pass in which the denoiser would write `token` everywhere."""

  def whole(value, dtype):
    value = np.atleast_2d(np.asarray(value, dtype))
    value = value[np.minimum(np.arange(4), len(value) - 1)]
    return np.array(np.broadcast_to(value, (4, lay.answer)))

  stats = support.confident(whole(confidence, np.float32))
  stats = stats.replace(token=whole(token, np.int32))
  return move(state, lay, stats, whole(action, bool))


class CanvasTestCase(parameterized.TestCase):
  def check(self, array, rows):
    """The first rows; the others repeat the last."""
    np.testing.assert_array_equal(np.asarray(array)[: len(rows)], rows)


class LayoutTest(parameterized.TestCase):
  @parameterized.parameters(
    (8, 4, 2), (8, 8, 1), (8, 9, 1), (8, 3, 3), (1, 1, 1)
  )
  def test_blocks(self, answer, block, want):
    self.assertEqual(support.layout(answer, block, M).blocks, want)

  @parameterized.parameters(
    (dict(answer=0), 'sampling.answer must be at least 1, got 0'),
    (dict(block=0), 'sampling.block must be at least 1, got 0'),
    (dict(prompt=-1), 'prompt must not be negative, got -1'),
  )
  def test_refuses_what_is_no_layout(self, options, message):
    options = dict(prompt=2, answer=4, block=2, mask_id=M) | options
    with self.assertRaisesRegex(ValueError, message):
      canvas.Layout(**options)

  @parameterized.parameters(-1, 6, 7)
  def test_the_mask_must_be_a_word(self, mask_id):
    with self.assertRaisesRegex(
      ValueError, rf'mask_id={mask_id} .* of 6.*--config\.sampling\.mask_id'
    ):
      support.layout(4, 2, mask_id).check(6)
    support.layout(4, 2, 5).check(6)
    support.layout(4, 2, 0).check(6)


class BlankTest(CanvasTestCase):
  def test_all_is_masked(self):
    lay = support.layout(5, 2, M, prompt=3)
    state = canvas.blank(jnp.array([[1, 2, 3], [4, M, 6]]), lay)
    self.check(state.tokens, [[1, 2, 3, *[M] * 5], [4, M, 6, *[M] * 5]])
    self.assertTrue(state.masked(lay).all())
    self.check(state.active(lay), [True, True])
    self.check(state.block, [0, 0])
    self.check(state.begun, [2, 2])
    self.check(state.nfe, [0, 0])
    self.check(state.order, [[-2] * 5] * 2)
    self.check(state.where(lay).inside, [[True, True, *[False] * 3]] * 2)

  def test_begins_where_the_first_mask_is(self):
    state, lay = start(
      [
        [M, 1, M, 2, M, 3],
        [1, 2, 3, 4, M, M],
        [1, 2, 3, 4, 5, 6],
      ]
    )
    self.check(state.block, [0, 1, 2])
    self.check(state.begun, [2, 2, 0])
    self.check(state.active(lay), [True, True, False])
    self.check(state.order, [[-2, -1, -2, -1, -2, -1]])
    self.assertFalse(state.where(lay).inside[2].any())


class AdvanceTest(CanvasTestCase):
  def test_writes_masks_of_the_block_and_nothing_else(self):
    state, lay = start([[M, 1, M, M, M, 2], [1, 2, 3, M, 4, M]])
    after = advance(state, lay, True)
    self.check(after.answer(lay), [[5, 1, 5, M, M, 2], [1, 2, 3, 5, 4, 5]])
    self.check(after.order, [[0, -1, 0, -2, -2, -1], [-1, -1, -1, 0, -1, 0]])
    self.check(after.tokens[:, :1], [[7], [7]])
    self.check(after.block, [1, 2])
    self.check(after.active(lay), [True, False])

  def test_rows_walk_at_their_own_pace(self):
    state, lay = start([[M] * 6, [M] * 6])
    one = advance(state, lay, [[True] * 6, [False, False, True] * 2])
    self.check(one.block, [1, 0])
    self.check(one.passes, [0, 1])
    self.check(one.begun, [3, 3])
    self.check(one.nfe, [1, 1])
    two = advance(one, lay, [[False] * 6, [True] * 6])
    self.check(two.block, [1, 1])
    self.check(two.passes, [1, 0])
    three = advance(two, lay, [[True] * 6, [False] * 6])
    self.check(three.block, [2, 1])
    self.check(three.nfe, [3, 3])
    four = advance(three, lay, True)
    self.check(four.nfe, [3, 4])
    self.check(four.order, [[0, 0, 0, 2, 2, 2], [1, 1, 0, 3, 3, 3]])
    self.assertFalse(four.active(lay).any())

  def test_a_block_without_masks_is_passed_over(self):
    state, lay = start([M, 1, 2, 3, M, M], block=2)
    after = advance(state, lay, True)
    self.check(after.block, [2])
    self.check(after.begun, [2])
    self.check(after.passes, [0])

  def test_a_finished_row_stays_as_it_is(self):
    state, lay = start([[1, 2, 3, END, 5, 6], [M] * 6], eos_id=END)
    after = advance(state, lay, True)
    self.check(after.answer(lay), [[1, 2, 3, END, 5, 6]])
    self.check(after.order, [[-1] * 6])
    self.check(after.nfe, [0, 1])
    self.check(after.passes, [0])

  def test_a_block_is_left_after_as_many_passes_as_positions(self):
    state, lay = start([M] * 6)
    for nfe in range(1, 4):
      self.check(state.block, [0])
      state = advance(state, lay, False)
      self.check(state.nfe, [nfe])
    self.check(state.block, [1])
    self.check(state.passes, [0])
    state = advance(state, lay, True)
    self.assertFalse(state.active(lay).any())
    self.check(state.answer(lay), [[M, M, M, 5, 5, 5]])
    self.check(state.order, [[-2, -2, -2, 3, 3, 3]])

  @parameterized.parameters((6, 3), (5, 4), (7, 3), (2, 9))
  def test_passes_never_exceed_positions(self, answer, block):
    # The last block may be shorter than the others, or the only one.
    state, lay = start([M] * answer, block=block)
    walk = []
    while state.active(lay).any():
      walk.append(int(state.block[0]))
      state = advance(state, lay, False)
    self.assertEqual(walk, (np.arange(answer) // block).tolist())
    self.check(state.nfe, [lay.most_passes])


class EndTest(CanvasTestCase):
  def test_an_end_that_nothing_precedes_ends_the_row(self):
    state, lay = start([M] * 6, eos_id=END)
    token = [1, END, 2, 3, 3, 3]
    after = advance(state, lay, [True, True, False, False, False, False], token)
    self.check(after.answer(lay), [[1, *[END] * 5]])
    self.check(after.order, [[0, 0, -3, -3, -3, -3]])
    self.assertFalse(after.active(lay).any())
    self.check(after.nfe, [1])

  def test_what_is_written_behind_the_end_stays(self):
    state, lay = start([M] * 6, block=6, eos_id=END)
    action = [True, True, False, True, False, False]
    after = advance(state, lay, action, [1, END, 2, 3, 4, 4])
    self.check(after.answer(lay), [[1, END, END, 3, END, END]])
    self.check(after.order, [[0, 0, -3, 0, -3, -3]])

  def test_an_end_behind_a_mask_waits(self):
    state, lay = start([M] * 6, block=6, eos_id=END)
    token = [1, 2, END, 3, 4, 5]
    state = advance(state, lay, [False, True, True, False, False, False], token)
    self.check(state.answer(lay), [[M, 2, END, M, M, M]])
    self.check(state.active(lay), [True])
    state = advance(state, lay, [True, *[False] * 5], token)
    self.check(state.answer(lay), [[1, 2, END, END, END, END]])
    self.check(state.order, [[1, 0, 0, -3, -3, -3]])
    self.assertFalse(state.active(lay).any())

  def test_a_mask_left_behind_keeps_the_row_open(self):
    state, lay = start([M] * 6, eos_id=END)
    for _ in range(3):
      state = advance(state, lay, False)
    self.check(state.block, [1])
    state = advance(state, lay, [False, False, False, True, False, False], END)
    self.check(state.answer(lay), [[M, M, M, END, M, M]])
    self.check(state.active(lay), [True])

  def test_without_an_end_nothing_is_filled(self):
    state, lay = start([M] * 6)
    state = advance(state, lay, [True, *[False] * 5], END)
    self.check(state.answer(lay), [[END, *[M] * 5]])

  def test_the_prompt_ends_nothing(self):
    state, lay = start([M] * 6, eos_id=7)  # prompts are sevens
    state = advance(state, lay, [True, *[False] * 5], 1)
    self.check(state.answer(lay), [[1, *[M] * 5]])


class FailedTest(CanvasTestCase):
  def test_nan_where_it_matters_stops_the_row(self):
    state, lay = start([[M] * 6] * 3)
    confidence = np.full((3, 6), 0.5)
    confidence[1, 0] = np.nan
    confidence[2, 5] = np.nan  # of another block: not looked at yet
    after = advance(state, lay, True, confidence=confidence)
    self.check(after.failed, [False, True, False])
    self.check(after.active(lay), [True, False, True])
    half = [5, 5, 5, M, M, M]
    self.check(after.answer(lay), [half, [M] * 6, half])
    self.check(after.nfe, [1, 1, 1])
    again = advance(after, lay, True, confidence=confidence)
    self.check(again.failed, [False, True, True])
    self.check(again.answer(lay), [[5] * 6, [M] * 6, half])
    self.check(again.nfe, [2, 1, 2])
    self.assertFalse(again.active(lay).any())

  def test_nan_does_not_end_an_answer(self):
    state, lay = start([END, M, M, M, M, M], eos_id=END)
    confidence = [[0.5, np.nan, 0.5, 0.5, 0.5, 0.5]]
    after = advance(state, lay, True, confidence=confidence)
    self.check(after.answer(lay), [[END, M, M, M, M, M]])
    self.check(after.failed, [True])


if __name__ == '__main__':
  absltest.main()

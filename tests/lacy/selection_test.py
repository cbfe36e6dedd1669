"""Oracles O1-O3 and O13 of docs/papers/lacy.md: which tokens are chosen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import mesh as mesh_lib
from lacy import selection

LOSS = [0.2, 3.1, 0.5, 4.0, 2.2, 6.0, 1.0, 0.1, 5.0, 2.9]
FACTS = [0, 1, 0, 1, 1, 0, 1, 0, 0, 1]
REFERENCE = [0.10, 1.00, 0.65, 3.85, 0.20, 5.70, 0.88, 0.12, 1.00, 2.85]


# Positions of every problem here, those past its own not valid: operations of
# one shape are compiled once.
WIDTH = 2000


def choose(loss, facts, *, reference=None, valid=None, step=0, seed=0, **kw):
  """The choice [1, T] of a problem with T positions."""
  size = len(loss)
  valid = np.ones(size, bool) if valid is None else valid

  def wide(values, dtype):
    values = np.pad(np.asarray(values, dtype), (0, WIDTH - size))
    return jnp.asarray(values[None])

  if reference is not None:
    reference = wide(reference, np.float32)
  made = selection.select(
    selection.SelectionConfig(**kw),
    wide(loss, np.float32),
    wide(facts, bool),
    wide(valid, bool),
    step=step,
    key=jax.random.key(seed),
    reference=reference,
  )
  return jax.tree.map(lambda mask: np.asarray(mask)[:, :size], made)


def called(*args, **kw):
  return set(np.flatnonzero(choose(*args, **kw).call).tolist())


@functools.cache
def choices_of_all_rules():
  """By rule, on one device and on four."""
  rng = np.random.default_rng(5)
  loss = rng.random((8, 16), np.float32).round(1)  # with ties
  facts, valid = rng.random((8, 16)) < 0.25, rng.random((8, 16)) < 0.9
  key = jax.random.key(5)

  @jax.jit
  def select(loss, facts, valid):
    return {
      rule: selection.select(
        selection.SelectionConfig(rule=rule),
        loss,
        facts,
        valid,
        step=0,
        key=key,
        reference=loss**2,
      )
      for rule in selection.RULES
    }

  mesh = mesh_lib.make(mesh_lib.MeshConfig(data=4), jax.devices()[:4])
  sharding = mesh_lib.batch_sharding(mesh)
  arrays = (loss, facts, valid)
  four = select(*(jax.device_put(a, sharding) for a in arrays))
  return jax.device_get((select(*arrays), four))


class SelectionTest(parameterized.TestCase):
  def test_o1_top_share_of_facts(self):
    self.assertEqual(called(LOSS, FACTS), {1, 3, 9})

  def test_o1_literal_scope_ranks_the_whole_batch(self):
    self.assertEqual(called(LOSS, FACTS, scope='batch'), {1, 3, 4, 9})

  def test_o1_loss_only(self):
    self.assertEqual(called(LOSS, FACTS, rule='loss', rho=0.3), {3, 5, 8})

  def test_o1_limits(self):
    facts = set(np.flatnonzero(FACTS).tolist())
    self.assertEqual(called(LOSS, FACTS, percent=100), facts)
    self.assertEqual(called(LOSS, FACTS, percent=0), set())
    self.assertEqual(called(LOSS, FACTS, rule='fact_all'), facts)
    self.assertEqual(called(LOSS, FACTS, rule='judge'), facts)
    self.assertEqual(called(LOSS, FACTS, rule='standard'), set())

  @parameterized.parameters('facts', 'batch', 'budget')
  def test_o1_no_facts_no_calls(self, scope):
    self.assertEqual(called(LOSS, [0] * 10, scope=scope), set())

  def test_o1_ties_go_to_the_earlier(self):
    self.assertEqual(called([1.0] * 4, [1] * 4, percent=50), {0, 1})

  def test_counts_are_integers(self):
    # In floats 0.29 * 100 floors to 28.
    loss = np.arange(100.0)
    self.assertLen(called(loss, [1] * 100, percent=29), 29)
    self.assertLen(called(loss, [0] * 100, rule='loss', rho=0.29), 29)

  @parameterized.parameters(
    (dict(scope='facts'), [1] * 6 + [0] * 4, 3),  # of 3.6
    (dict(rule='fact_random'), [1] * 6 + [0] * 4, 3),
    (dict(scope='batch', percent=78), [1] * 10, 7),  # of 7.8
    (dict(rule='ignore_facts'), [1] * 6 + [0] * 4, 3),
  )
  def test_a_share_of_facts_is_rounded_down(self, fields, facts, count):
    got = choose(np.arange(10.0), facts, **fields)
    self.assertEqual(int(got.call.sum() + got.drop.sum()), count)

  def test_a_budget_is_rounded(self):
    # 1.65 of 11 and 1.35 of 9: section 3 rounds rho N.
    for count, want in ((11, 2), (9, 1)):
      loss, none = np.arange(float(count)), [0] * count
      self.assertLen(called(loss, none, rule='loss'), want)

  def test_o2_rho_calls_the_complement_of_rho1(self):
    got = called(LOSS, FACTS, reference=REFERENCE, rule='rho', rho=0.3)
    self.assertEqual(got, {2, 7, 9})

  def test_o2_rho1_would_keep_the_highest_excess(self):
    excess = np.array(LOSS) - np.array(REFERENCE)
    got = called(excess, FACTS, rule='loss', rho=0.6)
    self.assertEqual(got, {1, 3, 4, 5, 6, 8})

  def test_o2_rho_by_the_reference_loss(self):
    got = called(
      LOSS,
      FACTS,
      reference=REFERENCE,
      rule='rho',
      rho_variant='high_ref',
      rho=0.3,
    )
    self.assertEqual(got, {3, 5, 9})

  def test_rho_without_reference_names_the_key(self):
    with self.assertRaisesRegex(ValueError, 'config.lacy.reference'):
      called(LOSS, FACTS, rule='rho')

  def test_o3_share_of_facts_and_budget(self):
    loss = np.random.default_rng(0).random(100)
    self.assertLen(called(loss, [1] * 25 + [0] * 75), 15)
    few = [1] * 10 + [0] * 90
    self.assertLen(called(loss, few, scope='budget', rho=0.15), 10)
    self.assertLen(called(loss, [1] * 40 + [0] * 60, scope='budget'), 15)

  @parameterized.parameters('loss', 'lacy', 'random', 'fact_random', 'fact_all')
  def test_padding_is_never_chosen_nor_counted(self, rule):
    valid = np.array([1, 1, 1, 0, 1, 0, 1, 1, 0, 1], bool)
    got = called(LOSS, FACTS, valid=valid, rule=rule, rho=0.3)
    self.assertEmpty(got & {3, 5, 8})
    if rule == 'loss':  # round(0.3 * 7) = 2
      self.assertEqual(got, {1, 9})

  def test_ignoring_drops_what_the_other_rule_calls(self):
    for dropping, calling in (('ignore', 'loss'), ('ignore_facts', 'lacy')):
      got = choose(LOSS, FACTS, rule=dropping, rho=0.3)
      self.assertEqual(int(got.call.sum()), 0)
      want = called(LOSS, FACTS, rule=calling, rho=0.3)
      self.assertEqual(set(np.flatnonzero(got.drop).tolist()), want)

  def test_random_rules_follow_the_key(self):
    loss, facts = np.zeros(2000), [1, 0] * 1000
    kw = dict(rule='random', rho=0.15)
    first = called(loss, facts, seed=1, **kw)
    self.assertEqual(first, called(loss, facts, seed=1, **kw))
    self.assertNotEqual(first, called(loss, facts, seed=2, **kw))
    self.assertBetween(len(first), 240, 360)  # 300, sd 16
    got = called(loss, facts, rule='fact_random', seed=1)
    self.assertLen(got, 600)
    self.assertTrue(all(i % 2 == 0 for i in got))

  def test_no_calls_before_the_end_of_the_warm_up(self):
    kw = dict(warmup_steps=3)
    self.assertEmpty(called(LOSS, FACTS, step=2, **kw))
    self.assertEqual(called(LOSS, FACTS, step=3, **kw), {1, 3, 9})

  @parameterized.parameters(*selection.RULES)
  def test_o13_same_mask_on_one_and_four_devices(self, rule):
    one, four = (choices[rule] for choices in choices_of_all_rules())
    np.testing.assert_array_equal(one.call, four.call)
    np.testing.assert_array_equal(one.drop, four.drop)

  @parameterized.parameters(
    ({'rule': 'rhoo'}, 'lacy.rule must be one of'),
    ({'scope': 'device'}, 'lacy.scope must be one of'),
    ({'percent': 160}, r'lacy.percent must be an integer in \[0, 100\]'),
    ({'percent': 0.6}, 'lacy.percent must be an integer'),
    ({'rho': 15}, r'lacy.rho must lie in \[0, 1\]'),
  )
  def test_refuses_what_does_not_fit(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      selection.SelectionConfig(**fields)


def runs(facts):
  """(row, start, end) of every run of marks, by hand."""
  found = []
  for row, marks in enumerate(facts):
    start = None
    for t, mark in enumerate([*marks, False]):
      if mark and start is None:
        start = t
      if not mark and start is not None:
        found.append((row, start, t))
        start = None
  return found


class EntityTest(parameterized.TestCase):
  def test_whole_entities_by_mean_loss_within_the_count(self):
    """Against enumeration: sort the runs, take them while they fit."""
    rng = np.random.default_rng(2)
    choose = jax.jit(selection.top_entities)
    for _ in range(30):
      facts = rng.random((3, 11)) < 0.5
      loss = rng.integers(0, 4, facts.shape).astype(np.float32)  # with ties
      count = int(rng.integers(0, 20))
      want, left = np.zeros_like(facts), count
      means = [(loss[r, a:b].mean(), (r, a, b)) for r, a, b in runs(facts)]
      for _, (row, start, end) in sorted(means, key=lambda m: -m[0]):
        if end - start > left:
          break
        want[row, start:end] = True
        left -= end - start
      got = np.asarray(choose(loss, facts, np.int32(count)))
      np.testing.assert_array_equal(got, want)

  def test_no_number_is_called_by_its_first_digit_alone(self):
    # 1 9 3 4 with a surprising first digit, then a name.
    loss, facts = [9, 1, 1, 1, 0, 4, 4, 0], [1, 1, 1, 1, 0, 1, 1, 0]
    kw = dict(rule='lacy', scope='budget', rho=0.25)
    self.assertEqual(called(loss, facts, **kw), {0, 5})
    self.assertEqual(called(loss, facts, unit='entity', **kw), {5, 6})

  @parameterized.parameters(
    dict(rule='loss'), dict(rule='lacy', scope='batch'), dict(rule='fact_all')
  )
  def test_only_where_facts_are_ranked(self, **kw):
    with self.assertRaisesRegex(ValueError, 'lacy.unit=entity'):
      selection.SelectionConfig(unit='entity', **kw)


if __name__ == '__main__':
  absltest.main()

"""Variants of a config: typed changes, folders of other runs."""

from absl.testing import absltest, parameterized
from ml_collections import ConfigDict

from configs import common
from launch import variants


def config():
  made = ConfigDict(
    {
      'a': {'rule': 'x', 'n': 3, 'f': 0.5, 'on': True, 'many': (1, 2)},
      'b': {'k': 1},
      'run': {'s': 0},
    }
  )
  return made.lock()


class VariantTest(parameterized.TestCase):
  def test_values_keep_their_type(self):
    changes = {
      'a.rule': 'two words = one value',
      'a.n': 7,
      'a.f': 2,
      'a.on': False,
      'a.many': (3,),
    }
    base = config()
    got = variants.variant(base, changes, {})
    self.assertEqual(
      got.to_dict()['a'],
      {
        'rule': 'two words = one value',
        'n': 7,
        'f': 2.0,
        'on': False,
        'many': (3,),
      },
    )
    self.assertIs(got.a.on, False)
    self.assertEqual(base.a.n, 3)

  def test_folders_of_other_variants(self):
    folders = {'rho:low': 'runs/rho-low-0'}
    got = variants.variant(config(), {'a.rule': '{rho:low}'}, folders)
    self.assertEqual(got.a.rule, 'runs/rho-low-0')
    # Braces in the middle of a text are a text.
    got = variants.variant(config(), {'a.rule': 'in {rho:low}'}, folders)
    self.assertEqual(got.a.rule, 'in {rho:low}')
    with self.assertRaisesRegex(ValueError, 'a.rule to the workdir of one'):
      variants.variant(config(), {'a.rule': '{one}'}, folders)

  def test_a_section_is_replaced_or_removed_whole(self):
    got = variants.variant(
      config(), {'a': {'new': 1.5}, 'b': None, 'c': {'k': 2}}, {}
    )
    self.assertEqual(
      got.to_dict(), {'a': {'new': 1.5}, 'c': {'k': 2}, 'run': {'s': 0}}
    )

  def test_another_experiment_may_bring_keys_of_its_own(self):
    made = ConfigDict({'experiment': 'a', 'data': {'n': 1}}).lock()
    changes = {'experiment': 'b', 'start': '{one}'}
    got = variants.variant(made, changes, {'one': 'runs/one-0'}).to_dict()
    self.assertEqual(
      got, {'experiment': 'b', 'data': {'n': 1}, 'start': 'runs/one-0'}
    )
    with self.assertRaisesRegex(ValueError, 'start, which is no key'):
      variants.variant(made, {'start': ''}, {})
    with self.assertRaisesRegex(ValueError, 'data.m, which is no key'):
      variants.variant(made, {'experiment': 'b', 'data.m': 2}, {})

  @parameterized.parameters(
    ({'a.rul': 'z'}, 'a.rul, which is no key'),
    ({'c.rule': 'z'}, 'c.rule, which is no key'),
    ({'a.rule.deep': 'z'}, 'a.rule.deep, which is no key'),
    ({'c': 1}, 'c, which is no key'),
    ({'a.n': 'three'}, "a.n=3 to 'three', which is of another type"),
    ({'a.on': 'False'}, "a.on=True to 'False', which is of another type"),
  )
  def test_what_does_not_fit_is_refused(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      variants.variant(config(), changes, {})

  @parameterized.parameters(
    ('configs/lacy/wiki.py', 'runs/lacy_wiki'),
    ('configs/lacy/wiki.py:demo', 'runs/lacy_wiki_demo'),
  )
  def test_default_workdir(self, config, want):
    self.assertEqual(str(variants.default_workdir(config)), want)

  def test_the_order_of_variants_is_kept(self):
    made = common.sweep({'z': {'a.b': 1}, 'a': {}}, seeds=[3])
    whole = ConfigDict({'sweep': made}).lock()
    self.assertEqual(
      list(whole.sweep.variants.to_dict().items()),
      [('z', {'a.b': 1}), ('a', {})],
    )


if __name__ == '__main__':
  absltest.main()

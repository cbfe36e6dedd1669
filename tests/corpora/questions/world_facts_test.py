"""Questions about a few countries, some of them made up, told by hand."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora.questions import world_facts
from engine import assets


def country(name, capital, **fields):
  return {
    'name': name,
    'capital': capital,
    'continentcode': 'EU',
    'currencyname': 'Euro',
    'languages': 'en',
    'neighbours': '',
    'population': 5,
  } | fields


ROWS = {
  'CD': country('Congo Country', 'Kinshasa', continentcode='AF'),
  'NL': country(
    'The Netherlands',
    ' Amsterdam',
    languages='nl-NL,fy-NL,qqq',
    neighbours='RU,AN,XX',
  ),
  'RU': country('Russia', 'Moscow', currencyname='Ruble', neighbours='NL'),
  'MX': country('Mexico', 'Mexico City', continentcode='NA', languages=''),
  'JM': country('Jamaica', 'Kingston', currencyname='', languages='zh'),
  'NF': country('Norfolk Island', 'Kingston', continentcode='OC'),
  'AN': country('Netherlands Antilles', 'Willemstad'),
  'BV': country('Bouvet Island', '', population=0),
}


class WorldFactsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / 'countries.json'
    self.path.write_text(json.dumps(ROWS))

  def answers(self, relation):
    """By country, the same for every wording."""
    found = {}
    for question in world_facts.read(self.path, relation):
      named, iso, _ = question.id.split('-')
      self.assertEqual(named, relation)
      self.assertEqual(
        found.setdefault(iso, question.answers), question.answers
      )
    return found

  def test_capitals_but_for_the_ones_spelt_out(self):
    self.assertEqual(
      self.answers('capital'),
      {
        'CD': ('Kinshasa',),
        'NL': ('Amsterdam',),
        'RU': ('Moscow',),
        'JM': ('Kingston',),
        'NF': ('Kingston',),
      },
    )

  def test_one_question_for_capitals_of_one_name(self):
    found = self.answers('country')
    self.assertEqual(list(found), ['CD', 'NL', 'RU', 'JM'])
    self.assertEqual(found['JM'], ('Jamaica', 'Norfolk Island'))
    self.assertEqual(found['NL'], ('Netherlands', 'Holland'))

  def test_continents(self):
    found = self.answers('continent')
    self.assertEqual(found['CD'], ('Africa',))
    self.assertEqual(found['MX'], ('North America',))
    self.assertEqual(found['NF'], ('Oceania', 'Australia'))
    self.assertEqual(found['RU'], ('Europe', 'Asia'))
    self.assertNotIn('BV', found)
    self.assertNotIn('AN', found)

  def test_currencies_with_their_plurals(self):
    found = self.answers('currency')
    self.assertEqual(found['NL'], ('euro', 'euros'))
    self.assertEqual(found['RU'], ('ruble', 'rouble', 'rubles', 'roubles'))
    self.assertNotIn('JM', found)

  def test_languages_that_have_a_name(self):
    found = self.answers('language')
    self.assertEqual(found['NL'], ('Dutch', 'Frisian'))
    self.assertEqual(found['JM'], ('Chinese', 'Mandarin', 'Mandarin Chinese'))
    self.assertNotIn('MX', found)

  def test_neighbours_that_are_there(self):
    found = self.answers('neighbour')
    self.assertEqual(
      found,
      {
        'NL': ('Russia', 'Russian Federation'),
        'RU': ('Netherlands', 'Holland'),
      },
    )

  def test_every_wording_asks_with_its_number(self):
    found = [
      (question.id, question.prompt, question.source)
      for question in world_facts.read(self.path, 'country')[:2]
    ]
    self.assertEqual(
      found,
      [
        (
          'country-CD-0',
          'Which country has the capital Kinshasa?',
          'world_facts/country',
        ),
        (
          'country-CD-1',
          'Kinshasa is the capital of which country?',
          'world_facts/country',
        ),
      ],
    )

  def test_names_that_need_an_article_have_one(self):
    prompts = {
      question.id: question.prompt
      for question in world_facts.read(self.path, 'capital')
    }
    self.assertEqual(
      prompts['capital-NL-0'], 'What is the capital of the Netherlands?'
    )
    self.assertEqual(prompts['capital-RU-0'], 'What is the capital of Russia?')

  def test_the_asset_is_what_is_read(self):
    with mock.patch.object(assets, 'fetch', return_value=self.path) as fetch:
      found = world_facts.questions('capital', data_dir='somewhere')
    fetch.assert_called_once_with('world_facts', data_dir='somewhere')
    self.assertEqual(found, world_facts.read(self.path, 'capital'))

  def entries(self, relation):
    with mock.patch.object(assets, 'fetch', return_value=self.path) as fetch:
      found = world_facts.entries(relation, data_dir='somewhere')
    for call in fetch.call_args_list:
      self.assertEqual(call, mock.call('world_facts', data_dir='somewhere'))
    return found

  def test_entries_are_all_that_could_be_said(self):
    # Cities once a country, by all their names; Kingston is there twice.
    self.assertEqual(
      self.entries('capital'),
      [
        ('Kinshasa',),
        ('Amsterdam',),
        ('Moscow',),
        ('Kingston',),
        ('Kingston',),
      ],
    )
    # Countries whose capital gives them away could be said, too.
    for relation in ('country', 'neighbour'):
      found = self.entries(relation)
      self.assertLen(found, 6)
      self.assertIn(('Mexico',), found)
      self.assertIn(('Netherlands', 'Holland'), found)
      self.assertNotIn(('Netherlands Antilles',), found)
    self.assertEqual(
      [names[0] for names in self.entries('currency')],
      ['euro', 'euro', 'ruble', 'euro', 'euro'],
    )
    # These are of no file.
    continents = self.entries('continent')
    self.assertLen(continents, 7)
    self.assertIn(('Oceania', 'Australia'), continents)
    self.assertIn(('Romanian', 'Moldovan'), self.entries('language'))

  @parameterized.parameters(*world_facts.RELATIONS)
  def test_every_answer_is_a_name_of_an_entry(self, relation):
    names = {name for entry in self.entries(relation) for name in entry}
    for answers in self.answers(relation).values():
      self.assertContainsSubset(answers, names)

  def test_entries_of_an_unknown_relation(self):
    with self.assertRaisesRegex(ValueError, "capital, .*country, got 'flag'"):
      world_facts.entries('flag')

  def test_an_unknown_relation_is_told_the_known_ones(self):
    with self.assertRaisesRegex(ValueError, "capital, .*country, got 'flag'"):
      world_facts.read(self.path, 'flag')

  @parameterized.parameters(
    '[]', 'no json', '{"FR": {"name": "France"}}', '{"FR": 3}'
  )
  def test_a_file_of_another_form_is_told(self, text):
    self.path.write_text(text)
    with self.assertRaisesRegex(ValueError, 'countries.json: expected an obj'):
      world_facts.read(self.path, 'capital')


if __name__ == '__main__':
  absltest.main()
